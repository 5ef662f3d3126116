"""Workers and shards as Ray actors, placed over the nodes of a cluster.

Gradients and parameters travel as numpy arrays through Ray's object store. A shard takes one call after another, so
that it needs no lock, and its death cannot leave a half of an update behind: it stops the run.
"""

import os
import socket
import threading
import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # a cluster that Ray starts here listens on loopback
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # and tells nobody
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 lets any other process starve workers and shards

import grpc
import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nnet.asgd.crew import Ended, ShardBusyError
from nnet.asgd.shard import Answer, Shard, joined, slices_of
from nnet.asgd.worker import Job, Pushed, work
from nnet.errors import ModelError
from nnet.optimizer import OptimizerState
from nnet.threads import set_threads

ATTEMPTS = 3  # to be taken by a cluster's client server
ANSWER = 5.0  # seconds in which a cluster's client server should answer
PATIENCE = 60.0  # seconds for which the coordinator waits for a shard, as its node may hang
STARTING = 300.0  # the same before the first answer: the shard's process imports torch first
LISTEN = 10.0  # seconds for which a worker that has nothing to tell lets the coordinator wait


class ShardActor:
    """A shard in a process of its own.

    Parameters
    ----------
    shard : Shard
    """

    def __init__(self, shard: Shard) -> None:
        set_threads(1)
        self.shard = shard

    def pull(self) -> tuple[NDArray[Any], Answer]:
        """Give the slice of the parameters, and what is counted."""
        return self.shard.params.numpy(), self.answer()

    def answer(self) -> Answer:
        """Tell what is counted."""
        return self.shard.answer()

    def push(self, grad: NDArray[Any], frames: int, worker: int) -> tuple[NDArray[Any], Answer]:
        """Apply a gradient, and give what `pull` does."""
        self.shard.push(torch.from_numpy(grad.copy()), frames, worker)  # a copy: the object store's are read-only
        return self.pull()

    def state(self) -> tuple[NDArray[Any], dict[str, NDArray[Any]], Answer]:
        """Give all that the shard holds."""
        optimizer = {name: x.numpy() for name, x in self.shard.optimizer.items()}
        return self.shard.params.numpy(), optimizer, self.answer()

    def halve(self, halvings: int) -> None:
        """Set how often the learning rate was halved."""
        self.shard.halve(halvings)


