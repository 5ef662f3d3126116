"""Shards in memory that the processes of one machine share.

A gradient is never copied: the worker applies it to the shard's slice itself, under a lock that its death would free.
"""

import fcntl
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from nnet.asgd.backend import ShardBusyError
from nnet.asgd.memory import create_memory, open_memory
from nnet.asgd.messages import PushResult
from nnet.asgd.shard import NOBODY, UPDATES, Counts, Shard, join_states, new_shard, slices_of
from nnet.config import TrainConfig
from nnet.optimizer import OptimizerState


@dataclass(frozen=True)
class Address:
    """Where the shards are; it can be sent to another process, which opens them itself.

    Attributes
    ----------
    paths : tuple of str
        The memory of each shard.
    slices : tuple of slice
        What each holds of all parameters.
    config : TrainConfig
    planned : int
    """

    paths: tuple[str, ...]
    slices: tuple[slice, ...]
    config: TrainConfig
    planned: int


class LocalServer:
    """The shards in shared memory, as one process sees them.

    Parameters
    ----------
    address : Address
    worker : int
        That pushes.
    timeout : float
        Seconds to wait for a shard that another process has locked; then `ShardBusyError` is raised.
    """

    def __init__(self, address: Address, worker: int = 0, timeout: float = math.inf) -> None:
        self.worker, self.timeout, self.slices = worker, timeout, address.slices
        self.files, self.shards = [], []
        for path, part in zip(address.paths, self.slices, strict=True):
            shape = torch.empty(part.stop - part.start, device="meta")  # no more than a shape
            like = _tensors(new_shard(shape, address.config, address.planned))
            file, tensors = open_memory(path, like)
            optimizer = {name.removeprefix("optimizer."): x for name, x in tensors.items() if "." in name}
            self.files.append(file)
            self.shards.append(Shard(tensors["params"], optimizer, tensors["counts"], address.config, address.planned))
        self.known = [0] * len(self.shards)

    @contextmanager
    def _locked(self, k: int) -> Iterator[Shard]:
        if math.isinf(self.timeout):
            fcntl.flock(self.files[k], fcntl.LOCK_EX)  # freed by the kernel when its holder dies
        else:
            self._lock_in_time(k)
        try:
            yield self.shards[k]
        finally:
            fcntl.flock(self.files[k], fcntl.LOCK_UN)

    def _lock_in_time(self, k: int) -> None:
        end = time.monotonic() + self.timeout
        while True:
            try:
                return fcntl.flock(self.files[k], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise ShardBusyError(f"shard {k} has been locked for {self.timeout:g} s") from error
                time.sleep(0.001)

    def close(self) -> None:
        """Let go of the shards."""
        for file in self.files:
            os.close(file)

    def pull(self, params: Tensor) -> Counts:
        """Fill the parameters (N,)."""
        counts = []
        for k, part in enumerate(self.slices):
            with self._locked(k) as shard:
                params[part] = shard.params
                counts.append(shard.read_counts())
        self.known = [each.updates for each in counts]
        return counts[0]

    def push(self, grad: Tensor, frames: int, params: Tensor) -> PushResult:
        """Apply a gradient (N,) that `frames` frames gave, and fill the parameters (N,)."""
        staleness, died, counts = [0] * len(self.shards), [], {}
        for n in range(len(self.shards)):
            k = (n + self.worker) % len(self.shards)  # workers that push at once begin at different shards
            part = self.slices[k]
            with self._locked(k) as shard:
                staleness[k] = int(shard.counts[UPDATES]) - self.known[k]
                died.append(shard.push(grad[part], frames, self.worker))
                params[part] = shard.params
                counts[k] = shard.read_counts()
            self.known[k] = counts[k].updates
        return PushResult(frames, counts[0], tuple(staleness), tuple(w for w in died if w != NOBODY))

    def counts(self) -> Counts:
        """See `nnet.asgd.backend.Shards`."""
        return self.shards[0].read_counts()

    def state(self) -> tuple[Tensor, OptimizerState, Counts]:
        """See `nnet.asgd.backend.Shards`."""
        params, optimizer, counts = [], [], []
        for k in range(len(self.shards)):
            with self._locked(k) as shard:
                params.append(shard.params.clone())
                optimizer.append({name: x.clone() for name, x in shard.optimizer.items()})
                counts.append(shard.read_counts())
        return torch.cat(params), join_states(optimizer), counts[0]

    def halve(self, halvings: int) -> None:
        """See `nnet.asgd.backend.Shards`."""
        for k in range(len(self.shards)):
            with self._locked(k) as shard:
                shard.halve(halvings)


def create_shards(shards: Sequence[Shard]) -> Address:
    """Put shards into shared memory."""
    paths = tuple(create_memory(_tensors(shard)) for shard in shards)
    return Address(paths, tuple(slices_of(shards)), shards[0].config, shards[0].planned)


def _tensors(shard: Shard) -> dict[str, Tensor]:
    optimizer = {f"optimizer.{name}": x for name, x in shard.optimizer.items()}
    return {"counts": shard.counts, "params": shard.params} | optimizer
