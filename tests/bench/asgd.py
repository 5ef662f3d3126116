"""What asynchronous SGD costs and gains on one machine: ``python -m tests.bench.asgd [SECONDS]``.

Frames per second of training on synthetic features, cut into chunks meanwhile, one thread a worker, for
conf/nnet/lstmp as it is trained and for conf/nnet/paper/lstmp_2x800_512 (13M parameters) with 64 streams, both with a
push for every chunk:

- one: 1 worker, its loop as in a training, without the coordinator beside it;
- two: 2 workers on the same shards;
- independent: 2 processes that train networks of their own and share nothing, the machine's own limit;
- threads: 1 process that splits each chunk between two threads;
- ray: 2 workers and the shards as Ray actors, on a cluster of this machine alone.

Each runs for some seconds (6, or as given), in turns and five times. ``push_pull_share`` is the share of a worker's
time that goes into the shards' updates and the exchange, with 2 workers; for the paper's network it is given for 16
streams with a push every 4 chunks and for 4 streams with a push for each as well.

The last line is JSON: medians of the rounds' ratios.
"""

import json
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import ray

from nnet.asgd.cluster import RayBackend
from nnet.asgd.config import AsgdConfig
from nnet.asgd.local import LocalBackend
from nnet.asgd.local_server import Address, LocalServer
from nnet.asgd.messages import Job, Report, Server, Stop, WorkerState
from nnet.asgd.shard import Shard, new_shard, parameter_slices
from nnet.asgd.worker import work
from nnet.chunks import Epochs, Position
from nnet.config import ModelConfig, TrainConfig
from nnet.data import training_chunks
from nnet.gradient import Replicas, train_chunk
from nnet.losses import loss_named
from nnet.model import Network, initialise
from nnet.optimizer import flatten, initial_state, update_of
from nnet.threads import set_threads
from steps.base.nnet_file import read_nnet_file
from tests.bench.train import CONF, FEATURES, PDFS, synthetic_data

ROUNDS, WARM_UP, SHARDS = 5, 3, 4
FRAMES_PER_EPOCH = 10**9  # no epoch comes to its end, and no training
spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Contest:
    """A network and how it is trained."""

    model: ModelConfig
    training: TrainConfig
    push_every: int
    seconds: float


Outcome = tuple[float, float]  # frames a second, and the share of the time that pushes and pulls take


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6.0
    lstmp = Contest(*read_nnet_file(CONF / "train_nnet.yaml", CONF / "nnet/lstmp.yaml"), 1, seconds)
    model, training = read_nnet_file(CONF / "train_nnet.yaml", CONF / "nnet/paper/lstmp_2x800_512.yaml")
    paper = Contest(model, replace(training, streams=64), 1, seconds)
    summary: dict[str, Any] = {"ray": {}}
    for name, contest in {"lstmp": lstmp, "paper": paper}.items():
        print(f"{name}: {contest.training.streams} streams, a push for every chunk, frames a second")
        print("      one      two  independent  threads      ray   share of push and pull: two, ray")
        summary[name], summary["ray"][name] = measure(contest)
    for streams, push_every in ((16, 4), (4, 1)):
        contest = Contest(model, replace(training, streams=streams), push_every, seconds)
        share = median(together(contest, 2)[1] for _ in range(ROUNDS))
        print(f"paper: {streams} streams, a push for every {push_every}: share of push and pull {share:.3f}")
        summary[f"paper_{streams}_streams_every_{push_every}"] = round(share, 4)
    print(json.dumps(summary))


