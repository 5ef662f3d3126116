"""Supervision of the workers: which ones run, which are restarted, given up or killed, and where each one is."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from nnet.asgd.backend import Backend
from nnet.asgd.messages import AddUtterances, Ended, Job, Report, StateRequest, Stop, WorkerState
from nnet.errors import ModelError

STARTING = 300.0  # seconds in which a worker should have started and computed its first gradient
STOPPED = 10.0  # seconds without a look at the workers, after which this process must have been stopped (Ctrl-Z)


@dataclass
class WorkerRecord:
    """What the coordinator knows of a worker.

    Attributes
    ----------
    job : Job
    state : WorkerState
        As of its last report, without what only a checkpoint needs.
    last_report : float
        When it started or reported last.
    alive : bool
        False once it has done its part or is given up.
    working : bool
        Whether it has reported since it was started.
    failures : int
        Since its last report.
    usual_seconds : float
        Between two reports; an upper estimate.
    frames, push_seconds
        Since the last line of the log.
    requested_state : WorkerState, optional
        What it has sent for the checkpoint.
    """

    job: Job
    state: WorkerState
    last_report: float
    alive: bool = True
    working: bool = False
    failures: int = 0
    usual_seconds: float = 0.0
    frames: int = 0
    push_seconds: float = 0.0
    requested_state: WorkerState | None = None

    def known_state(self) -> WorkerState:
        """Where it is, for a checkpoint; without the recurrent states where it had no time to send these."""
        if self.requested_state or not self.working:
            return self.requested_state or self.state
        return replace(self.state, position=replace(self.state.position, rows=()))


class Supervisor:
    """Starts and watches the workers of a training.

    Parameters
    ----------
    jobs : sequence of Job
    backend : Backend
    """

    def __init__(self, jobs: Sequence[Job], backend: Backend) -> None:
        now = time.monotonic()
        self.backend, self.asgd = backend, jobs[0].asgd
        self.records = [WorkerRecord(job, job.state, now) for job in jobs]
        self.silence_counts_from = now  # silence before this is no worker's fault

    def start_all(self) -> None:
        """Start the workers."""
        for record in self.records:
            record.last_report = time.monotonic()
            self.backend.start(record.job)

    def stop_all(self) -> None:
        """Tell the workers that the training is at its end."""
        for worker in self.backend.workers:
            self.backend.send(worker, Stop())

    def kill_all(self) -> None:
        """Kill the workers."""
        for worker in self.backend.workers:
            self.backend.kill(worker)

    def events(self, seconds: float) -> list[tuple[WorkerRecord, Any]]:
        """Wait for at most so long; return what the workers have sent."""
        began = time.monotonic()
        events = list(self.backend.events(seconds))
        if (now := time.monotonic()) - began > STOPPED:
            self.silence_counts_from = now
        return [(self.records[worker], event) for worker, event in events]

    def running(self) -> list[WorkerRecord]:
        """The workers that have started and not ended."""
        return [record for record in self.records if record.job.worker in self.backend.workers]

    def count_report(self, record: WorkerRecord, report: Report) -> None:
        """Note what a worker has done, and that it works."""
        now = time.monotonic()
        if record.working:
            record.usual_seconds = max(0.9 * record.usual_seconds, self.silence(record, now))
        record.working, record.last_report, record.failures = True, now, 0
        record.state = replace(record.state, round=report.round, position=report.position)
        record.frames += report.sums.frames
        record.push_seconds += report.push_seconds
        for worker in report.pushed.partial_updates:
            tqdm.write(f"Warning: worker {worker} died mid-update; that update was applied only partly")

    def restart_or_give_up(self, record: WorkerRecord, ended: Ended) -> None:
        """Restart a worker that ended too early; if it keeps failing, the others take over its data.

        Raises
        ------
        ModelError
            When no worker is left.
        """
        record.failures += 1
        worker = record.job.worker
        if record.failures >= self.asgd.tries:
            return self._give_up(record, ended)
        tqdm.write(f"Warning: worker {worker} ended ({ended.cause}); it is started again")
        position = replace(record.state.position, rows=())  # the recurrent states are lost
        record.state = replace(record.state, position=position)
        record.last_report, record.working = time.monotonic(), False
        self.backend.start(replace(record.job, state=record.state))

    def _give_up(self, record: WorkerRecord, ended: Ended) -> None:
        record.alive, worker = False, record.job.worker
        rest = [other for other in self.records if other.alive]
        if not rest:
            raise ModelError(f"worker {worker} ended ({ended.cause}), the last one; the last checkpoint is kept")
        tqdm.write(
            f"Warning: worker {worker} ended ({ended.cause}) {record.failures} times in a row and is given up; "
            f"{len(rest)} others take over its {len(record.state.utterances)} utterances"
        )
        for k, other in enumerate(rest):
            part = record.state.utterances[k :: len(rest)]
            if part:
                self.backend.send(other.job.worker, AddUtterances(part))
                other.state = WorkerState(other.state.utterances + part, other.state.round + 1)
                other.requested_state = None
        record.state, record.requested_state = WorkerState(()), None

    def kill_stuck_worker(self) -> None:
        """Kill the worker that has been silent for too long, if there is one.

        The others may have waited for a shard that it has locked, so only the one that has been silent longest is
        killed. Workers that are starting are looked at separately: they may be waiting as well, and get more time.
        """
        now, running = time.monotonic(), self.running()
        for working in (True, False):
            record = min((r for r in running if r.working == working), key=lambda r: r.last_report, default=None)
            silent = self.silence(record, now) if record else 0.0
            if record and silent > self.longest_silence(record):
                worker = record.job.worker
                tqdm.write(f"Warning: worker {worker} has not reported for {silent:.0f} s and is killed")
                self.backend.kill(worker)
                self.silence_counts_from = now
                return

    def silence(self, record: WorkerRecord, now: float) -> float:
        """Seconds for which a worker has been silent by its own fault."""
        return now - max(record.last_report, self.silence_counts_from)

    def longest_silence(self, record: WorkerRecord) -> float:
        """Seconds for which a worker may be silent."""
        return max(self.asgd.stuck_seconds, 20 * record.usual_seconds if record.working else STARTING)

    def request_states(self) -> None:
        """Ask the workers for their states, for a checkpoint."""
        self.forget_states()
        for worker in self.backend.workers:
            self.backend.send(worker, StateRequest())

    def take_state(self, record: WorkerRecord, state: WorkerState) -> None:
        """Take a state that a worker has sent, unless it has got more utterances since."""
        if state.utterances == record.state.utterances:
            record.requested_state = state

    def all_states_known(self) -> bool:
        """Whether every running worker has sent its state; that of one that is still starting is known."""
        return all(record.requested_state for record in self.running() if record.working)

    def known_states(self) -> list[WorkerState]:
        """The states of all workers that have data."""
        return [record.known_state() for record in self.records if record.state.utterances]

    def forget_states(self) -> None:
        """Forget what the workers sent for the last checkpoint."""
        for record in self.records:
            record.requested_state = None
