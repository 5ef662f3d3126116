"""The coordinator between real shards and workers that do what a test says."""

import json
import os
import re
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from nnet.asgd import coordinator, evaluations, saving, supervisor, training
from nnet.asgd.backend import ShardBusyError
from nnet.asgd.checkpoint import load_worker_states, worker_states_to_save
from nnet.asgd.config import AsgdConfig
from nnet.asgd.local_server import LocalServer, create_shards
from nnet.asgd.memory import close_memory
from nnet.asgd.messages import Ended, EpochEnd, Report, StateRequest, Stop
from nnet.asgd.shard import NOBODY, join_states
from nnet.asgd.training import deal_out, train_asgd
from nnet.checkpoint import Progress, TrainingState, load_checkpoint, save_checkpoint
from nnet.chunks import Position
from nnet.config import TrainConfig
from nnet.errors import ModelError
from nnet.model import Network, initialise
from nnet.optimizer import flatten, initial_state
from nnet.sums import Sums
from tests.nnet import synthetic

TRAINING = TrainConfig(streams=4, epochs=3, initial_lr=0.01, final_lr=0.001, log_seconds=0, checkpoint_seconds=1e9)
DATA, DEV = synthetic.bits(10, -2), synthetic.bits(3, -2, seed=1)
FRAMES = sum(len(feats) for feats, _ in DATA.values())


class Staged:
    """A backend whose workers act as a test says: each step of the play gives the events of one moment."""

    lost_errors = ()

    def __init__(self, shards, play):
        self.given, self.address = shards, create_shards(shards)
        self.shards, self.play = LocalServer(self.address), play(self)
        self.jobs, self.started, self.sent = {}, [], []
        self.servers = [LocalServer(self.address, worker) for worker in (0, 1)]

    @property
    def workers(self):
        return self.jobs.keys()

    def start(self, job):
        self.jobs[job.worker] = job
        self.started.append(job.worker)

    def send(self, worker, message):
        self.sent.append((worker, message))

    def events(self, seconds):
        for worker, event in next(self.play):
            if isinstance(event, Ended):
                del self.jobs[worker]
            yield worker, event

    def kill(self, worker):
        self.sent.append((worker, "killed"))

    def close(self):
        for server in (self.shards, *self.servers):
            server.close()
        for path in self.address.paths:
            close_memory(path)

    def push(self, worker, frames=20):
        """What a worker reports of a push."""
        grad = torch.ones(self.address.slices[-1].stop)
        pushed = self.servers[worker].push(grad, frames, torch.empty_like(grad))
        sums = Sums(loss=1.0, frames=frames, chunks=1)
        return worker, Report(sums, pushed, 0.0, 0, Position(next=1, rows=((0, 20),)))


def model_of():
    model = Network(synthetic.RECURRENT, input_dim=2, num_pdfs=2)
    initialise(model, seed=1)
    return model


@pytest.fixture
def perform(tmp_path, monkeypatch):
    """Let a training's two workers play; `perform.backend` is who played."""

    def run(play, config=TRAINING):
        def start_backend(cluster, shards, workers, threads):
            run.backend = Staged(shards, play)
            return run.backend

        monkeypatch.setattr(training, "start_backend", start_backend)
        train_asgd(model_of(), DATA, DEV, config, AsgdConfig(shards=2), tmp_path, seed=1, workers=2)

    return run


def saved(tmp_path):
    """What a checkpoint has: progress, run, states."""
    params, _ = flatten(model_of())
    run = TrainingState(params, optimizer=initial_state(TRAINING, params))
    path = tmp_path / "checkpoint.safetensors"
    return load_checkpoint(path, run), run, load_worker_states(path)


