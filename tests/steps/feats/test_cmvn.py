import dataclasses

import kaldi_native_fbank as knf
import numpy as np
import pytest
import torch

from steps.feats.cmvn import (
    add_stats,
    apply_cmvn,
    cmvn_stats,
    frame_levels,
    signal_to_noise,
    speaker_stats,
)
from steps.feats.options import FbankOptions, MfccOptions
from tests.steps.feats.speech import KINDS, clean_speech, noise, raw


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


def shift(stats, expected):
    """How far statistics move features, in standard deviations: the mean and the deviation itself, at the most."""
    (mean, deviation), (mean_0, deviation_0) = map(normaliser, (stats, expected))
    return max(((mean - mean_0) / deviation_0).abs().max(), (deviation / deviation_0 - 1).abs().max())


def normaliser(stats):
    """Mean and standard deviation."""
    mean = stats[0, :-1] / stats[0, -1]
    return mean, (stats[1, :-1] / stats[0, -1] - mean.square()).sqrt()


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("silence", [np.zeros(60 * 16000, np.float32), noise(60, 9)], ids=["zeros", "quiet"])
def test_silence_does_not_count(options, silence):
    speech = clean_speech(1)
    alone = speaker_stats([raw(speech, options)], options)
    around = raw(np.concatenate([silence, speech, silence, speech, silence]), options)
    for padded in ([raw(speech, options), raw(silence, options)], [around]):
        assert shift(speaker_stats(padded, options), alone) < 0.05
    everything = dataclasses.replace(options, cmvn_frames="all")
    assert shift(speaker_stats([around], everything), alone) > 0.5


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_the_rule_is_the_documented_one(options):
    features = raw(clean_speech(1), options)
    levels = frame_levels(features, options).double()
    clamped = levels.clamp(max=levels.sort().values[-8])
    speech_level = (clamped.exp() @ clamped) / clamped.exp().sum()
    limit = max((speech_level + levels.quantile(0.02)) / 2, speech_level - 2 * np.log(10))
    count = round(1.5 * (levels >= limit).sum().item())
    assert 0.5 * len(levels) < count < 0.95 * len(levels)
    loudest = features[levels.argsort(descending=True)[:count]]
    stats = speaker_stats([features, features], options)
    torch.testing.assert_close(stats, 2 * cmvn_stats(loudest), rtol=1e-3, atol=0)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_click_does_not_tell_how_loud_speech_is(options):
    speech = clean_speech(1) * np.float32(0.1)
    clicked = speech.copy()
    clicked[[500, 40000]] = 0.99
    before, after = (speaker_stats([raw(samples, options)], options) for samples in (speech, clicked))
    assert shift(after, before) < 0.2


def test_levels_of_both_kinds_are_alike():
    speech = clean_speech(3)
    fbank, mfcc = (frame_levels(raw(speech, o), o) for o in (FbankOptions(num_mel_bins=23), MfccOptions()))
    torch.testing.assert_close(fbank, mfcc, atol=1e-3, rtol=0)


def test_all_frames_count(features):
    options = FbankOptions(num_mel_bins=3, cmvn_frames="all")
    parts = torch.from_numpy(features).split(70)
    torch.testing.assert_close(speaker_stats(parts, options), add_stats(map(cmvn_stats, parts)), rtol=0, atol=0)


def test_a_speaker_of_silence_alone_counts_all_frames():
    options = FbankOptions()
    assert speaker_stats([raw(np.zeros(16000), options)], options)[0, -1] == 98


def test_no_frame_gives_zeros():
    assert not speaker_stats([], FbankOptions()).any()
    assert not speaker_stats([torch.zeros(0, 40)], FbankOptions()).any()


@pytest.mark.parametrize("options", [FbankOptions(), MfccOptions()])
def test_ten_decibels_more_noise_are_ten_decibels_less_ratio(options):
    speech, hiss = clean_speech(1), np.random.default_rng(2).standard_normal(len(clean_speech(1))).astype(np.float32)
    level = np.abs(speech).max() / 1000
    ratios = [signal_to_noise(raw(speech + level * 10 ** (dB / 20) * hiss, options), options) for dB in (0, 10, 20)]
    assert np.diff(ratios) == pytest.approx([-10, -10], abs=1.5)


def test_digital_silence_has_no_ratio():
    options = FbankOptions()
    assert signal_to_noise(raw(np.zeros(8000, np.float32), options), options) is None
