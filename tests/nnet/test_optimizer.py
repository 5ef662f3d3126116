import math

import pytest
import torch

from nnet.config import TrainConfig
from nnet.optimizer import decay_mask, flatten, initial_state, update_of
from tests.nnet.synthetic import small_model, weights


def test_updates_equal_torch():
    for config, theirs in (
        (TrainConfig(optimizer="sgd"), lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9)),
        (TrainConfig(optimizer="adam"), lambda w: torch.optim.Adam(w, lr=0.1)),
        (TrainConfig(optimizer="adam", beta1=0.4), lambda w: torch.optim.Adam(w, lr=0.1, betas=(0.4, 0.999))),
        (TrainConfig(optimizer="adam", weight_decay=0.5), lambda w: torch.optim.AdamW(w, lr=0.1, weight_decay=0.5)),
        (
            TrainConfig(optimizer="sgd", weight_decay=0.5),
            lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9, weight_decay=0.5),
        ),
    ):
        update = update_of(config)
        random = torch.Generator().manual_seed(0)
        params = torch.randn(10, generator=random)
        expected = params.clone().requires_grad_()
        optimizer, state = theirs([expected]), initial_state(config, params)
        halves = [initial_state(config, params[:4]), initial_state(config, params[4:])]
        sliced = params.clone()
        for _ in range(5):
            grad = torch.randn(10, generator=random)
            expected.grad = grad.clone()
            optimizer.step()
            update(params, grad, state, 0.1)
            for part, half in zip((slice(0, 4), slice(4, 10)), halves, strict=True):  # slices give the same
                update(sliced[part], grad[part], half, 0.1)
        torch.testing.assert_close(params, expected.detach())
        torch.testing.assert_close(sliced, params)


def test_flat_parameters_are_views():
    model = small_model()
    before = weights(model)
    params, grad = flatten(model)
    assert torch.equal(weights(model), before)
    model(torch.ones(3, 1, 2), model.zero_state(1)).logits.sum().backward()
    assert grad.norm().item() == pytest.approx(math.sqrt(sum(w.grad.norm().item() ** 2 for w in model.parameters())))
    params.zero_()
    assert not weights(model).any()
    assert all(w.data_ptr() % 64 == 0 for w in model.parameters() if w.numel() > 16)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_only_matrices_decay(optimizer):
    model = small_model(layer_norm=True)
    with torch.no_grad():
        for w in model.parameters():
            w.fill_(1.0)
    params, grad = flatten(model)
    config = TrainConfig(optimizer=optimizer, weight_decay=0.5)
    update_of(config)(params, grad, initial_state(config, params, decay_mask(model)), 0.1)
    decayed = {name for name, w in model.named_parameters() if (w != 1).any()}
    assert decayed == {*(f"layers.0.directions.0.{name}" for name in ("W_x", "W_r", "W_m")), "output.weight"}
    for name, w in model.named_parameters():
        torch.testing.assert_close(w.detach(), torch.full_like(w, 0.95 if name in decayed else 1.0))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_other_devices_decay_as_the_compiled_update_does(optimizer):
    config = TrainConfig(optimizer=optimizer, weight_decay=0.5)
    random, mask = torch.Generator().manual_seed(0), torch.tensor([1.0, 0.0] * 5)
    start, grad = torch.randn(10, generator=random), torch.randn(10, generator=random)
    found = []
    for dtype in (torch.float32, torch.float64):  # the compiled one, and torch's operations
        params = start.clone().to(dtype)
        state = initial_state(config, params, mask.to(dtype))
        for _ in range(3):
            update_of(config)(params, grad.to(dtype), state, 0.1)
        found.append(params.float())
    torch.testing.assert_close(*found)
