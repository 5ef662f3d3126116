"""What asynchronous SGD costs and gains on one machine: ``python -m tests.bench.asgd [SECONDS]``.

Frames per second of whole training steps on synthetic features, one thread a worker, for conf/nnet/lstmp as it is
trained and for conf/nnet/paper/lstmp_2x800_512 (13M parameters) with 64 streams, both with a push for every chunk:

- one: 1 worker;
- two: 2 workers on the same shards;
- independent: 2 processes that train networks of their own and share nothing, the machine's own limit;
- threads: 1 process that splits each chunk between two threads.

Each runs for some seconds (6, or as given), in turns and five times. ``push_pull_share`` is the share of a worker's
time that goes into the shards' updates and the exchange, with 2 workers; for the paper's network it is given for 16
streams with a push every 4 chunks and for 4 streams with a push for each as well.

The last line is JSON: medians of the rounds' ratios.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle, islice
from queue import Queue
from statistics import median
from typing import Any

import torch

from nnet.asgd.local import Address, LocalServer, create_shards
from nnet.asgd.memory import close_memory
from nnet.asgd.shard import cut, new_shard
from nnet.chunks import Epochs, Position
from nnet.config import ModelConfig, TrainConfig
from nnet.gradient import Replicas
from nnet.model import AcousticModel, initialise
from nnet.optimizer import flatten, initial_state, update_of
from nnet.threads import set_threads
from nnet.train import train_chunk, training_chunks
from steps.nnet_file import read_nnet_file
from tests.bench.train import CONF, FEATURES, PDFS, synthetic_data

ROUNDS, WARM_UP, SHARDS = 5, 3, 4
CHUNKS = 24  # read beforehand, and trained on over and over


@dataclass(frozen=True)
class Contest:
    """A network and how it is trained."""

    model: ModelConfig
    training: TrainConfig
    push_every: int
    seconds: float


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6.0
    lstmp = Contest(*read_nnet_file(CONF / "training.yaml", CONF / "nnet/lstmp.yaml"), 1, seconds)
    model, training = read_nnet_file(CONF / "training.yaml", CONF / "nnet/paper/lstmp_2x800_512.yaml")
    paper = Contest(model, replace(training, streams=64), 1, seconds)
    summary: dict[str, Any] = {}
    for name, contest in {"lstmp": lstmp, "paper": paper}.items():
        print(f"{name}: {contest.training.streams} streams, a push for every chunk, frames a second")
        print("      one      two  independent  threads  share of push and pull")
        summary[name] = measure(contest)
    for streams, push_every in ((16, 4), (4, 1)):
        contest = Contest(model, replace(training, streams=streams), push_every, seconds)
        share = median(run(contest, 2, "shards")[1] for _ in range(ROUNDS))
        print(f"paper: {streams} streams, a push for every {push_every}: share of push and pull {share:.3f}")
        summary[f"paper_{streams}_streams_every_{push_every}"] = round(share, 4)
    print(json.dumps(summary))


def measure(contest: Contest) -> dict[str, float]:
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "one": lambda: run(contest, 1, "shards"),
        "two": lambda: run(contest, 2, "shards"),
        "independent": lambda: run(contest, 2, "alone"),
        "threads": lambda: run(contest, 1, "alone", threads=2),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    shares = []
    for k in range(ROUNDS):
        names = list(ways)
        for name in names[k % len(names) :] + names[: k % len(names)]:
            rate, share = ways[name]()
            rates[name].append(rate)
            if name == "two":
                shares.append(share)
        print("".join(f"{rates[name][-1]:9.0f}" for name in names) + f"{shares[-1]:12.3f}", flush=True)
    ratios = {
        f"two_over_{name}": round(median(a / b for a, b in zip(rates["two"], rates[name], strict=True)), 3)
        for name in ("one", "independent", "threads")
    }
    return ratios | {"push_pull_share": round(median(shares), 4)}


def run(contest: Contest, workers: int, way: str, threads: int = 1) -> tuple[float, float]:
    """Frames a second of all workers together, and the mean share of their time that pushes and pulls take."""
    context = multiprocessing.get_context("spawn")
    model = AcousticModel(contest.model, FEATURES, PDFS)
    initialise(model, seed=1)
    params, _ = flatten(model)
    shards = [new_shard(params[part], contest.training, planned=10**9) for part in cut(len(params), SHARDS)]
    address = create_shards(shards)
    barrier, results = context.Barrier(workers), context.Queue()
    arguments = (contest, address, way, threads, barrier, results)
    processes = [context.Process(target=work, args=(k, *arguments), daemon=True) for k in range(workers)]
    for process in processes:
        process.start()
    done = [results.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    for path in address.paths:
        close_memory(path)
    return sum(rate for rate, _ in done), sum(share for _, share in done) / workers


def work(
    worker: int, contest: Contest, address: Address, way: str, threads: int, barrier: Any, results: "Queue[Any]"
) -> None:
    set_threads(1)
    model = AcousticModel(contest.model, FEATURES, PDFS)
    initialise(model, seed=1)
    replicas, server, training = Replicas(model, threads), LocalServer(address, worker), contest.training
    data = synthetic_data()
    order = Epochs(list(data), worker, training.epochs)
    chunks = list(islice(training_chunks(contest.model, training, data, order, worker, Position()), CHUNKS))
    update, optimizer = update_of(training), initial_state(training, replicas.params)
    grad, state, frames, waited, begun = torch.zeros_like(replicas.grad), [], 0, 0.0, 0.0
    for n, chunk in enumerate(cycle(chunks)):
        if n == WARM_UP:
            barrier.wait(300)
            frames, waited, begun = 0, 0.0, time.perf_counter()
        if n > WARM_UP and time.perf_counter() - begun > contest.seconds:
            break
        sums, state = train_chunk(replicas, chunk, state if n % CHUNKS else [], training)
        state = [(c.detach(), r.detach()) for c, r in state]
        frames += sums.frames
        if way == "alone":
            update(replicas.params, replicas.grad, optimizer, training.initial_lr)
            continue
        if contest.push_every > 1:
            grad += replicas.grad
        if (n + 1) % contest.push_every == 0:
            start = time.perf_counter()
            server.push(grad if contest.push_every > 1 else replicas.grad, sums.frames, replicas.params)
            grad.zero_()
            waited += time.perf_counter() - start
    seconds = time.perf_counter() - begun
    results.put((frames / seconds, waited / seconds))


if __name__ == "__main__":
    main()
