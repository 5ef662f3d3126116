"""What is added up over chunks, and the figures that a researcher sees of it."""

from dataclasses import asdict, dataclass


@dataclass
class Sums:
    """Sums over frames or chunks since the last line of the log or the last epoch.

    Example
    -------
    >>> (Sums(loss=1.5, frames=2) + Sums(loss=0.5, frames=2)).averages()["loss"]
    0.5
    """

    loss: float = 0.0
    correct: int = 0
    frames: int = 0
    chunks: int = 0
    grad_norm: float = 0.0
    clipped: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    def averages(self) -> dict[str, float]:
        """Return what the log shows: means over frames and chunks, and the speed."""
        return {
            "loss": self.loss / max(self.frames, 1),
            "accuracy": self.correct / max(self.frames, 1),
            "grad_norm": self.grad_norm / max(self.chunks, 1),
            "clipped": self.clipped / max(self.chunks, 1),
            "frames_per_second": self.frames / max(self.seconds, 1e-9),
        }
