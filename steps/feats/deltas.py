"""Differences over time, as Kaldi's add-deltas."""

from functools import lru_cache

import torch
from torch import Tensor

REACH = 2  # frames on either side that a difference looks at, Kaldi's --delta-window


def add_deltas(features: Tensor, order: int) -> Tensor:
    """Append Δ (order 1) and ΔΔ (order 2) to each frame.

    Δ_t = Σ_j j x_{t+j} / Σ_j j² for j = -2..2; ΔΔ is the same of Δ, written as one filter over x, where frames beyond
    the ends repeat the first and the last.

    Parameters
    ----------
    features : Tensor (T, D)
    order : int

    Returns
    -------
    Tensor (T, (order + 1) D)

    Example
    -------
    >>> add_deltas(torch.arange(12.0)[:, None], 1)[5]
    tensor([5., 1.])
    """
    if order == 0:
        return features
    if len(features) == 0:
        return features.new_empty(0, (order + 1) * features.shape[1])
    filters = delta_filters(order)
    reach = len(filters) // 2
    padded = torch.cat([features[:1].expand(reach, -1), features, features[-1:].expand(reach, -1)])
    deltas = padded.unfold(0, len(filters), 1) @ filters  # (T, D, order + 1)
    return deltas.transpose(1, 2).flatten(1)


@lru_cache
def delta_filters(order: int) -> Tensor:
    """Weights of the neighbouring frames, a column per order from 0 on: (2 REACH order + 1, order + 1), float32."""
    step = torch.arange(-REACH, REACH + 1, dtype=torch.float64)
    step /= step.square().sum()
    filters = torch.zeros(2 * REACH * order + 1, order + 1, dtype=torch.float64)
    centre = REACH * order
    filters[centre, 0] = 1
    for i in range(1, order + 1):
        for j, weight in enumerate(step.tolist(), -REACH):
            filters[:, i] += weight * filters[:, i - 1].roll(j)  # never around the ends: they are still 0
    return filters.float()
