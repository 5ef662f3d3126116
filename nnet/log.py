"""What a researcher watches: train.jsonl, one line of figures after the other, and the same for TensorBoard."""

import json
from pathlib import Path

from tensorboardX import SummaryWriter

from nnet.errors import naming
from nnet.files import write_bytes

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
    """

    def __init__(self, directory: Path, size: int, frames: int) -> None:
        self.path = directory / LOG
        write_bytes(self.path, self.path.read_bytes()[:size] if self.path.exists() else b"")
        # of what a killed run wrote, steps from purge_step on are forgotten; those up to the checkpoint stay
        self.board = SummaryWriter(str(directory / BOARD), purge_step=frames + 1)

    def write(self, frames: int, **figures: float | list[float]) -> int:
        """Add a line; return the size of train.jsonl. TensorBoard gets no lists."""
        with naming(self.path), self.path.open("a") as file:
            file.write(json.dumps({"frames": frames} | figures) + "\n")
        for name, value in figures.items():
            if not isinstance(value, list):
                self.board.add_scalar(name, value, frames)
        return self.path.stat().st_size

    def close(self) -> None:
        """Write what TensorBoard has not got yet."""
        self.board.close()
