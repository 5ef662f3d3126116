"""The coordinator between real shards and workers that do what a test says."""

import json
import os
import re
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from nnet.asgd import coordinator
from nnet.asgd.checkpoint import load_places, of_places
from nnet.asgd.config import AsgdConfig
from nnet.asgd.coordinator import partition, train_asgd
from nnet.asgd.crew import Ended, ShardBusyError
from nnet.asgd.local import LocalServer, create_shards
from nnet.asgd.memory import close_memory
from nnet.asgd.shard import NOBODY, joined
from nnet.asgd.worker import Deposit, EpochEnd, Report, Stop
from nnet.checkpoint import Progress, Run, Sums, load_checkpoint, save_checkpoint
from nnet.chunks import Position
from nnet.config import TrainConfig
from nnet.errors import ModelError
from nnet.model import AcousticModel, initialise
from nnet.optimizer import flatten, initial_state
from tests.nnet import synthetic

TRAINING = TrainConfig(streams=4, epochs=3, initial_lr=0.01, final_lr=0.001, log_seconds=0, checkpoint_seconds=1e9)
DATA, DEV = synthetic.bits(10, -2), synthetic.bits(3, -2, seed=1)
FRAMES = sum(len(feats) for feats, _ in DATA.values())


class Staged:
    """The crew of a play: each act gives the events of one moment."""

    lost = ()

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
    model = AcousticModel(synthetic.RECURRENT, input_dim=2, num_pdfs=2)
    initialise(model, seed=1)
    return model


@pytest.fixture
def perform(tmp_path, monkeypatch):
    """Let a training's two workers play; `perform.crew` is who played."""

    def run(play, training=TRAINING):
        def start_crew(cluster, shards, workers, threads):
            run.crew = Staged(shards, play)
            return run.crew

        monkeypatch.setattr(coordinator, "start_crew", start_crew)
        train_asgd(model_of(), DATA, DEV, training, AsgdConfig(shards=2), tmp_path, seed=1, workers=2)

    return run


def saved(tmp_path):
    """What a checkpoint has: progress, run, places."""
    params, _ = flatten(model_of())
    run = Run(params, optimizer=initial_state(TRAINING, params))
    path = tmp_path / "checkpoint.safetensors"
    return load_checkpoint(path, run), run, load_places(path)


def test_a_run_goes_on_with_the_optimizers_state_the_frames_and_the_halvings(tmp_path, perform):
    params, _ = flatten(model_of())
    optimizer = {
        name: torch.rand_like(x.float()).to(x.dtype) + 1 for name, x in initial_state(TRAINING, params).items()
    }
    progress = Progress(epoch=1, frames=FRAMES + 7, halvings=2, kept=[(1, 0.5)])
    save_checkpoint(tmp_path / "checkpoint.safetensors", Run(params + 1, [params + 2], optimizer), progress)

    def play(crew):
        while True:
            yield [(worker, Ended("signal 9")) for worker in list(crew.jobs)]

    with pytest.raises(ModelError, match="the last one"):
        perform(play)
    shards = perform.crew.given
    assert torch.equal(torch.cat([shard.params for shard in shards]), params + 1)
    held = joined([shard.optimizer for shard in shards])
    assert held.keys() == optimizer.keys() != set()
    assert all(torch.equal(held[name], optimizer[name]) for name in held)
    assert all(shard.counts.tolist() == [0, FRAMES + 7, 2, NOBODY] for shard in shards)


def test_interrupt_while_a_worker_starts(tmp_path, perform, capsys):
    """Its place is known, and it is not waited for; what others have pushed and not told of yet is counted."""
    params, _ = flatten(model_of())
    places = [replace(place, position=Position(next=3, rows=((1, 10), (2, 20)))) for place in partition(DATA, 2)]
    run = Run(params, optimizer=initial_state(TRAINING, params))
    save_checkpoint(tmp_path / "checkpoint.safetensors", run, Progress(frames=100), *of_places(places))

    def play(crew):
        yield [crew.push(0)]
        os.kill(os.getpid(), signal.SIGINT)
        yield []
        crew.push(0)
        yield [(0, replace(places[0], position=Position(next=5, rows=((4, 3),))))]
        pytest.fail("someone is waited for in vain")

    with pytest.raises(KeyboardInterrupt):
        perform(play)
    assert {(0, Deposit()), (1, Deposit())} <= set(perform.crew.sent)
    progress, _, (first, second) = saved(tmp_path)
    assert first.position == Position(next=5, rows=((4, 3),))
    assert second == places[1]
    frames = re.search(r"Interrupted and saved after (\d+) frames", capsys.readouterr().out)
    assert int(frames[1]) == progress.frames == 140


def test_who_dies_of_the_interrupt_is_not_started_again(tmp_path, perform):
    def play(crew):
        yield [crew.push(0), crew.push(1)]
        os.kill(os.getpid(), signal.SIGINT)
        yield []
        yield [(0, crew.jobs[0].place), (1, Ended("signal 2"))]

    with pytest.raises(KeyboardInterrupt):
        perform(play)
    assert perform.crew.started == [0, 1]
    _, _, (_, second) = saved(tmp_path)
    assert second.position == Position(next=1)  # its states went with it


