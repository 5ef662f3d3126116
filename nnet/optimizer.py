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
from nnet.model import is_matrix

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


def decay_mask(module: nn.Module) -> Tensor:
    """Mark what `TrainConfig.weight_decay` applies to: 1 for the matrices, 0 for all else.

    Returns
    -------
    Tensor, shape (N,)
        In the order of `flatten`.
    """
    weights = list(module.parameters())
    *starts, size = _starts(weights)
    marks = weights[0].new_zeros(size, requires_grad=False)
    for (name, w), start in zip(module.named_parameters(), starts, strict=True):
        marks[start : start + w.numel()] = float(is_matrix(name, w))
    return marks


def _starts(weights: Sequence[Tensor]) -> list[int]:
    """Where each tensor begins in the flat vector, and where the last one ends."""
    return [0, *accumulate(math.ceil(w.numel() / ALIGNMENT) * ALIGNMENT for w in weights)]


def sgd(
    params: Tensor, grad: Tensor, state: OptimizerState, lr: float, momentum: float = 0.9, weight_decay: float = 0.0
) -> None:
    """Gradient descent with momentum: v ← momentum v + grad, params ← params - lr v.

    With a weight decay, grad is grad + weight_decay · params where the state's ``decay_mask`` is 1 (L2).

    Example
    -------
    >>> params, state = torch.tensor([1.0]), {"velocity": torch.zeros(1)}
    >>> for _ in range(2):
    ...     sgd(params, torch.tensor([1.0]), state, lr=0.1, momentum=0.5)
    >>> params
    tensor([0.7500])
    """
    velocity, mask = state["velocity"], state.get("decay_mask")
    if takes_compiled(params, grad, velocity):
        p, g, v = (x.numpy() for x in (params, grad, velocity))
        _sgd(p, g, v, None if mask is None else mask.numpy(), F(lr), F(momentum), F(weight_decay))
    else:
        velocity.mul_(momentum).add_(grad if mask is None else grad.addcmul(mask, params, value=weight_decay))
        params.sub_(velocity, alpha=lr)


@compiled
def _sgd(
    params: Vector,
    grad: Vector,
    velocity: Vector,
    mask: Vector | None,
    lr: np.float32,
    momentum: np.float32,
    decay: np.float32,
) -> None:
    for k in range(len(params)):
        g = grad[k]
        if mask is not None:  # compiled apart: without a mask, nothing of it is left
            g += decay * mask[k] * params[k]
        velocity[k] = momentum * velocity[k] + g
        params[k] -= lr * velocity[k]


def adam(
    params: Tensor,
    grad: Tensor,
    state: OptimizerState,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """Adam (Kingma and Ba, 2015, algorithm 1).

    With a weight decay, params is first multiplied by 1 - lr · weight_decay where the state's ``decay_mask`` is 1
    (AdamW; Loshchilov and Hutter, "Decoupled weight decay regularization", 2019).
    """
    first, second, mask = state["first"], state["second"], state.get("decay_mask")
    state["steps"] += 1
    steps = int(state["steps"])
    rate, scale = lr / (1 - beta1**steps), 1 / math.sqrt(1 - beta2**steps)  # which correct the moments' bias
    if takes_compiled(params, grad, first, second):
        p, g, m, v = (x.numpy() for x in (params, grad, first, second))
        masked = None if mask is None else mask.numpy()
        _adam(p, g, m, v, masked, F(rate), F(scale), F(1 - beta1), F(1 - beta2), F(epsilon), F(lr * weight_decay))
    else:
        if mask is not None:
            params.addcmul_(mask, params, value=-lr * weight_decay)
        first.lerp_(grad, 1 - beta1)
        second.lerp_(grad.square(), 1 - beta2)
        params.addcdiv_(first, second.sqrt().mul_(scale).add_(epsilon), value=-rate)


@compiled
def _adam(
    params: Vector,
    grad: Vector,
    first: Vector,
    second: Vector,
    mask: Vector | None,
    rate: np.float32,
    scale: np.float32,
    new1: np.float32,
    new2: np.float32,
    epsilon: np.float32,
    decay: np.float32,
) -> None:
    for k in range(len(params)):
        if mask is not None:  # as in _sgd
            params[k] -= decay * mask[k] * params[k]
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


def _adam_of(config: TrainConfig) -> Update:
    return partial(adam, beta1=config.beta1, weight_decay=config.weight_decay)


def _sgd_of(config: TrainConfig) -> Update:
    return partial(sgd, momentum=config.momentum, weight_decay=config.weight_decay)


OPTIMIZERS = {
    # Malladi et al., "On the SDEs and scaling rules for adaptive gradient algorithms", 2022
    "adam": Optimizer(_adam_of, ("first", "second"), True, rate_exponent=0.5),
    # Goyal et al., "Accurate, large minibatch SGD", 2017
    "sgd": Optimizer(_sgd_of, ("velocity",), False, rate_exponent=1.0),
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


def initial_state(config: TrainConfig, params: Tensor, mask: Tensor | None = None) -> OptimizerState:
    """Return the state that the update of a training config starts with.

    Parameters
    ----------
    config : TrainConfig
    params : Tensor, shape (N,)
    mask : Tensor, shape (N,), optional
        See `decay_mask`; by default, weight_decay applies to all parameters.
    """
    optimizer = optimizer_named(config.optimizer)
    state = {name: torch.zeros_like(params) for name in optimizer.vectors}
    if config.weight_decay:
        state["decay_mask"] = torch.ones_like(params) if mask is None else mask
    if config.average == "ema":
        state["average"] = torch.zeros_like(params)  # the first update replaces it
    return state | ({"steps": torch.zeros((), dtype=torch.int64)} if optimizer.counts_steps else {})