def test_a_run_goes_on_with_the_optimizers_state_the_frames_and_the_halvings(tmp_path, perform):
    params, _ = flatten(model_of())
    optimizer = {
        name: torch.rand_like(x.float()).to(x.dtype) + 1 for name, x in initial_state(TRAINING, params).items()
    }
    progress = Progress(epoch=1, frames=FRAMES + 7, halvings=2, kept=[(1, 0.5)])
    save_checkpoint(tmp_path / "checkpoint.safetensors", TrainingState(params + 1, [params + 2], optimizer), progress)

    def play(backend):
        while True:
            yield [(worker, Ended("signal 9")) for worker in list(backend.jobs)]

    with pytest.raises(ModelError, match="the last one"):
        perform(play)
    shards = perform.backend.given
    assert torch.equal(torch.cat([shard.params for shard in shards]), params + 1)
    held = join_states([shard.optimizer for shard in shards])
    assert held.keys() == optimizer.keys() != set()
    assert all(torch.equal(held[name], optimizer[name]) for name in held)
    assert all(shard.counts.tolist() == [0, FRAMES + 7, 2, NOBODY] for shard in shards)


def test_interrupt_while_a_worker_starts(tmp_path, perform, capsys):
    """Its state is known, and it is not waited for; pushes that others have not reported yet are counted."""
    params, _ = flatten(model_of())
    states = [replace(state, position=Position(next=3, rows=((1, 10), (2, 20)))) for state in deal_out(DATA, 2)]
    run = TrainingState(params, optimizer=initial_state(TRAINING, params))
    save_checkpoint(tmp_path / "checkpoint.safetensors", run, Progress(frames=100), *worker_states_to_save(states))

    def play(backend):
        yield [backend.push(0)]
        os.kill(os.getpid(), signal.SIGINT)
        yield []
        backend.push(0)
        yield [(0, replace(states[0], position=Position(next=5, rows=((4, 3),))))]
        pytest.fail("someone is waited for in vain")

    with pytest.raises(KeyboardInterrupt):
        perform(play)
    assert {(0, StateRequest()), (1, StateRequest())} <= set(perform.backend.sent)
    progress, _, (first, second) = saved(tmp_path)
    assert first.position == Position(next=5, rows=((4, 3),))
    assert second == states[1]
    frames = re.search(r"Interrupted and saved after (\d+) frames", capsys.readouterr().out)
    assert int(frames[1]) == progress.frames == 140


def test_a_worker_that_ends_by_the_interrupt_is_not_restarted(tmp_path, perform):
    def play(backend):
        yield [backend.push(0), backend.push(1)]
        os.kill(os.getpid(), signal.SIGINT)
        yield []
        yield [(0, backend.jobs[0].state), (1, Ended("signal 2"))]

    with pytest.raises(KeyboardInterrupt):
        perform(play)
    assert perform.backend.started == [0, 1]
    _, _, (_, second) = saved(tmp_path)
    assert second.position == Position(next=1)  # its recurrent states are lost


def test_interrupt_amid_a_turn_waits_for_its_end(tmp_path, perform):
    """A report that has come is counted as a whole, and an epoch under way is evaluated before the checkpoint."""

    def play(backend):
        yield [backend.push(0, FRAMES), backend.push(1)]
        os.kill(os.getpid(), signal.SIGINT)
        yield [(0, EpochEnd(1, backend.shards.state()[0]))]
        while True:
            yield [(worker, backend.jobs[worker].state) for worker in (0, 1)]

    with pytest.raises(KeyboardInterrupt):
        perform(play)
    progress, run, _ = saved(tmp_path)
    assert (progress.frames, progress.epoch, len(run.kept)) == (FRAMES + 20, 1, 1)
    (line,) = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()][-1:]
    assert (line["epoch"], line["loss"]) == (1, pytest.approx(2 / (FRAMES + 20)))


def test_a_checkpoint_amid_an_evaluation_has_the_epochs_sums(tmp_path, perform, monkeypatch):
    monkeypatch.setattr(evaluations, "evaluate", lambda *_: pytest.fail("it is not waited for"))
    monkeypatch.setattr(
        evaluations, "ThreadPoolExecutor", lambda _: SimpleNamespace(submit=Never, shutdown=lambda **_: None)
    )

    def play(backend):
        yield [backend.push(0, FRAMES), (0, EpochEnd(1, backend.shards.state()[0])), backend.push(1)]
        yield [(worker, backend.jobs[worker].state) for worker in (0, 1)]
        raise EOFError

    with pytest.raises(EOFError):
        perform(play, replace(TRAINING, checkpoint_seconds=0))
    progress, _, _ = saved(tmp_path)
    assert (progress.epoch, progress.since_epoch.frames, progress.since_epoch.loss) == (0, FRAMES + 20, 2.0)


