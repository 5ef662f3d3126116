"""Full second moments of the frames of each Gaussian, for transforms under diagonal covariances."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.gmm.gmm import DiagGmms, in_use
from steps.gmm.gmm_compiled import posteriors


def full_moments(
    gmms: DiagGmms, features: NDArray[Any], pdfs: NDArray[Any], weights: NDArray[Any] | None = None
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Sum γ_m(t) x⁺ x⁺ᵀ over the frames of each Gaussian, x⁺ = [x 1], one pdf after another.

    What a transform needs of the frames is linear in these sums. To make one for each Gaussian and weight it with the D
    inverse variances is faster than to make D sums over the frames, as a frame has fewer Gaussians than dimensions.

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32
    pdfs : (T,) int
        The pdf-id of each frame.
    weights : (T,), optional
        Factors of the posteriors γ, 1 if not given.

    Yields
    ------
    means, inverse_variances : (m, D)
        Of the Gaussians in use of a pdf that has frames.
    moments : (m, D + 1, D + 1)
        float64; the last row is [Σ γ x, Σ γ].
    """
    gamma = posteriors(np.ascontiguousarray(features, np.float32), pdfs.astype(np.int64), *vars(in_use(gmms)).values())
    if weights is not None:
        gamma *= weights[:, None]
    for pdf in np.unique(pdfs):
        frames, used = np.flatnonzero(pdfs == pdf), np.flatnonzero(gmms.weights[pdf])
        x = np.ones((len(frames), features.shape[1] + 1))
        x[:, :-1] = features[frames]
        factors = gamma[frames, : len(used)]
        halves = (root[:, None] * x for root in np.sqrt(factors.T))
        moments = np.stack([half.T @ half for half in halves])  # a matrix with itself: half the work, and symmetric
        yield gmms.means[pdf, used], 1 / gmms.variances[pdf, used], moments
