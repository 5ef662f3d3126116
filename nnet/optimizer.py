"""Updates of a flat vector of parameters: functions of it (or of a slice), of its gradient and a state of tensors."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from nnet.config import TrainConfig

OptimizerState = dict[str, Tensor]
Update = Callable[[Tensor, Tensor, OptimizerState, float], None]
"""``update(params, grad, state, lr)`` changes `params` and `state` in place; see `initial_state`."""

F = np.float32
compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})  # one pass over memory

ALIGNMENT = 16  # values: every tensor starts at a multiple of 64 bytes, where vector instructions are fastest


def flatten(module: nn.Module) -> tuple[Tensor, Tensor]:
    """Move a module's parameters and their gradients into two flat vectors.

    Returns
    -------
    params, grad : Tensor, shape (N,)
        The module's parameters and their ``.grad`` are views of these from now on.
    """
    weights = list(module.parameters())
    *starts, size = _starts(weights)
    params = weights[0].new_zeros(size, requires_grad=False)
    for w, start in zip(weights, starts, strict=True):
        params[start : start + w.numel()] = w.detach().flatten()
    return params, share(module, params)


def share(module: nn.Module, params: Tensor) -> Tensor:
    """Make a module's parameters views of the flat vector of another like it.

    Returns
    -------
    grad : Tensor, shape (N,)
        Of which the parameters' ``.grad`` are views.
    """
    grad, weights = torch.zeros_like(params), list(module.parameters())
    for w, start in zip(weights, _starts(weights), strict=False):
        place = slice(start, start + w.numel())
        w.data = params[place].view(w.shape)
        w.grad = grad[place].view(w.shape)
    return grad


def _starts(weights: Sequence[Tensor]) -> list[int]:
    """Where each tensor begins in the flat vector, and where the last one ends."""
    return [0, *accumulate(math.ceil(w.numel() / ALIGNMENT) * ALIGNMENT for w in weights)]


def sgd(params: Tensor, grad: Tensor, state: OptimizerState, lr: float, momentum: float = 0.9) -> None:
    """Gradient descent with momentum: v ← momentum v + grad, params ← params - lr v.

    Example
    -------
    >>> params, state = torch.tensor([1.0]), {"velocity": torch.zeros(1)}
    >>> for _ in range(2):
    ...     sgd(params, torch.tensor([1.0]), state, lr=0.1, momentum=0.5)
    >>> params
    tensor([0.7500])
    """
    _sgd(params.numpy(), grad.numpy(), state["velocity"].numpy(), F(lr), F(momentum))


@compiled
def _sgd(params, grad, velocity, lr, momentum):  # noqa: ANN001, ANN202
    for k in range(len(params)):
        velocity[k] = momentum * velocity[k] + grad[k]
        params[k] -= lr * velocity[k]


def adam(
    params: Tensor,
    grad: Tensor,
    state: OptimizerState,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> None:
    """Adam (Kingma and Ba, 2015, algorithm 1)."""
    state["steps"] += 1
    steps = int(state["steps"])
    rate, scale = lr / (1 - beta1**steps), 1 / math.sqrt(1 - beta2**steps)  # which correct the moments' bias
    moments = state["first"].numpy(), state["second"].numpy()
    _adam(params.numpy(), grad.numpy(), *moments, F(rate), F(scale), F(1 - beta1), F(1 - beta2), F(epsilon))


@compiled
def _adam(params, grad, first, second, rate, scale, new1, new2, epsilon):  # noqa: ANN001, ANN202
    for k in range(len(params)):
        first[k] += new1 * (grad[k] - first[k])
        second[k] += new2 * (grad[k] * grad[k] - second[k])
        params[k] -= rate * first[k] / (np.sqrt(second[k]) * scale + epsilon)


def update_of(config: TrainConfig) -> Update:
    """Return the update that a training config asks for."""
    if config.optimizer == "sgd":
        return partial(sgd, momentum=config.momentum)
    return partial(adam, beta1=config.beta1)


def initial_state(config: TrainConfig, params: Tensor) -> OptimizerState:
    """Return the state that the update of a training config starts with."""
    if config.optimizer == "sgd":
        return {"velocity": torch.zeros_like(params)}
    moments = {"first": torch.zeros_like(params), "second": torch.zeros_like(params)}
    return moments | {"steps": torch.zeros((), dtype=torch.int64)}
