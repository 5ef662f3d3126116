"""What the coordinator asks of the place where shards and workers run: this machine or a cluster."""

from collections.abc import Collection, Iterator
from typing import Any, Protocol

from torch import Tensor

from nnet.asgd.messages import Job, Server
from nnet.asgd.shard import Counts
from nnet.optimizer import OptimizerState


class ShardBusyError(Exception):
    """A shard does not answer in time; it may later."""


class Shards(Server, Protocol):
    """The shards as the coordinator sees them; `ShardBusyError` where one does not answer."""

    def counts(self) -> Counts:
        """Return what the first shard counts."""

    def state(self) -> tuple[Tensor, OptimizerState, Counts]:
        """Copy the parameters, the optimizer's state and what the first shard counts, each slice whole in itself."""

    def halve(self, halvings: int) -> None:
        """Set how often the learning rate was halved."""


class Backend(Protocol):
    """Runs the shards and workers of a training."""

    @property
    def shards(self) -> Shards:
        """The shards."""

    @property
    def lost_errors(self) -> tuple[type[Exception], ...]:
        """What any of the methods may raise when all shards and workers are lost at once."""

    @property
    def workers(self) -> Collection[int]:
        """Those that have started and not ended."""

    def start(self, job: Job) -> None:
        """Start a worker."""

    def send(self, worker: int, message: Any) -> None:
        """Send a message to a worker; one that is dying does not get it."""

    def events(self, seconds: float) -> Iterator[tuple[int, Any]]:
        """Wait for at most so long, then give (worker, message) of what came; an `Ended` after a worker's last one."""

    def kill(self, worker: int) -> None:
        """End a worker at once."""

    def close(self) -> None:
        """End all workers at once, and let go of the shards."""