class RayServer:
    """The shards of a cluster, as one process sees them; see `nnet.asgd.crew.Shards`.

    Parameters
    ----------
    actors : sequence of handles of ShardActor
    slices : sequence of slice
        What each holds of all parameters.
    worker : int
        That pushes.
    patience : float, optional
        Seconds to wait for a shard; then `ShardBusyError` is raised. A shard that has never answered may
        still be starting and has `STARTING` seconds.
    """

    def __init__(
        self, actors: Sequence[ActorHandle], slices: Sequence[slice], worker: int = 0, patience: float | None = None
    ) -> None:
        self.actors, self.slices, self.worker, self.patience = actors, slices, worker, patience
        self.started: set[int] = set()  # the shards that have answered
        self.known = [0] * len(actors)

    def of(self, worker: int) -> "RayServer":
        """The same shards as a worker sees them."""
        return RayServer(self.actors, self.slices, worker)

    def pull(self, params: Tensor) -> Answer:
        """Fill the parameters (N,)."""
        answers = self._take(params, [actor.pull.remote() for actor in self.actors])
        self.known = [answer.updates for answer in answers]
        return answers[0]

    def push(self, grad: Tensor, frames: int, params: Tensor) -> Pushed:
        """Send a gradient (N,) that `frames` frames gave to all shards at once, and fill the parameters (N,)."""
        sent = zip(self.actors, self.slices, strict=True)
        calls = [actor.push.remote(grad[part].numpy(), frames, self.worker) for actor, part in sent]
        answers = self._take(params, calls)
        staleness = tuple(answer.updates - 1 - known for answer, known in zip(answers, self.known, strict=True))
        self.known = [answer.updates for answer in answers]
        return Pushed(frames, answers[0], staleness)

    def answer(self) -> Answer:
        """See `nnet.asgd.crew.Shards`."""
        return self._get([self.actors[0].answer.remote()])[0]

    def state(self) -> tuple[Tensor, OptimizerState, Answer]:
        """See `nnet.asgd.crew.Shards`."""
        params, optimizer, answers = zip(*self._get([actor.state.remote() for actor in self.actors]), strict=True)
        tensors = [{name: torch.tensor(x) for name, x in state.items()} for state in optimizer]
        return torch.from_numpy(np.concatenate(params)), joined(tensors), answers[0]

    def halve(self, halvings: int) -> None:
        """See `nnet.asgd.crew.Shards`."""
        self._get([actor.halve.remote(halvings) for actor in self.actors])

    def _take(self, params: Tensor, calls: Sequence[Any]) -> list[Answer]:
        values, answers = params.numpy(), []
        for part, (new, answer) in zip(self.slices, self._get(calls), strict=True):
            values[part] = new
            answers.append(answer)
        return answers

    def _get(self, calls: Sequence[Any]) -> list[Any]:
        """Wait for one answer of each shard."""
        answers = []
        for k, call in enumerate(calls):
            patience = self.patience
            if patience is not None and k not in self.started:
                patience = max(patience, STARTING)
            try:
                answers.append(ray.get(call, timeout=patience))
                self.started.add(k)
            except RayTaskError:
                raise  # an error of the shard's program, which Ray brings here
            except GetTimeoutError as error:
                raise ShardBusyError(f"shard {k} of {len(calls)} has not answered for {patience:g} s") from error
            except RayError as error:
                raise ModelError(
                    f"shard {k} of {len(calls)}, or its node, is lost ({type(error).__name__}); "
                    "the same command goes on from the last checkpoint"
                ) from error
        return answers


class WorkerActor:
    """A worker in a process of its own, and the link between it and the coordinator, which asks for what it tells.

    Parameters
    ----------
    job : Job
    server : RayServer
    """

    def __init__(self, job: Job, server: RayServer) -> None:
        self.job, self.server = job, server
        self.told: SimpleQueue[Any] = SimpleQueue()
        self.heard: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=self._work, name=f"worker {job.worker}", daemon=True).start()

    def _work(self) -> None:
        try:
            work(self.job, self.server, self)
            self.send(Ended("exit code 0"))
        except Exception:
            traceback.print_exc()
            self.send(Ended("exit code 1"))

    def send(self, message: Any) -> None:
        """See `nnet.asgd.worker.Link`."""
        self.told.put(message)

    def receive(self) -> Any | None:
        """See `nnet.asgd.worker.Link`."""
        return None if self.heard.empty() else self.heard.get()

    def hear(self, message: Any) -> None:
        """Take a message of the coordinator's."""
        self.heard.put(message)

    def tell(self, seconds: float) -> list[Any]:
        """Give the messages for the coordinator; wait for the first one for at most so long."""
        messages = []
        try:
            messages.append(self.told.get(timeout=seconds))
            while True:
                messages.append(self.told.get_nowait())
        except Empty:
            return messages


