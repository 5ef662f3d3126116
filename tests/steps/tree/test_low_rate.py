"""Alignments in states of a low frame rate, against phones and frames that are walked one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.hmm.joins import FEATURE_RATE, Rate
from steps.hmm.topology import CHAIN, HmmState, left_to_right, silence, write_entries
from steps.hmm.transitions import split_phones, transition_model, write_transition_model
from steps.hmm.tree import monophone_tree, write_tree
from steps.tree.low_rate import (
    check_feature_rate,
    convert_to_low_rate,
    low_rate_stats,
    phone_frames,
    read_low_rate,
)
from tests.steps import triphones

# silence, three states in a row, one alone, one that can be left after a frame
SHORT = (HmmState(0, ((0, 0.5), (1, 0.3), (2, 0.2))), HmmState(1, ((1, 0.5), (2, 0.5))))
TOPOLOGY = {1: silence(5), 2: left_to_right(3), 3: left_to_right(1), 4: SHORT}
SOURCE = transition_model(TOPOLOGY, monophone_tree(TOPOLOGY))
CHAINS = dict.fromkeys(TOPOLOGY, CHAIN)
TABLE = triphones.random_table(CHAINS, 40, np.random.default_rng(0))
SILENCE = {1}
DIM = 2


def spoken(random, phones, longest):
    """A random alignment of phones in SOURCE, and the frames of each phone."""
    tids, lengths = [], []
    for phone in phones:
        state, before = 0, len(tids)
        while state < len(TOPOLOGY[phone]):
            ids = [tid for tid in range(1, SOURCE.num_tids + 1) if SOURCE.tid_to_phone[tid] == phone]
            ids = [tid for tid in ids if SOURCE.tid_to_hmm_state[tid] == state]
            [loop] = [tid for tid in ids if SOURCE.is_self_loop[tid]]
            out = int(random.choice([tid for tid in ids if tid != loop]))
            tids += [out] + [loop] * int(random.integers(longest))
            state = int(SOURCE.tid_to_next[out])
        lengths.append(len(tids) - before)
    return np.array(tids, dtype=np.int32), lengths


def lasting(lengths, skip):
    """The lengths of phones that take what they lack from the next one, at the end from those before."""
    lengths = list(lengths)
    for here in range(len(lengths) - 1):
        lacking = max(0, skip - lengths[here])
        lengths[here] += lacking
        lengths[here + 1] -= lacking
    for here in reversed(range(1, len(lengths))):
        lacking = max(0, skip - lengths[here])
        lengths[here] += lacking
        lengths[here - 1] -= lacking
    return lengths if lengths[0] >= skip else None


@st.composite
def cases(draw):
    phones = draw(st.lists(st.sampled_from(list(TOPOLOGY)), min_size=1, max_size=6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    skip = draw(st.integers(1, 4))
    return phones, *spoken(random, phones, draw(st.integers(1, 8))), skip, random


def steps_through(model, tids):
    """Walk through a reordered graph: the phones that a path visits, and its pdfs; it must end where a phone does."""
    phones, pdfs, inside = [], [], None  # inside: the phone and the HMM state that comes next
    held = None  # the transition-state whose self-loop may follow
    for tid in map(int, tids):
        state = int(model.tid_to_state[tid])
        phone, number, pdf = model.states[state]
        to, _ = CHAIN[number].transitions[tid - int(model.first_tid[state])]
        if to == number:
            assert held == state, "a self-loop follows a way out of the same state"
        else:
            assert (phone, number) == (inside or (phone, 0)), "the phone goes on, or a new one begins"
            if number == 0:
                phones.append(phone)
            held, inside = state, (phone, to) if to < len(CHAIN) else None
        pdfs.append(pdf)
    assert inside is None, "the last phone is complete"
    return phones, pdfs


def target(skip):
    tree = replace(triphones.tree_of(TABLE), rate=Rate(skip, 1.0))
    return tree, transition_model(CHAINS, tree)


@settings(deadline=None, max_examples=300)
@given(cases())
def test_at_each_phase_the_alignment_is_a_path_with_the_same_phones(case):
    phones, tids, lengths, skip, _ = case
    tree, model = target(skip)
    found, expected = convert_to_low_rate(tids, SOURCE, tree, model), lasting(lengths, skip)
    if expected is None:
        assert found == f"{len(tids)} frames are too few for {len(phones)} phones of at least {skip}"
        return
    pdfs = []
    for number, (phone, length) in enumerate(zip(phones, expected, strict=True)):
        left, right = ([0, *phones, 0][number + place] for place in (0, 2))
        pdfs += [TABLE[left, phone, right, int(frame >= skip)] for frame in range(length)]
    assert model.tid_to_pdf[found].tolist() == pdfs
    for phase in range(skip):
        assert steps_through(model, found[phase::skip]) == (phones, pdfs[phase::skip])
        path = split_phones(replace(model, rate=FEATURE_RATE), found[phase::skip])
        assert [phone for phone, _, _ in path] == phones


@settings(deadline=None)
@given(cases())
def test_phones_that_are_long_enough_stay_where_they_are(case):
    phones, tids, lengths, _, _ = case
    found = phone_frames(SOURCE, tids, 1)
    assert (found.phones.tolist(), found.lengths.tolist()) == (phones, lengths)
    assert phone_frames(SOURCE, tids, min(lengths)).ends.tolist() == found.ends.tolist()
    frames = [(frame, length - frame) for length in lengths for frame in range(length)]
    assert list(zip(found.within.tolist(), found.left.tolist(), strict=True)) == frames


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([1, 5, 6], [3, 3, 6]),
        ([1, 4, 6], [3, 3, 5]),
        ([5, 4, 1], [4, 3, 3]),
        ([1, 9, 1], [3, 5, 3]),
        ([4, 2, 4], [4, 3, 3]),
        ([1, 1, 7], [3, 3, 3]),
        ([2, 2, 4], None),
    ],
)
def test_short_phones_take_frames_of_their_neighbours(lengths, expected):
    [out], [loop] = (
        [t for t in range(1, SOURCE.num_tids + 1) if SOURCE.tid_to_phone[t] == 3 and SOURCE.is_self_loop[t] == loops]
        for loops in (False, True)
    )
    tids = np.array([tid for length in lengths for tid in [out] + [loop] * (length - 1)])
    found = phone_frames(SOURCE, tids, 3)
    assert (found if isinstance(found, str) else found.lengths.tolist()) == (
        expected or "8 frames are too few for 3 phones of at least 3"
    )
    assert lasting(lengths, 3) == expected


@settings(deadline=None)
@given(st.lists(cases(), min_size=1, max_size=3), st.sampled_from([(3, 1), (2, 1), (1, 0)]), st.integers(1, 3))
def test_statistics_of_the_frames_of_all_phases(utterances, window, skip):
    width, central = window
    frames, alignments, features = {}, {}, {}
    for name, (phones, tids, lengths, _, random) in enumerate(utterances):
        alignments[f"u{name}"] = tids
        x = features[f"u{name}"] = random.normal(0, 3, (len(tids), DIM)).astype(np.float32)
        place = 0
        for number, length in enumerate(lasting(lengths, skip) or []):
            near = range(number - central, number - central + width)
            free = phones[number] in SILENCE
            key = [phones[n] if n == number or (not free and 0 <= n < len(phones)) else 0 for n in near]
            for frame in range(length):
                frames.setdefault((*key, int(frame >= skip)), []).append(x[place].astype(float))
                place += 1
    found = low_rate_stats(SOURCE, alignments, features, SILENCE, window, skip)
    if not frames:
        assert found is None
        return
    keys = sorted(frames)
    assert found.central_position == central
    assert np.column_stack([found.windows, found.pdf_classes]).tolist() == [list(key) for key in keys]
    assert found.counts.tolist() == [len(frames[key]) for key in keys]
    np.testing.assert_allclose(found.first, [sum(frames[key]) for key in keys], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.second, [sum(x**2 for x in frames[key]) for key in keys], rtol=1e-9)


def states(folder, topology, rate=None):
    tree = monophone_tree(topology)
    tree = replace(tree, rate=rate) if rate else tree
    folder.mkdir()
    write_entries(folder / "topo", [([phone], states) for phone, states in topology.items()])
    write_tree(folder / "tree.json", tree)
    write_transition_model(folder / "transitions.npz", transition_model(topology, tree))
    return folder


def test_states_of_the_wrong_rate(tmp_path):
    gmm, chain = states(tmp_path / "gmm", TOPOLOGY), states(tmp_path / "chain", CHAINS, Rate(3, 1.0))
    check_feature_rate(gmm)
    tree, model = read_low_rate(chain)
    assert (tree.rate, model.rate) == ((3, 1.0), (3, 1.0))
    with pytest.raises(InputError, match=r"chain: its states are at one of 3 frames already; give alignments in"):
        check_feature_rate(chain)
    with pytest.raises(InputError, match=r"gmm: its states are not of a low frame rate; give those of steps\.build_t"):
        read_low_rate(gmm)
