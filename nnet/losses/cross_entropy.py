"""Frame-wise cross entropy with the pdfs of an alignment."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nnet.chunks import NO_TARGET, Chunk
from nnet.device import CPU
from nnet.losses.base import LossSums


class CrossEntropy:
    """The sum over all frames of -log p(target | features), each times the weight of its target.

    Frames without a target, padding and the first outputs of a delayed network, count nowhere.

    Example
    -------
    >>> from nnet.chunks import Position
    >>> nothing = torch.empty(0)
    >>> chunk = Chunk(nothing, torch.tensor([[0], [1], [NO_TARGET]]), nothing, nothing, ("a",), Position())
    >>> CrossEntropy()(torch.zeros(3, 1, 2), chunk)  # 2 log 2
    LossSums(loss=tensor(1.3863), correct=1, frames=2)
    """

    def frames(self, chunk: Chunk) -> int:
        """See `nnet.losses.base.Loss`."""
        return int((chunk.targets != NO_TARGET).sum())

    def __call__(self, logits: Tensor, chunk: Chunk, weights: Tensor | None = None) -> LossSums:
        """See `nnet.losses.base.Loss`."""
        logits, targets = logits.flatten(0, 1), chunk.targets.flatten()
        loss = cross_entropy(logits, targets, weights, ignore_index=NO_TARGET, reduction="sum")
        return LossSums(loss, int((logits.detach().argmax(1) == targets).sum()), self.frames(chunk))


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
