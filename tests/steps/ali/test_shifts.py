import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.ali.shifts import Shifts, check_drift, compare_alignments
from steps.base.errors import InputError
from steps.hmm.topology import left_to_right
from steps.hmm.transitions import transition_model
from steps.hmm.tree import monophone_tree

TOPOLOGY = {phone: left_to_right(2) for phone in range(1, 9)}
MODEL = transition_model(TOPOLOGY, monophone_tree(TOPOLOGY))
ARCS = {
    (int(MODEL.tid_to_phone[tid]), int(MODEL.tid_to_hmm_state[tid]), int(MODEL.tid_to_next[tid])): tid
    for tid in range(1, MODEL.num_tids + 1)
}


def tids(phones):
    """Transition-ids of phones and their frames, at least 2; all but one in the last state."""
    found = []
    for phone, frames in phones:
        found += [ARCS[phone, 0, 1], ARCS[phone, 1, 2]] + [ARCS[phone, 1, 1]] * (frames - 2)
    return np.array(found, np.int32)


@st.composite
def two_alignments(draw):
    """One utterance in both, of phones that are all different, some of which one alignment lacks.

    Matching all common phones then takes the fewest errors: nothing is substituted.
    """
    order = draw(st.permutations(range(1, 9)))
    most = draw(st.sets(st.integers(0, 7), min_size=2))
    some = draw(st.sets(st.sampled_from(sorted(most)), min_size=1))
    sides = [
        [(order[i], draw(st.integers(2, 9))) for i in sorted(kept)] for kept in draw(st.permutations([most, some]))
    ]
    frames = max(sum(n for _, n in side) for side in sides)
    return [[*side[:-1], (side[-1][0], side[-1][1] + frames - sum(n for _, n in side))] for side in sides]


def boundaries(phones):
    """Frame of the boundary between each two neighbours."""
    ends = np.cumsum([n for _, n in phones]).tolist()
    return {(a, b): end for ((a, _), (b, _)), end in zip(pairwise(phones), ends[:-1], strict=True)}


def of_frames(phones):
    return [phone for phone, frames in phones for _ in range(frames)]


@settings(max_examples=200, deadline=None)
@given(st.lists(two_alignments(), min_size=1, max_size=4))
def test_against_brute_force(utterances):
    before, after = ({str(i): tids(pair[side]) for i, pair in enumerate(utterances)} for side in (0, 1))
    moved, same, frames = [], 0, 0
    for old, new in utterances:
        theirs = boundaries(old)
        moved += [end - theirs[pair] for pair, end in boundaries(new).items() if pair in theirs]
        same += sum(a == b for a, b in zip(of_frames(old), of_frames(new), strict=True))
        frames += len(of_frames(old))
    if not moved:
        with pytest.raises(InputError, match=f"no phone boundary .* {len(utterances)} utterances in common"):
            compare_alignments(before, after, MODEL, 0.01)
        return
    found = compare_alignments(before, after, MODEL, 0.01)
    assert (found.utterances, found.boundaries) == (len(utterances), len(moved))
    assert found.mean_ms == pytest.approx(10 * sum(moved) / len(moved))
    assert found.mean_absolute_ms == pytest.approx(10 * sum(map(abs, moved)) / len(moved))
    assert found.other_phone == pytest.approx(1 - same / frames)


def test_everything_later():
    before = {"a": tids([(1, 10), (2, 10), (1, 10)]), "gone": tids([(1, 2)])}
    after = {"a": tids([(1, 15), (2, 10), (1, 5)]), "new": tids([(1, 3)])}
    found = compare_alignments(before, after, MODEL, 0.01)
    assert found == Shifts(1, 2, pytest.approx(50), pytest.approx(50), pytest.approx(1 / 3))
    back = compare_alignments(after, before, MODEL, 0.01)
    assert (back.mean_ms, back.mean_absolute_ms) == (pytest.approx(-50), pytest.approx(50))
    assert str(back) == (
        "2 boundaries of 1 utterances moved by -50.0 ms on average (without signs 50.0 ms); "
        "33.3% of the frames have another phone"
    )


def test_shifts_to_both_sides_are_no_drift():
    before, after = {"a": tids([(1, 10), (2, 10), (3, 10)])}, {"a": tids([(1, 5), (2, 20), (3, 5)])}
    found = compare_alignments(before, after, MODEL, 0.01)
    assert (found.mean_ms, found.mean_absolute_ms) == (pytest.approx(0, abs=1e-9), pytest.approx(50))
    check_drift(found, max_shift=1)


@pytest.mark.parametrize("mean_ms", [21.0, -21.0])
def test_drift_stops(mean_ms):
    shifts = Shifts(1, 1, mean_ms, abs(mean_ms), 0.1)
    check_drift(shifts, max_shift=21)
    with pytest.raises(InputError, match=re.escape(f"moved by {mean_ms:+.1f} ms on average, more than the 20 ms")):
        check_drift(shifts, max_shift=20)


def test_other_audio():
    with pytest.raises(InputError, match="utterance a has 5 frames, but had 4 before"):
        compare_alignments({"a": tids([(1, 4)])}, {"a": tids([(1, 5)])}, MODEL, 0.01)
    with pytest.raises(InputError, match="no phone boundary is in both alignments, which have 0 utterances in common"):
        compare_alignments({"a": tids([(1, 4)])}, {"b": tids([(1, 4)])}, MODEL, 0.01)
