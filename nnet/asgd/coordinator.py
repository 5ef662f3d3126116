"""Training by asynchronous SGD as a whole: starts workers, hears their reports, evaluates, logs and saves.

The coordinator never stands between workers and shards: all that it does goes on beside them.
"""

import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from nnet.asgd.checkpoint import load_places, of_places
from nnet.asgd.config import AsgdConfig, shared
from nnet.asgd.crew import Crew, Ended, ShardBusyError
from nnet.asgd.local import LocalCrew
from nnet.asgd.shard import NOBODY, Shard, cut, sliced
from nnet.asgd.worker import Deposit, EpochEnd, Failed, Job, Place, Report, Stop, TakeOver
from nnet.checkpoint import Progress, Run, Sums, load_checkpoint, save_checkpoint
from nnet.chunks import Reader
from nnet.config import TrainConfig, check_pair
from nnet.errors import ModelError
from nnet.log import TrainingLog
from nnet.model import AcousticModel
from nnet.optimizer import flatten, initial_state
from nnet.threads import set_threads
from nnet.train import (
    CHECKPOINT,
    EVALUATED_SIDE_BY_SIDE,
    Result,
    add,
    averages,
    check_data,
    end_epoch,
    evaluate,
    learning_rate,
    pdf_weights,
    take_kept,
    write_log,
)

LOCAL = "local"
PATIENCE = 10.0  # seconds in which a worker should tell its place for a checkpoint
STARTING = 300.0  # seconds in which a worker should have started and computed its first gradient
LISTEN = 0.1  # seconds between two looks at what else there is to do


def train_asgd(
    model: AcousticModel,
    reader: Reader,
    dev_reader: Reader,
    config: TrainConfig,
    asgd: AsgdConfig,
    directory: str | Path,
    seed: int = 0,
    workers: int = 2,
    threads: int = 1,
    silence_pdfs: Sequence[int] = (),
    cluster: str = LOCAL,
) -> Result:
    """Train a model by asynchronous SGD and leave the weights of its best epochs in it.

    With one worker, one shard, a push for every chunk, no overlap and a learning rate that no evaluation changes, the
    weights are those of `nnet.train.train`, bit for bit; otherwise no two runs are the same.

    Parameters
    ----------
    model, reader, dev_reader, config, directory, seed, silence_pdfs
        See `nnet.train.train`; the readers are sent to other processes.
    asgd : AsgdConfig
    workers : int
        Processes that compute gradients, each on its own part of the utterances.
    threads : int
        Of each worker.
    cluster : str
        Where workers and shards run: "local", on this machine, or see `nnet.asgd.cluster.connect`.

    Raises
    ------
    ModelError
        When the data does not fit the model or is too little for so many workers, when the cluster is not there or too
        small, when the loss is not finite, or no worker is left or a shard is lost; the last checkpoint stays.
    """
    check_pair(model.config, config)
    asgd.check()
    config = shared(config, asgd, workers)
    directory = Path(directory)
    set_threads(1)
    frames_per_epoch = check_data(model, reader, "training")
    check_data(model, dev_reader, "dev")
    places = partition(reader, workers)

    params, _ = flatten(model)
    run, progress = Run(params, optimizer=initial_state(config, params)), Progress()
    if (directory / CHECKPOINT).exists():
        progress = load_checkpoint(directory / CHECKPOINT, run)
        places = resumed(load_places(directory / CHECKPOINT), places)
        print(f"Resuming in epoch {progress.epoch + 1} after {progress.frames} frames")
    planned = config.epochs * frames_per_epoch
    shards = []
    for part in cut(len(params), asgd.shards):
        counts = torch.tensor([0, progress.frames, progress.halvings, NOBODY])
        shards.append(Shard(params[part], sliced(run.optimizer, part), counts, config, planned))
    weights = pdf_weights(model.num_pdfs, silence_pdfs, config.silence_weight)
    jobs = [
        Job(
            k, place, model.config, model.input_dim, model.num_pdfs, config, asgd, reader, seed, threads,
            frames_per_epoch, weights,
        )
        for k, place in enumerate(places)
    ]  # fmt: skip
    print(f"workers: {workers}, streams of each: {config.streams}, learning rate from {config.initial_lr:.2g}")
    crew = start_crew(cluster, shards, workers, threads)
    log = TrainingLog(directory, progress.log_size, progress.frames)
    bar = tqdm(total=planned, initial=progress.frames, unit="frame", unit_scale=True, disable=None)
    with closing(crew), closing(log), closing(bar):
        Coordinator(jobs, crew, run, progress, log, bar, model, dev_reader, directory / CHECKPOINT).run()
    return take_kept(model, run, progress, dev_reader, config)


