"""Linear and affine transforms of features, as Kaldi's transform-feats."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError


def apply_affine(W: NDArray[Any], features: NDArray[Any]) -> NDArray[Any]:
    """Transform each frame x to A x + b, with W = [A b], or to A x when W has no column for b.

    Parameters
    ----------
    W : (D', D + 1) or (D', D)
    features : (T, D)

    Returns
    -------
    (T, D')
        Of the features' type; sums are of the wider type of both.

    Raises
    ------
    InputError
        When the transform is one of features of another dimension.

    Example
    -------
    >>> apply_affine(np.array([[1.0, 1.0, 5.0]]), np.array([[2.0, 3.0]]))
    array([[10.]])
    """
    rows, columns = W.shape
    dim = features.shape[1]
    if columns not in (dim, dim + 1):
        raise InputError(
            f"a transform of {rows} x {columns} is for features of {columns} dimensions, or {columns - 1} with an "
            f"offset; these have {dim}: take the features that it was estimated on"
        )
    transformed: NDArray[Any] = features @ W[:, :dim].T
    if columns > dim:
        transformed += W[:, dim]
    return transformed.astype(features.dtype, copy=False)


def log_determinant(W: NDArray[Any]) -> float:
    """Give log |det A| of W = [A b] or A: what the transform adds to the log likelihood of a frame.

    Parameters
    ----------
    W : (D, D + 1) or (D, D)
    """
    return float(np.linalg.slogdet(W[:, : len(W)])[1])
