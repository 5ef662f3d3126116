"""Maximum likelihood transforms of features under diagonal covariances, a row at a time.

M. J. F. Gales, "Maximum likelihood linear transformations for HMM-based speech recognition", Computer Speech and
Language 12 (1998), 75-98 (constrained transforms: with an offset); "Semi-tied covariance matrices for hidden Markov
models", IEEE Transactions on Speech and Audio Processing 7 (1999), 272-281 (without offset and linear term).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.feats.affine import log_determinant


def objective(W: NDArray[Any], beta: float, K: NDArray[Any], G: NDArray[Any]) -> float:
    """Log likelihood of the frames as a function of the transform, but for a constant.

    β log |det A| + Σ_d [ w_d k_dᵀ - ½ w_d G_d w_dᵀ ], with w_d the rows of W = [A b], or of W = A.

    Parameters
    ----------
    W, K : (D, E)
        E is D + 1 with an offset, D without.
    beta : float
    G : (D, E, E)
    """
    quadratic = np.einsum("di,dij,dj", W, G, W)
    return beta * log_determinant(W) + float((W * K).sum() - 0.5 * quadratic)


def maximise(beta: float, K: NDArray[Any], G: NDArray[Any], iterations: int) -> tuple[NDArray[Any], list[float]]:
    """Raise the objective from the identity on, each row in turn to its best given the others.

    Parameters
    ----------
    beta : float
        Number of frames.
    K : (D, E)
        Linear terms; E is D + 1 with an offset, D without.
    G : (D, E, E)
        Quadratic terms, positive definite.
    iterations : int
        Updates of all rows, at most; the last is the one that no longer raises the objective, but for rounding.

    Returns
    -------
    W : (D, E)
    objectives : list of float
        That of the identity, and after each iteration; always rising.
    """
    inverses = np.linalg.inv(G)
    W: NDArray[Any] = np.eye(K.shape[0], K.shape[1])
    objectives = [objective(W, beta, K, G)]
    for _ in range(iterations):
        updated = W.copy()
        for d in range(len(W)):
            updated[d] = _best_row(updated, d, beta, K[d], inverses[d])
        value = objective(updated, beta, K, G)
        if value <= objectives[-1]:
            break
        W = updated
        objectives.append(value)
    return W, objectives


def _best_row(W: NDArray[Any], d: int, beta: float, k: NDArray[Any], inverse: NDArray[Any]) -> NDArray[Any]:
    """Row d that maximises β log |w pᵀ| + w kᵀ - ½ w G wᵀ, with its cofactors p, to any scale, and 0 for the offset.

    The gradient is 0 at w = (α p + k) G⁻¹ with α² p G⁻¹ pᵀ + α p G⁻¹ kᵀ - β = 0.
    """
    cofactors = np.zeros_like(k)
    cofactors[: len(W)] = np.linalg.solve(W[:, : len(W)], np.eye(len(W))[d])  # A⁻¹ = cofactorsᵀ / det A
    e1, e2 = cofactors @ inverse @ cofactors, cofactors @ inverse @ k
    root = np.sqrt(e2**2 + 4 * e1 * beta)
    alpha = 2 * beta / (e2 + root if e2 >= 0 else e2 - root)  # of both solutions the one with the larger |w pᵀ|
    row: NDArray[Any] = (alpha * cofactors + k) @ inverse
    return row


def is_determined(G: NDArray[Any]) -> bool:
    """Whether all quadratic terms have full rank, so that there is a best transform."""
    return bool((np.linalg.matrix_rank(G, hermitian=True) == G.shape[1]).all())