def start_crew(cluster: str, shards: Sequence[Shard], workers: int, threads: int) -> Crew:
    """Put the shards where so many workers will be."""
    if cluster == LOCAL:
        return LocalCrew(shards)
    if not re.fullmatch(r"ray|ray://.+:\d+", cluster):
        raise ModelError(f"cluster is '{cluster}'; there are local, ray and ray://HOST:PORT")
    try:
        from nnet.asgd.cluster import RayCrew  # Ray is no requirement of the rest
    except ModuleNotFoundError as error:
        raise ModelError("--cluster needs Ray: python -m pip install -r requirements-cluster.txt") from error
    return RayCrew(shards, cluster, workers, threads)


def partition(reader: Reader, workers: int) -> list[Place]:
    """Deal the utterances out to workers.

    Raises
    ------
    ModelError
        When there are fewer utterances than workers.
    """
    names = sorted(reader)
    if len(names) < workers:
        raise ModelError(f"{len(names)} utterances are too few for {workers} workers")
    return [Place(tuple(names[k::workers])) for k in range(workers)]


def resumed(saved: list[Place], new: list[Place]) -> list[Place]:
    """The saved places, where they are of the same utterances and as many workers; new ones otherwise."""
    if len(saved) == len(new) and all_utterances(saved) == all_utterances(new):
        return saved
    print(f"The checkpoint is of {len(saved)} workers: these {len(new)} begin their parts of the data anew")
    rounds = 1 + max((place.round for place in saved), default=-1)  # in another order than before
    return [replace(place, round=rounds) for place in new]


def all_utterances(places: Sequence[Place]) -> list[str]:
    """The utterances of all workers."""
    return sorted(utterance for place in places for utterance in place.utterances)


@dataclass
class Member:
    """What the coordinator knows of a worker."""

    job: Job
    place: Place
    heard: float
    alive: bool = True
    working: bool = False  # has reported since it was started
    failures: int = 0  # since its last report
    usual_seconds: float = 0.0  # between two reports
    frames: int = 0
    push_seconds: float = 0.0
    deposit: Place | None = None


