"""The transform against scipy's generalised eigenvectors and scikit-learn, and by what it has to do to the data."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from steps.base.errors import InputError
from steps.gmm.gmm import sum_in_order
from steps.gmm.lda import LdaStats, accumulate_lda, estimate_lda


def frames(seed, pdfs=6, dim=5, count=600):
    random = np.random.default_rng(seed)
    labels = random.integers(pdfs, size=count)
    mixing = np.eye(dim) + np.triu(random.normal(size=(dim, dim)), 1)
    x = 2 + random.normal(0, 1.5, (pdfs, dim))[labels] + random.normal(size=(count, dim)) @ mixing
    return x.astype(np.float32), labels


def covariances(x, labels):
    """Within and between classes, class by class."""
    within, between = np.zeros((2, x.shape[1], x.shape[1]))
    for label in np.unique(labels):
        own = x[labels == label].astype(np.float64)
        within += len(own) / len(x) * np.cov(own.T, bias=True)
        offset = own.mean(0) - x.mean(0, dtype=np.float64)
        between += len(own) / len(x) * np.outer(offset, offset)
    return within, between


def test_statistics():
    x, labels = frames(1)
    stats = accumulate_lda(x, labels, num_pdfs=7)
    for pdf in range(7):
        assert stats.counts[pdf] == (labels == pdf).sum()
        np.testing.assert_allclose(stats.first[pdf], x[labels == pdf].astype(np.float64).sum(0))
    np.testing.assert_allclose(stats.second, sum(np.outer(frame, frame) for frame in x.astype(np.float64)))
    parts = [accumulate_lda(x[a:b], labels[a:b], 7) for a, b in ((0, 100), (100, 100), (100, 600))]
    for name, value in vars(sum_in_order(parts)).items():
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, getattr(stats, name), rtol=1e-12)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 8), st.integers(1, 6), st.data())
def test_whitens_within_and_sorts_between(seed, pdfs, dim, draw):
    x, labels = frames(seed, pdfs, dim)
    kept = draw.draw(st.integers(1, min(dim, pdfs - 1)))
    A = estimate_lda(accumulate_lda(x, labels, pdfs), kept)
    assert A.shape == (kept, dim)
    within, between = covariances(x.astype(np.float64) @ A.T, labels)
    within, between = np.atleast_2d(within), np.atleast_2d(between)
    np.testing.assert_allclose(within, np.eye(kept), atol=1e-8)
    scale = between.max()
    np.testing.assert_allclose(between, np.diag(between.diagonal()), atol=1e-8 * scale)
    assert (np.diff(between.diagonal()) <= 1e-8 * scale).all()


def test_generalised_eigenvectors():
    x, labels = frames(2, pdfs=8)
    within, between = covariances(x, labels)
    values, vectors = scipy.linalg.eigh(between, within)
    A = estimate_lda(accumulate_lda(x, labels, 8), 5)
    np.testing.assert_allclose(abs(A), abs(vectors.T[::-1]), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose((A @ between @ A.T).diagonal(), values[::-1], rtol=1e-6)


def test_scikit_learn():
    x, labels = frames(3, pdfs=8)
    reference = LinearDiscriminantAnalysis(solver="eigen").fit(x.astype(np.float64), labels)
    A = estimate_lda(accumulate_lda(x, labels, 8), 5)
    np.testing.assert_allclose(abs(A), abs(reference.scalings_.T), rtol=1e-6, atol=1e-8)


def test_pdfs_without_frames_change_nothing():
    x, labels = frames(4)
    few, many = accumulate_lda(x, labels, 6), accumulate_lda(x, 2 * labels + 1, 20)
    np.testing.assert_allclose(estimate_lda(many, 3), estimate_lda(few, 3), rtol=1e-9)


def test_signs_do_not_hang_on_rounding():
    x, labels = frames(5, pdfs=8, dim=6, count=2000)
    both = np.vstack([x, x[:, [3, 4, 5, 0, 1, 2]]])  # each pdf and its mirror image, as if time ran backwards
    mirrored = accumulate_lda(both, np.concatenate([labels, labels + 8]), 16)
    A = estimate_lda(mirrored, 6)  # so that rows are sums or differences: each element has its double
    np.testing.assert_allclose(abs(A[:, :3]), abs(A[:, 3:]), rtol=1e-6)
    for seed in range(10):
        noise = 1 + 1e-10 * np.random.default_rng(seed).normal(size=(6, 6))
        rounded = LdaStats(mirrored.counts, mirrored.first, mirrored.second * (noise + noise.T) / 2)
        np.testing.assert_allclose(estimate_lda(rounded, 6), A, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("dim", "pdfs"), [(6, 8), (4, 4)])
def test_too_many_dimensions_asked_for(dim, pdfs):
    x, labels = frames(6, pdfs)
    with pytest.raises(InputError, match=rf"LDA to {dim} dimensions .* there are 5 dimensions and {pdfs} pdfs"):
        estimate_lda(accumulate_lda(x, labels, 100), dim)


@pytest.mark.parametrize("damage", ["constant", "nearly constant", "sum", "few"])
def test_singular(damage):
    x, labels = frames(7)
    if damage == "constant":
        x[:, 2] = 1e4 / 3  # sums of whose squares are rounded, so that its variance is not 0
    elif damage == "nearly constant":
        x[:, 2] = 1e4 / 3 + 1e-3 * (np.arange(len(x)) % 7 // 4)
    elif damage == "sum":
        x = x.astype(np.float64)
        x[:, 2] = x[:, 0] + x[:, 1]
    else:
        x, labels = x[:10], np.arange(10) % 6
    with pytest.raises(InputError, match=rf"covariance of {len(x)} frames of 6 pdfs over 5 dimensions is singular"):
        estimate_lda(accumulate_lda(x, labels, 6), 2)
