"""A worker of asynchronous SGD: the paper's loop over its own part of the utterances.

It knows neither the other workers nor how gradients travel: `Server` carries them to the shards, `Link` what the
coordinator has to know.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol

import torch
from torch import Tensor

from nnet.asgd.config import AsgdConfig
from nnet.asgd.shard import Answer
from nnet.checkpoint import Sums
from nnet.chunks import Chunk, Epochs, Position, Reader
from nnet.config import ModelConfig, TrainConfig
from nnet.errors import ModelError
from nnet.gradient import Replicas
from nnet.layers.lstm import State
from nnet.model import AcousticModel
from nnet.threads import set_threads
from nnet.train import add, train_chunk, training_chunks

SEED_STEP = 1_000_003  # between the workers' seeds


@dataclass(frozen=True)
class Pushed:
    """What came of a push.

    Attributes
    ----------
    frames : int
        That it was of.
    answer : Answer
        The first shard's.
    staleness : tuple of int
        For each shard, the updates by other workers between this worker's last pull and its push.
    cut_off : tuple of int
        Workers that died amid an update, as this push found.
    """

    frames: int
    answer: Answer
    staleness: tuple[int, ...] = ()
    cut_off: tuple[int, ...] = ()

    def epochs(self, frames_per_epoch: int) -> range:
        """The epochs that it completed; the first is 1."""
        before = self.answer.frames - self.frames
        return range(before // frames_per_epoch + 1, self.answer.frames // frames_per_epoch + 1)


class Server(Protocol):
    """The shards as a worker sees them."""

    def pull(self, params: Tensor) -> Answer:
        """Fill the parameters (N,)."""

    def push(self, grad: Tensor, frames: int, params: Tensor) -> Pushed:
        """Send a gradient (N,) and fill the parameters (N,) with the answers."""


class Link(Protocol):
    """What connects a worker and the coordinator."""

    def send(self, message: Any) -> None:
        """Send; EOFError or OSError when the coordinator is gone."""

    def receive(self) -> Any | None:
        """Return the next message, None when there is none now; EOFError when the coordinator is gone."""


# what the coordinator tells a worker


@dataclass(frozen=True)
class Deposit:
    """Send your `Place`."""


@dataclass(frozen=True)
class Stop:
    """End well."""


@dataclass(frozen=True)
class TakeOver:
    """Train on these utterances as well."""

    utterances: tuple[str, ...]


# what a worker tells the coordinator


@dataclass(frozen=True)
class Place:
    """Where a worker is: all that it needs to go on.

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
class Report:
    """What happened since the report before: one for each push.

    Attributes
    ----------
    sums : Sums
        Of its chunks.
    pushed : Pushed
    push_seconds : float
        In which it waited for the shards, and they computed.
    round, position
        See `Place`; the rest of it would be too much to send for each push.
    """

    sums: Sums
    pushed: Pushed
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
class Job:
    """What a worker is told when it starts; see `nnet.train.train`."""

    worker: int
    place: Place
    model: ModelConfig
    input_dim: int
    num_pdfs: int
    training: TrainConfig
    asgd: AsgdConfig
    reader: Reader
    seed: int
    threads: int
    frames_per_epoch: int
    pdf_weights: Tensor | None = None

    @property
    def own_seed(self) -> int:
        """Of this worker; the first has that of plain training."""
        return self.seed + SEED_STEP * self.worker

    @property
    def planned(self) -> int:
        """Frames of the whole training, of all workers."""
        return self.training.epochs * self.frames_per_epoch


