"""One update of the parameters by a gradient, as plain training and each shard of the parameter server apply it."""

from torch import Tensor

from nnet.config import TrainConfig
from nnet.optimizer import OptimizerState, update_of
from nnet.schedule import averaging_weight, learning_rate


def apply_update(
    config: TrainConfig,
    params: Tensor,
    grad: Tensor,
    state: OptimizerState,
    frames: int,
    before: int,
    planned: int,
    halvings: int = 0,
) -> float:
    """Change the parameters and the optimizer's state in place.

    Parameters
    ----------
    config : TrainConfig
    params, grad : Tensor, shape (n,)
    state : dict of Tensor
    frames : int
        That the gradient is of.
    before : int
        Frames trained on before these.
    planned : int
        Frames of the whole training.
    halvings : int
        Of the learning rate, by ``newbob``.

    Returns
    -------
    float
        The learning rate.
    """
    lr = learning_rate(config, before, planned, halvings)
    update_of(config)(params, grad, state, lr)
    if "average" in state:
        state["average"].lerp_(params, averaging_weight(config, frames, before, planned))
    return lr
