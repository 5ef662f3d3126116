"""A network that reads stacked frames and skips some, beside the same network on features stacked by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnet.chunks import NO_TARGET, Epochs, Position, Reading, stream_chunks, window_chunks
from nnet.config import ModelConfig, TrainConfig
from nnet.data import epoch_ends, training_chunks
from nnet.errors import ModelError
from nnet.evaluation import evaluate
from nnet.losses.cross_entropy import CrossEntropy
from nnet.model import Network, initialise, log_posteriors
from nnet.steps import Steps, nearest_steps
from tests.nnet.synthetic import bits
from tests.nnet.test_chunks import corpus

SKIPPING = ModelConfig(layers=2, cells=8, projection=6, stack=4, ahead=1, skip=3, delay=1)
ENCODER = {"kind": "dnn", "projection": 0, "delay": 0, "left_context": 2, "right_context": 1}
BOTH_WAYS = {"direction": "both", "delay": 0, "left_context": 2, "right_context": 1}
STEPS = st.builds(
    lambda stack, ahead, skip: Steps(stack, min(ahead, stack - 1), skip),
    st.integers(1, 5), st.integers(0, 4), st.integers(1, 4),
)  # fmt: skip


def by_hand(feats, steps, frames):
    """The frames of the steps at some frames, which may lie outside, one by one."""
    last = len(feats) - 1
    around = range(steps.ahead + 1 - steps.stack, steps.ahead + 1)
    return torch.stack([torch.cat([feats[min(max(t + i, 0), last)] for i in around]) for t in frames])


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 20), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_steps_are_stacked_and_thinned(steps, frames, phase, before, after):
    feats = torch.arange(2.0 * frames).view(frames, 2)
    first = steps.first(frames, phase % steps.skip)
    own = list(range(first, frames, steps.skip))
    assert len(own) == steps.count(frames, phase % steps.skip) > 0
    around = range(first - before * steps.skip, own[-1] + after * steps.skip + 1, steps.skip)
    assert torch.equal(steps.inputs(feats, first, before, after), by_hand(feats, steps, around))


def test_a_network_that_skips_nothing_reads_the_features_themselves():
    feats = torch.zeros(5, 2)
    assert Steps().inputs(feats) is feats


@pytest.mark.parametrize("skip", [1, 2, 3, 4])
def test_the_nearest_step(skip):
    for frames in range(1, 15):
        steps = np.arange(0, frames, skip)
        distances = np.abs(np.arange(frames)[:, None] - steps)
        nearest = nearest_steps(frames, skip)
        assert (distances[np.arange(frames), nearest] == distances.min(1)).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), STEPS, st.integers(0, 3), st.integers(1, 4))
def test_streams_hold_the_thinned_frames_and_targets(lengths, steps, delay, streams):
    reader = corpus(lengths)
    names, found = list(reader), {name: ([], []) for name in reader}

    def phase(index):
        return index % steps.skip

    for chunk in stream_chunks(reader, names, streams, 4, delay, reading=Reading(steps, phase)):
        for s, name in enumerate(chunk.utterances):
            n = int(chunk.lengths[s])
            found[name][0].extend(chunk.feats[:n, s])
            found[name][1].extend(chunk.targets[:n, s].tolist())
    for i, (name, T) in enumerate(zip(names, lengths, strict=True)):
        feats, targets = torch.from_numpy(reader[name][0]), reader[name][1]
        first = phase(i) % min(steps.skip, T)
        N = len(targets[first :: steps.skip])
        own = [first + steps.skip * u for u in range(N + delay)]
        assert found[name][1] == [NO_TARGET] * delay + targets[first :: steps.skip].tolist()
        assert torch.equal(torch.stack(found[name][0]), by_hand(feats, steps, own))


def test_windows_have_their_context_in_steps():
    reader, steps = corpus([20]), Steps(stack=2, ahead=1, skip=3)
    feats = torch.from_numpy(reader["u0"][0])
    chunks = window_chunks(reader, ["u0"], 4, 3, (2, 1), seed=1, pool=1, reading=Reading(steps, lambda index: 1))
    for chunk in chunks:
        for s in range(len(chunk.utterances)):
            n = int(chunk.lengths[s])
            targets = chunk.targets[: n - 3, s].tolist()
            own = range(targets[0] - 6, targets[-1] + 4, 3)
            assert torch.equal(chunk.feats[:n, s], by_hand(feats, steps, own))


@pytest.mark.parametrize("changes", [{}, ENCODER, BOTH_WAYS, {"kind": "rnn", "projection": 0}])
def test_every_phase_is_seen_in_as_many_epochs_and_each_epoch_has_one(changes):
    model = replace(SKIPPING, **changes)
    reader, seed = corpus([1, 2, 30, 17, 25, 8]), 3
    order, seen = Epochs(list(reader), seed, epochs=6), {}
    frames = {name: len(targets) for name, (_, targets) in reader.items()}
    counts = []
    for epoch in range(6):
        part = Position(next=6 * epoch)
        shorter = Epochs(list(reader), seed, epochs=epoch + 1)
        training = TrainConfig(streams=3, frames=4, shuffle=2)
        targets = {name: set() for name in reader}
        for chunk in training_chunks(model, training, reader, shorter, seed, part):
            for s, name in enumerate(chunk.utterances):
                valid = chunk.targets[:, s] != NO_TARGET
                targets[name] |= set(chunk.targets[valid, s].tolist())
        for name, labelled in targets.items():
            assert labelled == set(range(min(labelled), frames[name], 3))  # one phase, the whole utterance
            seen.setdefault(name, []).append(labelled)
        counts.append(sum(map(len, targets.values())))
    for name, n in frames.items():
        assert set().union(*seen[name][:3]) == set().union(*seen[name][3:]) == set(range(n))
    assert len({min(seen[name][0]) for name in seen}) > 1  # utterances begin at different phases
    assert np.cumsum(counts).tolist() == epoch_ends(model.steps, order, frames, seed)


@pytest.mark.parametrize("changes", [{}, ENCODER, BOTH_WAYS, {"kind": "rnn", "projection": 0}])
def test_log_posteriors_are_those_of_steps_stacked_by_hand(changes):
    config = replace(SKIPPING, **changes)
    model, plain = Network(config, 2, 5), Network(replace(config, stack=1, ahead=0, skip=1), 8, 5)
    initialise(model, seed=1)
    plain.load_state_dict(model.state_dict())
    feats = [torch.randn(n, 2, generator=torch.Generator().manual_seed(n)) for n in (1, 2, 31, 30, 29)]
    left, right = config.left_context, config.right_context
    for found, x in zip(log_posteriors(model, feats, chunk=4), feats, strict=True):
        N = -(-len(x) // 3)
        own = range(-3 * left, 3 * (N + config.delay + right), 3)
        logits = plain(by_hand(x, config.steps, own)[:, None], plain.zero_state(1)).logits[:, 0]
        torch.testing.assert_close(found, logits.log_softmax(-1)[config.delay :])
        assert len(found) == N
        later = log_posteriors(model, [x], phase=2)[0]
        first = 2 % min(3, len(x))
        own = range(first - 3 * left, first + 3 * (len(later) + config.delay + right), 3)
        logits = plain(by_hand(x, config.steps, own)[:, None], plain.zero_state(1)).logits[:, 0]
        torch.testing.assert_close(later, logits.log_softmax(-1)[config.delay :])
        assert len(later) == len(range(first, len(x), 3))
    whole = log_posteriors(model, feats, chunk=1000)
    for a, b in zip(whole, log_posteriors(model, feats, chunk=4), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("changes", [{}, ENCODER, BOTH_WAYS])
def test_evaluation_takes_the_first_phase(changes):
    model = Network(replace(SKIPPING, **changes), 2, 2)
    initialise(model, seed=1)
    data = bits(6, shift=-2)
    outputs = log_posteriors(model, [torch.from_numpy(x) for x, _ in data.values()])
    targets = [torch.from_numpy(y[::3]) for _, y in data.values()]
    rows, labels = torch.cat(outputs), torch.cat(targets)
    loss, accuracy = evaluate(model, data, CrossEntropy(), frames=7)
    assert loss == pytest.approx(torch.nn.functional.nll_loss(rows, labels).item(), rel=1e-5)
    assert accuracy == pytest.approx((rows.argmax(1) == labels).double().mean().item())


def test_frames_ahead_are_fewer_than_those_stacked():
    with pytest.raises(ModelError, match="ahead is 3, but stack is 3: of the frames"):
        replace(SKIPPING, stack=3, ahead=3).check()
    for name in ("stack", "skip"):
        with pytest.raises(ModelError, match=f"{name} is 0; it has to be 1 or more"):
            replace(SKIPPING, **{name: 0}).check()
