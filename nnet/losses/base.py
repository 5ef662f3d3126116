"""What training and evaluation ask of a loss."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from nnet.chunks import Chunk


class LossSums(NamedTuple):
    """A loss and what is logged with it, summed over the frames of a chunk; scalars on the network's device.

    Attributes
    ----------
    loss : Tensor
        It can be differentiated.
    correct : Tensor
        Frames whose most probable pdf is the target. A loss without a target for each frame has to count what comes
        nearest to that: the accuracy on dev says which epochs are averaged and when ``newbob`` halves.
    frames : Tensor
        Frames with a target.
    """

    loss: Tensor
    correct: Tensor
    frames: Tensor

    def stacked(self) -> Tensor:
        """Put the three into one tensor (3,), so that one copy from the device brings them all.

        It has the type of the loss: float32 holds counts of up to 2^24 frames exactly, more than a chunk can have.
        """
        return torch.stack([self.loss.detach(), self.correct.to(self.loss), self.frames.to(self.loss)])


class Loss(Protocol):
    """A loss: a sum over the frames of a chunk, from the network's outputs and the chunk's supervision.

    Only a loss, and `nnet.chunks`, which reads and cuts it, know what the supervision is: training, evaluation and
    asynchronous SGD hand chunks through. `nnet.losses.loss_named` makes a loss from the weights of the pdfs.
    """

    def frames(self, chunk: Chunk) -> int:
        """Count the frames of a chunk that the loss is a sum over."""

    def __call__(self, logits: Tensor, chunk: Chunk) -> LossSums:
        """Compute the loss of a chunk from the logits, shape (T, S, P)."""
