"""Training runs for processes that get killed: ``python -m tests.nnet.asgd.runs KIND DIRECTORY [CLUSTER]``."""

import fcntl
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch

from nnet.asgd.config import AsgdConfig
from nnet.asgd.local_server import LocalServer, create_shards
from nnet.asgd.shard import new_shard, parameter_slices
from nnet.asgd.training import train_asgd
from nnet.config import TrainConfig
from nnet.model import Network, initialise
from nnet.train import train
from tests.nnet import synthetic
from tests.nnet.asgd.processes import has_pushed


def worker():
    """The name of the worker that reads; of a thread in Ray's processes."""
    thread = threading.current_thread().name
    return thread if thread.startswith("worker") else multiprocessing.current_process().name


class Slow(dict):
    """Gives a killer the time to strike; not to the coordinator, which reads all before it starts."""

    def __getitem__(self, name):
        if worker().startswith("worker"):
            time.sleep(0.05)
        return super().__getitem__(name)


class Faulty(dict):
    """Ends worker 1 whenever it reads; the other takes its time meanwhile."""

    def __getitem__(self, name):
        if worker() == "worker 1":
            os._exit(3)
        if worker() == "worker 0":
            time.sleep(self.seconds)
        return super().__getitem__(name)

    seconds = 0.1


class Failing(dict):
    """Ends all workers as they read, at the same moment."""

    def __getitem__(self, name):
        if worker().startswith("worker"):
            time.sleep(1.5 - time.time() % 1.5)
            os._exit(3)
        return super().__getitem__(name)


class Freezing(Slow):
    """Stops worker 0 while it has a shard locked, once it has pushed; before, it might still be starting."""

    def __init__(self, data, marker):
        super().__init__(data)
        self.marker = marker

    def __getitem__(self, name):
        if worker() == "worker 0" and not self.marker.exists() and has_pushed(self.marker.parent, 0):
            self.marker.touch()
            held = next(fd for fd in Path("/proc/self/fd").iterdir() if "memfd:shard" in os.readlink(fd))
            fcntl.flock(int(held.name), fcntl.LOCK_EX)  # the same open file that its pushes lock
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().__getitem__(name)


def model():
    made = Network(synthetic.RECURRENT, input_dim=2, num_pdfs=2)
    initialise(made, seed=1)
    return made


def run(directory, cluster, data, epochs=4, threads=1, **asgd):
    """Train a small network with two workers; print what came of it."""
    training = TrainConfig(
        streams=4, epochs=epochs, initial_lr=0.01, final_lr=0.001, log_seconds=0, checkpoint_seconds=0
    )
    network = model()
    dev = synthetic.bits(5, shift=-2, seed=1)
    config = AsgdConfig(**{"shards": 2} | asgd)
    result = train_asgd(network, data, dev, training, config, directory, 1, 2, threads, cluster=cluster)
    print(json.dumps({"epochs": result.epochs, "accuracy": result.accuracy}))


def push_for_ever(address, worker, counted):
    """Push ones until killed; the counter tells how many were answered."""
    server, grad = LocalServer(address, worker), torch.ones(address.slices[-1].stop)
    params = torch.empty_like(grad)
    while True:
        server.push(grad, 1, params)
        counted[worker] += 1


def pushers(pushes, workers=4):
    """Let processes push, kill and replace some meanwhile; print what they counted and what the shards hold."""
    config = TrainConfig(optimizer="sgd", momentum=0.0, initial_lr=1.0, final_lr=1.0)
    shards = [new_shard(torch.zeros(part.stop - part.start), config, 1) for part in parameter_slices(20_000, 3)]
    address = create_shards(shards)
    context = multiprocessing.get_context("spawn")
    counted = context.Array("q", workers, lock=False)
    start = lambda k: context.Process(target=push_for_ever, args=(address, k, counted), daemon=True)  # noqa: E731
    processes = [start(k) for k in range(workers)]
    for process in processes:
        process.start()
    random, kills = np.random.default_rng(0), 0
    while sum(counted) < pushes:
        time.sleep(random.uniform(0.5, 1.0))
        if kills < 6 and min(counted) > 0:
            k = int(random.integers(workers))
            processes[k].kill()
            processes[k].join()
            kills += 1
            processes[k] = start(k)
            processes[k].start()
    for process in processes:
        process.kill()
        process.join()
    server = LocalServer(address)
    updates = [int(shard.counts[0]) for shard in server.shards]
    sums = [[-float(shard.params.max()), -float(shard.params.min())] for shard in server.shards]
    print(json.dumps({"counted": sum(counted), "kills": kills + workers, "updates": updates, "sums": sums}))


def same_bits(directory, cluster):
    """Train alone, plainly and by one worker of a cluster; print whether the weights are the same."""
    training = TrainConfig(streams=4, epochs=3, initial_lr=0.01, final_lr=0.001, reset_probability=0.2)
    data, dev = synthetic.bits(40, -2), synthetic.bits(5, -2, 1)
    plain, alone = model(), model()
    for name in ("plain", "alone"):
        (Path(directory) / name).mkdir()
    train(plain, data, dev, training, Path(directory) / "plain", seed=3, threads=1)
    one = AsgdConfig(shards=1)
    train_asgd(alone, data, dev, training, one, Path(directory) / "alone", seed=3, workers=1, cluster=cluster)
    print(json.dumps(all(map(torch.equal, plain.parameters(), alone.parameters()))))


if __name__ == "__main__":
    kind, directory, *cluster = sys.argv[1:]
    where, bits = (directory, *(cluster or ["local"])), synthetic.bits(40, shift=-2)
    if kind == "pushers":
        pushers(10_000)
    elif kind == "bits":
        same_bits(*where)
    elif kind == "faulty":
        run(*where, Faulty(bits))
    elif kind == "failing":
        run(*where, Failing(bits))
    elif kind == "stuck":
        run(*where, Slow(bits), stuck_seconds=3)
    elif kind == "frozen":
        run(*where, Freezing(bits, Path(directory) / "frozen"), stuck_seconds=3)
    elif kind == "threads":
        run(*where, bits, threads=2)
    elif kind == "overlap":
        run(*where, bits, overlap=True)
    else:
        run(*where, Slow(bits))
