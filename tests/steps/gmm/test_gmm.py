"""Gaussians against scipy, a step of EM against scikit-learn, growth against Kaldi's algorithm written with a heap."""

import heapq

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture

from steps.gmm.gmm import (
    DiagGmms,
    Stats,
    accumulate,
    estimate,
    in_use,
    joint_log_likelihoods,
    log_likelihoods,
    read_gmms,
    single_gaussians,
    split,
    split_targets,
    sum_in_order,
    write_gmms,
)
from tests.steps.gaussians import data, mixtures, padded, scipy_joint


def test_likelihoods():
    gmms, x = mixtures(1), data(1)
    expected = scipy_joint(gmms, x).transpose(2, 0, 1)
    joint = joint_log_likelihoods(in_use(gmms), x).view(len(x), *gmms.weights.shape)
    np.testing.assert_allclose(joint, expected, rtol=1e-4, atol=1e-3)
    found = log_likelihoods(gmms, x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, logsumexp(expected, axis=2), rtol=1e-4, atol=1e-3)


def test_likelihoods_of_the_pdfs_that_are_needed():
    gmms, x = mixtures(5, pdfs=6), data(5)
    found, needed = log_likelihoods(gmms, x, np.array([1, 4])), log_likelihoods(gmms, x)[:, [1, 4]]
    np.testing.assert_allclose(found[:, [1, 4]], needed, rtol=1e-5)
    assert (found[:, [0, 2, 3, 5]] == -np.inf).all()
    assert log_likelihoods(gmms, x[:0]).shape == (0, 6)


