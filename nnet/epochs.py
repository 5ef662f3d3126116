"""What happens at an epoch's end: its weights are kept if they are to be averaged, and the schedule learns of it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from nnet.checkpoint import Progress, TrainingState
from nnet.chunks import Reader
from nnet.config import TrainConfig
from nnet.evaluation import evaluate
from nnet.losses import loss_named
from nnet.model import Network
from nnet.schedule import apply_newbob
from nnet.sums import Sums


@dataclass(frozen=True)
class Result:
    """What training came to: the epochs whose weights were averaged (the first is 1), and the dev frame accuracy.

    Of a moving average, the epoch at whose end it was taken.
    """

    epochs: list[int]
    accuracy: float


def end_epoch(
    config: TrainConfig,
    progress: Progress,
    state: TrainingState,
    params: Tensor,
    sums: Sums,
    dev: tuple[float, float],
) -> None:
    """Count an epoch, print its figures, keep its weights if they are to be averaged, and apply ``newbob``.

    Parameters
    ----------
    config : TrainConfig
    progress : Progress
    state : TrainingState
    params : Tensor, shape (N,)
        The weights.
    sums : Sums
        Of the epoch.
    dev : (float, float)
        Their mean loss and frame accuracy on dev.
    """
    (dev_loss, accuracy), means = dev, sums.averages()
    progress.epoch += 1
    best = accuracy > progress.best_accuracy
    progress.best_accuracy = max(progress.best_accuracy, accuracy)
    keep(config, progress, state, params, accuracy)
    tqdm.write(
        f"Epoch {progress.epoch}: loss {means['loss']:.3f}, frame accuracy {means['accuracy']:.2%}; "
        f"dev loss {dev_loss:.3f}, frame accuracy {accuracy:.2%}{' (best)' if best else ''}"
    )
    if config.schedule == "newbob":
        apply_newbob(progress, accuracy)
    progress.last_accuracy = accuracy


def keep(config: TrainConfig, progress: Progress, state: TrainingState, params: Tensor, accuracy: float) -> None:
    """Keep the weights of the epoch that has just ended, and no more than are averaged in the end.

    The moving average is in the optimizer's state: with it, no epoch's weights are kept.
    """
    if config.average == "ema":
        return
    progress.kept.append((progress.epoch, accuracy))
    state.kept.append(params.clone())
    if len(state.kept) <= config.average_epochs:
        return
    worst = 0
    if config.average == "best":  # of equally good epochs, the first is kept
        worst = min(range(len(state.kept)), key=lambda k: (progress.kept[k][1], -progress.kept[k][0]))
    del progress.kept[worst], state.kept[worst]


def load_average(
    model: Network, state: TrainingState, progress: Progress, dev_reader: Reader, config: TrainConfig
) -> Result:
    """Leave the averaged weights in the model, whose parameters are views of ``state.params``."""
    if config.average == "ema":
        state.params.copy_(state.optimizer["average"])
        _, accuracy = evaluate(model, dev_reader, loss_named(config.loss))
        return Result([progress.epoch], accuracy)
    several = len(state.kept) > 1
    state.params.copy_(torch.stack(state.kept).mean(0) if several else state.kept[0])
    accuracy = progress.kept[0][1]
    if several:
        _, accuracy = evaluate(model, dev_reader, loss_named(config.loss))
    return Result([epoch for epoch, _ in progress.kept], accuracy)
