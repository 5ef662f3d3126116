import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnet.chunks import NO_TARGET, Epochs, read_utterance, shuffled, shuffled_chunks, stream_chunks, window_chunks
from nnet.errors import ModelError


def corpus(lengths):
    """Features that name their utterance and frame; targets that name their frame."""
    return {
        f"u{i}": (np.stack([np.full(n, i + 1), np.arange(n)], 1).astype(np.float32), np.arange(n))
        for i, n in enumerate(lengths)
    }


def assert_same(a, b):
    assert (a.utterances, a.position) == (b.utterances, b.position)
    for name in ("feats", "targets", "lengths", "carry"):
        assert torch.equal(getattr(a, name), getattr(b, name))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 8), st.integers(0, 6))
def test_every_frame_once_in_order(lengths, streams, frames, delay):
    reader = corpus(lengths)
    found = {name: ([], []) for name in reader}
    before = ()
    for chunk in stream_chunks(reader, list(reader), streams, frames, delay):
        T, S, _ = chunk.feats.shape
        assert (T, S) <= (frames, S) <= (frames, streams)
        for s, name in enumerate(chunk.utterances):
            row = chunk.carry[s].item()
            assert (before[row] == name) if row >= 0 else not found[name][0]  # goes on with its own state, or starts
            valid = chunk.feats[:, s, 0] > 0  # padding is zero
            assert (chunk.targets[~valid, s] == NO_TARGET).all()
            found[name][0].extend(chunk.feats[valid, s].tolist())
            found[name][1].extend(chunk.targets[valid, s].tolist())
        before = chunk.utterances
    for i, (name, n) in enumerate(zip(reader, lengths, strict=True)):
        feats, targets = found[name]
        assert feats == [[i + 1, min(t, n - 1)] for t in range(n + delay)]  # the last frame is repeated
        assert targets == [NO_TARGET] * delay + list(range(n))  # the target of frame t stands at t + delay


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 4), st.data())
def test_any_position_can_be_gone_on_from(lengths, streams, data):
    reader = corpus(lengths)
    whole = list(stream_chunks(reader, list(reader), streams, 7, 2))
    k = data.draw(st.integers(0, len(whole) - 1))
    rest = list(stream_chunks(reader, list(reader), streams, 7, 2, whole[k].position))
    assert len(rest) == len(whole) - k - 1
    for a, b in zip(rest, whole[k + 1 :], strict=True):
        assert_same(a, b)


class Recording(dict):
    """A reader that notes what is read."""

    def __init__(self, data):
        super().__init__(data)
        self.read = []

    def __getitem__(self, name):
        self.read.append(name)
        return super().__getitem__(name)


def test_only_utterances_under_way_are_read():
    reader = Recording(corpus([20] * 10))
    next(stream_chunks(reader, list(reader), 2, 5, 0))
    assert reader.read == ["u0", "u1"]


