"""What a user can set of asynchronous training; an unknown key is refused by the command line."""

from dataclasses import dataclass

from nnet.errors import ModelError


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
        A worker that has not been heard of for so long, and for twenty times its usual time, is ended and started anew.
    """

    shards: int = 4
    push_every: int = 1
    overlap: bool = False
    tries: int = 3
    stuck_seconds: float = 60.0

    def check(self) -> None:
        """Raise a ModelError that names the first value that cannot be."""
        for name in ("shards", "push_every", "tries"):
            if getattr(self, name) < 1:
                raise ModelError(f"asgd.{name} is {getattr(self, name)}; it has to be 1 or more")
        if not self.stuck_seconds > 0:
            raise ModelError(f"asgd.stuck_seconds is {self.stuck_seconds}; it has to be above 0")
