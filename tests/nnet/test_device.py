"""No line but the compiled kernels assumes the CPU."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nnet.asgd.config import AsgdConfig
from nnet.asgd.training import train_asgd
from nnet.chunks import Chunk, Position, stream_chunks
from nnet.config import TrainConfig
from nnet.device import device_named
from nnet.errors import ModelError
from nnet.evaluation import evaluate
from nnet.gradient import Replicas, train_chunk
from nnet.losses.cross_entropy import CrossEntropy
from nnet.model import Network
from nnet.optimizer import flatten, initial_state, update_of
from tests.nnet import synthetic
from tests.nnet.synthetic import small_model, weights

META = torch.device("meta")  # shapes and devices alone


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:99"])
def test_devices_that_cannot_compute_are_refused(name):
    with pytest.raises(ModelError, match=f"device is '{name}'; here torch computes on: cpu"):
        device_named(name)


def without_kernels(monkeypatch):
    for module in ("nnet.optimizer", "nnet.layers.lstm"):
        monkeypatch.setattr(f"{module}.takes_compiled", lambda *_: False)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("config", [synthetic.RECURRENT, synthetic.BOTH_WAYS])
def test_training_in_plain_torch_operations_is_that_of_the_compiled_kernels(tmp_path, monkeypatch, config, optimizer):
    found, losses, evaluated = [], [], []
    for compiled in (True, False):
        if not compiled:
            without_kernels(monkeypatch)
        (tmp_path / str(compiled)).mkdir()
        model, _ = synthetic.run(tmp_path / str(compiled), config=config, optimizer=optimizer, max_grad_norm=1.0)
        found.append(weights(model))
        losses.append([(line["loss"], line["dev_loss"]) for line in synthetic.lines(tmp_path / str(compiled))])
        evaluated.append(evaluate(model, synthetic.bits(5, shift=-2, seed=2), CrossEntropy()))
    compiled, plain = found
    assert not torch.equal(plain, compiled)
    torch.testing.assert_close(plain, compiled, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-4)
    assert evaluated[1][0] == pytest.approx(evaluated[0][0], rel=1e-3)


class Copies(TorchDispatchMode):
    """Counts the numbers that are taken out of a tensor one by one: on another device, each waits for all before it."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_the_numbers_of_a_chunk_leave_the_device_together(monkeypatch):
    without_kernels(monkeypatch)
    model, data, loss = small_model(), synthetic.bits(4, 0), CrossEntropy(torch.tensor([0.5, 1.0]))
    chunk = next(stream_chunks(data, list(data), streams=4, frames=20, delay=2))
    replicas = Replicas(model)
    with Copies() as copies:
        sums, _ = train_chunk(replicas, chunk, [], TrainConfig(), loss)
        evaluate(model, data, loss)
        assert copies.count == 0
        assert replicas.grad.norm().item() == pytest.approx(sums.grad_norm)
        assert copies.count == 1


@pytest.mark.parametrize("config", [synthetic.RECURRENT, synthetic.BOTH_WAYS, synthetic.FEED_FORWARD])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_step_stays_on_its_device(config, optimizer):
    with META:
        model = Network(config, input_dim=2, num_pdfs=3)
    params, grad = flatten(model)
    T, S = 20, 4
    feats = torch.zeros(T + config.left_context + config.right_context, S, 2)
    lengths = torch.full((S,), len(feats))
    lengths[0] = 15
    chunk = Chunk(feats, torch.zeros(T, S, dtype=torch.int64), lengths, torch.full((S,), -1), ("a",) * S, Position())
    there = chunk.to(META)
    assert chunk.to(torch.device("cpu")) is chunk
    assert {x.device for x in (there.feats, there.targets, there.lengths, there.carry)} == {META}
    lengths = there.lengths if config.direction == "forward" else None  # whose values meta does not have
    masks = model.draw_dropout(*feats.shape[:2], probability=0.2)
    output = model(there.feats, model.zero_state(S), lengths, masks)
    torch.nn.functional.cross_entropy(output.logits.flatten(0, 1), there.targets.flatten()).backward()
    state = initial_state(TrainConfig(optimizer=optimizer), params)
    update_of(TrainConfig(optimizer=optimizer))(params, grad, state, 0.1)
    assert {params.device, grad.device, *(x.device for x in state.values() if x.ndim)} == {META}


def test_asynchronous_training_is_on_the_cpu(tmp_path):
    data = synthetic.bits(4, 0)
    with pytest.raises(ModelError, match="device is meta; asynchronous SGD computes on the CPU"):
        train_asgd(small_model().to(META), data, data, TrainConfig(), AsgdConfig(), tmp_path)