class Coordinator:
    """One training run; see `train_asgd`."""

    def __init__(
        self,
        jobs: Sequence[Job],
        crew: Crew,
        run: Run,
        progress: Progress,
        log: TrainingLog,
        bar: tqdm,
        model: AcousticModel,
        dev_reader: Reader,
        checkpoint: Path,
    ) -> None:
        self.crew, self.stored, self.progress, self.log, self.bar = crew, run, progress, log, bar
        self.model, self.dev_reader, self.checkpoint = model, dev_reader, checkpoint
        self.config, self.asgd = jobs[0].training, jobs[0].asgd
        self.per_epoch, self.planned = jobs[0].frames_per_epoch, jobs[0].planned
        self.shards = crew.shards
        now = time.monotonic()
        self.members = [Member(job, job.place, now) for job in jobs]
        self.began = now - progress.seconds
        self.logged = self.saved = now
        self.pardoned = now  # silence before this is nobody's fault
        self.held = progress.frames  # in the checkpoint
        self.asked: float | None = None  # when the workers were asked for their places
        self.one_ended, self.halvings_told = False, progress.halvings
        self.staleness: Counter[int] = Counter()
        self.epochs_seen, self.stopping = progress.epoch, progress.finished
        self.interrupted = False  # by Ctrl-C, which is looked at between two turns: amid one, nothing is whole
        self.evaluator = ThreadPoolExecutor(1)  # dev is evaluated while the workers go on
        self.evaluations: list[tuple[Progress, Tensor, Sums, Future[tuple[float, float]]]] = []

    def run(self) -> None:
        """Train until the planned frames are seen, and all epochs are evaluated."""
        handler = signal.signal(signal.SIGINT, self.note_interrupt)
        try:
            if not self.stopping:
                for member in self.members:
                    member.heard = time.monotonic()
                    self.crew.start(member.job)
                self.take_missing_epochs()
            while not self.interrupted and not self.ended():
                self.turn()
            if self.interrupted:
                self.interrupt()
                raise KeyboardInterrupt
            self.save()
        except ShardBusyError as error:
            raise ModelError(f"{error}; the same command goes on from the last checkpoint") from error
        except self.crew.lost as error:
            lost = "the connection to the cluster is lost"
            raise ModelError(f"{lost}; the same command goes on from the last checkpoint") from error
        finally:
            self.evaluator.shutdown(wait=False, cancel_futures=True)
            signal.signal(signal.SIGINT, handler)

    def note_interrupt(self, *_: object) -> None:
        """Let the first Ctrl-C save; a second one, in case that takes too long, ends all at once."""
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def ended(self) -> bool:
        """Whether there is nothing more to hear and to evaluate."""
        if self.crew.workers:
            return False
        self.take_missing_epochs()
        return not self.evaluations

    def turn(self) -> None:
        """Hear what the workers say for a moment, then do what is due."""
        self.listen()
        self.progress.seconds = time.monotonic() - self.began
        self.finish_evaluations()
        self.end_stuck_worker()
        now = time.monotonic()
        if now - self.logged >= self.config.log_seconds and self.progress.since_log.frames:
            self.write_log()
        news = self.progress.frames > self.held
        if self.asked is None and news and now - self.saved >= self.config.checkpoint_seconds:
            self.ask_for_places()
        with suppress(ShardBusyError):  # a worker may hang that has one locked; the next turn tries again
            self.attend_to_shards()

    def listen(self) -> None:
        """Hear what the workers say within a moment."""
        began = time.monotonic()
        events = list(self.crew.events(LISTEN))
        if (now := time.monotonic()) - began > PATIENCE:  # this process was stopped (Ctrl-Z): it heard nobody meanwhile
            self.pardoned = now
        for worker, event in events:
            self.hear(self.members[worker], event)

    def attend_to_shards(self) -> None:
        """Do what is due and needs the shards."""
        if self.one_ended:
            self.take_missing_epochs()
            self.one_ended = False
        if self.halvings_told < self.progress.halvings:
            self.shards.halve(self.progress.halvings)
            self.halvings_told = self.progress.halvings
        if self.asked is not None and (time.monotonic() - self.asked > PATIENCE or self.all_told()):
            self.save()

    def there(self) -> list[Member]:
        """The workers that are there."""
        return [member for member in self.members if member.job.worker in self.crew.workers]

    def all_told(self) -> bool:
        """Whether all workers have told their places; of one that is starting it is known."""
        return all(member.deposit for member in self.there() if member.working)

    # what the workers say

    def hear(self, member: Member, event: Any) -> None:
        """Take an event of a worker into account."""
        if isinstance(event, Report):
            self.hear_report(member, event)
        elif isinstance(event, EpochEnd):
            self.evaluate(event.epoch, event.params)
        elif isinstance(event, Place):
            if event.utterances == member.place.utterances:  # it may have been told to take over others since
                member.deposit = event
        elif isinstance(event, Failed):
            raise ModelError(event.error)
        elif isinstance(event, Ended):
            self.replace_worker(member, event)

    def hear_report(self, member: Member, report: Report) -> None:
        """Add up what a worker has done."""
        now, frames = time.monotonic(), self.progress.frames
        if member.working:
            member.usual_seconds = max(0.9 * member.usual_seconds, self.silence(member, now))
        member.working, member.heard, member.failures = True, now, 0
        member.place = replace(member.place, round=report.round, position=report.position)
        member.frames += report.sums.frames
        member.push_seconds += report.push_seconds
        self.staleness.update(report.pushed.staleness)
        for worker in report.pushed.cut_off:
            tqdm.write(f"Warning: worker {worker} died amid an update; a part of one slice has it, the rest has not")
        self.progress.frames = max(frames, report.pushed.answer.frames)
        self.progress.since_epoch = add(self.progress.since_epoch, report.sums)
        self.progress.since_log = add(self.progress.since_log, report.sums)
        self.bar.update(self.progress.frames - frames)

    def replace_worker(self, member: Member, ended: Ended) -> None:
        """Start a worker again that ended before its time, or hand its data to the others."""
        self.one_ended = True
        if self.stopping or self.shards.answer().frames >= self.planned:
            member.alive = False
            return
        member.failures += 1
        cause, worker = ended.cause, member.job.worker
        if member.failures < self.asgd.tries:
            tqdm.write(f"Warning: worker {worker} ended ({cause}); it is started again")
            position = replace(member.place.position, rows=())  # the states of what was under way are lost
            member.place = replace(member.place, position=position)
            member.heard, member.working = time.monotonic(), False
            self.crew.start(replace(member.job, place=member.place))
            return
        member.alive = False
        rest = [other for other in self.members if other.alive]
        if not rest:
            raise ModelError(f"worker {worker} ended ({cause}), the last one; the last checkpoint is kept")
        tqdm.write(
            f"Warning: worker {worker} ended ({cause}) {member.failures} times in a row and is given up; "
            f"{len(rest)} others take over its {len(member.place.utterances)} utterances"
        )
        for k, other in enumerate(rest):
            part = member.place.utterances[k :: len(rest)]
            if part:
                self.crew.send(other.job.worker, TakeOver(part))
                other.place = Place(other.place.utterances + part, other.place.round + 1)
                other.deposit = None
        member.place, member.deposit = Place(()), None

    def end_stuck_worker(self) -> None:
        """Kill a worker that is silent for too long; the others may have waited for what it has locked.

        Of several it is the one that was heard first, but those that start are looked at by themselves: they may wait
        as well, and are given more time.
        """
        now, there = time.monotonic(), self.there()
        for working in (True, False):
            member = min((m for m in there if m.working == working), key=lambda m: m.heard, default=None)
            silent = self.silence(member, now) if member else 0.0
            if member and silent > self.longest_silence(member):
                tqdm.write(f"Warning: worker {member.job.worker} has not been heard of for {silent:.0f} s and is ended")
                self.crew.kill(member.job.worker)
                self.pardoned = now
                return

    def silence(self, member: Member, now: float) -> float:
        """Seconds for which a worker is silent by its own fault."""
        return now - max(member.heard, self.pardoned)

    def longest_silence(self, member: Member) -> float:
        """Seconds for which a worker may be silent."""
        return max(self.asgd.stuck_seconds, 20 * member.usual_seconds if member.working else STARTING)

    # epochs

    def take_missing_epochs(self) -> None:
        """Evaluate epochs that no worker told the end of, as it died, with the weights of now."""
        epochs = self.shards.answer().frames // self.per_epoch
        if self.epochs_seen < epochs:
            self.evaluate(epochs, self.shards.state()[0])

    def evaluate(self, epoch: int, params: Tensor) -> None:
        """Begin to evaluate the weights of an epoch, unless that was done for it or a later one."""
        if epoch <= self.epochs_seen:
            return
        self.epochs_seen = epoch
        seconds = time.monotonic() - self.began
        at = replace(self.progress, epoch=epoch - 1, frames=epoch * self.per_epoch, seconds=seconds)
        sums, self.progress.since_epoch = self.progress.since_epoch, Sums()
        self.evaluations.append((at, params, sums, self.evaluator.submit(self.evaluated, params)))

    def evaluated(self, params: Tensor) -> tuple[float, float]:
        """Evaluate dev."""
        self.stored.params.copy_(params)  # of which the model's are views
        return evaluate(self.model, self.dev_reader, EVALUATED_SIDE_BY_SIDE)

    def finish_evaluations(self) -> None:
        """Take the results of evaluations that are done into account."""
        while self.evaluations and self.evaluations[0][3].done():
            at, params, sums, future = self.evaluations.pop(0)
            dev = future.result()
            self.progress.epoch = at.epoch
            lr = learning_rate(self.config, at.frames, self.planned, self.progress.halvings)
            write_log(self.log, at, sums, lr, dev)
            self.progress.log_size = at.log_size
            end_epoch(self.config, self.progress, self.stored, params, sums, dev)
            if self.progress.finished and not self.stopping:
                self.stopping = True
                for worker in self.crew.workers:
                    self.crew.send(worker, Stop())
            elif self.asked is None:
                self.ask_for_places()

    # the log and checkpoints

    def write_log(self) -> None:
        """Add a line to train.jsonl."""
        now, progress = time.monotonic(), self.progress
        seconds = now - self.logged
        lr = learning_rate(self.config, progress.frames, self.planned, progress.halvings)
        figures = {
            "frames_per_second": progress.since_log.frames / seconds,
            "workers": [round(member.frames / seconds) for member in self.members],
            "push_share": [round(member.push_seconds / seconds, 4) for member in self.members],
            "staleness": [self.staleness[k] for k in range(max(self.staleness, default=-1) + 1)],
        }
        write_log(self.log, progress, progress.since_log, lr, None, **figures)
        self.bar.set_postfix(averages(progress.since_log) | {"frames_per_second": figures["frames_per_second"]})
        progress.since_log, self.logged, self.staleness = Sums(), now, Counter()
        for member in self.members:
            member.frames, member.push_seconds = 0, 0.0

    def ask_for_places(self) -> None:
        """Ask the workers where they are, for a checkpoint."""
        self.asked = time.monotonic()
        for member in self.members:
            member.deposit = None
        for worker in self.crew.workers:
            self.crew.send(worker, Deposit())

    def save(self) -> None:
        """Write a checkpoint of the shards as they are, and of the places that the workers told."""
        params, optimizer, answer = self.shards.state()
        run = replace(self.stored, params=params, optimizer=optimizer)
        self.bar.update(answer.frames - self.progress.frames)
        self.progress.frames = self.held = answer.frames
        tensors, metadata = of_places([known_place(member) for member in self.members if member.place.utterances])
        # an epoch whose evaluation is under way is evaluated again by the run that goes on from here
        since_epoch = reduce(add, (sums for _, _, sums, _ in self.evaluations), self.progress.since_epoch)
        save_checkpoint(self.checkpoint, run, replace(self.progress, since_epoch=since_epoch), tensors, metadata)
        self.asked, self.saved = None, time.monotonic()
        for member in self.members:
            member.deposit = None

    def interrupt(self) -> None:
        """Save before an end by Ctrl-C."""
        tqdm.write("Interrupted: saving (Ctrl-C again: end at once, and go on later from the checkpoint before)")
        self.stopping = True  # who ends now is not started again
        end = time.monotonic() + PATIENCE
        while self.evaluations and time.monotonic() < end:
            self.listen()
            self.finish_evaluations()
        self.ask_for_places()  # last: they train on meanwhile
        while not self.all_told() and time.monotonic() < end + PATIENCE:
            self.listen()
        try:
            self.save()
        except ShardBusyError:
            for worker in self.crew.workers:
                self.crew.kill(worker)  # one of them hangs
            self.save()
        tqdm.write(f"Interrupted and saved after {self.progress.frames} frames; the same command goes on from there")


def known_place(member: Member) -> Place:
    """Where a worker was when it last told; without the states under way where it had no time to send these."""
    if member.deposit or not member.working:
        return member.deposit or member.place
    return replace(member.place, position=replace(member.place.position, rows=()))
