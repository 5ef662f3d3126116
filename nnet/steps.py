"""Which frames a network reads at a step, and at which frames its steps are.

A network that steps by three frames of 10 ms and reads eight at a step computes a third of the outputs and sees all of
the speech (Sak, Senior, Rao and Beaufays, "Fast and accurate recurrent neural network acoustic models for speech
recognition", 2015).
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Steps:
    """The steps of a network over the frames of an utterance: at `first`, `first` + `skip`, `first` + 2 `skip`, ...

    Parameters
    ----------
    stack : int
        Frames that are read at a step, side by side: the step's own, `ahead` after it and the others before it.
    ahead : int
        Frames after the step's own.
    skip : int
        Frames from one step to the next.
    """

    stack: int = 1
    ahead: int = 0
    skip: int = 1

    def first(self, frames: int, phase: int) -> int:
        """Frame of the first step, for a phase from 0 to `skip` - 1; every utterance has a step, however short."""
        return phase % min(self.skip, frames)

    def count(self, frames: int, phase: int = 0) -> int:
        """Number of steps over an utterance of so many frames.

        Example
        -------
        >>> [Steps(skip=3).count(10, phase) for phase in range(3)]
        [4, 3, 3]
        """
        return len(range(self.first(frames, phase), frames, self.skip))

    def inputs(self, feats: Tensor, first: int = 0, before: int = 0, after: int = 0) -> Tensor:
        """Stack the frames of each step; an utterance's first and last frame are repeated as far as is needed.

        Parameters
        ----------
        feats : Tensor, shape (T, D)
        first : int
            Frame of the first step.
        before, after : int
            Further steps before the first one and after the last one.

        Returns
        -------
        Tensor, shape (before + N + after, stack · D)
            With N steps in the utterance; `feats` itself where that is the same.

        Example
        -------
        >>> Steps(stack=3, ahead=1, skip=2).inputs(torch.arange(5.0)[:, None])
        tensor([[0., 0., 1.],
                [1., 2., 3.],
                [3., 4., 4.]])
        """
        if self == Steps() and not (first or before or after):
            return feats
        steps = len(range(first, len(feats), self.skip))
        own = first + self.skip * torch.arange(-before, steps + after)
        around = torch.arange(self.ahead + 1 - self.stack, self.ahead + 1)
        return feats[(own[:, None] + around).clamp(0, len(feats) - 1)].flatten(1)


def nearest_steps(frames: int, skip: int) -> NDArray[np.int64]:
    """The step that is nearest to each frame of an utterance, (frames,), where the first step is at frame 0.

    What a network gives at its steps is repeated by it to the rate of the features. Where that changes, so do times.

    Example
    -------
    >>> nearest_steps(10, skip=3)  # steps at 0, 3, 6, 9
    array([0, 0, 1, 1, 1, 2, 2, 2, 3, 3])
    """
    nearest: NDArray[np.int64] = (np.arange(frames) + skip // 2) // skip
    return nearest.clip(max=(frames - 1) // skip)


def phase_of(skip: int, seed: int, utterance: str, epoch: int) -> int:
    """The phase of an utterance in an epoch of training: each of `skip` phases once in as many epochs.

    It depends on nothing else, so that a run that was killed goes on with the same phases.

    Example
    -------
    >>> sorted(phase_of(3, 1, "a", epoch) for epoch in range(3))
    [0, 1, 2]
    """
    return (crc32(f"{seed} {utterance}".encode()) + epoch) % skip
