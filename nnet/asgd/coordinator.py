"""The coordinator of asynchronous SGD: takes the workers' reports, evaluates, logs and saves.

It never stands between workers and shards: all that it does goes on beside them.
"""

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from nnet.asgd.backend import Backend, ShardBusyError
from nnet.asgd.evaluations import EvaluationQueue
from nnet.asgd.interrupt import Interrupt
from nnet.asgd.messages import Ended, EpochEnd, Failed, Job, Report, WorkerState
from nnet.asgd.saving import Saving
from nnet.asgd.supervisor import Supervisor, WorkerRecord
from nnet.checkpoint import Progress, TrainingState
from nnet.chunks import Reader
from nnet.epochs import end_epoch
from nnet.errors import ModelError
from nnet.log import TrainingLog, write_log
from nnet.losses import loss_named
from nnet.model import Network
from nnet.schedule import learning_rate
from nnet.sums import Sums

EVENT_SECONDS = 0.1  # for which a step waits for reports
SAVING_SECONDS = 10.0  # for which an interrupted run waits for evaluations, and for the workers' states
GOES_ON = "the same command goes on from the last checkpoint"


class Coordinator:
    """One training run; see `nnet.asgd.training.train_asgd`.

    Parameters
    ----------
    jobs : sequence of Job
        One of each worker.
    backend : Backend
    state : TrainingState
        The model's parameters are views of its ``params``. In the end its ``optimizer`` is what the shards have.
    progress : Progress
    log : TrainingLog
    bar : tqdm
    model : Network
    dev_reader : Reader
    checkpoint : Path
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        backend: Backend,
        state: TrainingState,
        progress: Progress,
        log: TrainingLog,
        bar: "tqdm[Any]",
        model: Network,
        dev_reader: Reader,
        checkpoint: Path,
    ) -> None:
        self.backend, self.state, self.progress, self.log, self.bar = backend, state, progress, log, bar
        self.config, self.shards = jobs[0].training, backend.shards
        self.epoch_ends, self.planned = jobs[0].epoch_ends, jobs[0].planned
        self.supervisor = Supervisor(jobs, backend)
        self.evaluations = EvaluationQueue(model, state.params, dev_reader, loss_named(self.config.loss))
        self.saving = Saving(checkpoint, self.config.checkpoint_seconds, progress.frames, self.supervisor)
        now = time.monotonic()
        self.began, self.logged = now - progress.seconds, now
        self.worker_ended, self.sent_halvings = False, progress.halvings
        self.staleness: Counter[int] = Counter()
        self.epochs_seen, self.stopping = progress.epoch, progress.finished

    def run(self) -> None:
        """Train until the planned frames are seen, and all epochs are evaluated."""
        try:
            with Interrupt() as interrupt, closing(self.evaluations):
                if not self.stopping:
                    self.supervisor.start_all()
                    self.evaluate_missing_epochs()
                while not interrupt.noted and not self.ended():
                    self.step()
                if interrupt.noted:
                    self.save_interrupted()
                    raise KeyboardInterrupt
                self.save()
        except ShardBusyError as error:
            raise ModelError(f"{error}; {GOES_ON}") from error
        except self.backend.lost_errors as error:
            raise ModelError(f"the connection to the cluster is lost; {GOES_ON}") from error

    def ended(self) -> bool:
        """Whether no worker runs and no epoch waits to be evaluated."""
        if self.backend.workers:
            return False
        self.evaluate_missing_epochs()
        return not self.evaluations

    def step(self) -> None:
        """Take the reports of a moment, then do what is due."""
        self.take_events()
        self.progress.seconds = time.monotonic() - self.began
        self.finish_evaluations()
        self.supervisor.kill_stuck_worker()
        if time.monotonic() - self.logged >= self.config.log_seconds and self.progress.since_log.frames:
            self.write_log()
        if self.saving.due(self.progress.frames):
            self.saving.request()
        with suppress(ShardBusyError):  # a worker that hangs may have one locked; the next step tries again
            self.attend_to_shards()

    def attend_to_shards(self) -> None:
        """Do what is due and needs the shards."""
        if self.worker_ended:
            self.evaluate_missing_epochs()
            self.worker_ended = False
        if self.sent_halvings < self.progress.halvings:
            self.shards.halve(self.progress.halvings)
            self.sent_halvings = self.progress.halvings
        if self.saving.ready():
            self.save()

    # events

    def take_events(self) -> None:
        """Wait a moment for the workers' events and take them into account."""
        for record, event in self.supervisor.events(EVENT_SECONDS):
            self.take_event(record, event)

    def take_event(self, record: WorkerRecord, event: Any) -> None:
        """Take an event of a worker into account."""
        if isinstance(event, Report):
            self.supervisor.count_report(record, event)
            self.count_report(event)
        elif isinstance(event, EpochEnd):
            self.evaluate(event.epoch, event.params)
        elif isinstance(event, WorkerState):
            self.supervisor.take_state(record, event)
        elif isinstance(event, Failed):
            raise ModelError(event.error)
        elif isinstance(event, Ended):
            self.take_end(record, event)

    def count_report(self, report: Report) -> None:
        """Add up what a worker has done."""
        progress, frames = self.progress, self.progress.frames
        self.staleness.update(report.pushed.staleness)
        progress.frames = max(frames, report.pushed.counts.frames)
        progress.since_epoch += report.sums
        progress.since_log += report.sums
        self.bar.update(progress.frames - frames)

    def take_end(self, record: WorkerRecord, ended: Ended) -> None:
        """Restart or give up a worker that ended, unless the training is at its end."""
        self.worker_ended = True
        if self.stopping or self.shards.counts().frames >= self.planned:
            record.alive = False
        else:
            self.supervisor.restart_or_give_up(record, ended)

    # epochs

    def evaluate_missing_epochs(self) -> None:
        """Evaluate epochs whose end no worker has reported, as it died, with the weights of now."""
        epochs = bisect_right(self.epoch_ends, self.shards.counts().frames)
        if self.epochs_seen < epochs:
            self.evaluate(epochs, self.shards.state()[0])

    def evaluate(self, epoch: int, params: Tensor) -> None:
        """Begin to evaluate the weights of an epoch, unless that was done for it or a later one."""
        if epoch <= self.epochs_seen:
            return
        self.epochs_seen = epoch
        seconds = time.monotonic() - self.began
        at = replace(self.progress, epoch=epoch - 1, frames=self.epoch_ends[epoch - 1], seconds=seconds)
        sums, self.progress.since_epoch = self.progress.since_epoch, Sums()
        self.evaluations.submit(at, params, sums)

    def finish_evaluations(self) -> None:
        """Take the results of evaluations that are done into account."""
        for evaluation in self.evaluations.finished():
            at, dev, progress = evaluation.progress, evaluation.dev.result(), self.progress
            progress.epoch = at.epoch
            lr = learning_rate(self.config, at.frames, self.planned, progress.halvings)
            write_log(self.log, at, evaluation.sums, lr, dev)
            progress.log_size = at.log_size
            end_epoch(self.config, progress, self.state, evaluation.params, evaluation.sums, dev)
            if progress.finished and not self.stopping:
                self.stopping = True
                self.supervisor.stop_all()
            elif self.saving.requested is None:
                self.saving.request()

    # the log and checkpoints

    def write_log(self) -> None:
        """Add a line to train.jsonl."""
        now, progress = time.monotonic(), self.progress
        seconds, records = now - self.logged, self.supervisor.records
        lr = learning_rate(self.config, progress.frames, self.planned, progress.halvings)
        speed = progress.since_log.frames / seconds
        figures: dict[str, float | list[float]] = {
            "frames_per_second": speed,
            "workers": [round(record.frames / seconds) for record in records],
            "push_share": [round(record.push_seconds / seconds, 4) for record in records],
            "staleness": [self.staleness[k] for k in range(max(self.staleness, default=-1) + 1)],
        }
        write_log(self.log, progress, progress.since_log, lr, None, **figures)
        self.bar.set_postfix(progress.since_log.averages() | {"frames_per_second": speed})
        progress.since_log, self.logged, self.staleness = Sums(), now, Counter()
        for record in records:
            record.frames, record.push_seconds = 0, 0.0

    def save(self) -> None:
        """Write a checkpoint of the shards as they are, and of the states that the workers have sent."""
        params, optimizer, counts = self.shards.state()
        self.bar.update(counts.frames - self.progress.frames)
        self.progress.frames = counts.frames
        since_epoch = self.evaluations.unfinished_sums(self.progress.since_epoch)
        self.state.optimizer = optimizer  # it holds a moving average, which the end of the training needs
        self.saving.save(replace(self.state, params=params), replace(self.progress, since_epoch=since_epoch))

    def save_interrupted(self) -> None:
        """Save before an end by Ctrl-C."""
        tqdm.write("Interrupted: saving (Ctrl-C again: end at once, and go on later from the checkpoint before)")
        self.stopping = True  # a worker that ends now is not restarted
        end = time.monotonic() + SAVING_SECONDS
        while self.evaluations and time.monotonic() < end:
            self.take_events()
            self.finish_evaluations()
        self.saving.request()  # last: the workers train on meanwhile
        while not self.supervisor.all_states_known() and time.monotonic() < end + SAVING_SECONDS:
            self.take_events()
        try:
            self.save()
        except ShardBusyError:
            self.supervisor.kill_all()  # one of them hangs
            self.save()
        tqdm.write(f"Interrupted and saved after {self.progress.frames} frames; the same command goes on from there")
