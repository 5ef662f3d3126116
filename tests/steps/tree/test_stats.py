"""Statistics of windows against sums made frame by frame from what the alignments were made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.hmm.topology import HmmState, left_to_right, silence
from steps.hmm.transitions import transition_model
from steps.hmm.tree import monophone_tree
from steps.tree.stats import TreeStats, accumulate_tree_stats, sum_stats
from tests.steps import triphones

# silence, three states in a row, one alone, two that share a pdf class
SHARED = (HmmState(0, ((0, 0.5), (1, 0.5))), HmmState(0, ((1, 0.5), (2, 0.5))))
TOPOLOGY = {1: silence(5), 2: left_to_right(3), 3: left_to_right(1), 4: SHARED}
TABLE = triphones.random_table(TOPOLOGY, 50, np.random.default_rng(0))
MODELS = [transition_model(TOPOLOGY, tree) for tree in (monophone_tree(TOPOLOGY), triphones.tree_of(TABLE))]
SILENCE = {1}
DIM = 2


def spoken(model, random, phones):
    """A random alignment of phones, and the phone's number and the pdf class of each frame."""
    tids, numbers, classes = [], [], []
    for number, phone in enumerate(phones):
        state = 0
        while state < len(TOPOLOGY[phone]):
            choices = [index for index, (p, s, _) in enumerate(model.states) if (p, s) == (phone, state)]
            transition_state = random.choice(choices)  # any of the state's pdfs: they do not matter here
            ids = np.arange(model.first_tid[transition_state], model.first_tid[transition_state + 1])
            out = random.choice([tid for tid in ids if model.tid_to_next[tid] != state])
            frames = 1 + random.integers(3)
            tids += [out] + [model.self_loop_tid[transition_state]] * (frames - 1)
            numbers += [number] * frames
            classes += [TOPOLOGY[phone][state].pdf_class] * frames
            state = model.tid_to_next[out]
    return np.array(tids, dtype=np.int32), numbers, classes


@st.composite
def utterances(draw):
    """Alignments, features and, by window and pdf class, the frames."""
    model = draw(st.sampled_from(MODELS))
    width, central = draw(st.sampled_from([(3, 1), (1, 0), (2, 1), (2, 0), (5, 2)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    alignments, features, frames = {}, {}, {}
    for name in range(draw(st.integers(1, 4))):
        phones = draw(st.lists(st.sampled_from(list(TOPOLOGY)), min_size=1, max_size=6))
        alignments[f"u{name}"], numbers, classes = spoken(model, random, phones)
        features[f"u{name}"] = random.normal(0, 3, (len(numbers), DIM)).astype(np.float32)
        for x, number, pdf_class in zip(features[f"u{name}"], numbers, classes, strict=True):
            window = []
            for place in range(number - central, number - central + width):
                counts = place == number or (phones[number] not in SILENCE and 0 <= place < len(phones))
                window.append(phones[place] if counts else 0)
            frames.setdefault((*window, pdf_class), []).append(x.astype(float))
    return model, alignments, features, frames, (width, central)


@settings(deadline=None)
@given(utterances())
def test_sums_of_the_frames_of_each_window(case):
    model, alignments, features, frames, window = case
    found = accumulate_tree_stats(model, alignments, features, SILENCE, *window)
    check(found, frames, window)


def check(found: TreeStats, frames, window):
    width, central = window
    assert found.central_position == central
    assert found.windows.shape == (len(frames), width)
    keys = sorted(frames)
    assert np.column_stack([found.windows, found.pdf_classes]).tolist() == [list(key) for key in keys]
    assert found.counts.tolist() == [len(frames[key]) for key in keys]
    assert found.sums.dtype == np.float64
    first, second = zip(*[(sum(frames[key]), sum(x**2 for x in frames[key])) for key in keys], strict=True)
    np.testing.assert_allclose(found.first, first, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.second, second, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.sums, np.column_stack([found.counts, found.first, found.second]))


@settings(deadline=None)
@given(utterances(), st.data())
def test_sum_of_any_blocks_is_the_whole(case, data):
    model, alignments, features, frames, window = case
    blocks = {}
    for utterance, tids in alignments.items():
        blocks.setdefault(data.draw(st.integers(0, 2)), {})[utterance] = tids
    parts = [accumulate_tree_stats(model, block, features, SILENCE, *window) for block in blocks.values()]
    check(sum_stats(parts), frames, window)


def one_utterance():
    tids, *_ = spoken(MODELS[0], np.random.default_rng(0), [1, 2])
    return {"u7": tids}, {"u7": np.zeros((len(tids), DIM), np.float32)}


def test_no_features():
    alignments, _ = one_utterance()
    with pytest.raises(InputError, match="utterance u7 is aligned, but has no features; align the set they are made"):
        accumulate_tree_stats(MODELS[0], alignments, {}, SILENCE)


def test_another_number_of_frames():
    alignments, features = one_utterance()
    frames = len(features["u7"])
    message = f"utterance u7: {frames} frames are aligned, but the features have {frames - 1}; align it again"
    with pytest.raises(InputError, match=message):
        accumulate_tree_stats(MODELS[0], alignments, {"u7": features["u7"][1:]}, SILENCE)
