"""Gaussian mixtures with diagonal covariances, all pdfs at once."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from steps.base.files import read_arrays, write_arrays
from steps.gmm.gmm_compiled import add_frames, sum_mixtures

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FRAMES_AT_ONCE = 4096  # bounds the memory that a long recording takes
Sums = TypeVar("Sums", bound="DataclassInstance")


@dataclass(frozen=True)
class DiagGmms:
    """P mixtures of up to M Gaussians over D dimensions; a mixture with fewer has the others at weight 0.

    Attributes
    ----------
    weights : (P, M) float64
    means, variances : (P, M, D) float64
    """

    weights: NDArray[Any]
    means: NDArray[Any]
    variances: NDArray[Any]

    @property
    def num_pdfs(self) -> int:
        """Number of mixtures."""
        return len(self.weights)

    @property
    def num_gaussians(self) -> int:
        """Number of Gaussians in use."""
        return int((self.weights > 0).sum())


@dataclass
class Stats:
    """Sufficient statistics of the E step; float64, so that sums do not depend on rounding.

    Attributes
    ----------
    occupancy : (P, M)
        Σ_t γ_pm(t).
    first, second : (P, M, D)
        Σ_t γ_pm(t) x_t and Σ_t γ_pm(t) x_t².
    transitions : (num_tids + 1,)
        How often each transition-id was taken.
    log_likelihood, frames : float
        Sum over frames of the log likelihood of the frame's pdf, and their number.
    """

    occupancy: NDArray[Any]
    first: NDArray[Any]
    second: NDArray[Any]
    transitions: NDArray[Any]
    log_likelihood: float = 0.0
    frames: int = 0


def sum_in_order(parts: Sequence[Sums]) -> Sums:
    """Add statistics of one kind, dataclasses whose fields all add up, always in the order given."""
    totals = {field.name: sum(getattr(part, field.name) for part in parts) for field in fields(parts[0])}
    return replace(parts[0], **totals)


def single_gaussians(mean: NDArray[Any], variance: NDArray[Any], num_pdfs: int) -> DiagGmms:
    """Give every pdf the same Gaussian, with the data's mean and variance (Kaldi's ``gmm-init-mono``)."""
    return DiagGmms(
        np.ones((num_pdfs, 1)),
        np.tile(mean, (num_pdfs, 1, 1)).astype(np.float64),
        np.tile(variance, (num_pdfs, 1, 1)).astype(np.float64),
    )


@dataclass(frozen=True)
class InUse:
    """The G Gaussians in use of some mixtures, one mixture after another, and what their likelihoods are made of.

    With log N = -½ [ D log 2π + Σ log σ² + Σ (x-μ)²/σ² ], the square expands to products with x and with x².

    Attributes
    ----------
    first : (P + 1,) int64
        Where each mixture begins, and where the last one ends.
    constants : (G,) float32
        log w - ½ [ D log 2π + Σ log σ² + Σ μ²/σ² ].
    linear, quadratic : (G, D) float32
        μ/σ² and -1/(2σ²).
    """

    first: NDArray[Any]
    constants: NDArray[Any]
    linear: NDArray[Any]
    quadratic: NDArray[Any]


def in_use(gmms: DiagGmms, pdfs: NDArray[Any] | None = None) -> InUse:
    """Give the Gaussians in use, of all mixtures or of some."""
    weights, means, variances = vars(gmms).values() if pdfs is None else (a[pdfs] for a in vars(gmms).values())
    used = weights > 0
    first = np.concatenate([[0], np.cumsum(used.sum(1))])
    w, mean, variance = weights[used], means[used], variances[used]
    constants = np.log(w) - 0.5 * (np.log(2 * np.pi * variance) + mean**2 / variance).sum(1)
    return InUse(first, *(a.astype(np.float32) for a in (constants, mean / variance, -0.5 / variance)))


def joint_log_likelihoods(gaussians: InUse, features: NDArray[Any]) -> torch.Tensor:
    """Joint log likelihood (T, G) of each frame of (T, D) and Gaussian, float32."""
    x = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
    constants, linear, quadratic = map(torch.from_numpy, (gaussians.constants, gaussians.linear, gaussians.quadratic))
    return torch.addmm(constants, x, linear.T).addmm_(x * x, quadratic.T)


def log_likelihoods(gmms: DiagGmms, features: NDArray[Any], pdfs: NDArray[Any] | None = None) -> NDArray[Any]:
    """Log likelihood of each frame under each pdf.

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32
    pdfs : int array, optional
        The pdfs that are needed; the others are left at -inf.

    Returns
    -------
    (T, P) float32

    Example
    -------
    >>> gmms = single_gaussians(np.zeros(2), np.ones(2), num_pdfs=1)
    >>> log_likelihoods(gmms, np.zeros((1, 2), np.float32)).round(4)
    array([[-1.8379]], dtype=float32)
    """
    gaussians, columns = in_use(gmms, pdfs), np.arange(gmms.num_pdfs) if pdfs is None else pdfs
    result = np.full((len(features), gmms.num_pdfs), -np.inf, np.float32)
    for start in range(0, len(features), FRAMES_AT_ONCE):
        part = slice(start, start + FRAMES_AT_ONCE)
        sum_mixtures(joint_log_likelihoods(gaussians, features[part]).numpy(), gaussians.first, columns, result[part])
    return result


def accumulate(
    gmms: DiagGmms,
    features: NDArray[Any],
    tids: NDArray[Any],
    tid_to_pdf: NDArray[Any],
    moments_of: NDArray[Any] | None = None,
) -> Stats:
    """Collect the statistics of aligned frames (Kaldi's ``gmm-acc-stats-ali``).

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32
    tids : (T,) int
        The transition-id of each frame.
    tid_to_pdf : (num_tids + 1,) int
    moments_of : (T, D) float32, optional
        Other features of the same frames, whose moments are collected (Kaldi's ``gmm-acc-stats-twofeats``).
    """
    gaussians, pdfs = in_use(gmms), tid_to_pdf[tids].astype(np.int64)
    occupancy = np.zeros(gaussians.first[-1])
    first, second = np.zeros((2, *gaussians.linear.shape))
    x = np.ascontiguousarray(features, dtype=np.float32)
    moments = x if moments_of is None else np.ascontiguousarray(moments_of, dtype=np.float32)
    g = gaussians
    total = add_frames(x, moments, pdfs, g.first, g.constants, g.linear, g.quadratic, occupancy, first, second)
    used = gmms.weights > 0
    transitions = np.bincount(tids, minlength=len(tid_to_pdf)).astype(np.float64)
    sums = np.zeros(used.shape), np.zeros(gmms.means.shape), np.zeros(gmms.means.shape)
    for whole, of_used in zip(sums, (occupancy, first, second), strict=True):
        whole[used] = of_used
    return Stats(*sums, transitions, total, len(tids))


def estimate(gmms: DiagGmms, stats: Stats, min_occupancy: float, min_variance: float = 1e-3) -> DiagGmms:
    """The M step (Kaldi's ``MleDiagGmmUpdate``).

    A Gaussian with less than `min_occupancy` is taken out of its mixture; a mixture none of whose Gaussians has as much
    stays as it is.

    Parameters
    ----------
    gmms : DiagGmms
    stats : Stats
    min_occupancy : float
        In frames.
    min_variance : float
        Floor of the variances.
    """
    enough = stats.occupancy >= min_occupancy
    occupancy = np.where(enough, stats.occupancy, 0.0)
    n = np.maximum(occupancy, 1e-10)[..., None]
    means = np.where(enough[..., None], stats.first / n, gmms.means)
    variances = np.where(enough[..., None], np.maximum(stats.second / n - means**2, min_variance), gmms.variances)
    total = occupancy.sum(1, keepdims=True)
    weights = np.where(total == 0, gmms.weights, occupancy / np.maximum(total, 1e-10))
    return DiagGmms(weights, means, variances)


def split_targets(occupancy: NDArray[Any], total: int, power: float, min_count: float) -> NDArray[Any]:
    """How many Gaussians each pdf should have, in proportion to its frames to a power (Kaldi's ``GetSplitTargets``).

    Parameters
    ----------
    occupancy : (P,)
        Frames of each pdf.
    total : int
        Sum of the targets.
    power : float
        1 gives every Gaussian the same number of frames, 0 every pdf the same number of Gaussians.
    min_count : float
        A pdf gets no more than leave each of its Gaussians more frames than this.
    """
    targets = np.ones(len(occupancy), int)
    share = np.maximum(occupancy, 1e-10) ** power
    for _ in range(total - len(occupancy)):
        gain = np.where((targets + 1) * min_count < occupancy, share / targets, -1.0)
        best = int(gain.argmax())
        if gain[best] < 0:
            break
        targets[best] += 1
    return targets


def split(gmms: DiagGmms, targets: NDArray[Any], seed: int, perturb: float = 0.01) -> DiagGmms:
    """Split the heaviest Gaussian of a mixture in two, until each has its target number (Kaldi's ``DiagGmm::Split``).

    Parameters
    ----------
    gmms : DiagGmms
    targets : (P,) int
        From `split_targets`; a mixture that has more keeps them.
    seed : int
        Of the random directions in which means move apart.
    perturb : float
        By how many standard deviations they move.
    """
    rng = np.random.default_rng(seed)
    counts = (gmms.weights > 0).sum(1)
    size = max(int(np.maximum(targets, counts).max()), 1)
    pdfs, _, dim = gmms.means.shape
    weights, means, variances = np.zeros((pdfs, size)), np.zeros((pdfs, size, dim)), np.ones((pdfs, size, dim))
    for pdf in range(pdfs):
        used = np.flatnonzero(gmms.weights[pdf])
        n = len(used)
        weights[pdf, :n] = gmms.weights[pdf, used]
        means[pdf, :n], variances[pdf, :n] = gmms.means[pdf, used], gmms.variances[pdf, used]
        for new in range(n, targets[pdf]):
            old = int(weights[pdf].argmax())
            shift = perturb * np.sqrt(variances[pdf, old]) * rng.standard_normal(dim)
            weights[pdf, old] = weights[pdf, new] = weights[pdf, old] / 2
            variances[pdf, new] = variances[pdf, old]
            means[pdf, new] = means[pdf, old] + shift
            means[pdf, old] -= shift
    return DiagGmms(weights, means, variances)


def write_gmms(path: str | Path, gmms: DiagGmms) -> None:
    """Write ``gmm.npz``."""
    write_arrays(Path(path), weights=gmms.weights, means=gmms.means, variances=gmms.variances)


def read_gmms(path: str | Path) -> DiagGmms:
    """Read ``gmm.npz``."""
    return DiagGmms(*read_arrays(Path(path), "weights", "means", "variances"))
