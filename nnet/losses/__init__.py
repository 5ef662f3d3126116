"""The losses that a network can be trained with, by the name that a config gives."""

from collections.abc import Callable

from torch import Tensor

from nnet.errors import ModelError
from nnet.losses.base import Loss, LossSums
from nnet.losses.cross_entropy import CrossEntropy

__all__ = ["LOSSES", "Loss", "LossSums", "loss_named"]

LOSSES: dict[str, Callable[[Tensor | None], Loss]] = {"cross_entropy": CrossEntropy}
"""Each makes a loss from the weights (P,) of the pdfs, None for weights of 1."""


def loss_named(name: str, weights: Tensor | None = None) -> Loss:
    """Make a loss of `LOSSES`.

    Raises
    ------
    ModelError
        When there is none of this name.
    """
    if name not in LOSSES:
        raise ModelError(f"loss is '{name}'; it has to be one of {', '.join(LOSSES)}")
    return LOSSES[name](weights)