def test_moments_of_other_features():
    # with y = 2 x + 1, a Gaussian's moments of y follow from those of x
    gmms, x = mixtures(6), data(6)
    tids, tid_to_pdf = np.random.default_rng(0).integers(1, 4, len(x)), np.array([-1, 0, 1, 2])
    of_x, of_y = accumulate(gmms, x, tids, tid_to_pdf), accumulate(gmms, x, tids, tid_to_pdf, moments_of=2 * x + 1)
    n = of_x.occupancy[..., None]
    np.testing.assert_array_equal(of_y.occupancy, of_x.occupancy)
    np.testing.assert_allclose(of_y.first, 2 * of_x.first + n, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(of_y.second, 4 * of_x.second + 4 * of_x.first + n, rtol=1e-5, atol=1e-3)
    assert of_y.log_likelihood == of_x.log_likelihood


def test_gaussians_out_of_use_count_nothing():
    gmms, x = mixtures(2), data(2)
    more = padded(gmms)
    np.testing.assert_allclose(log_likelihoods(more, x), log_likelihoods(gmms, x), rtol=1e-5)
    assert more.num_gaussians == gmms.num_gaussians == 12


def test_step_of_em_is_that_of_scikit_learn():
    gmms, x = mixtures(3, pdfs=2), data(3)
    tids = np.random.default_rng(0).integers(1, 4, len(x))
    tid_to_pdf = np.array([-1, 0, 1, 0])
    stats = accumulate(gmms, x, tids, tid_to_pdf)
    updated = estimate(gmms, stats, min_occupancy=0)
    np.testing.assert_array_equal(stats.transitions, np.bincount(tids, minlength=4))
    assert stats.frames == len(x)
    total = 0.0
    for pdf in range(2):
        own = x[tid_to_pdf[tids] == pdf].astype(np.float64)
        reference = GaussianMixture(
            4,
            covariance_type="diag",
            max_iter=1,
            reg_covar=0,
            weights_init=gmms.weights[pdf],
            means_init=gmms.means[pdf],
            precisions_init=1 / gmms.variances[pdf],
        )
        with pytest.warns(UserWarning, match="did not converge"):
            reference.fit(own)
        np.testing.assert_allclose(updated.weights[pdf], reference.weights_, rtol=1e-3)
        np.testing.assert_allclose(updated.means[pdf], reference.means_, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(updated.variances[pdf], reference.covariances_, rtol=1e-2, atol=1e-3)
        total += logsumexp(scipy_joint(gmms, own)[pdf], axis=0).sum()
    assert stats.log_likelihood == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_never_falls(seed):
    x = data(seed, frames=900)
    tids = np.random.default_rng(seed).integers(1, 4, len(x))
    gmms = split(single_gaussians(x.mean(0), x.var(0), 3), np.array([4, 1, 6]), seed, perturb=0.3)
    likelihoods = []
    for _ in range(12):
        stats = accumulate(gmms, x, tids, np.array([-1, 0, 1, 2]))
        likelihoods.append(stats.log_likelihood / stats.frames)
        gmms = estimate(gmms, stats, min_occupancy=0)
    assert np.diff(likelihoods).min() > -1e-5
    assert likelihoods[-1] > likelihoods[0] + 0.1


def test_statistics_add_up_whatever_the_blocks():
    gmms, x = mixtures(4), data(4)
    tids, tid_to_pdf = np.random.default_rng(0).integers(1, 4, len(x)), np.array([-1, 0, 1, 2])
    whole = accumulate(gmms, x, tids, tid_to_pdf)
    parts = [accumulate(gmms, x[a:b], tids[a:b], tid_to_pdf) for a, b in ((0, 150), (150, 150), (150, 400))]
    total = sum_in_order(parts)
    for name, value in vars(whole).items():
        np.testing.assert_allclose(getattr(total, name), value, rtol=1e-4, atol=1e-2)


def test_rare_gaussians_are_taken_out():
    gmms = mixtures(5, pdfs=4, components=3, dim=1)
    gmms.weights[3] = [1, 0, 0]
    occupancy = np.array([[20.0, 4, 30], [1, 2, 3], [0, 0, 0], [2, 0, 0]])
    stats = Stats(occupancy, occupancy[..., None] * 2, occupancy[..., None] * 4.5, np.zeros(1))
    updated = estimate(gmms, stats, min_occupancy=10, min_variance=0.7)
    np.testing.assert_allclose(updated.weights[0], [0.4, 0, 0.6])
    assert updated.means[0, [0, 2], 0].tolist() == [2, 2]
    assert updated.variances[0, [0, 2], 0].tolist() == [0.7, 0.7]  # 4.5 - 2², floored
    for pdf in (1, 2, 3):  # hardly or never seen: as they were
        for name in ("weights", "means", "variances"):
            np.testing.assert_array_equal(getattr(updated, name)[pdf], getattr(gmms, name)[pdf])


def kaldi_split_targets(occupancies, target, power, min_count):
    """Kaldi's GetSplitTargets, line by line."""
    queue = [(-(occ**power), pdf, 1, occ**power) for pdf, occ in enumerate(occupancies)]
    heapq.heapify(queue)
    total = len(occupancies)
    while total < target:
        _, pdf, count, share = heapq.heappop(queue)
        if share == 0:
            heapq.heappush(queue, (0.0, pdf, count, 0.0))
            break
        if (count + 1) * min_count >= occupancies[pdf]:
            share = 0.0
        else:
            count += 1
            total += 1
        heapq.heappush(queue, (-share / count, pdf, count, share))
    return [count for _, count in sorted((pdf, count) for _, pdf, count, _ in queue)]


@settings(deadline=None)
@example([40.0], 1, 0.25, 20.0)  # exactly as many frames as two Gaussians need: Kaldi leaves it at one
@given(
    st.lists(st.floats(0.1, 1e4), min_size=1, max_size=12, unique=True),
    st.integers(0, 60),
    st.sampled_from([0.25, 0.5, 1.0]),
    st.sampled_from([1.0, 20.0]),
)
def test_split_targets_are_kaldis(occupancies, more, power, min_count):
    target = len(occupancies) + more
    found = split_targets(np.array(occupancies), target, power, min_count)
    expected = kaldi_split_targets(occupancies, target, power, min_count)
    assert abs(found - expected).sum() <= 2  # shares that are equal but for rounding may go to either pdf
    assert found.sum() == sum(expected)


def test_split():
    gmms = mixtures(6, pdfs=3, components=2)
    grown = split(gmms, np.array([5, 1, 2]), seed=7)
    assert (grown.weights > 0).sum(1).tolist() == [5, 2, 2]
    np.testing.assert_allclose(grown.weights.sum(1), 1)
    for pdf in range(3):  # means move apart in pairs, so that their average stays
        before = gmms.weights[pdf] @ gmms.means[pdf]
        np.testing.assert_allclose(grown.weights[pdf] @ grown.means[pdf], before)
    for pdf in (1, 2):
        for name in ("weights", "means", "variances"):
            np.testing.assert_array_equal(getattr(grown, name)[pdf, :2], getattr(gmms, name)[pdf])
    heaviest = gmms.weights[0].argmax()
    moved = grown.means[0, heaviest] - gmms.means[0, heaviest]
    assert 0 < abs(moved / np.sqrt(gmms.variances[0, heaviest])).max() < 0.01 * 12
    np.testing.assert_array_equal(split(gmms, np.array([5, 1, 2]), seed=7).means, grown.means)


def test_split_leaves_no_holes():
    gmms = mixtures(8, pdfs=1, components=3)
    holed = DiagGmms(np.array([[0.5, 0, 0.5]]), gmms.means, gmms.variances)
    grown = split(holed, np.array([1]), seed=1)
    assert grown.weights.tolist() == [[0.5, 0.5]]
    np.testing.assert_array_equal(grown.means[0], gmms.means[0, [0, 2]])


def test_file(tmp_path):
    gmms = mixtures(9)
    write_gmms(tmp_path / "gmm.npz", gmms)
    for name, array in vars(read_gmms(tmp_path / "gmm.npz")).items():
        np.testing.assert_array_equal(array, getattr(gmms, name))
