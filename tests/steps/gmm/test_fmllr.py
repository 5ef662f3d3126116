"""Statistics against sums over frames, likelihoods of scipy, speakers who differ by a map that is known."""

import numpy as np
import pytest
from scipy.special import logsumexp

from steps.feats.affine import apply_affine, log_determinant
from steps.gmm.fmllr import FmllrStats, accumulate_fmllr, estimate_fmllr
from steps.gmm.gmm import sum_in_order
from tests.steps.gaussians import data, mixtures, padded, sample, scipy_joint, scipy_posteriors


def log_likelihoods(gmms, x, pdfs):
    return logsumexp(scipy_joint(gmms, x)[pdfs, :, np.arange(len(x))], axis=1)


def speaker(seed, components=1, frames=2000, dim=4):
    """A model, frames of it seen through an affine map, their pdf-ids, and the map W back: (gmms, x, pdfs, W)."""
    random = np.random.default_rng(seed)
    gmms = mixtures(seed, 5, components, dim)
    z, pdfs = sample(gmms, frames, seed)
    W = np.hstack([random.normal(np.eye(dim), 0.15), random.normal(size=(dim, 1))])
    x = np.linalg.solve(W[:, :dim], z.T.astype(np.float64) - W[:, dim:]).T
    return gmms, x.astype(np.float32), pdfs, W


def compose(second, first):
    """The transform that does what both do, one after the other."""
    row = np.eye(first.shape[1])[-1:]
    return second @ np.vstack([first, row])


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics(weighted):
    gmms, x = mixtures(1), data(1)
    random = np.random.default_rng(0)
    pdfs = random.choice([0, 2], len(x))
    weights = random.choice([0, 0.01, 1], len(x)) if weighted else np.ones(len(x))
    given = weights if weighted else None
    stats = accumulate_fmllr(padded(gmms), x, pdfs, given)
    gamma = weights[:, None] * scipy_posteriors(gmms, x, pdfs)
    extended = np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)
    precisions = gamma[..., None] / gmms.variances[pdfs]  # (T, M, D)
    K = np.einsum("tmd,tmd,ti->di", precisions, gmms.means[pdfs], extended)
    G = np.einsum("tmd,ti,tj->dij", precisions, extended, extended)
    np.testing.assert_allclose(stats.K, K, rtol=1e-3, atol=1e-4 * abs(K).max())
    np.testing.assert_allclose(stats.G, G, rtol=1e-3, atol=1e-4 * abs(G).max())
    assert stats.beta == pytest.approx(weights.sum())
    parts = [
        accumulate_fmllr(padded(gmms), x[a:b], pdfs[a:b], None if given is None else given[a:b])
        for a, b in ((0, 150), (150, 150), (150, 400))
    ]
    for name, value in vars(sum_in_order(parts)).items():
        np.testing.assert_allclose(value, getattr(stats, name), rtol=1e-4, atol=1e-6 * abs(G).max())


def test_weights_are_counts():
    gmms, x, pdfs, _ = speaker(2, components=2, frames=300)
    counts = np.arange(300) % 3
    weighted = accumulate_fmllr(gmms, x, pdfs, counts.astype(np.float64))
    repeated = accumulate_fmllr(gmms, np.repeat(x, counts, axis=0), np.repeat(pdfs, counts))
    for name, value in vars(weighted).items():
        np.testing.assert_allclose(value, getattr(repeated, name), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weighted", [False, True])
def test_gain_is_that_of_the_likelihood(seed, weighted):
    gmms, x, pdfs, truth = speaker(seed)
    weights = np.where(pdfs == 0, 0.01, 1) if weighted else np.ones(len(x))
    W, gain = estimate_fmllr(accumulate_fmllr(gmms, x, pdfs, weights if weighted else None))

    def per_frame(W):
        values = log_likelihoods(gmms, apply_affine(W, x.astype(np.float64)), pdfs)
        return np.average(values, weights=weights) + log_determinant(W)

    assert gain == pytest.approx(per_frame(W) - per_frame(np.eye(4, 5)), rel=1e-6)
    assert per_frame(W) > per_frame(truth)  # which is not quite the best for the sample
    np.testing.assert_allclose(W, truth, atol=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_mixtures_are_restored(seed):
    gmms, x, pdfs, truth = speaker(seed, components=3)
    wanted = log_likelihoods(gmms, apply_affine(truth, x), pdfs).mean() + log_determinant(truth)
    W, found = np.eye(4, 5), [log_likelihoods(gmms, x, pdfs).mean()]
    for _ in range(15):  # the posteriors as well improve from one to the next
        more, gain = estimate_fmllr(accumulate_fmllr(gmms, apply_affine(W, x), pdfs))
        W = compose(more, W)
        found.append(log_likelihoods(gmms, apply_affine(W, x), pdfs).mean() + log_determinant(W))
        assert found[-1] - found[-2] > gain - 1e-5  # which the auxiliary function bounds from below
    assert found[-1] > wanted - 1e-3
    np.testing.assert_allclose(W, truth, atol=0.2)


def test_rises_with_every_iteration():
    gmms, x, pdfs, _ = speaker(3, components=3)
    stats = accumulate_fmllr(gmms, x, pdfs)
    gains = [estimate_fmllr(stats, iterations=count)[1] for count in range(30)]
    assert gains[0] == 0
    assert gains[1] > 0
    assert (np.diff(gains) >= 0).all()


def test_invariance():
    gmms, x, pdfs, _ = speaker(4)
    C = np.hstack([np.random.default_rng(4).normal(np.eye(4), 0.1), np.ones((4, 1))])
    W, _ = estimate_fmllr(accumulate_fmllr(gmms, x, pdfs), iterations=500)
    V, _ = estimate_fmllr(accumulate_fmllr(gmms, apply_affine(C, x.astype(np.float64)), pdfs), iterations=500)
    np.testing.assert_allclose(compose(V, C), W, atol=1e-4)
    identity, gain = estimate_fmllr(accumulate_fmllr(gmms, apply_affine(W, x.astype(np.float64)), pdfs))
    np.testing.assert_allclose(identity, np.eye(4, 5), atol=1e-4)
    assert gain < 1e-6


def test_too_few_frames():
    gmms, x, pdfs, _ = speaker(5)
    assert estimate_fmllr(accumulate_fmllr(gmms, x[:500], pdfs[:500])) is None
    assert estimate_fmllr(accumulate_fmllr(gmms, x[:502], pdfs[:502]))[1] > 0
    stats = accumulate_fmllr(gmms, x[:50], pdfs[:50])
    assert estimate_fmllr(stats) is None
    assert estimate_fmllr(stats, min_count=40)[1] > 0
    assert estimate_fmllr(FmllrStats(0.0, np.zeros((4, 5)), np.zeros((4, 5, 5))), min_count=0) is None


def test_frames_that_do_not_determine_a_transform():
    gmms, x, pdfs, _ = speaker(6)
    assert estimate_fmllr(accumulate_fmllr(gmms, np.zeros_like(x), pdfs)) is None
