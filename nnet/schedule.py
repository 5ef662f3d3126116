"""How the learning rate and the dropout probability change in the course of the training."""

from nnet.checkpoint import Progress
from nnet.config import ModelConfig, TrainConfig
from nnet.piecewise import piecewise

NEWBOB_START, NEWBOB_STOP = 0.005, 0.001  # gains in dev frame accuracy below which halving starts, and training ends


def learning_rate(config: TrainConfig, frames: int, planned: int, halvings: int = 0) -> float:
    """Return the learning rate after `frames` of `planned` frames, and after so many halvings by ``newbob``.

    Example
    -------
    >>> config = TrainConfig(initial_lr=0.01, final_lr=0.0001)
    >>> round(learning_rate(config, frames=500, planned=1000), 6)
    0.001
    """
    if config.schedule == "newbob":
        return float(max(config.initial_lr / 2**halvings, config.final_lr))
    return float(config.initial_lr * (config.final_lr / config.initial_lr) ** (frames / planned))


def dropout_at(model: ModelConfig, config: TrainConfig, done: float) -> float:
    """Return the dropout probability when a fraction of the planned frames is done.

    Example
    -------
    >>> dropout_at(ModelConfig(dropout=0.2), TrainConfig(dropout_schedule="0,0.4@0.5,0"), done=0.25)
    0.2
    """
    return piecewise(config.dropout_schedule).at(done) if config.dropout_schedule else model.dropout


def averaging_weight(config: TrainConfig, frames: int, before: int, planned: int) -> float:
    """Return the weight of the newest parameters in the moving average, after an update of `frames` frames.

    Up to the time constant, the average is the mean of all updates, weighted by their frames.

    Example
    -------
    >>> config = TrainConfig(epochs=10, average="ema", average_epochs=2)
    >>> [averaging_weight(config, frames=10, before=before, planned=1000) for before in (0, 90, 500)]
    [1.0, 0.1, 0.05]
    """
    span = planned / config.epochs * config.average_epochs
    return frames / max(frames, min(before + frames, span), 1)  # 1: a first chunk may be of an output delay alone


def apply_newbob(progress: Progress, accuracy: float) -> None:
    """Halve the learning rate, or end the training, after an epoch with this dev frame accuracy.

    `progress` already counts the epoch; its `last_accuracy` is that of the epoch before.

    Example
    -------
    >>> progress = Progress(epoch=2, last_accuracy=0.5)
    >>> apply_newbob(progress, accuracy=0.502)  # less than 0.5 % better
    >>> progress.halvings, progress.finished
    (1, False)
    """
    if progress.epoch == 1:
        return
    gain = accuracy - progress.last_accuracy
    progress.finished = progress.halving and gain < NEWBOB_STOP
    progress.halving |= gain < NEWBOB_START
    progress.halvings += progress.halving
