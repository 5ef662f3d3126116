"""Shards as Ray actors.

Gradients and parameters travel as numpy arrays through Ray's object store. A shard takes one call after another, so it
needs no lock, and no update is left half applied: if a shard dies, the run stops.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from torch import Tensor

from nnet.asgd.backend import ShardBusyError
from nnet.asgd.messages import PushResult
from nnet.asgd.shard import Counts, Shard, join_states
from nnet.errors import ModelError
from nnet.optimizer import OptimizerState
from nnet.threads import set_threads

STARTING = 300.0  # seconds for the first answer: the shard's process imports torch first


class ShardActor:
    """A shard in a process of its own.

    Parameters
    ----------
    shard : Shard
    """

    def __init__(self, shard: Shard) -> None:
        set_threads(1)
        self.shard = shard

    def pull(self) -> tuple[NDArray[Any], Counts]:
        """Return the slice of the parameters, and what is counted."""
        return self.shard.params.numpy(), self.counts()

    def counts(self) -> Counts:
        """Return what is counted."""
        return self.shard.read_counts()

    def push(self, grad: NDArray[Any], frames: int, worker: int) -> tuple[NDArray[Any], Counts]:
        """Apply a gradient, and return what `pull` does."""
        self.shard.push(torch.from_numpy(grad.copy()), frames, worker)  # a copy: the object store's are read-only
        return self.pull()

    def state(self) -> tuple[NDArray[Any], dict[str, NDArray[Any]], Counts]:
        """Return all that the shard holds."""
        optimizer = {name: x.numpy() for name, x in self.shard.optimizer.items()}
        return self.shard.params.numpy(), optimizer, self.counts()

    def halve(self, halvings: int) -> None:
        """Set how often the learning rate was halved."""
        self.shard.halve(halvings)


class RayServer:
    """The shards of a cluster, as one process sees them; see `nnet.asgd.backend.Shards`.

    Parameters
    ----------
    actors : sequence of handles of ShardActor
    slices : sequence of slice
        What each holds of all parameters.
    worker : int
        That pushes.
    timeout : float, optional
        Seconds to wait for a shard; then `ShardBusyError` is raised. A shard that has never answered may
        still be starting and has `STARTING` seconds.
    """

    def __init__(
        self,
        actors: Sequence["ActorHandle[ShardActor]"],
        slices: Sequence[slice],
        worker: int = 0,
        timeout: float | None = None,
    ) -> None:
        self.actors, self.slices, self.worker, self.timeout = actors, slices, worker, timeout
        self.started: set[int] = set()  # the shards that have answered
        self.known = [0] * len(actors)

    def of(self, worker: int) -> "RayServer":
        """The same shards as a worker sees them."""
        return RayServer(self.actors, self.slices, worker)

    def pull(self, params: Tensor) -> Counts:
        """Fill the parameters (N,)."""
        counts = self._take(params, [actor.pull.remote() for actor in self.actors])
        self.known = [each.updates for each in counts]
        return counts[0]

    def push(self, grad: Tensor, frames: int, params: Tensor) -> PushResult:
        """Send a gradient (N,) that `frames` frames gave to all shards at once, and fill the parameters (N,)."""
        sent = zip(self.actors, self.slices, strict=True)
        calls = [actor.push.remote(grad[part].numpy(), frames, self.worker) for actor, part in sent]
        counts = self._take(params, calls)
        staleness = tuple(each.updates - 1 - known for each, known in zip(counts, self.known, strict=True))
        self.known = [each.updates for each in counts]
        return PushResult(frames, counts[0], staleness)

    def counts(self) -> Counts:
        """See `nnet.asgd.backend.Shards`."""
        return cast("Counts", self._get([self.actors[0].counts.remote()])[0])

    def state(self) -> tuple[Tensor, OptimizerState, Counts]:
        """See `nnet.asgd.backend.Shards`."""
        params, optimizer, counts = zip(*self._get([actor.state.remote() for actor in self.actors]), strict=True)
        tensors = [{name: torch.tensor(x) for name, x in state.items()} for state in optimizer]
        return torch.from_numpy(np.concatenate(params)), join_states(tensors), counts[0]

    def halve(self, halvings: int) -> None:
        """See `nnet.asgd.backend.Shards`."""
        self._get([actor.halve.remote(halvings) for actor in self.actors])

    def _take(self, params: Tensor, calls: Sequence[Any]) -> list[Counts]:
        values, counts = params.numpy(), []
        for part, (new, each) in zip(self.slices, self._get(calls), strict=True):
            values[part] = new
            counts.append(each)
        return counts

    def _get(self, calls: Sequence[Any]) -> list[Any]:
        """Wait for one answer of each shard."""
        answers = []
        for k, call in enumerate(calls):
            timeout = self.timeout
            if timeout is not None and k not in self.started:
                timeout = max(timeout, STARTING)
            try:
                answers.append(ray.get(call, timeout=timeout))
                self.started.add(k)
            except RayTaskError:
                raise  # an error of our program, which Ray passes on
            except GetTimeoutError as error:
                raise ShardBusyError(f"shard {k} of {len(calls)} has not answered for {timeout:g} s") from error
            except RayError as error:
                raise ModelError(
                    f"shard {k} of {len(calls)}, or its node, is lost ({type(error).__name__}); "
                    "the same command goes on from the last checkpoint"
                ) from error
        return answers
