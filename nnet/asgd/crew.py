"""What the coordinator asks of a way to run shards and workers: on one machine or on a cluster."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from nnet.asgd.shard import Answer
from nnet.asgd.worker import Job, Server
from nnet.optimizer import OptimizerState


@dataclass(frozen=True)
class Ended:
    """A worker is no more.

    Attributes
    ----------
    cause : str
        As "exit code 1" or "signal 9".
    """

    cause: str


class ShardBusyError(Exception):
    """A shard does not answer in time; it may later."""


class Shards(Server, Protocol):
    """The shards as the coordinator sees them; `ShardBusyError` where one does not answer."""

    def answer(self) -> Answer:
        """Tell what the first shard counts."""

    def state(self) -> tuple[Tensor, OptimizerState, Answer]:
        """Copy the parameters, the optimizer's state and what the first shard counts, each slice whole in itself."""

    def halve(self, halvings: int) -> None:
        """Set how often the learning rate was halved."""


class Crew(Protocol):
    """The shards and workers of a run.

    Attributes
    ----------
    shards : Shards
    lost : tuple of exception classes
        What any of the methods may raise when all of them are lost.
    """

    shards: Shards
    lost: tuple[type[Exception], ...]

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
