"""What a user can set of asynchronous training; an unknown key is refused by the command line."""

from dataclasses import dataclass, replace

from nnet.config import TrainConfig, check_values
from nnet.ranges import Count, Positive


@dataclass(frozen=True)
class AsgdConfig:
    """How workers and shards work together.

    Parameters
    ----------
    shards : int
        Slices of the parameters.
    push_every : int
        Chunks whose gradients a worker adds up before it sends them.
    overlap : bool
        Whether a worker computes on while its gradient is on the way; it then sees the new parameters a push later.
    tries : int
        How often in a row a worker is started that fails before it has sent a gradient; then the others take its data.
    stuck_seconds : float
        A worker that has not been heard of for so long, and for twenty times its usual time, is ended and started anew;
        one that is starting has at least five minutes.
    share_streams : bool
        Whether the workers have the config's streams between them, at learning rates lower by the square root of each
        one's share (adam) or by the share (sgd); otherwise each has all streams, at the rates as they are.
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
        """Return what defines the training; the rest, how it is run, may be other when a killed run goes on."""
        return {name: getattr(self, name) for name in ("push_every", "overlap", "share_streams")}


def shared(training: TrainConfig, asgd: AsgdConfig, workers: int) -> TrainConfig:
    """Return how each of several workers trains, so that what they come to together is about the same for any number.

    A gradient that comes late is one of a larger minibatch, nearly: those of all workers are of about the same weights.
    With the streams dealt out that minibatch stays the one that the learning rate was chosen for. Each update is of
    fewer frames, and its rate lower by the square root of their share with Adam (Malladi et al., "On the SDEs and
    scaling rules for adaptive gradient algorithms", 2022), by the share itself with SGD (Goyal et al., "Accurate, large
    minibatch SGD", 2017).

    Example
    -------
    >>> each = shared(TrainConfig(streams=16, initial_lr=0.002), AsgdConfig(), workers=4)
    >>> each.streams, each.initial_lr
    (4, 0.001)
    """
    if not asgd.share_streams:
        return training
    streams = max(1, training.streams // workers)
    share = streams / training.streams
    scale = share**0.5 if training.optimizer == "adam" else share
    return replace(
        training, streams=streams, initial_lr=training.initial_lr * scale, final_lr=training.final_lr * scale
    )
