"""Linear discriminant analysis of spliced frames, with pdf-ids as classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from steps.base.errors import InputError

ROUNDING = 1e-10  # a variance, relative to the largest mean square, that may be but the rounding of long sums


@dataclass(frozen=True)
class LdaStats:
    """Sums over frames, all float64; they add up (`steps.gmm.gmm.sum_in_order`).

    Attributes
    ----------
    counts : (P,)
        Frames of each pdf.
    first : (P, D)
        Σ x over the frames of each pdf.
    second : (D, D)
        Σ x xᵀ over all frames.
    """

    counts: NDArray[Any]
    first: NDArray[Any]
    second: NDArray[Any]


def accumulate_lda(features: NDArray[Any], pdfs: NDArray[Any], num_pdfs: int) -> LdaStats:
    """Collect the statistics of aligned frames (Kaldi's ``acc-lda``).

    Parameters
    ----------
    features : (T, D)
        Spliced frames; those of silence are better left out, as in Kaldi's train_lda_mllt.sh.
    pdfs : (T,) int
        The pdf-id of each frame.
    num_pdfs : int
    """
    x = features.astype(np.float64)
    members = csr_array((np.ones(len(x)), (pdfs, np.arange(len(x)))), shape=(num_pdfs, len(x)))
    return LdaStats(members.sum(1), members @ x, x.T @ x)


def estimate_lda(stats: LdaStats, dim: int) -> NDArray[Any]:
    """Find the directions that tell the pdfs apart best (Kaldi's ``est-lda``).

    Within-class covariance becomes the unit matrix, between-class covariance diagonal, its largest elements first.
    There is no offset.

    Parameters
    ----------
    stats : LdaStats
    dim : int
        Dimensions to keep.

    Returns
    -------
    (dim, D)

    Raises
    ------
    InputError
        When there are too few dimensions or pdfs for `dim`, or too few frames for a within-class covariance.
    """
    seen = stats.counts > 0
    full, classes = len(stats.second), int(seen.sum())
    if dim > full or dim >= classes:
        raise InputError(
            f"LDA to {dim} dimensions needs features of at least {dim}, and more than {dim} pdfs with frames; "
            f"there are {full} dimensions and {classes} pdfs: keep fewer dimensions"
        )
    frames = stats.counts.sum()
    shares = stats.counts[seen, None] / frames
    means = stats.first[seen] / stats.counts[seen, None]
    offsets = means - stats.first.sum(0) / frames
    between = (shares * offsets).T @ offsets  # Σ_c n_c/N (μ_c - μ)(μ_c - μ)ᵀ
    within = stats.second / frames - (shares * means).T @ means  # Σ_c n_c/N Cov_c
    if np.linalg.eigvalsh(within)[0] <= ROUNDING * stats.second.diagonal().max() / frames:
        raise InputError(
            f"LDA: the within-class covariance of {frames:g} frames of {classes} pdfs over {full} dimensions is "
            "singular; train on more data, or leave out dimensions that are constant or depend on others"
        )
    whitening = np.linalg.inv(np.linalg.cholesky(within))  # L⁻¹ with Σ_w = L Lᵀ, so that L⁻¹ Σ_w L⁻ᵀ = I
    _, directions = np.linalg.eigh(whitening @ between @ whitening.T)  # ascending
    return _fix_signs((directions.T[::-1] @ whitening)[:dim])


def _fix_signs(rows: NDArray[Any]) -> NDArray[Any]:
    """Make the first large element of each row positive; in a difference over time the largest are two, x and -x."""
    size = np.abs(rows)
    first_large = (size > 0.5 * size.max(1, keepdims=True)).argmax(1)
    signs: NDArray[Any] = np.sign(rows[np.arange(len(rows)), first_large])
    signed: NDArray[Any] = rows * signs[:, None]
    return signed
