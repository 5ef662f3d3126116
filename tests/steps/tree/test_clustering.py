"""Likelihoods against scipy's on the frames themselves, merging against trying every pair."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from steps.tree.clustering import VARIANCE_FLOOR, log_likelihood, merges

DIM = 3


def row(frames):
    return np.concatenate([[len(frames)], frames.sum(0), (frames**2).sum(0)])


def under_best_gaussian(frames):
    """By scipy, with the variance that fits best among those not below the floor."""
    scale = np.sqrt(np.maximum(frames.var(0), VARIANCE_FLOOR))
    return norm.logpdf(frames, frames.mean(0), scale).sum()


@st.composite
def clusters(draw, least=1, most=6):
    """Frames of some clusters; a scale of 0.01 takes the variances below the floor."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 9), min_size=least, max_size=most))
    scales = draw(st.lists(st.sampled_from([0.01, 0.3, 2.0]), min_size=len(sizes), max_size=len(sizes)))
    return [
        random.normal(random.normal(0, 1, DIM), scale, (size, DIM)) for size, scale in zip(sizes, scales, strict=True)
    ]


@settings(deadline=None)
@given(clusters())
def test_log_likelihood_of_the_frames(frames):
    expected = [under_best_gaussian(cluster) for cluster in frames]
    np.testing.assert_allclose(log_likelihood(np.array(list(map(row, frames)))), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(clusters(most=1), st.integers(0, 2**32 - 1))
def test_no_gaussian_above_the_floor_is_better(frames, seed):
    random = np.random.default_rng(seed)
    (frames,) = frames
    mean = frames.mean(0) + random.normal(0, 0.1, DIM)
    scale = np.sqrt(np.maximum(frames.var(0) * random.uniform(0.5, 2, DIM), VARIANCE_FLOOR))
    assert norm.logpdf(frames, mean, scale).sum() <= log_likelihood(row(frames)) + 1e-9


@settings(deadline=None)
@given(clusters(least=2))
def test_together_is_never_better_than_apart(frames):
    rows = np.array(list(map(row, frames)))
    assert log_likelihood(rows.sum(0)) <= log_likelihood(rows).sum() + 1e-9


def test_nothing():
    assert log_likelihood(np.zeros(7)) == 0
    assert merges(np.zeros((0, 7))) == merges(np.ones((1, 7))) == []


@settings(deadline=None)
@given(clusters(least=2), st.one_of(st.just(np.inf), st.floats(0.1, 30)))
def test_merges_are_the_best_of_all_pairs(frames, threshold):
    rows = np.array(list(map(row, frames)))
    left = dict(enumerate(frames))
    expected = []
    while len(left) > 1:
        losses = {
            (a, b): under_best_gaussian(left[a])
            + under_best_gaussian(left[b])
            - under_best_gaussian(np.concatenate([left[a], left[b]]))
            for a, b in combinations(sorted(left), 2)
        }
        best = min(losses, key=losses.get)
        if losses[best] >= threshold:
            break
        expected.append(best)
        left[best[0]] = np.concatenate([left[best[0]], left.pop(best[1])])
    assert merges(rows, threshold) == expected
    assert rows[:, 0].tolist() == [len(cluster) for cluster in frames], "the rows are not to be changed"


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_no_loss_is_small_enough(threshold):
    rows = np.array([[2.0, 1.0, 3.0], [4.0, 0.0, 1.0]])
    assert merges(rows, threshold) == []
