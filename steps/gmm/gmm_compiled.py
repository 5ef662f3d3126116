"""The inner loops of Gaussian mixtures, compiled: a frame has too few Gaussians of its own for matrix products."""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Floats = NDArray[Any]
Ints = NDArray[Any]


def compiled(function: F) -> F:
    """Compile a function when it is first called."""
    compiling = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
    return cast(F, compiling(function))


@compiled
def sum_mixtures(joint: Floats, first: Ints, columns: Ints, result: Floats) -> None:
    """Put log Σ_m exp joint[t, m] of each mixture's Gaussians into its column of the result.

    Parameters
    ----------
    joint : (T, G) float32
    first : (P + 1,) int64
        Where each mixture begins in G.
    columns : (P,) int
    result : (T, columns) float32
        Changed in place.
    """
    for t in range(len(joint)):
        for p in range(len(columns)):
            best = np.float32(-np.inf)
            for g in range(first[p], first[p + 1]):
                best = max(best, joint[t, g])
            total = np.float32(0)
            for g in range(first[p], first[p + 1]):
                total += np.exp(joint[t, g] - best)
            result[t, columns[p]] = best + np.log(total)


@compiled
def weigh(
    frame: Floats, start: int, end: int, constants: Floats, linear: Floats, quadratic: Floats, gamma: Floats
) -> float:
    """Fill gamma[: end - start] with the posteriors of a frame's Gaussians, and return its log likelihood."""
    best = -np.inf
    for g in range(start, end):
        value = np.float32(0)
        for d in range(len(frame)):
            value += frame[d] * (linear[g, d] + frame[d] * quadratic[g, d])
        gamma[g - start] = constants[g] + value
        best = max(best, gamma[g - start])
    total = 0.0
    for k in range(end - start):
        total += math.exp(gamma[k] - best)
    log_likelihood = best + math.log(total)
    for k in range(end - start):
        gamma[k] = math.exp(gamma[k] - log_likelihood)  # w_m N_m(x_t) / Σ_k w_k N_k(x_t)
    return log_likelihood


@compiled
def posteriors(
    features: Floats, pdfs: Ints, first_of: Ints, constants: Floats, linear: Floats, quadratic: Floats
) -> Floats:
    """Posteriors of the Gaussians of each frame's own pdf.

    Parameters
    ----------
    features : (T, D) float32
    pdfs : (T,) int64
    first_of, constants, linear, quadratic
        See `steps.gmm.gmm.InUse`.

    Returns
    -------
    (T, M) float64
        Those of a mixture with fewer Gaussians than the largest come first; the rest is 0.
    """
    gamma = np.zeros((len(features), (first_of[1:] - first_of[:-1]).max()))
    for t in range(len(features)):
        p = pdfs[t]
        weigh(features[t], first_of[p], first_of[p + 1], constants, linear, quadratic, gamma[t])
    return gamma


@compiled
def add_frames(
    features: Floats,
    moments: Floats,
    pdfs: Ints,
    first_of: Ints,
    constants: Floats,
    linear: Floats,
    quadratic: Floats,
    occupancy: Floats,
    first: Floats,
    second: Floats,
) -> float:
    """Add each frame to the sums of its pdf's Gaussians, with its posteriors as weights.

    Parameters
    ----------
    features, moments : (T, D) float32
        What the posteriors and what the sums are of.
    pdfs, first_of, constants, linear, quadratic
        See `posteriors`.
    occupancy : (G,) float64
        Σ γ, changed in place.
    first, second : (G, D) float64
        Σ γ x and Σ γ x², changed in place.

    Returns
    -------
    float
        Sum of the frames' log likelihoods.
    """
    log_likelihood = 0.0
    gamma = np.empty((first_of[1:] - first_of[:-1]).max())
    for t in range(len(features)):
        start, end = first_of[pdfs[t]], first_of[pdfs[t] + 1]
        log_likelihood += weigh(features[t], start, end, constants, linear, quadratic, gamma)
        for g in range(start, end):
            occupancy[g] += gamma[g - start]
            for d in range(features.shape[1]):
                x = np.float64(moments[t, d])
                first[g, d] += gamma[g - start] * x
                second[g, d] += gamma[g - start] * x * x
    return log_likelihood
