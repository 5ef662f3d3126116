"""Workers and shards as Ray actors, placed over the nodes of a cluster."""

import logging
import os
import socket
import threading
import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import grpc
import ray
import torch
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nnet.asgd.messages import Ended, Job
from nnet.asgd.ray_server import RayServer, ShardActor
from nnet.asgd.shard import Shard, slices_of
from nnet.asgd.worker import work
from nnet.errors import ModelError
from nnet.layers.products import DTYPES, VARIABLE, products_of

CONNECTIONS = 3  # to be tried to a cluster's client server
CONNECT_SECONDS = 5.0  # in which it should answer
SHARD_SECONDS = 60.0  # for which the coordinator waits for a shard, as its node may hang
COLLECT_SECONDS = 10.0  # for which the coordinator's call waits for a worker's messages


class WorkerActor:
    """A worker in a process of its own, and the channel to the coordinator, which comes for its messages.

    Parameters
    ----------
    job : Job
    server : RayServer
    products : str
        Those of the coordinator (`nnet.layers.products`); the worker's machine may be of another kind.
    """

    def __init__(self, job: Job, server: RayServer, products: str) -> None:
        os.environ[VARIABLE] = products
        self.job, self.server = job, server
        self.outbox: SimpleQueue[Any] = SimpleQueue()
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=self._work, name=f"worker {job.worker}", daemon=True).start()

    def _work(self) -> None:
        try:
            work(self.job, self.server, self)
            self.send(Ended("exit code 0"))
        except Exception:
            traceback.print_exc()
            self.send(Ended("exit code 1"))

    def send(self, message: Any) -> None:
        """See `nnet.asgd.messages.Channel`."""
        self.outbox.put(message)

    def receive(self) -> Any | None:
        """See `nnet.asgd.messages.Channel`."""
        return None if self.inbox.empty() else self.inbox.get()

    def deliver(self, message: Any) -> None:
        """Take a message of the coordinator's."""
        self.inbox.put(message)

    def collect(self, seconds: float) -> list[Any]:
        """Return the messages for the coordinator; wait for the first one for at most so long."""
        messages = []
        try:
            messages.append(self.outbox.get(timeout=seconds))
            while True:
                messages.append(self.outbox.get_nowait())
        except Empty:
            return messages


class RayBackend:
    """Workers and shards over the nodes of a cluster; see `nnet.asgd.backend.Backend`.

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
        self.lost_errors: tuple[type[Exception], ...] = (ConnectionError, grpc.RpcError) if "://" in cluster else ()
        self.actors: dict[int, ActorHandle[WorkerActor]] = {}
        self.calls: dict[int, Any] = {}  # each worker's call of `collect` under way
        cores = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in _nodes() if node["Alive"]}
        nodes, room = sorted(cores), sum(count // threads for count in cores.values())
        if room < workers:
            ray.shutdown()
            raise ModelError(
                f"{workers} workers of {threads} threads do not fit into the cluster: its {len(nodes)} nodes have "
                f"{sum(cores.values())} cores, room for {room}"
            )
        actors = []
        for k, shard in enumerate(shards):  # one node after another, so that all share the traffic
            node = NodeAffinitySchedulingStrategy(nodes[k % len(nodes)], soft=False)
            actors.append(_remote(ShardActor).options(num_cpus=0, scheduling_strategy=node).remote(shard))
        self.shards = RayServer(actors, slices_of(shards), timeout=SHARD_SECONDS)

    @property
    def workers(self) -> Collection[int]:
        """See `nnet.asgd.backend.Backend`."""
        return self.actors.keys()

    def start(self, job: Job) -> None:
        """Start a worker."""
        remote = _remote(WorkerActor).options(num_cpus=job.threads, scheduling_strategy="SPREAD")
        products = products_of(DTYPES[job.model.precision], torch.device("cpu"))
        self.actors[job.worker] = actor = remote.remote(job, self.shards.of(job.worker), products)
        self.calls[job.worker] = actor.collect.remote(COLLECT_SECONDS)

    def send(self, worker: int, message: Any) -> None:
        """Send a message to a worker; one that is dying does not get it."""
        if worker in self.actors:  # it may have ended
            self.actors[worker].deliver.remote(message)

    def events(self, seconds: float) -> Iterator[tuple[int, Any]]:
        """See `nnet.asgd.backend.Backend`."""
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
                self.calls[worker] = self.actors[worker].collect.remote(COLLECT_SECONDS)
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
        with suppress(*self.lost_errors):
            if ray.is_initialized():  # not so once the client has given up
                for worker in self.actors.values():
                    ray.kill(worker)
                for shard in self.shards.actors:
                    ray.kill(shard)
        ray.shutdown()


def _remote(actor: type[Any]) -> Any:
    """The class as Ray starts it; Ray's own types do not know what its options return."""
    return ray.remote(actor)


def _nodes() -> list[dict[str, Any]]:
    """The cluster's nodes."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray has no types there
    return nodes


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
    try:
        if cluster == "ray":
            ray.init(include_dashboard=False, logging_level=logging.WARNING, log_to_driver=True)
            return
        host, _, port = cluster.removeprefix("ray://").rpartition(":")
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()  # Ray itself would wait for half a minute
        for attempt in range(1, CONNECTIONS + 1):
            try:
                ray.init(cluster, logging_level=logging.WARNING, log_to_driver=True)
                return
            except ConnectionAbortedError:  # its client server looks at a process that it has just started, too soon
                if attempt == CONNECTIONS:
                    raise
    except (OSError, RayError, RuntimeError) as error:
        raise ModelError(f"no cluster answers at {cluster}: {error}") from error
