"""Pushes that go on while the worker computes."""

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from nnet.asgd.messages import PushResult, Server
from nnet.asgd.shard import Counts


class Overlapping:
    """A server whose pushes go on while the worker computes; each returns the result of the one before.

    The staleness that it reports is counted from that result on: the gradient is older by a push of the worker's own.
    Leaving its context waits for the last push, whose result nobody needs.

    Parameters
    ----------
    server : Server
    """

    def __init__(self, server: Server) -> None:
        self.server, self.pool = server, ThreadPoolExecutor(1)
        self.under_way: Future[PushResult] | None = None
        self.grad = self.received = torch.empty(0)

    def __enter__(self) -> "Overlapping":
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown()
        if self.under_way is not None and error[0] is None:
            self.under_way.result()  # raises what the push has raised

    def pull(self, params: Tensor) -> Counts:
        """Fill the parameters (N,)."""
        return self.server.pull(params)

    def push(self, grad: Tensor, frames: int, params: Tensor) -> PushResult:
        """Wait for the last push, take its result, and begin this one."""
        pushed = PushResult(0, Counts(0, 0, 0))
        if self.under_way is None:
            self.grad, self.received = torch.empty_like(grad), torch.empty_like(params)
        else:
            pushed = self.under_way.result()
            params.copy_(self.received)
        self.grad.copy_(grad)
        self.under_way = self.pool.submit(self.server.push, self.grad, frames, self.received)
        return pushed
