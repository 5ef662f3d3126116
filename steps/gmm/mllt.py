"""Maximum likelihood linear transform: a global semi-tied covariance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.gmm.gmm import DiagGmms
from steps.gmm.moments import full_moments
from steps.gmm.row_updates import is_determined, maximise


@dataclass(frozen=True)
class MlltStats:
    """Sums over frames; they add up (`steps.gmm.gmm.sum_in_order`).

    Attributes
    ----------
    beta : float
        Number of frames.
    G : (D, D, D) float64
        G_d = Σ γ (x - μ)(x - μ)ᵀ / σ²_d.
    """

    beta: float
    G: NDArray[Any]


def accumulate_mllt(gmms: DiagGmms, features: NDArray[Any], pdfs: NDArray[Any]) -> MlltStats:
    """Collect the statistics of aligned frames (Kaldi's ``gmm-acc-mllt``, without random pruning).

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32
        Frames of silence are better left out, as in Kaldi's train_lda_mllt.sh.
    pdfs : (T,) int
        The pdf-id of each frame.
    """
    dim = features.shape[1]
    beta, G = 0.0, np.zeros((dim, dim, dim))
    for means, inverse_variances, moments in full_moments(gmms, features, pdfs):
        beta += float(moments[:, -1, -1].sum())
        to_mean = np.concatenate([np.broadcast_to(np.eye(dim), (len(means), dim, dim)), -means[..., None]], axis=2)
        scatter = to_mean @ moments @ to_mean.transpose(0, 2, 1)  # x - μ = [I -μ] x⁺
        G += np.tensordot(inverse_variances.T, scatter, 1)
    return MlltStats(beta, G)


def estimate_mllt(stats: MlltStats, iterations: int = 200) -> tuple[NDArray[Any], list[float]]:
    """Find the transform under which diagonal covariances fit best (Kaldi's ``est-mllt``).

    Maximises β log |det A| - ½ Σ_d a_d G_d a_dᵀ, with a_d the rows of A; variances stay as they are, means are to be
    transformed as well (`transform_means`).

    Parameters
    ----------
    stats : MlltStats
    iterations : int
        Updates of all rows, at most.

    Returns
    -------
    A : (D, D)
    objectives : list of float
        That of the identity, and after each iteration; always rising.

    Raises
    ------
    InputError
        When there are too few frames.
    """
    if not is_determined(stats.G):
        raise InputError(f"{stats.beta:g} frames do not determine an MLLT of {len(stats.G)} dimensions; use more data")
    return maximise(stats.beta, np.zeros(stats.G.shape[:2]), stats.G, iterations)


def transform_means(gmms: DiagGmms, A: NDArray[Any]) -> DiagGmms:
    """Give each Gaussian the mean A μ (Kaldi's ``gmm-transform-means``).

    Parameters
    ----------
    gmms : DiagGmms
    A : (D, D)
    """
    return DiagGmms(gmms.weights, gmms.means @ A.T, gmms.variances)
