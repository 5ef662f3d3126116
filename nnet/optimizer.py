"""Updates of a flat vector of parameters: functions of it (or of a slice), of its gradient and a state of tensors.

Each update is here twice: as one compiled loop for float32 on the CPU, and in plain torch operations for any device.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from nnet.config import TrainConfig
from nnet.device import takes_compiled
from nnet.errors import ModelError

OptimizerState = dict[str, Tensor]
"""Tensors beside the parameters, on their device; what is one number for all of them is on the CPU."""
Update = Callable[[Tensor, Tensor, OptimizerState, float], None]
"""``update(params, grad, state, lr)`` changes `params` and `state` in place; see `Optimizer`."""

F = np.float32
Vector = NDArray[np.float32]
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
    return params, share_parameters(module, params)


def share_parameters(module: nn.Module, params: Tensor) -> Tensor:
    """Make a module's parameters views of the flat vector of another like it.

    Returns
    -------
    grad : Tensor, shape (N,)
        Of which the parameters' ``.grad`` are views.
    """
    grad, weights = torch.zeros_like(params), list(module.parameters())
    for w, start in zip(weights, _starts(weights), strict=False):
        part = slice(start, start + w.numel())
        w.data = params[part].view(w.shape)
        w.grad = grad[part].view(w.shape)
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
    velocity = state["velocity"]
    if takes_compiled(params, grad, velocity):
        _sgd(params.numpy(), grad.numpy(), velocity.numpy(), F(lr), F(momentum))
    else:
        velocity.mul_(momentum).add_(grad)
        params.sub_(velocity, alpha=lr)


@compiled
def _sgd(params: Vector, grad: Vector, velocity: Vector, lr: np.float32, momentum: np.float32) -> None:
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
    first, second = state["first"], state["second"]
    state["steps"] += 1
    steps = int(state["steps"])
    rate, scale = lr / (1 - beta1**steps), 1 / math.sqrt(1 - beta2**steps)  # which correct the moments' bias
    if takes_compiled(params, grad, first, second):
        p, g, m, v = (x.numpy() for x in (params, grad, first, second))
        _adam(p, g, m, v, F(rate), F(scale), F(1 - beta1), F(1 - beta2), F(epsilon))
    else:
        first.lerp_(grad, 1 - beta1)
        second.lerp_(grad.square(), 1 - beta2)
        params.addcdiv_(first, second.sqrt().mul_(scale).add_(epsilon), value=-rate)


@compiled
def _adam(
    params: Vector,
    grad: Vector,
    first: Vector,
    second: Vector,
    rate: np.float32,
    scale: np.float32,
    new1: np.float32,
    new2: np.float32,
    epsilon: np.float32,
) -> None:
    for k in range(len(params)):
        first[k] += new1 * (grad[k] - first[k])
        second[k] += new2 * (grad[k] * grad[k] - second[k])
        params[k] -= rate * first[k] / (np.sqrt(second[k]) * scale + epsilon)


@dataclass(frozen=True)
class Optimizer:
    """A kind of update.

    Attributes
    ----------
    update : callable
        From a training config to its `Update`.
    vectors : tuple of str
        What the state has beside the parameters, of their shape, at first zero.
    counts_steps : bool
        Whether it also has ``steps``, their number.
    rate_exponent : float
        With a share s of the frames in each update, the learning rate is best multiplied by s to this power.
    """

    update: Callable[[TrainConfig], Update]
    vectors: tuple[str, ...]
    counts_steps: bool
    rate_exponent: float


OPTIMIZERS = {
    # Malladi et al., "On the SDEs and scaling rules for adaptive gradient algorithms", 2022
    "adam": Optimizer(lambda config: partial(adam, beta1=config.beta1), ("first", "second"), True, rate_exponent=0.5),
    # Goyal et al., "Accurate, large minibatch SGD", 2017
    "sgd": Optimizer(lambda config: partial(sgd, momentum=config.momentum), ("velocity",), False, rate_exponent=1.0),
}


def optimizer_named(name: str) -> Optimizer:
    """Return a kind of update from `OPTIMIZERS`.

    Raises
    ------
    ModelError
        When there is none of this name.
    """
    if name not in OPTIMIZERS:
        raise ModelError(f"optimizer is '{name}'; it has to be one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]


def update_of(config: TrainConfig) -> Update:
    """Return the update that a training config asks for."""
    return optimizer_named(config.optimizer).update(config)


def initial_state(config: TrainConfig, params: Tensor) -> OptimizerState:
    """Return the state that the update of a training config starts with."""
    optimizer = optimizer_named(config.optimizer)
    state = {name: torch.zeros_like(params) for name in optimizer.vectors}
    return state | ({"steps": torch.zeros((), dtype=torch.int64)} if optimizer.counts_steps else {})
