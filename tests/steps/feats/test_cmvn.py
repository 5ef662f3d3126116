import kaldi_native_fbank as knf
import numpy as np
import pytest
import torch

from steps.feats.cmvn import add_stats, apply_cmvn, cmvn_stats


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(3, [[1, 2, 5]], size=(200, 3)).astype(np.float32)


def test_stats_have_kaldis_layout(features):
    stats = cmvn_stats(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(stats[0], [*features.astype(float).sum(0), 200], rtol=1e-12)
    np.testing.assert_allclose(stats[1], [*(features.astype(float) ** 2).sum(0), 0], rtol=1e-12)
    np.testing.assert_allclose(stats, knf.compute_cmvn_stats(features), rtol=1e-6)


@pytest.mark.parametrize("norm_vars", [False, True])
def test_against_numpy(features, norm_vars):
    parts = torch.from_numpy(features).split(70)
    stats = add_stats(cmvn_stats(part) for part in parts)
    expected = (features - features.mean(0)) / (features.std(0) if norm_vars else 1)
    result = apply_cmvn(torch.from_numpy(features), stats, norm_vars)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)


def test_constant_features_become_zero():
    features = torch.full((10, 2), -15.9424)
    assert apply_cmvn(features, cmvn_stats(features), True).abs().max() < 1e-3
