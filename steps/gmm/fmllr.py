"""Feature-space MLLR, also called constrained MLLR: an affine transform of a speaker's features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.gmm.gmm import DiagGmms
from steps.gmm.moments import full_moments
from steps.gmm.row_updates import is_determined, maximise


@dataclass(frozen=True)
class FmllrStats:
    """Sums over the frames of a speaker, with x⁺ = [x 1]; they add up (`steps.gmm.gmm.sum_in_order`).

    Attributes
    ----------
    beta : float
        Number of frames, by their weights.
    K : (D, D + 1) float64
        k_d = Σ γ μ_d / σ²_d x⁺.
    G : (D, D + 1, D + 1) float64
        G_d = Σ γ / σ²_d x⁺ x⁺ᵀ.
    """

    beta: float
    K: NDArray[Any]
    G: NDArray[Any]


def accumulate_fmllr(
    gmms: DiagGmms, features: NDArray[Any], pdfs: NDArray[Any], weights: NDArray[Any] | None = None
) -> FmllrStats:
    """Collect the statistics of aligned frames (the first half of Kaldi's ``gmm-est-fmllr``).

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32
    pdfs : (T,) int
        The pdf-id of each frame.
    weights : (T,), optional
        How much each frame counts, 1 if not given; Kaldi's recipes give silence 0.01.
    """
    dim = features.shape[1]
    beta, K, G = 0.0, np.zeros((dim, dim + 1)), np.zeros((dim, dim + 1, dim + 1))
    for means, inverse_variances, moments in full_moments(gmms, features, pdfs, weights):
        beta += float(moments[:, -1, -1].sum())
        K += (means * inverse_variances).T @ moments[:, -1]
        G += np.tensordot(inverse_variances.T, moments, 1)
    return FmllrStats(beta, K, G)


def estimate_fmllr(
    stats: FmllrStats, min_count: float = 500, iterations: int = 40
) -> tuple[NDArray[Any], float] | None:
    """Find the transform under which the model fits a speaker best (Kaldi's ``gmm-est-fmllr``, update type full).

    Maximises β log |det A| + Σ_d [ w_d k_dᵀ - ½ w_d G_d w_dᵀ ], with w_d the rows of W = [A b].

    Parameters
    ----------
    stats : FmllrStats
    min_count : float
        With no more frames than this, or with frames that do not determine a transform, there is None.
    iterations : int
        Updates of all rows, at most.

    Returns
    -------
    W : (D, D + 1)
        For `steps.feats.affine.apply_affine`.
    gain : float
        By how much the log likelihood of a frame rises with it, log |det A| included.
    """
    if stats.beta <= min_count or not is_determined(stats.G):
        return None
    W, objectives = maximise(stats.beta, stats.K, stats.G, iterations)
    return W, (objectives[-1] - objectives[0]) / stats.beta
