"""Online CMVN against Kaldi's formula, frame by frame, and against itself on the beginnings of an utterance."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from steps.feats.cmvn import cmvn_stats, digital_silence, frame_levels, speaker_stats
from steps.feats.online import online_cmvn, speech_so_far
from steps.feats.options import FbankOptions, MfccOptions
from tests.steps.feats.speech import KINDS, clean_speech, noise, raw

PRIOR = cmvn_stats(torch.randn(5000, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1)


def kaldis(features, prior, window, global_frames, norm_vars):
    """OnlineCmvn::GetFrame with its ComputeStatsForFrame and SmoothOnlineCmvnStats, without a speaker's statistics."""
    normalised = []
    for t in range(len(features)):
        stats = np.zeros_like(prior)
        for frame in features[max(0, t + 1 - window) : t + 1].astype(float):
            stats[0, :-1] += frame
            stats[1, :-1] += frame**2
            stats[0, -1] += 1
        from_global = min(window - stats[0, -1], global_frames)
        if from_global > 0:
            stats += from_global / prior[0, -1] * prior
        mean = stats[0, :-1] / stats[0, -1]
        deviation = np.sqrt(np.maximum(stats[1, :-1] / stats[0, -1] - mean**2, 1e-20))
        normalised.append((features[t] - mean) / (deviation if norm_vars else 1))
    return np.array(normalised)


@pytest.mark.parametrize("norm_vars", [False, True])
@pytest.mark.parametrize(("window", "global_frames"), [(600, 200), (50, 20), (50, 200), (1, 1), (30, 5)])
def test_against_kaldis_formula(norm_vars, window, global_frames):
    features = np.random.default_rng(0).normal(3, [[1, 2, 5]], size=(120, 3)).astype(np.float32)
    options = FbankOptions(num_mel_bins=3, cmvn_frames="all", cmvn_norm_vars=norm_vars)
    options = replace(options, cmn_window=window, global_frames=global_frames)
    result = online_cmvn(torch.from_numpy(features), PRIOR, options)
    assert result.dtype == torch.float32
    expected = kaldis(features, PRIOR.numpy(), window, global_frames, norm_vars)
    if window == 1 and norm_vars:
        expected = np.zeros_like(expected)  # 0 by the smallest deviation there is
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5, atol=1e-5)


def rule(levels, lowest):
    """Which frames count, from the definition: the levels of speech and noise from all frames up to each."""
    counts, speech, pauses = [], 0, 0
    for t, level in enumerate(levels):
        so_far = np.sort(levels[: t + 1])
        noisy = so_far[so_far > lowest + 1e-3]
        clamped = np.minimum(so_far, so_far[-min(8, t + 1)])
        speech_level = np.average(clamped, weights=np.exp(clamped))
        noise_level = noisy[int(0.02 * len(noisy))] if len(noisy) else np.inf
        limit = max((speech_level + noise_level) / 2, speech_level - 2 * np.log(10))
        if speech_level - noise_level >= 1 and level >= limit:
            speech += 1
            counts.append(True)
        elif level > lowest + 1e-3 and pauses < speech / 2:
            pauses += 1
            counts.append(True)
        else:
            counts.append(False)
    return counts


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_the_frames_that_count_are_those_of_the_documented_rule(options):
    features = raw(np.concatenate([noise(0.5, 4), clean_speech(5), np.zeros(8000)]), options)
    levels, lowest = frame_levels(features, options), digital_silence(options)
    counts = speech_so_far(levels, lowest)
    assert counts.tolist() == rule(levels.double().numpy(), lowest)
    assert 0.3 * len(levels) < counts.sum() < 0.9 * len(levels)


@pytest.mark.parametrize("frames", ["all", "speech"])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_in_pieces_as_in_one(options, frames):
    """No row depends on later frames: beginnings of an utterance have the same bits."""
    options = replace(options, cmvn_frames=frames, cmn_window=150, global_frames=40)
    features = raw(np.concatenate([noise(0.5, 4), clean_speech(5)]), options)
    prior = speaker_stats([raw(clean_speech(6), options)], options)
    whole = online_cmvn(features, prior, options)
    for t in (0, 1, 7, 8, 40, 100, 250, len(features) - 1, len(features)):
        torch.testing.assert_close(online_cmvn(features[:t], prior, options), whole[:t], rtol=0, atol=0)


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("silence", [np.zeros(60 * 16000, np.float32), noise(60, 9)], ids=["zeros", "quiet"])
def test_longer_silence_does_not_count(options, silence):
    speech, prior = raw(clean_speech(1), options), speaker_stats([raw(clean_speech(2), options)], options)
    padded = raw(np.concatenate([silence, clean_speech(1)]), options)
    alone, after = (online_cmvn(matrix, prior, options)[-250:] for matrix in (speech, padded))
    spread = alone.std(0)
    assert ((after - alone).abs().mean(0) / spread).max() < 0.1
    everything = replace(options, cmvn_frames="all")
    shifted = online_cmvn(padded, prior, everything)[-250:]
    assert ((shifted - alone).abs().mean(0) / spread).max() > 0.3


@pytest.mark.parametrize("options", [FbankOptions(), MfccOptions()])
def test_digital_silence_is_normalised_as_the_training_set(options):
    prior = speaker_stats([raw(clean_speech(2), options)], options)
    zeros = raw(np.zeros(16000), options)
    mean = prior[0, :-1] / prior[0, -1]
    deviation = (prior[1, :-1] / prior[0, -1] - mean.square()).sqrt() if options.cmvn_norm_vars else 1
    expected = ((zeros - mean) / deviation).float()
    torch.testing.assert_close(online_cmvn(zeros, prior, options), expected)


def test_no_frame():
    assert online_cmvn(torch.zeros(0, 3), PRIOR, FbankOptions(num_mel_bins=3)).shape == (0, 3)
