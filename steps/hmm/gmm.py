"""Gaussian mixtures with diagonal covariances, all pdfs at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from steps.files import read_arrays
from steps.output import writing

LOG_2PI = float(np.log(2 * np.pi))
Sums = TypeVar("Sums")


@dataclass(frozen=True)
class DiagGmms:
    """P mixtures of up to M Gaussians over D dimensions; a mixture with fewer has the others at weight 0.

    Attributes
    ----------
    weights : (P, M) float64
    means, variances : (P, M, D) float64
    """

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray

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

    occupancy: np.ndarray
    first: np.ndarray
    second: np.ndarray
    transitions: np.ndarray
    log_likelihood: float = 0.0
    frames: int = 0


def sum_in_order(parts: Sequence[Sums]) -> Sums:
    """Add statistics of one kind, dataclasses whose fields all add up, always in the order given."""
    kind = type(parts[0])
    return kind(*(sum(getattr(part, field.name) for part in parts) for field in fields(kind)))


def single_gaussians(mean: np.ndarray, variance: np.ndarray, num_pdfs: int) -> DiagGmms:
    """Give every pdf the same Gaussian, with the data's mean and variance (Kaldi's ``gmm-init-mono``)."""
    return DiagGmms(
        np.ones((num_pdfs, 1)),
        np.tile(mean, (num_pdfs, 1, 1)).astype(np.float64),
        np.tile(variance, (num_pdfs, 1, 1)).astype(np.float64),
    )


def component_log_likelihoods(gmms: DiagGmms, features: np.ndarray) -> torch.Tensor:
    """Joint log likelihood of each frame and Gaussian, log w + log N(x; μ, σ²).

    With log N = -½ [ D log 2π + Σ log σ² + Σ (x-μ)²/σ² ], the square expands to two matrix products, of x with μ/σ²
    and of x² with -1/(2σ²).

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32

    Returns
    -------
    (T, P, M) float32 tensor
        -inf for the Gaussians that are not in use.
    """
    pdfs, components, dim = gmms.means.shape
    inverse = 1 / gmms.variances
    with np.errstate(divide="ignore"):
        constants = np.log(gmms.weights) - 0.5 * (
            dim * LOG_2PI + np.log(gmms.variances).sum(-1) + (gmms.means**2 * inverse).sum(-1)
        )
    linear = torch.from_numpy((gmms.means * inverse).reshape(-1, dim).astype(np.float32))
    quadratic = torch.from_numpy((-0.5 * inverse).reshape(-1, dim).astype(np.float32))
    x = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
    result = torch.addmm(torch.from_numpy(constants.reshape(-1).astype(np.float32)), x, linear.T)
    return result.addmm_(x * x, quadratic.T).view(len(x), pdfs, components)


def log_likelihoods(gmms: DiagGmms, features: np.ndarray) -> np.ndarray:
    """Log likelihood of each frame under each pdf.

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32

    Returns
    -------
    (T, P) float32

    Example
    -------
    >>> gmms = single_gaussians(np.zeros(2), np.ones(2), num_pdfs=1)
    >>> log_likelihoods(gmms, np.zeros((1, 2), np.float32)).round(4)
    array([[-1.8379]], dtype=float32)
    """
    return torch.logsumexp(component_log_likelihoods(gmms, features), dim=2).numpy()


def posteriors(
    gmms: DiagGmms, features: np.ndarray, pdfs: np.ndarray
) -> Iterator[tuple[int, np.ndarray, torch.Tensor, torch.Tensor]]:
    """Posteriors of the Gaussians of each frame's own pdf, one pdf after another.

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32
    pdfs : (T,) int
        The pdf-id of each frame.

    Yields
    ------
    pdf : int
    frames : (n,) int
        Indices of its frames, in their order.
    gamma : (n, M) float64 tensor
        0 for the Gaussians that are not in use.
    total : (n, 1) float32 tensor
        Log likelihood of each frame.
    """
    for pdf in np.unique(pdfs):
        frames = np.flatnonzero(pdfs == pdf)
        own = DiagGmms(*(array[pdf : pdf + 1] for array in (gmms.weights, gmms.means, gmms.variances)))
        joint = component_log_likelihoods(own, features[frames])[:, 0]
        total = torch.logsumexp(joint, dim=1, keepdim=True)
        yield pdf, frames, (joint - total).exp().double(), total  # γ_m(t) = w_m N_m(x_t) / Σ_k w_k N_k(x_t)


def accumulate(gmms: DiagGmms, features: np.ndarray, tids: np.ndarray, tid_to_pdf: np.ndarray) -> Stats:
    """Collect the statistics of aligned frames (Kaldi's ``gmm-acc-stats-ali``).

    Parameters
    ----------
    gmms : DiagGmms
    features : (T, D) float32
    tids : (T,) int
        The transition-id of each frame.
    tid_to_pdf : (num_tids + 1,) int
    """
    stats = Stats(
        np.zeros(gmms.weights.shape),
        np.zeros(gmms.means.shape),
        np.zeros(gmms.means.shape),
        np.bincount(tids, minlength=len(tid_to_pdf)).astype(np.float64),
        frames=len(tids),
    )
    for pdf, frames, gamma, total in posteriors(gmms, features, tid_to_pdf[tids]):
        x = torch.from_numpy(features[frames]).double()
        stats.occupancy[pdf] = gamma.sum(0).numpy()
        stats.first[pdf] = (gamma.T @ x).numpy()
        stats.second[pdf] = (gamma.T @ (x * x)).numpy()
        stats.log_likelihood += float(total.double().sum())
    return stats


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


def split_targets(occupancy: np.ndarray, total: int, power: float, min_count: float) -> np.ndarray:
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


def split(gmms: DiagGmms, targets: np.ndarray, seed: int, perturb: float = 0.01) -> DiagGmms:
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
    with writing(path) as part, part.open("wb") as file:
        np.savez(file, weights=gmms.weights, means=gmms.means, variances=gmms.variances)


def read_gmms(path: str | Path) -> DiagGmms:
    """Read ``gmm.npz``."""
    return DiagGmms(*read_arrays(Path(path), "weights", "means", "variances"))
