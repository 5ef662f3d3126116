"""Networks with normalised layers: what they compute, their gradient, and what stays as it is."""

import pytest
import torch

from nnet.config import ModelConfig
from nnet.gradient import Replicas, chunk_gradient
from nnet.losses import loss_named
from nnet.model import Network, initialise, load_model, log_posteriors, save_model
from tests.nnet.synthetic import small_model
from tests.nnet.test_gradient import some_chunks, synthetic

KINDS = [
    {"layers": 2},
    {"layers": 2, "projection": 0, "peepholes": False},
    {"layers": 2, "direction": "both", "delay": 0},
    {"kind": "rnn", "projection": 0},
    {"kind": "dnn", "projection": 0, "delay": 0, "left_context": 2},
]


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    model = small_model(**{"cells": 4, "projection": 3} | kind, layer_norm=True).double()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for w in model.parameters():
            w.uniform_(-0.8, 0.8, generator=random)
    x = torch.randn(6, 2, 2, generator=random, dtype=torch.float64, requires_grad=True)
    names, values = zip(*model.named_parameters(), strict=True)

    def logits(x, *values):
        given = x, model.zero_state(2)
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), given).logits

    assert torch.autograd.gradcheck(logits, [x, *values], check_batched_grad=False)


def test_the_next_layer_gets_what_is_normalised():
    model = small_model(layers=2, layer_norm=True)
    with torch.no_grad():
        model.norms[0].weight.uniform_(0.5, 2)
        model.norms[0].bias.uniform_(-1, 1)
    x = torch.randn(7, 3, 2, generator=torch.Generator().manual_seed(0))
    output = model(x, model.zero_state(3))
    r, state, _ = model.layers[0](x, model.zero_state(3)[0])
    for found, expected in zip(output.state[0], state, strict=True):  # the recurrence goes on with r as it was
        assert torch.equal(found, expected)
    norm = model.norms[0]
    spread = (r.var(-1, keepdim=True, correction=0) + norm.eps).sqrt()
    normalised = (r - r.mean(-1, keepdim=True)) / spread * norm.weight + norm.bias
    second, _, _ = model.layers[1](normalised, model.zero_state(3)[1])
    expected = model.output(torch.nn.functional.layer_norm(second, second.shape[-1:]))
    torch.testing.assert_close(output.logits, expected)


@pytest.mark.parametrize("init", ["uniform", "fan_in"])
def test_the_other_weights_start_as_without(init):
    with_norm, without = (small_model(layers=2, init=init, layer_norm=given) for given in (True, False))
    for norm in with_norm.norms:
        assert (norm.weight == 1).all()
        assert not norm.bias.any()
    if init == "fan_in":
        for name, w in without.named_parameters():
            assert torch.equal(w, dict(with_norm.named_parameters())[name])


def test_threads_add_up_and_models_are_read_back(tmp_path):
    config = ModelConfig(layers=2, cells=8, projection=6, layer_norm=True)
    grads = []
    for threads in (1, 2):
        model = Network(config, 2, 2)
        initialise(model, seed=1)
        replicas, state = Replicas(model, threads), []
        for chunk in some_chunks(config, synthetic.bits(12, 0)):
            _, state = chunk_gradient(replicas, chunk, state, loss_named("cross_entropy"), per=80.0)
        grads.append(replicas.grad.clone())
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6)
    save_model(tmp_path, model)
    again, _ = load_model(tmp_path)
    x = [torch.randn(n, 2, generator=torch.Generator().manual_seed(n)) for n in (30, 17)]
    for found, expected in zip(log_posteriors(again, x), log_posteriors(model, x), strict=True):
        assert torch.equal(found, expected)