def work(job: Job, server: Server, link: Link) -> None:
    """Compute gradients and exchange them until all workers together have seen the planned frames.

    Raises
    ------
    EOFError, OSError
        When the coordinator or the shards are gone.
    """
    set_threads(1)
    replicas = Replicas(AcousticModel(job.model, job.input_dim, job.num_pdfs), job.threads)
    torch.manual_seed(job.own_seed)
    if job.place.random is not None:
        torch.set_rng_state(job.place.random)
    try:
        frames = server.pull(replicas.params).frames
        with Overlapping(server) if job.asgd.overlap else nullcontext(server) as pushes:
            _exchange(job, replicas, frames, pushes, link)
    except ModelError as error:
        link.send(Failed(str(error)))


def _exchange(job: Job, replicas: Replicas, frames: int, server: Server, link: Link) -> None:
    """The loop itself, from so many frames on."""
    place, todo = job.place, _chunks(job, job.place)
    grad, sums = replicas.grad, Sums()
    if job.asgd.push_every > 1:  # of several chunks, added up
        grad = torch.zeros_like(replicas.grad)
    while frames < job.planned:
        for message in iter(link.receive, None) if not sums.chunks else ():  # a place is one with nothing unsent
            if isinstance(message, Stop):
                return
            if isinstance(message, Deposit):
                link.send(replace(place, random=torch.get_rng_state()))
            if isinstance(message, TakeOver):
                place = Place(place.utterances + message.utterances, place.round + 1)
                todo = _chunks(job, place)
        now, chunk = next(todo)
        start = time.monotonic()
        of_chunk, state = train_chunk(replicas, chunk, place.state, job.training, job.pdf_weights)
        state = [(c.detach(), r.detach()) for c, r in state]
        of_chunk.seconds = time.monotonic() - start
        place = replace(place, round=now, position=chunk.position, state=state)
        sums = add(sums, of_chunk)
        if job.asgd.push_every > 1:
            grad += replicas.grad
        if sums.chunks < job.asgd.push_every:
            continue
        start = time.monotonic()
        pushed = server.push(grad, sums.frames, replicas.params)
        seconds = time.monotonic() - start
        link.send(Report(sums, pushed, seconds, place.round, place.position))
        for epoch in pushed.epochs(job.frames_per_epoch):
            link.send(EpochEnd(epoch, replicas.params.clone()))
        frames, sums = pushed.answer.frames, Sums()
        if job.asgd.push_every > 1:
            grad.zero_()


def _chunks(job: Job, place: Place) -> Iterator[tuple[int, Chunk]]:
    """Chunks from a place on, without end, each with the round that it is of."""
    position = place.position
    for now in count(place.round):
        seed = job.own_seed + now
        order = Epochs(place.utterances, seed, job.training.epochs)
        for chunk in training_chunks(job.model, job.training, job.reader, order, seed, position):
            yield now, chunk
        position = Position()


class Overlapping:
    """A server whose pushes go on while the worker computes; the answer to one is seen at the next.

    The staleness that it reports is counted from that answer on: the gradient is older by a push of the worker's own.
    Leaving its context waits for the last one, whose answer nobody needs.

    Parameters
    ----------
    server : Server
    """

    def __init__(self, server: Server) -> None:
        self.server, self.pool = server, ThreadPoolExecutor(1)
        self.under_way: Future[Pushed] | None = None
        self.grad = self.answers = torch.empty(0)

    def __enter__(self) -> "Overlapping":
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown()
        if self.under_way is not None and error[0] is None:
            self.under_way.result()  # raises what the push has raised

    def pull(self, params: Tensor) -> Answer:
        """Fill the parameters (N,)."""
        return self.server.pull(params)

    def push(self, grad: Tensor, frames: int, params: Tensor) -> Pushed:
        """Wait for the push before, take its answer, and begin this one."""
        pushed = Pushed(0, Answer(0, 0, 0))
        if self.under_way is None:
            self.grad, self.answers = torch.empty_like(grad), torch.empty_like(params)
        else:
            pushed = self.under_way.result()
            params.copy_(self.answers)
        self.grad.copy_(grad)
        self.under_way = self.pool.submit(self.server.push, self.grad, frames, self.answers)
        return pushed
