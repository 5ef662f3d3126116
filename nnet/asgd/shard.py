"""The parameter server's shards: each holds one slice of the parameters and of the optimizer's state.

A shard applies a gradient to its slice at once and answers with the new slice (Sak, Senior and Beaufays, 2014; Dean
et al., "Large scale distributed deep networks", 2012). Shards know nothing of one another,
nor do workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from nnet.config import TrainConfig
from nnet.optimizer import ALIGNMENT, OptimizerState, initial_state
from nnet.update import apply_update

UPDATES, FRAMES, HALVINGS, WRITER = range(4)
NOBODY = -1


@dataclass(frozen=True)
class Counts:
    """How far a shard is; it comes with its slice.

    Attributes
    ----------
    updates : int
        Applied so far, by all workers.
    frames : int
        That their gradients were of.
    halvings : int
        Of the learning rate, by ``newbob``.
    """

    updates: int
    frames: int
    halvings: int


@dataclass
class Shard:
    """One slice of the parameters.

    Attributes
    ----------
    params : Tensor, shape (n,)
    optimizer : dict of Tensor
        The state of the update, see `nnet.optimizer`.
    counts : Tensor, shape (4,), int64
        Updates, frames and halvings, see `Counts`, and the worker that is writing, or `NOBODY`.
    config : TrainConfig
    planned : int
        Frames of the whole training, to which the learning rate decays.
    """

    params: Tensor
    optimizer: OptimizerState
    counts: Tensor
    config: TrainConfig
    planned: int

    def push(self, grad: Tensor, frames: int, worker: int = 0) -> int:
        """Apply a gradient (n,) that `frames` frames gave, at once.

        Returns
        -------
        int
            Id of the worker that died mid-update before this one; that update was applied only partly. Usually
            `NOBODY`.
        """
        counts = self.counts
        died = int(counts[WRITER])
        counts[WRITER] = worker
        before, halvings = int(counts[FRAMES]), int(counts[HALVINGS])
        apply_update(self.config, self.params, grad, self.optimizer, frames, before, self.planned, halvings)
        counts[UPDATES] += 1
        counts[FRAMES] += frames
        counts[WRITER] = NOBODY
        return died

    def halve(self, halvings: int) -> None:
        """Set how often the learning rate was halved."""
        self.counts[HALVINGS] = halvings

    def read_counts(self) -> Counts:
        """Return what is counted."""
        return Counts(*self.counts[:WRITER].tolist())


def new_shard(params: Tensor, config: TrainConfig, planned: int) -> Shard:
    """Make a shard of a slice (n,), which it changes in place, at the start of a training."""
    counts = torch.tensor([0, 0, 0, NOBODY])
    return Shard(params, initial_state(config, params), counts, config, planned)


def parameter_slices(size: int, shards: int) -> list[slice]:
    """Cut the flat parameters into slices, about equal and each beginning at a multiple of 64 bytes.

    Example
    -------
    >>> parameter_slices(100, 2)
    [slice(0, 48, None), slice(48, 100, None)]
    """
    bounds = [size * k // shards // ALIGNMENT * ALIGNMENT for k in range(shards)] + [size]
    return [slice(*pair) for pair in pairwise(bounds) if pair[0] < pair[1]]


def slices_of(shards: Sequence[Shard]) -> list[slice]:
    """Where each shard's parameters are in the flat vector of all."""
    ends = list(accumulate(len(shard.params) for shard in shards))
    return [slice(*pair) for pair in pairwise([0, *ends])]


def join_states(states: Sequence[OptimizerState]) -> OptimizerState:
    """The optimizer's state of all parameters from that of each slice; numbers are those of the first."""
    return {
        name: torch.cat([state[name] for state in states]) if first.ndim else first.clone()
        for name, first in states[0].items()
    }


def state_of_slice(state: OptimizerState, part: slice) -> OptimizerState:
    """The optimizer's state of a slice."""
    return {name: tensor[part].clone() if tensor.ndim else tensor.clone() for name, tensor in state.items()}
