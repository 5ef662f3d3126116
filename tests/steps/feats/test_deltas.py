import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from steps.feats.deltas import add_deltas


def kaldi_deltas(features, order, window=2):
    """DeltaFeatures of Kaldi's feature-functions.cc, loop by loop."""
    scales = [np.ones(1)]
    for i in range(1, order + 1):
        prev_offset, cur_offset = (len(scales[i - 1]) - 1) // 2, (len(scales[i - 1]) - 1) // 2 + window
        cur, normaliser = np.zeros(len(scales[i - 1]) + 2 * window), 0.0
        for j in range(-window, window + 1):
            normaliser += j * j
            for k in range(-prev_offset, prev_offset + 1):
                cur[j + k + cur_offset] += j * scales[i - 1][k + prev_offset]
        scales.append(cur / normaliser)
    T, D = features.shape
    output = np.zeros((T, D * (order + 1)))
    for t in range(T):
        for i, scale in enumerate(scales):
            reach = (len(scale) - 1) // 2
            for j in range(-reach, reach + 1):
                frame = min(max(t + j, 0), T - 1)
                output[t, i * D : (i + 1) * D] += scale[j + reach] * features[frame]
    return output


@given(T=st.integers(1, 20), D=st.integers(1, 4), order=st.integers(0, 2), seed=st.integers(0, 1000))
def test_as_kaldi(T, D, order, seed):
    features = np.random.default_rng(seed).normal(size=(T, D)).astype(np.float32)
    result = add_deltas(torch.from_numpy(features), order)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), kaldi_deltas(features, order), atol=1e-5)


def test_no_frames():
    assert add_deltas(torch.empty(0, 3), 2).shape == (0, 9)
