"""Normalisation of mean and variance, as Kaldi's compute-cmvn-stats and apply-cmvn."""

from collections.abc import Iterable

import torch
from torch import Tensor


def cmvn_stats(features: Tensor) -> Tensor:
    """Accumulate what normalisation needs; statistics of several utterances add up.

    Parameters
    ----------
    features : Tensor (T, D)

    Returns
    -------
    Tensor (2, D + 1)
        float64, Kaldi's layout: sums and at the end the number of frames; sums of squares and at the end 0.

    Example
    -------
    >>> cmvn_stats(torch.tensor([[1.0], [3.0]]))
    tensor([[ 4.,  2.],
            [10.,  0.]], dtype=torch.float64)
    """
    features = features.double()
    stats = torch.zeros(2, features.shape[1] + 1, dtype=torch.float64)
    stats[0, :-1], stats[0, -1] = features.sum(0), len(features)
    stats[1, :-1] = features.square().sum(0)
    return stats


def add_stats(stats: Iterable[Tensor]) -> Tensor:
    """Sum statistics in their order, so that the result does not depend on who computed them."""
    stats = iter(stats)
    total = next(stats).clone()
    for more in stats:
        total += more
    return total


def apply_cmvn(features: Tensor, stats: Tensor, norm_vars: bool) -> Tensor:
    """Subtract the mean and, with `norm_vars`, divide by the standard deviation.

    Parameters
    ----------
    features : Tensor (T, D)
    stats : Tensor (2, D + 1)
        From `cmvn_stats`.
    norm_vars : bool
        Variances below 1e-20 are floored as in Kaldi.

    Returns
    -------
    Tensor (T, D)
        float32.
    """
    count = stats[0, -1]
    mean = stats[0, :-1] / count
    if not norm_vars:
        return features - mean.float()
    variance = (stats[1, :-1] / count - mean.square()).clamp_(min=1e-20)
    return (features - mean.float()) * variance.rsqrt().float()
