"""What coordinator, workers and shards tell one another."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from nnet.asgd.config import AsgdConfig
from nnet.asgd.shard import Counts
from nnet.chunks import Position, Reader
from nnet.config import ModelConfig, TrainConfig
from nnet.layers.lstm import State
from nnet.sums import Sums

SEED_STEP = 1_000_003  # between the workers' seeds


@dataclass(frozen=True)
class PushResult:
    """The answer to a push.

    Attributes
    ----------
    frames : int
        That the gradient was of.
    counts : Counts
        The first shard's.
    staleness : tuple of int
        For each shard, the updates by other workers between this worker's last pull and its push.
    partial_updates : tuple of int
        The ids of workers that died mid-update, as this push found; their last updates were applied only partly.
    """

    frames: int
    counts: Counts
    staleness: tuple[int, ...] = ()
    partial_updates: tuple[int, ...] = ()

    def epochs(self, ends: Sequence[int]) -> range:
        """The epochs that it completed; the first is 1. `ends` is from `nnet.data.epoch_ends`."""
        before = self.counts.frames - self.frames
        return range(bisect_right(ends, before) + 1, bisect_right(ends, self.counts.frames) + 1)


class Server(Protocol):
    """The shards as a worker sees them."""

    def pull(self, params: Tensor) -> Counts:
        """Fill the parameters (N,)."""

    def push(self, grad: Tensor, frames: int, params: Tensor) -> PushResult:
        """Send a gradient (N,) and fill the parameters (N,) with the shards' new ones."""


class Channel(Protocol):
    """A worker's connection to the coordinator."""

    def send(self, message: Any) -> None:
        """Send; EOFError or OSError when the coordinator is gone."""

    def receive(self) -> Any | None:
        """Return the next message, None when there is none now; EOFError when the coordinator is gone."""


@dataclass(frozen=True)
class WorkerState:
    """All that a worker needs to go on; a checkpoint has one of each worker.

    Attributes
    ----------
    utterances : tuple of str
        Its part of the data.
    round : int
        How often it has come to the end of its epochs, and begun again.
    position : Position
        In the row of its epochs.
    state : list of (c, r)
        Of the recurrent layers after the last chunk.
    random : Tensor, optional
        torch's random state.
    """

    utterances: tuple[str, ...]
    round: int = 0
    position: Position = field(default_factory=Position)
    state: list[State] = field(default_factory=list)
    random: Tensor | None = None


@dataclass(frozen=True)
class Job:
    """What a worker gets when it starts; see `nnet.train.train`."""

    worker: int
    state: WorkerState
    model: ModelConfig
    input_dim: int
    num_pdfs: int
    training: TrainConfig
    asgd: AsgdConfig
    reader: Reader
    seed: int
    threads: int
    epoch_ends: tuple[int, ...]
    pdf_weights: Tensor | None = None

    @property
    def own_seed(self) -> int:
        """Of this worker; the first has that of plain training."""
        return self.seed + SEED_STEP * self.worker

    @property
    def planned(self) -> int:
        """Frames of the whole training, of all workers."""
        return self.epoch_ends[-1]


# from the coordinator to a worker


@dataclass(frozen=True)
class StateRequest:
    """Send your `WorkerState`, for a checkpoint."""


@dataclass(frozen=True)
class Stop:
    """End well."""


@dataclass(frozen=True)
class AddUtterances:
    """Train on these utterances as well; their worker is given up."""

    utterances: tuple[str, ...]


# from a worker to the coordinator, beside its `WorkerState`


@dataclass(frozen=True)
class Report:
    """What happened since the last report; a worker sends one after each push.

    Attributes
    ----------
    sums : Sums
        Of its chunks.
    pushed : PushResult
    push_seconds : float
        Of the push: waiting for the shards, and their computing.
    round, position
        See `WorkerState`; the rest of it would be too much to send with each push.
    """

    sums: Sums
    pushed: PushResult
    push_seconds: float
    round: int
    position: Position


@dataclass(frozen=True)
class EpochEnd:
    """The weights (N,) with which the first shard's frames came to an epoch's end."""

    epoch: int
    params: Tensor


@dataclass(frozen=True)
class Failed:
    """Why training cannot go on, for all workers."""

    error: str


@dataclass(frozen=True)
class Ended:
    """A worker has ended; its backend says so.

    Attributes
    ----------
    cause : str
        As "exit code 1" or "signal 9".
    """

    cause: str
