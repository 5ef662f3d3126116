"""The row-by-row optimum against scipy's general optimisers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad, minimize

from steps.gmm.row_updates import is_determined, maximise, objective


def statistics(seed, offset, dim=4, beta=300.0):
    """Statistics of frames of six Gaussians, seen through a linear map, with an offset or without their means."""
    random = np.random.default_rng(seed)
    means, precisions = random.normal(size=(6, dim)), random.uniform(0.3, 3, (6, dim))
    labels = random.integers(6, size=int(beta))
    x = random.normal(offset * means[labels], 1 / np.sqrt(precisions[labels])) @ random.normal(np.eye(dim), 0.4)
    x = np.hstack([x + random.normal(size=dim), np.ones((len(x), 1))]) if offset else x
    K = offset * np.einsum("td,te->de", (means * precisions)[labels], x)
    return beta, K, np.einsum("td,te,tf->def", precisions[labels], x, x)


def negative(flat, beta, K, G):
    """The objective and its gradient, per frame and with signs turned."""
    W = flat.reshape(K.shape)
    A = W[:, : len(W)]
    value = beta * np.log(abs(np.linalg.det(A))) + sum(w @ k - 0.5 * w @ g @ w for w, k, g in zip(W, K, G, strict=True))
    gradient = K - np.stack([g @ w for w, g in zip(W, G, strict=True)])
    gradient[:, : len(W)] += beta * np.linalg.inv(A).T
    return -value / beta, -gradient.ravel() / beta


@pytest.mark.parametrize("offset", [False, True])
def test_objective(offset):
    stats = statistics(1, offset)
    W = np.random.default_rng(1).normal(size=stats[1].shape)
    assert objective(W, *stats) == pytest.approx(-stats[0] * negative(W.ravel(), *stats)[0])
    parts = [lambda flat, i=i: negative(flat, *stats)[i] for i in (0, 1)]
    assert check_grad(*parts, W.ravel()) < 1e-4  # of the test's own gradient


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_as_good_as_a_general_optimiser(seed, offset):
    stats = statistics(seed, offset)
    W, objectives = maximise(*stats, iterations=5000)
    value, gradient = negative(W.ravel(), *stats)
    assert objectives[-1] == pytest.approx(-stats[0] * value)
    assert abs(gradient).max() < 1e-6
    random = np.random.default_rng(seed)
    starts = [np.eye(*W.shape), *(np.eye(*W.shape) + random.normal(0, s, W.shape) for s in (0.1, 0.3, 1, 1, 1))]
    for start in starts:
        best = minimize(negative, start.ravel(), args=stats, jac=True, method="BFGS")
        assert value <= best.fun + 1e-7


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10000), st.booleans(), st.integers(1, 6))
def test_never_falls(seed, offset, dim):
    beta, K, G = statistics(seed, offset, dim, beta=50.0)
    random = np.random.default_rng(seed)
    K = K + offset * random.normal(0, 100, K.shape)  # terms of no data at all, so that determinants change their sign
    W, objectives = maximise(beta, K, G, iterations=30)
    assert objectives[0] == objective(np.eye(*K.shape), beta, K, G)
    assert objectives[-1] == objective(W, beta, K, G)
    assert (np.diff(objectives) > 0).all()


@pytest.mark.parametrize("offset", [False, True])
def test_each_row_is_best_given_the_others(offset):
    beta, K, G = statistics(5, offset)
    W, _ = maximise(beta, K, G, iterations=1)
    last = len(W) - 1  # the row that was updated last

    def with_row(row):
        return negative(np.vstack([W[:last], row]).ravel(), beta, K, G)[0]

    for start in np.random.default_rng(5).normal(size=(8, K.shape[1])):
        assert with_row(W[last]) <= minimize(with_row, start, method="BFGS").fun + 1e-9


def test_one_dimension():
    beta, g = 10.0, 40.0  # β log |a| - ½ g a² is greatest at a² = β/g
    W, objectives = maximise(beta, np.zeros((1, 1)), np.array([[[g]]]), iterations=10)
    assert W.item() == pytest.approx(0.5)
    assert objectives == pytest.approx([-20, 10 * np.log(0.5) - 5])
    k = 30.0  # with a linear term: β/a + k - g a = 0
    W, _ = maximise(beta, np.array([[k]]), np.array([[[g]]]), iterations=10)
    assert W.item() == pytest.approx((k + np.sqrt(k**2 + 4 * g * beta)) / (2 * g))
    W, _ = maximise(beta, np.array([[-k]]), np.array([[[g]]]), iterations=10)
    assert W.item() == pytest.approx(-(k + np.sqrt(k**2 + 4 * g * beta)) / (2 * g))  # |a| alone counts: it is mirrored


def test_is_determined():
    _, _, G = statistics(6, offset=True)
    assert is_determined(G)
    assert not is_determined(np.zeros_like(G))
    singular = G.copy()
    singular[2] = np.outer(G[2, 0], G[2, 0])
    assert not is_determined(singular)