def measure(contest: Contest) -> tuple[dict[str, float], dict[str, float]]:
    ways: dict[str, Callable[[], Outcome]] = {
        "one": lambda: together(contest, 1),
        "two": lambda: together(contest, 2),
        "independent": lambda: alone(contest, 2),
        "threads": lambda: alone(contest, 1, threads=2),
        "ray": lambda: on_cluster(contest, 2),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    shares: dict[str, list[float]] = {name: [] for name in ways}
    for k in range(ROUNDS):
        names = list(ways)
        for name in names[k % len(names) :] + names[: k % len(names)]:
            rate, share = ways[name]()
            rates[name].append(rate)
            shares[name].append(share)
        rest = "".join(f"{shares[name][-1]:12.3f}" for name in ("two", "ray"))
        print("".join(f"{rates[name][-1]:9.0f}" for name in names) + rest, flush=True)
    over = lambda a, b: round(median(x / y for x, y in zip(rates[a], rates[b], strict=True)), 3)  # noqa: E731
    local = {f"two_over_{name}": over("two", name) for name in ("one", "independent", "threads")}
    return (
        local | {"push_pull_share": round(median(shares["two"]), 4)},
        {
            "two_over_one": over("ray", "one"),
            "two_over_local": over("ray", "two"),
            "push_pull_share": round(median(shares["ray"]), 4),
        },
    )


def new_shards(contest: Contest) -> list[Shard]:
    model = Network(contest.model, FEATURES, PDFS)
    initialise(model, seed=1)
    params, _ = flatten(model)
    return [
        new_shard(params[part], contest.training, FRAMES_PER_EPOCH) for part in parameter_slices(len(params), SHARDS)
    ]


def together(contest: Contest, workers: int) -> Outcome:
    """Processes that share shards in memory."""
    backend = LocalBackend(new_shards(contest))
    outcome = in_processes(contest, workers, backend.address)
    backend.close()
    return outcome


def alone(contest: Contest, processes: int, threads: int = 1) -> Outcome:
    """Processes that share nothing."""
    return in_processes(contest, processes, None, threads)


def in_processes(contest: Contest, workers: int, address: Address | None, threads: int = 1) -> Outcome:
    results = spawn.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meet = partial(gather, Path(folder), workers)
        arguments = (contest, address, threads, meet, results)
        processes = [spawn.Process(target=in_process, args=(k, *arguments), daemon=True) for k in range(workers)]
        for process in processes:
            process.start()
        outcomes = [results.get(timeout=300) for _ in processes]
        for process in processes:
            process.join()
    return combined(outcomes)


def in_process(
    worker: int, contest: Contest, address: Address | None, threads: int, meet: Callable[[int], None], results: Any
) -> None:
    if address is None:
        results.put(train_alone(worker, contest, threads, meet))
    else:
        results.put(train_together(worker, contest, LocalServer(address, worker), meet))


def on_cluster(contest: Contest, workers: int) -> Outcome:
    """Actors on a cluster of this machine."""
    backend = RayBackend(new_shards(contest), "ray", workers, threads=1)
    task = ray.remote(train_together).options(num_cpus=1)
    with tempfile.TemporaryDirectory() as folder:
        meet = partial(gather, Path(folder), workers)
        tasks = [task.remote(k, contest, backend.shards.of(k), meet) for k in range(workers)]
        outcomes = ray.get(tasks, timeout=300)
    backend.close()
    return combined(outcomes)


def combined(outcomes: Sequence[Outcome]) -> Outcome:
    return sum(rate for rate, _ in outcomes), sum(share for _, share in outcomes) / len(outcomes)


def gather(folder: Path, workers: int, worker: int) -> None:
    """Wait until all workers have come to this."""
    (folder / str(worker)).touch()
    while len(list(folder.iterdir())) < workers:
        time.sleep(0.001)


class Stopwatch:
    """A worker's link, which counts what it reports from the first few reports on, and stops it in time."""

    def __init__(self, contest: Contest, meet: Callable[[], None]) -> None:
        self.warm_up, self.seconds, self.meet = -(-WARM_UP // contest.push_every), contest.seconds, meet
        self.reports, self.frames, self.waited, self.begun, self.ended = 0, 0, 0.0, math.inf, 0.0

    def send(self, message: Any) -> None:
        assert isinstance(message, Report), message
        self.reports += 1
        if self.reports == self.warm_up:
            self.meet()
            self.begun = time.perf_counter()
        elif self.reports > self.warm_up:
            self.frames += message.sums.frames
            self.waited += message.push_seconds
            self.ended = time.perf_counter()

    def receive(self) -> Stop | None:
        return Stop() if time.perf_counter() - self.begun > self.seconds else None

    def outcome(self) -> Outcome:
        seconds = self.ended - self.begun
        return self.frames / seconds, self.waited / seconds


def train_together(worker: int, contest: Contest, server: Server, meet: Callable[[int], None]) -> Outcome:
    """A worker of asynchronous SGD, as it is, without its coordinator."""
    data, asgd = synthetic_data(), AsgdConfig(push_every=contest.push_every)
    place, clock = WorkerState(tuple(data)), Stopwatch(contest, partial(meet, worker))
    job = Job(worker, place, contest.model, FEATURES, PDFS, contest.training, asgd, data, 1, 1, FRAMES_PER_EPOCH)
    work(job, server, clock)
    return clock.outcome()


def train_alone(worker: int, contest: Contest, threads: int, meet: Callable[[int], None]) -> Outcome:
    """Plain training's steps."""
    set_threads(1)
    model = Network(contest.model, FEATURES, PDFS)
    initialise(model, seed=1)
    replicas, training, data = Replicas(model, threads), contest.training, synthetic_data()
    order = Epochs(list(data), worker, training.epochs)
    update, optimizer = update_of(training), initial_state(training, replicas.params)
    state, frames, begun, seconds = [], 0, math.inf, 0.0
    for n, chunk in enumerate(training_chunks(contest.model, training, data, order, worker, Position()), 1):
        sums, state = train_chunk(replicas, chunk, state, training, loss_named(training.loss))
        state = [(c.detach(), r.detach()) for c, r in state]
        update(replicas.params, replicas.grad, optimizer, training.initial_lr)
        if n == WARM_UP:
            meet(worker)
            begun = time.perf_counter()
        elif n > WARM_UP:
            frames += sums.frames
            seconds = time.perf_counter() - begun
            if seconds > contest.seconds:
                break
    return frames / seconds, 0.0


if __name__ == "__main__":
    main()
