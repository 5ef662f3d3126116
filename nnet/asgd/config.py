"""What a user can set of asynchronous training; an unknown key is refused by the command line."""

from dataclasses import dataclass

from nnet.config import check_values


@dataclass(frozen=True)
class AsgdConfig:
    """How workers and shards work together.

    Parameters
    ----------
    shards : int
        Slices of the parameters.
    push_every : int
        Chunks whose gradients a worker adds up before it sends them.
    overlap : bool
        Whether a worker computes on while its gradient is on the way; it then sees the new parameters a push later.
    tries : int
        How often in a row a worker is started that fails before it has sent a gradient; then the others take its data.
    stuck_seconds : float
        A worker that has not been heard of for so long, and for twenty times its usual time, is ended and started anew;
        one that is starting has two minutes at least.
    """

    shards: int = 4
    push_every: int = 1
    overlap: bool = False
    tries: int = 3
    stuck_seconds: float = 60.0

    def check(self) -> None:
        """Raise a ModelError that names the first value that cannot be."""
        check_values(self, {"shards": 1, "push_every": 1, "tries": 1}, {"stuck_seconds": 0}, "asgd.")
