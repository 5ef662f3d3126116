"""Workers as processes of one machine, with shards in memory that they share."""

import ctypes
import multiprocessing
import os
import pickle
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, cast

import torch

from nnet.asgd.local_server import Address, LocalServer, create_shards
from nnet.asgd.memory import close_memory, create_file
from nnet.asgd.messages import Ended, Job
from nnet.asgd.shard import Shard, new_shard
from nnet.asgd.worker import work

_spawn = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
LOCK_SECONDS = 1.0  # for which the coordinator waits for a shard, as a stopped worker may have it locked
PR_SET_PDEATHSIG = 1


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Processes that start within ignore Ctrl-C from their first instruction on: the coordinator stops them."""
    resource_tracker.ensure_running()  # otherwise the first start does so, and resets the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Pipe:
    """One end of the connection between two processes.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, message: Any) -> None:
        """See `nnet.asgd.messages.Channel`."""
        self.connection.send_bytes(pickle.dumps(message))  # bytes: torch would hand tensors over in files of /dev/shm

    def receive(self) -> Any | None:
        """See `nnet.asgd.messages.Channel`."""
        return self.wait() if self.connection.poll() else None

    def wait(self) -> Any:
        """Return the next message; OSError when the other end died while it sent it."""
        return pickle.loads(self.connection.recv_bytes())  # from our own process, never from a file


def _run(path: str, address: Address, connection: Connection) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # also when it waits for a lock as the coordinator dies
    job = pickle.loads(Path(path).read_bytes())  # from the coordinator's memory, never from a file
    new_shard(torch.zeros(1), address.config, 1).push(torch.zeros(1), 1)  # compiles the update before a lock is held
    try:
        work(job, LocalServer(address, job.worker), Pipe(connection))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the coordinator is gone


class LocalBackend:
    """Workers that are processes of this machine; see `nnet.asgd.backend.Backend`.

    Parameters
    ----------
    shards : sequence of Shard
        At the start of the run; they are copied.
    """

    lost_errors: tuple[type[Exception], ...] = ()

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.address = create_shards(shards)
        self.shards = LocalServer(self.address, timeout=LOCK_SECONDS)
        self.processes: dict[int, SpawnProcess] = {}
        self.pipes: dict[int, Pipe] = {}
        self.jobs: dict[int, str] = {}  # in memory: a process may die before it has read a pipe

    @property
    def workers(self) -> Collection[int]:
        """See `nnet.asgd.backend.Backend`."""
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
            return  # it has ended
        try:
            self.pipes[worker].send(message)
        except (BrokenPipeError, ConnectionResetError):
            return  # `events` reports its end

    def events(self, seconds: float) -> Iterator[tuple[int, Any]]:
        """See `nnet.asgd.backend.Backend`."""
        owners = {pipe.connection: worker for worker, pipe in self.pipes.items()}
        for connection in wait(list(owners), seconds):
            worker = owners[cast("Connection", connection)]
            try:
                yield worker, self.pipes[worker].wait()
            except (EOFError, OSError):  # OSError: it died amid a message
                process = self.processes.pop(worker)
                self.pipes.pop(worker).connection.close()
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