def set_clock(monkeypatch, clock):
    """Let the coordinator read the time from a clock."""
    for module in (coordinator, saving, supervisor):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))


class Never:
    """An evaluation that does not end."""

    def __init__(self, *_):
        pass

    def done(self):
        return False


@pytest.mark.parametrize("stopped", [True, False])
def test_a_worker_is_not_stuck_because_the_coordinator_was_stopped(perform, monkeypatch, stopped):
    clock = SimpleNamespace(now=1000.0)
    set_clock(monkeypatch, clock)

    def play(backend):
        yield [backend.push(0), backend.push(1)]
        if stopped:
            clock.now += 100
        else:
            for _ in range(100):
                clock.now += 1
                yield [backend.push(0)]
        yield [backend.push(0)]
        raise EOFError

    with pytest.raises(EOFError):
        perform(play, replace(TRAINING, log_seconds=1e9))
    assert ((1, "killed") in perform.backend.sent) == (not stopped)


def test_a_worker_that_starts_is_not_killed_for_the_one_that_it_waits_for(perform, monkeypatch):
    """Worker 0 hangs with a shard locked before worker 1 has computed anything."""
    clock = SimpleNamespace(now=1000.0)
    set_clock(monkeypatch, clock)

    def play(backend):
        clock.now += 1
        yield [backend.push(0)]
        for _ in range(100):
            clock.now += 1
            yield []
        raise EOFError

    with pytest.raises(EOFError):
        perform(play, replace(TRAINING, log_seconds=1e9))
    assert [worker for worker, message in perform.backend.sent if message == "killed"][:1] == [0]


def test_a_worker_that_hangs_while_it_starts_with_a_shard_locked_is_found(perform, monkeypatch):
    """The one that waits for it is killed first, and once."""
    clock = SimpleNamespace(now=1000.0)
    set_clock(monkeypatch, clock)

    def play(backend):
        yield [backend.push(1)]
        for _ in range(400):
            clock.now += 1
            yield [(1, Ended("signal 9"))] if (1, "killed") in backend.sent and backend.started == [0, 1] else []
        raise EOFError

    with pytest.raises(EOFError):
        perform(play, replace(TRAINING, log_seconds=1e9))
    assert perform.backend.started == [0, 1, 1]
    assert [worker for worker, message in perform.backend.sent if message == "killed"][:2] == [1, 0]


def test_newbob_halves_the_rate_of_all_shards_and_stops_the_workers(tmp_path, perform, monkeypatch):
    accuracies, halvings = iter([0.5, 0.502, 0.5025]), []
    monkeypatch.setattr(evaluations, "evaluate", lambda *_: (1.0, next(accuracies)))

    def evaluated(epoch):
        lines = map(json.loads, (tmp_path / "train.jsonl").read_text().splitlines())
        return any(line["epoch"] == epoch and "dev_accuracy" in line for line in lines)

    def play(backend):
        for epoch in (1, 2, 3):
            yield [backend.push(0, FRAMES), (0, EpochEnd(epoch, backend.shards.state()[0]))]
            while not evaluated(epoch):
                yield []
            yield []
            halvings.append([shard.read_counts().halvings for shard in backend.shards.shards])
        assert {(0, Stop()), (1, Stop())} <= set(backend.sent)
        yield [(worker, Ended("exit code 0")) for worker in (0, 1)]

    perform(play, replace(TRAINING, epochs=6, optimizer="sgd", schedule="newbob"))
    assert halvings == [[0, 0], [1, 1], [2, 2]]
    progress, _, _ = saved(tmp_path)
    assert (progress.finished, progress.epoch) == (True, 3)


def test_a_shard_that_hangs_ends_the_run_with_a_message(perform, monkeypatch):
    def busy():
        raise ShardBusyError("shard 0 of 2 has not answered for 60 s")

    def play(backend):
        yield [backend.push(0), backend.push(1)]
        monkeypatch.setattr(backend.shards, "counts", busy)
        yield []  # by itself, that may pass
        yield [(1, Ended("signal 9"))]

    with pytest.raises(ModelError, match="not answered for 60 s; the same command goes on from the last checkpoint"):
        perform(play)
