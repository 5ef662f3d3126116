"""Frame-wise cross entropy with the pdfs of an alignment."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nnet.chunks import NO_TARGET, Chunk
from nnet.device import CPU
from nnet.losses.base import LossSums


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """The sum over all frames of -log p(target | features), each times the weight of its target.

    Frames without a target, padding and the first outputs of a delayed network, count nowhere.

    Parameters
    ----------
    weights : Tensor, shape (P,), optional
        Of the frames, by their pdf, on the network's device; see `pdf_weights`.

    Example
    -------
    >>> from nnet.chunks import Position
    >>> nothing = torch.empty(0)
    >>> chunk = Chunk(nothing, torch.tensor([[0], [1], [NO_TARGET]]), nothing, nothing, ("a",), Position())
    >>> CrossEntropy()(torch.zeros(3, 1, 2), chunk)  # 2 log 2
    LossSums(loss=tensor(1.3863), correct=tensor(1), frames=tensor(2))
    """

    weights: Tensor | None = None

    def frames(self, chunk: Chunk) -> int:
        """See `nnet.losses.base.Loss`."""
        return int((chunk.targets != NO_TARGET).sum())

    def __call__(self, logits: Tensor, chunk: Chunk) -> LossSums:
        """See `nnet.losses.base.Loss`."""
        logits, targets = logits.flatten(0, 1), chunk.targets.flatten()
        loss = cross_entropy(logits, targets, self.weights, ignore_index=NO_TARGET, reduction="sum")
        return LossSums(loss, (logits.detach().argmax(1) == targets).sum(), (targets != NO_TARGET).sum())


def pdf_weights(
    num_pdfs: int, silence_pdfs: Sequence[int], silence_weight: float, device: torch.device = CPU
) -> Tensor | None:
    """The weight of each pdf's frames in the loss, (P,); None where all are 1.

    Example
    -------
    >>> pdf_weights(3, silence_pdfs=[0], silence_weight=0.5)
    tensor([0.5000, 1.0000, 1.0000])
    """
    if silence_weight == 1:
        return None
    weights = torch.ones(num_pdfs)
    weights[list(silence_pdfs)] = silence_weight
    return weights.to(device)