class RayCrew:
    """Workers and shards over the nodes of a cluster; see `nnet.asgd.crew.Crew`.

    Parameters
    ----------
    shards : sequence of Shard
        At the start of the run; they are sent there.
    cluster : str
        See `connect`.
    workers, threads : int
        That will be started, and the threads of each.

    Raises
    ------
    ModelError
        When the cluster is not there, or too small.
    """

    def __init__(self, shards: Sequence[Shard], cluster: str, workers: int, threads: int) -> None:
        connect(cluster)
        # all actors end with the connection to a client server
        self.lost: tuple[type[Exception], ...] = (ConnectionError, grpc.RpcError) if "://" in cluster else ()
        self.actors: dict[int, ActorHandle] = {}
        self.calls: dict[int, Any] = {}  # the answer of each worker's `tell` under way
        cores = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]}
        nodes, room = sorted(cores), sum(count // threads for count in cores.values())
        if room < workers:
            ray.shutdown()
            raise ModelError(
                f"{workers} workers of {threads} threads do not fit into the cluster: its {len(nodes)} nodes have "
                f"{sum(cores.values())} cores, room for {room}"
            )
        actors = []
        for k, shard in enumerate(shards):  # one node after another, so that each has its share of the traffic
            place = NodeAffinitySchedulingStrategy(nodes[k % len(nodes)], soft=False)
            actors.append(ray.remote(ShardActor).options(num_cpus=0, scheduling_strategy=place).remote(shard))
        self.shards = RayServer(actors, slices_of(shards), patience=PATIENCE)

    @property
    def workers(self) -> Collection[int]:
        """See `nnet.asgd.crew.Crew`."""
        return self.actors.keys()

    def start(self, job: Job) -> None:
        """Start a worker."""
        made = ray.remote(WorkerActor).options(num_cpus=job.threads, scheduling_strategy="SPREAD")
        self.actors[job.worker] = actor = made.remote(job, self.shards.of(job.worker))
        self.calls[job.worker] = actor.tell.remote(LISTEN)

    def send(self, worker: int, message: Any) -> None:
        """Send a message to a worker; one that is dying does not get it."""
        if worker in self.actors:  # otherwise its end is not heard of yet
            self.actors[worker].hear.remote(message)

    def events(self, seconds: float) -> Iterator[tuple[int, Any]]:
        """See `nnet.asgd.crew.Crew`."""
        owners = {call: worker for worker, call in self.calls.items()}
        if not owners:
            time.sleep(seconds)
            return
        ray.wait(list(owners), num_returns=1, timeout=seconds)
        ready, _ = ray.wait(list(owners), num_returns=len(owners), timeout=0)
        for call in ready:
            worker = owners[call]
            try:
                messages = ray.get(call)
                self.calls[worker] = self.actors[worker].tell.remote(LISTEN)
            except RayError:
                messages = [Ended("its process or its node died")]
            for message in messages:
                if isinstance(message, Ended):
                    del self.calls[worker]
                    ray.kill(self.actors.pop(worker))
                yield worker, message

    def kill(self, worker: int) -> None:
        """End a worker at once."""
        ray.kill(self.actors[worker])

    def close(self) -> None:
        """End all workers at once, and let go of the shards."""
        with suppress(*self.lost):
            if ray.is_initialized():  # not so once the client has given up
                for actor in (*self.actors.values(), *self.shards.actors):
                    ray.kill(actor)
        ray.shutdown()


def connect(cluster: str) -> None:
    """Join a cluster.

    Parameters
    ----------
    cluster : str
        "ray" for the one that this machine is a node of, or whose HOST:PORT is in RAY_ADDRESS, or else one of this
        machine alone that ends with the run; "ray://HOST:PORT" for that of a Ray client server.

    Raises
    ------
    ModelError
        When there is none at this address.
    """
    quiet = {"logging_level": "warning", "log_to_driver": True}
    try:
        if cluster == "ray":
            ray.init(include_dashboard=False, **quiet)
            return
        host, _, port = cluster.removeprefix("ray://").rpartition(":")
        socket.create_connection((host, int(port)), ANSWER).close()  # Ray itself would wait for half a minute
        for attempt in range(1, ATTEMPTS + 1):
            try:
                ray.init(cluster, **quiet)
                return
            except ConnectionAbortedError:  # its client server looks at a process that it has just started, too soon
                if attempt == ATTEMPTS:
                    raise
    except (OSError, RayError, RuntimeError) as error:
        raise ModelError(f"no cluster answers at {cluster}: {error}") from error
