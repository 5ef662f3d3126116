import numpy as np
import pytest

from steps.gmm.gmm import accumulate
from steps.gmm.moments import full_moments
from tests.steps.gaussians import data, mixtures, padded, scipy_posteriors


@pytest.mark.parametrize("weighted", [False, True])
def test_moments(weighted):
    gmms, x = mixtures(1), data(1)
    random = np.random.default_rng(0)
    pdfs = random.choice([0, 2], len(x))
    weights = random.choice([0, 0.01, 1], len(x)) if weighted else np.ones(len(x))
    found = list(full_moments(padded(gmms), x, pdfs, weights if weighted else None))
    assert len(found) == 2
    gamma = weights[:, None] * scipy_posteriors(gmms, x, pdfs)
    extended = np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)
    for pdf, (means, inverse_variances, moments) in zip((0, 2), found, strict=True):
        np.testing.assert_array_equal(means, gmms.means[pdf])
        np.testing.assert_array_equal(inverse_variances, 1 / gmms.variances[pdf])
        own = pdfs == pdf
        expected = np.einsum("tm,ti,tj->mij", gamma[own], extended[own], extended[own])
        np.testing.assert_allclose(moments, expected, rtol=1e-3, atol=1e-3 * abs(expected).max())
        np.testing.assert_array_equal(moments, moments.transpose(0, 2, 1))


def test_they_hold_the_diagonal_statistics():
    gmms, x = mixtures(2), data(2)
    pdfs = np.arange(len(x)) % 3
    stats = accumulate(gmms, x, pdfs, np.arange(3))
    moments = np.stack([moments for _, _, moments in full_moments(gmms, x, pdfs)])
    np.testing.assert_allclose(moments[..., -1, -1], stats.occupancy)
    np.testing.assert_allclose(moments[..., -1, :-1], stats.first, atol=1e-9)
    np.testing.assert_allclose(moments.diagonal(axis1=2, axis2=3)[..., :-1], stats.second)
