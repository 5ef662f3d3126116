"""Workers as processes of one machine, and shards in memory that they share.

A gradient is never copied: the worker applies it to the shard's slice itself, under a lock that its death would free.
"""

import ctypes
import fcntl
import math
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnet.asgd.crew import Ended, ShardBusyError
from nnet.asgd.memory import close_memory, create_file, create_memory, open_memory
from nnet.asgd.shard import NOBODY, UPDATES, Answer, Shard, joined, new_shard, slices_of
from nnet.asgd.worker import Job, Pushed, work
from nnet.config import TrainConfig
from nnet.optimizer import OptimizerState

_spawn = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
PATIENCE = 1.0  # seconds for which the coordinator waits for a shard, as a stopped worker may have it locked
PR_SET_PDEATHSIG = 1


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
    patience : float
        Seconds to wait for a shard that another process has locked; then `ShardBusyError` is raised.
    """

    def __init__(self, address: Address, worker: int = 0, patience: float = math.inf) -> None:
        self.worker, self.patience, self.slices = worker, patience, address.slices
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
        if math.isinf(self.patience):
            fcntl.flock(self.files[k], fcntl.LOCK_EX)  # freed by the kernel when its holder dies
        else:
            self._lock_in_time(k)
        try:
            yield self.shards[k]
        finally:
            fcntl.flock(self.files[k], fcntl.LOCK_UN)

    def _lock_in_time(self, k: int) -> None:
        end = time.monotonic() + self.patience
        while True:
            try:
                return fcntl.flock(self.files[k], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise ShardBusyError(f"shard {k} has been locked for {self.patience:g} s") from error
                time.sleep(0.001)

    def close(self) -> None:
        """Let go of the shards."""
        for file in self.files:
            os.close(file)

    def pull(self, params: Tensor) -> Answer:
        """Fill the parameters (N,)."""
        answers = []
        for k, part in enumerate(self.slices):
            with self._locked(k) as shard:
                params[part] = shard.params
                answers.append(shard.answer())
        self.known = [answer.updates for answer in answers]
        return answers[0]

    def push(self, grad: Tensor, frames: int, params: Tensor) -> Pushed:
        """Apply a gradient (N,) that `frames` frames gave, and fill the parameters (N,)."""
        staleness, cut_off, answers = [0] * len(self.shards), [], {}
        for n in range(len(self.shards)):
            k = (n + self.worker) % len(self.shards)  # workers that come at once begin at different shards
            part = self.slices[k]
            with self._locked(k) as shard:
                staleness[k] = int(shard.counts[UPDATES]) - self.known[k]
                cut_off.append(shard.push(grad[part], frames, self.worker))
                params[part] = shard.params
                answers[k] = shard.answer()
            self.known[k] = answers[k].updates
        return Pushed(frames, answers[0], tuple(staleness), tuple(w for w in cut_off if w != NOBODY))

    def answer(self) -> Answer:
        """See `nnet.asgd.crew.Shards`."""
        return self.shards[0].answer()

    def state(self) -> tuple[Tensor, OptimizerState, Answer]:
        """See `nnet.asgd.crew.Shards`."""
        params, optimizer, answers = [], [], []
        for k in range(len(self.shards)):
            with self._locked(k) as shard:
                params.append(shard.params.clone())
                optimizer.append({name: x.clone() for name, x in shard.optimizer.items()})
                answers.append(shard.answer())
        return torch.cat(params), joined(optimizer), answers[0]

    def halve(self, halvings: int) -> None:
        """See `nnet.asgd.crew.Shards`."""
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


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Processes that start within are deaf to Ctrl-C from their first instruction on: the coordinator tells them."""
    resource_tracker.ensure_running()  # which the first start would do, and take the mask away with it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Pipe:
    """The link between two processes, either's end.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, message: Any) -> None:
        """See `nnet.asgd.worker.Link`."""
        self.connection.send_bytes(pickle.dumps(message))  # bytes: torch would hand tensors over in files of /dev/shm

    def receive(self) -> Any | None:
        """See `nnet.asgd.worker.Link`."""
        return self.wait() if self.connection.poll() else None

    def wait(self) -> Any:
        """Return the next message; OSError when the other end died amid it."""
        return pickle.loads(self.connection.recv_bytes())  # of our own process, never of a file


def _run(path: str, address: Address, connection: Connection) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # also when it waits for a lock as the coordinator dies
    job = pickle.loads(Path(path).read_bytes())  # of the coordinator, its memory, never of a file
    new_shard(torch.zeros(1), address.config, 1).push(torch.zeros(1), 1)  # compiles the update before a lock is held
    try:
        work(job, LocalServer(address, job.worker), Pipe(connection))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the coordinator is gone


class LocalCrew:
    """Workers that are processes of this machine; see `nnet.asgd.crew.Crew`.

    Parameters
    ----------
    shards : sequence of Shard
        At the start of the run; they are copied.
    """

    lost: tuple[type[Exception], ...] = ()

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.address = create_shards(shards)
        self.shards = LocalServer(self.address, patience=PATIENCE)
        self.processes: dict[int, SpawnProcess] = {}
        self.pipes: dict[int, Pipe] = {}
        self.jobs: dict[int, str] = {}  # in memory: a process may die before it has read a pipe

    @property
    def workers(self) -> Collection[int]:
        """See `nnet.asgd.crew.Crew`."""
        return self.processes.keys()

    def start(self, job: Job) -> None:
        """Start a worker."""
        ours, theirs = _spawn.Pipe()
        self.jobs[job.worker] = create_file(pickle.dumps(job))
        arguments = self.jobs[job.worker], self.address, theirs
        process = _spawn.Process(target=_run, args=arguments, name=f"worker {job.worker}", daemon=True)
        with _without_interrupt():
            process.start()
        theirs.close()
        self.processes[job.worker], self.pipes[job.worker] = process, Pipe(ours)

    def send(self, worker: int, message: Any) -> None:
        """Send a message to a worker; one that is dying does not get it."""
        if worker not in self.pipes:
            return  # its end is not heard of yet
        try:
            self.pipes[worker].send(message)
        except (BrokenPipeError, ConnectionResetError):
            return  # `events` tells of its end

    def events(self, seconds: float) -> Iterator[tuple[int, Any]]:
        """See `nnet.asgd.crew.Crew`."""
        owners = {pipe.connection: worker for worker, pipe in self.pipes.items()}
        for connection in wait(list(owners), seconds):
            worker = owners[connection]
            try:
                yield worker, self.pipes[worker].wait()
            except (EOFError, OSError):  # OSError: it died amid a message
                process = self.processes.pop(worker)
                connection.close()
                del self.pipes[worker]
                close_memory(self.jobs.pop(worker))
                process.join()
                code = process.exitcode or 0
                yield worker, Ended(f"signal {-code}" if code < 0 else f"exit code {code}")

    def kill(self, worker: int) -> None:
        """End a worker at once."""
        self.processes[worker].kill()

    def close(self) -> None:
        """End all workers at once, and let go of the shards."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.join()
        for pipe in self.pipes.values():
            pipe.connection.close()
        self.shards.close()
        for path in (*self.address.paths, *self.jobs.values()):
            close_memory(path)
