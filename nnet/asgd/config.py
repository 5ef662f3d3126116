"""The options of asynchronous SGD."""

from dataclasses import dataclass, replace

from nnet.config import TrainConfig, check_values
from nnet.optimizer import optimizer_named
from nnet.ranges import Count, Positive


@dataclass(frozen=True)
class AsgdConfig:
    """How workers and shards work together.

    Parameters
    ----------
    shards : int
        Slices of the parameters.
    push_every : int
        Chunks whose gradients a worker adds up before it pushes them.
    overlap : bool
        Whether a worker goes on computing while its gradient is pushed; it gets the new parameters a push later.
    tries : int
        A worker that fails this often in a row before its first push is given up; the others take over its data.
    stuck_seconds : float
        A worker that has not reported for this long, and for 20 times its usual interval, is killed and restarted.
        While it starts, it has at least five minutes.
    share_streams : bool
        Whether the config's streams are divided among the workers. The learning rates are then multiplied by each
        worker's share of the streams (sgd) or by its square root (adam). Otherwise every worker has all streams and the
        full learning rate.
    """

    shards: Count = 4
    push_every: Count = 1
    overlap: bool = False
    tries: Count = 3
    stuck_seconds: Positive = 60.0
    share_streams: bool = True

    def check(self) -> None:
        """Raise a ModelError that names the first value that cannot be."""
        check_values(self, "asgd.")

    def training(self) -> dict[str, int | bool]:
        """Return what defines the training; the other options may change when a killed run goes on."""
        return {name: getattr(self, name) for name in ("push_every", "overlap", "share_streams")}


def config_of_each(training: TrainConfig, asgd: AsgdConfig, workers: int) -> TrainConfig:
    """Return the training config of each of several workers, with which any number trains about equally well.

    Late gradients act nearly like one of a larger minibatch: those of all workers are of about the same weights. With
    the streams divided among the workers, that minibatch stays the one that the learning rate was chosen for. Each
    update is of fewer frames, so its rate is lowered, as suits the optimizer (``rate_exponent`` of
    `nnet.optimizer.Optimizer`). The weight decay is lowered where needed to decay as much in an epoch as before.

    Example
    -------
    >>> each = config_of_each(TrainConfig(streams=16, initial_lr=0.002), AsgdConfig(), workers=4)
    >>> each.streams, each.initial_lr
    (4, 0.001)
    """
    if not asgd.share_streams:
        return training
    streams = max(1, training.streams // workers)
    share, exponent = streams / training.streams, optimizer_named(training.optimizer).rate_exponent
    scale = share**exponent
    return replace(
        training,
        streams=streams,
        initial_lr=training.initial_lr * scale,
        final_lr=training.final_lr * scale,
        weight_decay=training.weight_decay * share ** (1 - exponent),
    )
