"""Clusters of frames, each with one Gaussian: their likelihood, and which of them to merge.

A cluster is a row of sums: its number of frames n, Σ_t x_t and Σ_t x_t², 1 + 2 D numbers side by side, so that the rows
of two clusters added are the row of both together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

VARIANCE_FLOOR = 0.01  # Kaldi's, of acc-tree-stats


def log_likelihood(sums: NDArray[Any]) -> NDArray[Any]:
    """Log likelihood of each cluster's frames under the diagonal Gaussian that fits them best.

    That is -n/2 Σ_d (log 2π s²_d + σ²_d / s²_d) with the frames' variance σ² and the Gaussian's s² = max(σ², floor), as
    Kaldi's ``GaussClusterable`` has it; above the floor it is the -n/2 Σ_d (log 2π σ²_d + 1) of Young, Odell and
    Woodland (1994), eq. 1. Being a maximum over Gaussians, it never falls when a cluster is divided.

    Parameters
    ----------
    sums : (..., 1 + 2 D) float64

    Returns
    -------
    (...) float64
        0 for a cluster without frames.

    Example
    -------
    >>> log_likelihood(np.array([4.0, 0.0, 4.0])).round(3)  # four frames of mean 0 and variance 1
    np.float64(-5.676)
    """
    n = sums[..., 0]
    first, second = np.split(sums[..., 1:] / np.where(n > 0, n, 1.0)[..., None], 2, axis=-1)
    variance = second - first**2
    floored = np.maximum(variance, VARIANCE_FLOOR)
    result: NDArray[Any] = -0.5 * n * (np.log(2 * np.pi) + np.log(floored) + variance / floored).sum(axis=-1)
    return result


def merges(sums: NDArray[Any], threshold: float = np.inf) -> list[tuple[int, int]]:
    """Merge, again and again, the two clusters whose merger loses the least likelihood (Kaldi's ``ClusterBottomUp``).

    Parameters
    ----------
    sums : (N, 1 + 2 D) float64
    threshold : float
        The loss of a merger has to be less.

    Returns
    -------
    list of (int, int)
        Which clusters were merged, in this order: the second, higher number goes into the first, which stands for both
        from then on.

    Example
    -------
    >>> merges(np.array([[9.0, 0.0, 9.0], [9.0, 90.0, 909.0], [9.0, 9.0, 18.0]]))  # means 0, 10 and 1
    [(0, 2), (0, 1)]
    """
    sums = sums.copy()
    count = len(sums)
    alone = log_likelihood(sums)
    loss = np.full((count, count), np.inf)  # symmetric; infinite for what was merged already
    alive = np.ones(count, bool)

    def measure(cluster: int) -> None:
        others = np.flatnonzero(alive & (np.arange(count) != cluster))
        together = log_likelihood(sums[others] + sums[cluster])
        loss[cluster, others] = loss[others, cluster] = alone[others] + alone[cluster] - together

    for cluster in range(count):
        measure(cluster)
    found: list[tuple[int, int]] = []
    while len(found) < count - 1:
        kept, gone = divmod(int(loss.argmin()), count)  # the first of two equal entries: kept < gone
        if not loss[kept, gone] < threshold:
            break
        found.append((kept, gone))
        sums[kept] += sums[gone]
        alone[kept] = log_likelihood(sums[kept])
        alive[gone] = False
        loss[gone] = loss[:, gone] = np.inf
        measure(kept)
    return found
