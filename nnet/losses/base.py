"""What training and evaluation ask of a loss."""

from typing import NamedTuple, Protocol

from torch import Tensor

from nnet.chunks import Chunk


class LossSums(NamedTuple):
    """A loss and what is logged with it, summed over the frames of a chunk.

    Attributes
    ----------
    loss : Tensor, scalar
        It can be differentiated.
    correct : int
        Frames whose most probable pdf is the target.
    frames : int
        Frames with a target.
    """

    loss: Tensor
    correct: int
    frames: int


class Loss(Protocol):
    """A loss: a sum over the frames of a chunk, from the network's outputs and the chunk's supervision.

    Only a loss, and `nnet.chunks`, which reads and cuts it, know what the supervision is: training, evaluation and
    asynchronous SGD hand chunks through.
    """

    def frames(self, chunk: Chunk) -> int:
        """Count the frames of a chunk that the loss is a sum over."""

    def __call__(self, logits: Tensor, chunk: Chunk, weights: Tensor | None = None) -> LossSums:
        """Compute the loss of a chunk.

        Parameters
        ----------
        logits : Tensor, shape (T, S, P)
        chunk : Chunk
        weights : Tensor, shape (P,), optional
            Of the frames, by their pdf.
        """
