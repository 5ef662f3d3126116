"""The losses that a network can be trained with, by the name that a config gives."""

from nnet.errors import ModelError
from nnet.losses.base import Loss, LossSums
from nnet.losses.cross_entropy import CrossEntropy

__all__ = ["LOSSES", "Loss", "LossSums", "loss_named"]

LOSSES: dict[str, Loss] = {"cross_entropy": CrossEntropy()}


def loss_named(name: str) -> Loss:
    """Return a loss of `LOSSES`.

    Raises
    ------
    ModelError
        When there is none of this name.
    """
    if name not in LOSSES:
        raise ModelError(f"loss is '{name}'; it has to be one of {', '.join(LOSSES)}")
    return LOSSES[name]
