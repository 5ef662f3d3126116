"""A worker of asynchronous SGD: the paper's loop over its own part of the utterances.

It knows neither the other workers nor how gradients travel: `Server` carries them to the shards, `Channel` its messages
to the coordinator.
"""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from nnet.allocation import keep_memory
from nnet.asgd.messages import (
    AddUtterances,
    Channel,
    EpochEnd,
    Failed,
    Job,
    Report,
    Server,
    StateRequest,
    Stop,
    WorkerState,
)
from nnet.asgd.overlap import Overlapping
from nnet.chunks import Chunk, Epochs, Position
from nnet.data import training_chunks
from nnet.errors import ModelError
from nnet.gradient import Replicas, train_chunk
from nnet.losses import loss_named
from nnet.model import Network
from nnet.sums import Sums
from nnet.threads import set_threads


def work(job: Job, server: Server, channel: Channel) -> None:
    """Compute gradients and push them until all workers together have seen the planned frames.

    Raises
    ------
    EOFError, OSError
        When the coordinator or the shards are gone.
    """
    keep_memory()
    set_threads(1)
    replicas = Replicas(Network(job.model, job.input_dim, job.num_pdfs), job.threads)
    torch.manual_seed(job.own_seed)
    if job.state.random is not None:
        torch.set_rng_state(job.state.random)
    try:
        frames = server.pull(replicas.params).frames
        with Overlapping(server) if job.asgd.overlap else nullcontext(server) as pushes:
            _Loop(job, replicas, pushes, channel).run(frames)
    except ModelError as error:
        channel.send(Failed(str(error)))


class _Loop:
    """The loop over a worker's chunks."""

    def __init__(self, job: Job, replicas: Replicas, server: Server, channel: Channel) -> None:
        self.job, self.replicas, self.server, self.channel = job, replicas, server, channel
        self.state, self.chunks = job.state, _chunks(job, job.state)
        self.loss, self.stopped = loss_named(job.training.loss, job.pdf_weights), False

    def run(self, frames: int) -> None:
        """Train, after so many frames of all workers."""
        while frames < self.job.planned:
            self.take_messages()  # between two pushes: a state has nothing that is not pushed
            if self.stopped:
                return
            frames = self.push(*self.compute(frames / self.job.planned))

    def take_messages(self) -> None:
        """Do what the coordinator asks for."""
        for message in iter(self.channel.receive, None):
            if isinstance(message, Stop):
                self.stopped = True
                return
            if isinstance(message, StateRequest):
                self.channel.send(replace(self.state, random=torch.get_rng_state()))
            if isinstance(message, AddUtterances):
                self.state = WorkerState(self.state.utterances + message.utterances, self.state.round + 1)
                self.chunks = _chunks(self.job, self.state)

    def compute(self, done: float) -> tuple[Tensor, Sums]:
        """Compute the gradient (N,) of as many chunks as are pushed together; `done`: see `train_chunk`."""
        several, sums = self.job.asgd.push_every > 1, Sums()
        grad = torch.zeros_like(self.replicas.grad) if several else self.replicas.grad
        while sums.chunks < self.job.asgd.push_every:
            sums += self.compute_chunk(done)
            if several:
                grad += self.replicas.grad
        return grad, sums

    def compute_chunk(self, done: float) -> Sums:
        """Compute the gradient of the next chunk into ``replicas.grad``."""
        job, (now, chunk) = self.job, next(self.chunks)
        start = time.monotonic()
        sums, state = train_chunk(self.replicas, chunk, self.state.state, job.training, self.loss, done)
        state = [(c.detach(), r.detach()) for c, r in state]
        sums.seconds = time.monotonic() - start
        self.state = replace(self.state, round=now, position=chunk.position, state=state)
        return sums

    def push(self, grad: Tensor, sums: Sums) -> int:
        """Push a gradient, get new parameters and report; return the frames of all workers so far."""
        start = time.monotonic()
        pushed = self.server.push(grad, sums.frames, self.replicas.params)
        seconds = time.monotonic() - start
        self.channel.send(Report(sums, pushed, seconds, self.state.round, self.state.position))
        for epoch in pushed.epochs(self.job.epoch_ends):
            self.channel.send(EpochEnd(epoch, self.replicas.params.clone()))
        return pushed.counts.frames


def _chunks(job: Job, state: WorkerState) -> Iterator[tuple[int, Chunk]]:
    """Chunks from a worker's state on, without end, each with the round that it is of."""
    position = state.position
    for now in count(state.round):
        seed = job.own_seed + now
        order = Epochs(state.utterances, seed, job.training.epochs)
        for chunk in training_chunks(job.model, job.training, job.reader, order, seed, position):
            yield now, chunk
        position = Position()
