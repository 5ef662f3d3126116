"""SpecAugment: bands of frequencies and spans of time are masked with the mean, against overfitting."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nnet.ranges import Whole

WIDEST = 0.2  # share of an utterance that a time mask may cover (p of the paper)


@dataclass(frozen=True)
class Masks:
    """The masks of SpecAugment (Park et al., Interspeech 2019), drawn anew each time that an utterance is read.

    They are drawn on the features as they are computed, at 10 ms a frame, whatever the network makes of them. A
    frequency mask hides filters: it is for filterbanks only. Kaldi's recipes mask a fifth of the time (with gaps of a
    mean width of half the largest, gaps · gap_width = 40) and up to half of the filters.

    Parameters
    ----------
    bands : int
        Number of frequency masks of each utterance.
    band_width : int
        Largest width of a frequency mask, in filters.
    gaps : int
        Number of time masks for every hundred frames; what is left over makes one more, with that probability.
    gap_width : int
        Largest width of a time mask, in frames; it is a fifth of the utterance at most.
    """

    bands: Whole = 0
    band_width: Whole = 6
    gaps: Whole = 0
    gap_width: Whole = 10


def masked(feats: Tensor, masks: Masks, key: tuple[int, ...]) -> Tensor:
    """Set bands and gaps of an utterance's normalised features to zero, their mean.

    Parameters
    ----------
    feats : Tensor, shape (T, D)
    masks : Masks
    key : tuple of int
        Seeds the choice: the same key gives the same masks.

    Returns
    -------
    Tensor, shape (T, D)
        `feats` itself when there is nothing to mask.

    Example
    -------
    >>> import torch
    >>> kept = masked(torch.ones(300, 40), Masks(bands=1, band_width=8), key=(1, 2))
    >>> (kept == 0).all(0).sum() <= 8
    tensor(True)
    """
    if not masks.bands and not masks.gaps:
        return feats
    rng = np.random.default_rng(key)
    feats = feats.clone()
    T, D = feats.shape
    for _ in range(masks.bands):
        width = int(rng.integers(0, min(masks.band_width, D) + 1))
        start = int(rng.integers(0, D - width + 1))
        feats[:, start : start + width] = 0
    for _ in range(int(masks.gaps * T / 100 + rng.random())):
        width = int(rng.integers(0, min(masks.gap_width, int(WIDEST * T)) + 1))
        start = int(rng.integers(0, T - width + 1))
        feats[start : start + width] = 0
    return feats
