"""When checkpoints of asynchronous SGD are written: the workers are asked for their states first."""

import time
from pathlib import Path

from nnet.asgd.checkpoint import worker_states_to_save
from nnet.asgd.supervisor import Supervisor
from nnet.checkpoint import Progress, TrainingState, save_checkpoint

STATE_SECONDS = 10.0  # in which a worker should send its state for a checkpoint


class Saving:
    """Writes the checkpoints of a training.

    Parameters
    ----------
    path : Path
    interval : float
        Seconds between two checkpoints.
    frames : int
        Those of the checkpoint that is there; 0 for none.
    supervisor : Supervisor
        Of the workers.

    Attributes
    ----------
    requested : float, optional
        When the workers were asked for their states; None: nothing is under way.
    """

    def __init__(self, path: Path, interval: float, frames: int, supervisor: Supervisor) -> None:
        self.path, self.interval, self.saved_frames, self.supervisor = path, interval, frames, supervisor
        self.saved = time.monotonic()
        self.requested: float | None = None

    def due(self, frames: int) -> bool:
        """Whether there is something new and the last checkpoint is old enough."""
        late = time.monotonic() - self.saved >= self.interval
        return self.requested is None and frames > self.saved_frames and late

    def request(self) -> None:
        """Ask the workers for their states."""
        self.requested = time.monotonic()
        self.supervisor.request_states()

    def ready(self) -> bool:
        """Whether all workers have sent their states, or were waited for long enough."""
        if self.requested is None:
            return False
        return time.monotonic() - self.requested > STATE_SECONDS or self.supervisor.all_states_known()

    def save(self, state: TrainingState, progress: Progress) -> None:
        """Write a checkpoint."""
        tensors, metadata = worker_states_to_save(self.supervisor.known_states())
        save_checkpoint(self.path, state, progress, tensors, metadata)
        self.saved_frames, self.requested, self.saved = progress.frames, None, time.monotonic()
        self.supervisor.forget_states()