def test_interrupt_amid_a_turn_waits_for_its_end(tmp_path, perform):
    """A report that was heard is counted as a whole, and an epoch under way is evaluated before the checkpoint."""

    def play(crew):
        yield [crew.push(0, FRAMES), crew.push(1)]
        os.kill(os.getpid(), signal.SIGINT)
        yield [(0, EpochEnd(1, crew.shards.state()[0]))]
        while True:
            yield [(worker, crew.jobs[worker].place) for worker in (0, 1)]

    with pytest.raises(KeyboardInterrupt):
        perform(play)
    progress, run, _ = saved(tmp_path)
    assert (progress.frames, progress.epoch, len(run.kept)) == (FRAMES + 20, 1, 1)
    (line,) = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()][-1:]
    assert (line["epoch"], line["loss"]) == (1, pytest.approx(2 / (FRAMES + 20)))


def test_a_checkpoint_amid_an_evaluation_has_the_epochs_sums(tmp_path, perform, monkeypatch):
    monkeypatch.setattr(coordinator, "evaluate", lambda *_: pytest.fail("it is not waited for"))
    monkeypatch.setattr(
        coordinator, "ThreadPoolExecutor", lambda _: SimpleNamespace(submit=Never, shutdown=lambda **_: None)
    )

    def play(crew):
        yield [crew.push(0, FRAMES), (0, EpochEnd(1, crew.shards.state()[0])), crew.push(1)]
        yield [(worker, crew.jobs[worker].place) for worker in (0, 1)]
        raise EOFError

    with pytest.raises(EOFError):
        perform(play, replace(TRAINING, checkpoint_seconds=0))
    progress, _, _ = saved(tmp_path)
    assert (progress.epoch, progress.since_epoch.frames, progress.since_epoch.loss) == (0, FRAMES + 20, 2.0)


class Never:
    """An evaluation that does not end."""

    def __init__(self, *_):
        pass

    def done(self):
        return False


@pytest.mark.parametrize("stopped", [True, False])
def test_who_was_not_heard_while_the_coordinator_was_stopped_is_not_stuck(perform, monkeypatch, stopped):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(coordinator, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def play(crew):
        yield [crew.push(0), crew.push(1)]
        if stopped:
            clock.now += 100
        else:
            for _ in range(100):
                clock.now += 1
                yield [crew.push(0)]
        yield [crew.push(0)]
        raise EOFError

    with pytest.raises(EOFError):
        perform(play, replace(TRAINING, log_seconds=1e9))
    assert ((1, "killed") in perform.crew.sent) == (not stopped)


def test_who_starts_is_not_taken_for_the_one_that_it_waits_for(perform, monkeypatch):
    """Worker 0 hangs with a shard locked before worker 1 has computed anything."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(coordinator, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def play(crew):
        clock.now += 1
        yield [crew.push(0)]
        for _ in range(100):
            clock.now += 1
            yield []
        raise EOFError

    with pytest.raises(EOFError):
        perform(play, replace(TRAINING, log_seconds=1e9))
    assert [worker for worker, message in perform.crew.sent if message == "killed"][:1] == [0]


def test_one_that_starts_and_hangs_with_a_shard_locked_is_found(perform, monkeypatch):
    """Who waits for it is ended first, and once."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(coordinator, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def play(crew):
        yield [crew.push(1)]
        for _ in range(400):
            clock.now += 1
            yield [(1, Ended("signal 9"))] if (1, "killed") in crew.sent and crew.started == [0, 1] else []
        raise EOFError

    with pytest.raises(EOFError):
        perform(play, replace(TRAINING, log_seconds=1e9))
    assert perform.crew.started == [0, 1, 1]
    assert [worker for worker, message in perform.crew.sent if message == "killed"][:2] == [1, 0]


def test_newbob_halves_the_rate_of_all_shards_and_stops_the_workers(tmp_path, perform, monkeypatch):
    accuracies, halvings = iter([0.5, 0.502, 0.5025]), []
    monkeypatch.setattr(coordinator, "evaluate", lambda *_: (1.0, next(accuracies)))

    def evaluated(epoch):
        lines = map(json.loads, (tmp_path / "train.jsonl").read_text().splitlines())
        return any(line["epoch"] == epoch and "dev_accuracy" in line for line in lines)

    def play(crew):
        for epoch in (1, 2, 3):
            yield [crew.push(0, FRAMES), (0, EpochEnd(epoch, crew.shards.state()[0]))]
            while not evaluated(epoch):
                yield []
            yield []
            halvings.append([shard.answer().halvings for shard in crew.shards.shards])
        assert {(0, Stop()), (1, Stop())} <= set(crew.sent)
        yield [(worker, Ended("exit code 0")) for worker in (0, 1)]

    perform(play, replace(TRAINING, epochs=6, optimizer="sgd", schedule="newbob"))
    assert halvings == [[0, 0], [1, 1], [2, 2]]
    progress, _, _ = saved(tmp_path)
    assert (progress.finished, progress.epoch) == (True, 3)


def test_a_shard_that_hangs_ends_the_run_with_a_message(perform, monkeypatch):
    def busy():
        raise ShardBusyError("shard 0 of 2 has not answered for 60 s")

    def play(crew):
        yield [crew.push(0), crew.push(1)]
        monkeypatch.setattr(crew.shards, "answer", busy)
        yield []  # by itself, that may pass
        yield [(1, Ended("signal 9"))]

    with pytest.raises(ModelError, match="not answered for 60 s; the same command goes on from the last checkpoint"):
        perform(play)
