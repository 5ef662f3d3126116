"""Asynchronous SGD in one process, to read: workers take turns at the shards of a parameter server.

It is the algorithm of Dean et al., "Large scale distributed deep networks" (2012), as `nnet.asgd` runs it in many
processes, without any of what that needs: locks, messages, restarts, checkpoints. With one worker it is plain training;
with several, each gradient is of weights that the others have changed since.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nnet.asgd.shard import Shard, slices_of

Gradient = Callable[[Tensor], tuple[Tensor, int]]
"""A worker: from parameters (N,) to its next gradient (N,), and the frames that this is of."""


def train_in_turns(shards: Sequence[Shard], workers: Sequence[Gradient], planned: int) -> Tensor:
    """Train until the planned frames are seen.

    Parameters
    ----------
    shards : sequence of Shard
        The parameters in slices; they are changed in place.
    workers : sequence of callable
        See `Gradient`.
    planned : int
        Frames.

    Returns
    -------
    Tensor, shape (N,)
        The parameters.

    Example
    -------
    Two workers minimise (w - 1)² by SGD at a rate of 0.25. The second one pulled the same weights as the first, whose
    push came in between: its gradient is stale.

    >>> from nnet.asgd.shard import new_shard
    >>> from nnet.config import TrainConfig
    >>> config = TrainConfig(optimizer="sgd", momentum=0.0, initial_lr=0.25, final_lr=0.25)
    >>> worker = lambda w: (2 * (w - 1), 1)
    >>> train_in_turns([new_shard(torch.zeros(1), config, planned=2)], [worker, worker], planned=2)
    tensor([1.])
    >>> train_in_turns([new_shard(torch.zeros(1), config, planned=2)], [worker], planned=2)
    tensor([0.7500])
    """
    slices, frames = slices_of(shards), 0
    pulled = [pull(shards) for _ in workers]  # all start from the same parameters
    while frames < planned:
        for k, worker in enumerate(workers):
            grad, seen = worker(pulled[k])  # of parameters that are stale by the pushes of the others
            for shard, part in zip(shards, slices, strict=True):
                shard.push(grad[part], seen, worker=k)  # each shard at once, at its own learning rate
            pulled[k], frames = pull(shards), frames + seen
            if frames >= planned:
                break
    return pull(shards)


def pull(shards: Sequence[Shard]) -> Tensor:
    """Return a copy of the parameters (N,) of all shards."""
    return torch.cat([shard.params for shard in shards])