def test_order_depends_on_seed_and_epoch_alone():
    names = [f"u{i}" for i in range(50)]
    assert shuffled(names, 1, 2) == shuffled(names[::-1], 1, 2)
    assert sorted(shuffled(names, 1, 2)) == sorted(names)
    assert len({tuple(shuffled(names, seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_lengths_that_differ_are_refused():
    with pytest.raises(ModelError, match="utterance a has 3 frames of features and 4 targets"):
        read_utterance({"a": (np.zeros((3, 2), np.float32), np.zeros(4, int))}, "a")
    with pytest.raises(ModelError, match="utterance a has no frames"):
        read_utterance({"a": (np.zeros((0, 2), np.float32), np.zeros(0, int))}, "a")


def test_streams_run_on_from_epoch_to_epoch():
    data = {f"u{i}": (np.full((n, 1), i, np.float32), np.full(n, i)) for i, n in enumerate([90, 5, 5, 5, 5])}
    order = Epochs(list(data), seed=1, epochs=3)
    assert [list(order)[5 * k : 5 * k + 5] for k in range(3)] == [shuffled(list(data), 1, k) for k in range(3)]
    seen = list(stream_chunks(data, order, streams=2, frames=10, delay=0))
    frames = sum(int((chunk.targets != NO_TARGET).sum()) for chunk in seen)
    assert frames == 3 * 110
    alone = sum(chunk.feats.shape[1] == 1 for chunk in seen)
    one_epoch = sum(chunk.feats.shape[1] == 1 for chunk in stream_chunks(data, list(order)[:5], 2, 10, 0))
    assert alone <= one_epoch  # only the last epoch waits for its longest utterance


LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 5), st.integers(0, 8), st.integers(0, 3), st.integers(0, 3), st.integers(1, 5))
def test_windows_hold_every_frame_once_with_its_context(lengths, streams, frames, left, right, pool):
    reader = corpus(lengths)
    found = {name: [] for name in reader}
    for chunk in window_chunks(reader, list(reader), streams, frames, (left, right), seed=1, pool=pool):
        assert len(chunk.feats) == len(chunk.targets) + left + right
        assert (chunk.carry == -1).all()
        assert len(chunk.utterances) == chunk.feats.shape[1] <= streams
        for s, name in enumerate(chunk.utterances):
            labelled = chunk.targets[:, s] != NO_TARGET
            T = int(labelled.sum())
            assert labelled[:T].all()
            assert chunk.lengths[s] == T + left + right
            numbers = chunk.targets[:T, s]
            assert (chunk.feats[left : left + T, s, 1] == numbers).all()
            last = len(reader[name][1]) - 1
            around = torch.arange(int(numbers[0]) - left, int(numbers[-1]) + right + 1).clamp(0, last)
            assert chunk.feats[: T + left + right, s].tolist() == [[int(name[1:]) + 1, t] for t in around.tolist()]
            found[name].extend(numbers.tolist())
    assert {name: sorted(numbers) for name, numbers in found.items()} == {
        name: list(range(n)) for name, n in zip(reader, lengths, strict=True)
    }


@settings(max_examples=30, deadline=None)
@given(LENGTHS, st.integers(1, 4), st.sampled_from([0, 1, 7]), st.data())
def test_windows_can_be_gone_on_with_from_any_position(lengths, streams, frames, data):
    reader = corpus(lengths)
    whole = list(window_chunks(reader, list(reader), streams, frames, (1, 2), 3, pool=4))
    k = data.draw(st.integers(0, len(whole) - 1))
    rest = list(window_chunks(reader, list(reader), streams, frames, (1, 2), 3, 4, whole[k].position))
    for a, b in zip(rest, whole[k + 1 :], strict=True):
        assert_same(a, b)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 5), st.integers(1, 8), st.integers(0, 4), st.integers(1, 5), st.data())
def test_shuffled_chunks_label_every_frame_once_after_the_delay(lengths, streams, frames, delay, pool, data):
    reader = corpus(lengths)
    given = reader, list(reader), streams, frames, delay, 1, pool
    whole = list(shuffled_chunks(*given))
    found = {name: [] for name in reader}
    unpadded = []
    for chunk in whole:
        rows = range(len(chunk.utterances))
        # the state of the window before in the stream, if no padding followed it
        assert chunk.carry.tolist() == [s if s < len(unpadded) and unpadded[s] else -1 for s in rows]
        unpadded = (chunk.lengths == len(chunk.feats)).tolist()
        for s, name in enumerate(chunk.utterances):
            n, targets, all_frames = int(chunk.lengths[s]), chunk.targets[:, s].tolist(), len(reader[name][1])
            assert n == min(frames, all_frames) + delay
            begin = int(chunk.feats[0, s, 1])
            assert chunk.feats[:n, s].tolist() == [
                [int(name[1:]) + 1, min(begin + k, all_frames - 1)] for k in range(n)
            ]
            labelled = [k for k, target in enumerate(targets) if target != NO_TARGET]
            assert labelled == list(range(labelled[0], n))
            assert [targets[k] for k in labelled] == [begin + k - delay for k in labelled]
            found[name].extend(targets[k] for k in labelled)
    assert {name: sorted(numbers) for name, numbers in found.items()} == {
        name: list(range(n)) for name, n in zip(reader, lengths, strict=True)
    }
    k = data.draw(st.integers(0, len(whole) - 1))
    rest = list(shuffled_chunks(*given, whole[k].position))
    assert len(rest) == len(whole) - k - 1
    for a, b in zip(rest, whole[k + 1 :], strict=True):
        assert_same(a, b)


def test_whole_utterances_stand_beside_others_of_their_length():
    reader = corpus([30, 3, 29, 4, 28, 2])
    together = [set(chunk.utterances) for chunk in window_chunks(reader, list(reader), 3, 0, (0, 0), seed=1, pool=6)]
    assert sorted(map(sorted, together)) == [["u0", "u2", "u4"], ["u1", "u3", "u5"]]


def test_windows_of_an_utterance_are_apart():
    reader = corpus([40] * 8)
    seen = [chunk.utterances for chunk in window_chunks(reader, list(reader), 16, 1, (5, 5), seed=1, pool=8)]
    assert min(len(set(names)) for names in seen) > 3


def test_windows_read_no_more_than_the_pool():
    reader = Recording(corpus([20] * 10))
    next(window_chunks(reader, list(reader), 2, 5, (1, 1), seed=1, pool=3))
    assert reader.read == ["u0", "u1", "u2"]
