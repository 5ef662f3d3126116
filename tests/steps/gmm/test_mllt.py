"""Statistics against sums over frames, likelihoods of scipy, optima of closed form."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from steps.base.errors import InputError
from steps.feats.affine import apply_affine, log_determinant
from steps.gmm.gmm import DiagGmms, sum_in_order
from steps.gmm.mllt import MlltStats, accumulate_mllt, estimate_mllt, transform_means
from tests.steps.gaussians import data, mixtures, padded, sample, scipy_posteriors


def correlated(seed, pdfs=6, dim=4, frames=3000):
    """A single Gaussian a pdf, and frames whose dimensions are correlated: (gmms, x, pdfs)."""
    random = np.random.default_rng(seed)
    hidden = mixtures(seed, pdfs, 1, dim)
    z, ids = sample(hidden, frames, seed)
    x = (z @ random.normal(np.eye(dim), 0.3)).astype(np.float32)
    own = [x[ids == pdf].astype(np.float64) for pdf in range(pdfs)]
    means, variances = (np.stack([f(frames, axis=0) for frames in own])[:, None] for f in (np.mean, np.var))
    return DiagGmms(np.ones((pdfs, 1)), means, variances), x, ids


def log_likelihood(gmms, x, pdfs):
    """Of single Gaussians."""
    densities = [multivariate_normal(m[0], np.diag(v[0])) for m, v in zip(gmms.means, gmms.variances, strict=True)]
    return sum(densities[pdf].logpdf(x[pdfs == pdf].astype(np.float64)).sum() for pdf in range(gmms.num_pdfs))


def test_statistics():
    gmms, x = mixtures(1), data(1)
    pdfs = np.random.default_rng(0).choice([0, 2], len(x))
    stats = accumulate_mllt(padded(gmms), x, pdfs)
    gamma = scipy_posteriors(gmms, x, pdfs)
    offsets = x[:, None] - gmms.means[pdfs]  # (T, M, D)
    weights = gamma[..., None] / gmms.variances[pdfs]
    expected = np.einsum("tmd,tmi,tmj->dij", weights, offsets, offsets)
    np.testing.assert_allclose(stats.G, expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert stats.beta == pytest.approx(len(x))
    parts = [accumulate_mllt(padded(gmms), x[a:b], pdfs[a:b]) for a, b in ((0, 150), (150, 150), (150, 400))]
    total = sum_in_order(parts)
    assert total.beta == pytest.approx(stats.beta)
    np.testing.assert_allclose(total.G, stats.G, rtol=1e-4, atol=1e-6 * expected.max())


@pytest.mark.parametrize("seed", range(3))
def test_objective_is_the_likelihood(seed):
    gmms, x, pdfs = correlated(seed)
    A, objectives = estimate_mllt(accumulate_mllt(gmms, x, pdfs))
    after = log_likelihood(transform_means(gmms, A), apply_affine(A, x.astype(np.float64)), pdfs)
    gain = after + len(x) * log_determinant(A) - log_likelihood(gmms, x, pdfs)
    assert gain == pytest.approx(objectives[-1] - objectives[0], rel=1e-6)
    assert gain > 0.05 * len(x)
    assert (np.diff(objectives) > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_gradient_is_zero(seed):
    stats = accumulate_mllt(*correlated(seed))
    A, _ = estimate_mllt(stats, iterations=2000)
    gradient = stats.beta * np.linalg.inv(A).T - np.einsum("dij,dj->di", stats.G, A)
    assert abs(gradient).max() < 1e-5 * stats.beta


def test_optimum_of_equal_variances():
    random = np.random.default_rng(2)
    root, variances, beta = random.normal(size=(5, 5)), random.uniform(0.5, 2, 5), 700.0
    S = root @ root.T
    A, objectives = estimate_mllt(MlltStats(beta, beta * S / variances[:, None, None]))
    np.testing.assert_allclose(A @ S @ A.T, np.diag(variances), atol=1e-6)
    expected = beta / 2 * (np.log(variances).sum() - np.linalg.slogdet(S)[1] - 5)
    assert objectives[-1] == pytest.approx(expected)


def test_invariance():
    gmms, x, pdfs = correlated(3)
    C = np.random.default_rng(3).normal(np.eye(4), 0.2)
    A, objectives = estimate_mllt(accumulate_mllt(gmms, x, pdfs), iterations=2000)
    other = accumulate_mllt(transform_means(gmms, C), apply_affine(C, x.astype(np.float64)), pdfs)
    B, others = estimate_mllt(other, iterations=2000)
    np.testing.assert_allclose(B @ C, A, atol=1e-4)
    assert others[-1] + len(x) * log_determinant(C) == pytest.approx(objectives[-1])


def test_nothing_is_left_to_gain():
    gmms, x, pdfs = correlated(4)
    A, _ = estimate_mllt(accumulate_mllt(gmms, x, pdfs), iterations=2000)
    again = accumulate_mllt(transform_means(gmms, A), apply_affine(A, x.astype(np.float64)), pdfs)
    identity, objectives = estimate_mllt(again)
    np.testing.assert_allclose(identity, np.eye(4), atol=1e-5)
    assert objectives[-1] - objectives[0] < 1e-6


def test_means_move_with_the_features():
    gmms = mixtures(5)
    A = np.random.default_rng(5).normal(size=(5, 5))
    moved = transform_means(gmms, A)
    for pdf in range(3):
        for component in range(4):
            np.testing.assert_allclose(moved.means[pdf, component], A @ gmms.means[pdf, component])
    np.testing.assert_array_equal(moved.weights, gmms.weights)
    np.testing.assert_array_equal(moved.variances, gmms.variances)


def test_too_few_frames():
    gmms, x, pdfs = correlated(6)
    with pytest.raises(InputError, match=r"^3 frames do not determine an MLLT of 4 dimensions"):
        estimate_mllt(accumulate_mllt(gmms, x[:3], pdfs[:3]))
