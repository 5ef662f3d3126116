"""The figures of a training: train.jsonl, a line after each epoch and in between, and the same for TensorBoard."""

import json
from pathlib import Path

from tensorboardX import SummaryWriter

from nnet.checkpoint import Progress
from nnet.errors import naming
from nnet.files import write_bytes
from nnet.sums import Sums

LOG, BOARD = "train.jsonl", "tensorboard"


class TrainingLog:
    """Writes a training run's figures.

    Parameters
    ----------
    directory : path
        Gets train.jsonl and tensorboard/.
    size : int
        Bytes of a train.jsonl that is there already which belong to the run; the rest is cut off.
    frames : int
        Trained on so far.
    skip : int
        Frames of the features from one of the network's outputs to the next. The frames of train.jsonl are outputs;
        where they differ from those of the features, each line has `skip` as well.
    """

    def __init__(self, directory: Path, size: int, frames: int, skip: int = 1) -> None:
        self.path, self.rate = directory / LOG, {} if skip == 1 else {"skip": skip}
        write_bytes(self.path, self.path.read_bytes()[:size] if self.path.exists() else b"")
        # of what a killed run wrote, steps from purge_step on are forgotten; those up to the checkpoint stay
        self.board = SummaryWriter(str(directory / BOARD), purge_step=frames + 1)

    def write(self, frames: int, **figures: float | list[float]) -> int:
        """Add a line; return the size of train.jsonl. TensorBoard gets no lists."""
        with naming(self.path), self.path.open("a") as file:
            file.write(json.dumps({"frames": frames} | self.rate | figures) + "\n")
        for name, value in figures.items():
            if not isinstance(value, list):
                self.board.add_scalar(name, value, frames)
        return self.path.stat().st_size

    def close(self) -> None:
        """Write what TensorBoard has not got yet."""
        self.board.close()


def write_log(
    log: TrainingLog,
    progress: Progress,
    sums: Sums,
    lr: float,
    dev: tuple[float, float] | None = None,
    **more: float | list[float],
) -> None:
    """Append a line to train.jsonl: an epoch's with its loss and accuracy on `dev`, one within an epoch without."""
    figures: dict[str, float | list[float]] = dict(sums.averages())
    if dev is not None:
        figures["dev_loss"], figures["dev_accuracy"] = dev
    progress.log_size = log.write(
        progress.frames, epoch=progress.epoch + 1, seconds=progress.seconds, lr=lr, **figures | more
    )
