import threading
from dataclasses import replace

import pytest
import torch

from nnet import gradient
from nnet.chunks import stream_chunks, window_chunks
from nnet.config import ModelConfig, TrainConfig
from nnet.gradient import Replicas, chunk_gradient, slices, train_chunk
from nnet.losses import loss_named
from nnet.model import Network, initialise
from tests.nnet import synthetic
from tests.nnet.synthetic import small_model

CE = loss_named("cross_entropy")


def replicas_of(config, threads):
    model = Network(config, 2, 2)
    initialise(model, seed=1)
    return Replicas(model, threads)


def some_chunks(config, data):
    if config.carries_state:
        return list(stream_chunks(data, list(data), 5, 20, config.delay))[:4]
    return list(window_chunks(data, list(data), 5, 0 if config.direction == "both" else 20, (2, 3), seed=1, pool=12))[
        :4
    ]


CONFIGS = [
    synthetic.RECURRENT, replace(synthetic.BOTH_WAYS, dropout=0.0), ModelConfig(kind="rnn", cells=8, dropout=0.5),
    ModelConfig(kind="dnn", cells=8, dropout=0.5, delay=0, left_context=2, right_context=3),
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_parts_add_up_to_the_gradient_of_the_chunk(config, threads):
    whole, parts = replicas_of(config, 1), replicas_of(config, threads)
    state, other, loss = [], [], loss_named("cross_entropy", torch.tensor([0.5, 1.0]))
    for chunk in some_chunks(config, synthetic.bits(12, 0)):
        torch.manual_seed(1)  # of dropout
        sums, state = chunk_gradient(whole, chunk, state, loss, per=80.0)
        torch.manual_seed(1)
        again, other = chunk_gradient(parts, chunk, other, loss, per=80.0)
        torch.testing.assert_close(parts.grad, whole.grad, rtol=1e-4, atol=1e-6)
        assert (again.correct, again.frames, again.chunks) == (sums.correct, sums.frames, 1)
        assert (again.loss, again.clipped) == pytest.approx((sums.loss, sums.clipped))
        for a, b in zip(state, other, strict=True):
            torch.testing.assert_close(a, b)


def test_the_same_number_of_threads_gives_the_same_bits():
    data, found = synthetic.bits(12, 0), []
    for _ in range(5):
        replicas, state = replicas_of(synthetic.RECURRENT, 3), []
        torch.manual_seed(1)
        for chunk in some_chunks(synthetic.RECURRENT, data):
            _, state = chunk_gradient(replicas, chunk, state, CE)
            replicas.params -= 0.1 * replicas.grad
        found.append(replicas.params.clone())
    assert all(torch.equal(params, found[0]) for params in found)


def test_a_stream_that_is_reset_starts_from_zero():
    config = replace(synthetic.RECURRENT, dropout=0.0)
    first, second, *_ = some_chunks(config, synthetic.bits(12, 0))
    replicas = replicas_of(config, 1)
    _, state = chunk_gradient(replicas, first, [], CE)

    def gradient(chunk, **reset):
        chunk_gradient(replicas, chunk, state, CE, **reset)
        return replicas.grad.clone()

    from_zero = gradient(replace(second, carry=torch.full_like(second.carry, -1)))
    assert torch.equal(gradient(second, reset_probability=1 - 1e-9), from_zero)
    assert not torch.equal(gradient(second), from_zero)
    torch.manual_seed(1)
    reset = torch.rand(5) < 0.5
    assert 0 < reset.sum() < 5
    torch.manual_seed(1)
    some = gradient(second, reset_probability=0.5)
    assert torch.equal(some, gradient(replace(second, carry=second.carry.masked_fill(reset, -1))))


def test_each_part_has_a_thread_and_one_of_torchs(monkeypatch):
    replicas, seen, together = replicas_of(synthetic.RECURRENT, 2), [], threading.Barrier(2, timeout=20)
    real = gradient._part_gradient
    torch.set_num_threads(1)

    def recorded(*given):
        together.wait()  # breaks if one part is computed after the other
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return real(*given)

    monkeypatch.setattr(gradient, "_part_gradient", recorded)
    chunk_gradient(replicas, some_chunks(synthetic.RECURRENT, synthetic.bits(12, 0))[0], [], CE)
    assert len({thread for thread, _ in seen}) == 2
    assert {threads for _, threads in seen} == {1}


def test_an_error_in_a_thread_is_an_error(monkeypatch):
    replicas = replicas_of(synthetic.RECURRENT, 2)
    monkeypatch.setattr(gradient, "_part_gradient", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        chunk_gradient(replicas, some_chunks(synthetic.RECURRENT, synthetic.bits(12, 0))[0], [], CE)


def test_no_part_is_empty():
    for streams in range(1, 9):
        for threads in range(1, 9):
            parts = [range(streams)[part] for part in slices(streams, threads)]
            assert [s for part in parts for s in part] == list(range(streams))
            assert {len(part) for part in parts} <= {streams // len(parts), -(-streams // len(parts))}


def test_gradient_norm_is_limited():
    model, data = small_model(), synthetic.bits(4, 0)
    chunk = next(stream_chunks(data, list(data), streams=4, frames=20, delay=2))
    replicas = Replicas(model)
    sums, _ = train_chunk(replicas, chunk, [], TrainConfig(), CE)
    assert replicas.grad.norm().item() == pytest.approx(sums.grad_norm)
    train_chunk(replicas, chunk, [], TrainConfig(max_grad_norm=sums.grad_norm / 4), CE)
    assert replicas.grad.norm().item() == pytest.approx(sums.grad_norm / 4, rel=1e-4)
