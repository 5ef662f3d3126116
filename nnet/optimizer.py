"""Updates of a flat vector of parameters: functions of it (or of a slice), of its gradient and a state of tensors."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor, nn

from nnet.config import TrainConfig

OptimizerState = dict[str, Tensor]
Update = Callable[[Tensor, Tensor, OptimizerState, float], None]
"""``update(params, grad, state, lr)`` changes `params` and `state` in place; `state` is empty before the first."""

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
    >>> params, state = torch.tensor([1.0]), {}
    >>> for _ in range(2):
    ...     sgd(params, torch.tensor([1.0]), state, lr=0.1, momentum=0.5)
    >>> params
    tensor([0.7500])
    """
    velocity = state.setdefault("velocity", torch.zeros_like(params))
    velocity.mul_(momentum).add_(grad)
    params.add_(velocity, alpha=-lr)


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
    if not state:
        state |= {"first": torch.zeros_like(params), "second": torch.zeros_like(params)}
        state["steps"] = torch.zeros((), dtype=torch.int64)
    state["steps"] += 1
    steps = int(state["steps"])
    first = state["first"].lerp_(grad, 1 - beta1)
    second = state["second"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    root = second.sqrt().div_(math.sqrt(1 - beta2**steps)).add_(epsilon)
    params.addcdiv_(first, root, value=-lr / (1 - beta1**steps))


def update_of(config: TrainConfig) -> Update:
    """Return the update that a training config asks for."""
    return partial(sgd, momentum=config.momentum) if config.optimizer == "sgd" else adam
