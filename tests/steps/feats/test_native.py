"""Filterbanks and MFCC against kaldi-native-fbank."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct

from steps.feats.compute import compute_features
from steps.feats.fbank import mel_filters
from steps.feats.frames import BLOCK, num_frames, povey_window
from steps.feats.options import FbankOptions, MfccOptions
from tests.bench.features import native, speech_like

KINDS = [
    FbankOptions(),
    FbankOptions(num_mel_bins=23, low_freq=64, high_freq=-400),
    MfccOptions(),
    MfccOptions(use_energy=True),
    MfccOptions(num_mel_bins=40, num_ceps=40, cepstral_lifter=0, high_freq=3700),
]


def exact(samples, options):
    """Kaldi's steps one after another in float64."""
    length, shift = options.sample_rate * 25 // 1000, options.sample_rate // 100
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float) * 32768, length)[::shift]
    frames = frames - frames.mean(1, keepdims=True)
    energy = np.log((frames**2).sum(1))
    frames = frames - np.float32(0.97).astype(float) * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))) ** 0.85
    power = np.abs(np.fft.rfft(frames * window, 1 << (length - 1).bit_length())) ** 2
    fbank = np.log(power @ mel_filters(options).double().numpy())
    if not isinstance(options, MfccOptions):
        return fbank
    k, lifter = np.arange(options.num_ceps), options.cepstral_lifter
    mfcc = dct(fbank, norm="ortho")[:, : options.num_ceps]
    mfcc *= 1 + lifter / 2 * np.sin(np.pi * k / lifter) if lifter else 1
    if options.use_energy:
        mfcc[:, 0] = energy
    return mfcc


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("options", KINDS, ids=lambda o: f"{o.type}{o.num_mel_bins}")
def test_speech(options, rate):
    options = dataclasses.replace(options, sample_rate=rate)
    for seed, seconds in enumerate([0.025, 0.03, 1.3, 4.0, 9.7]):
        samples = speech_like(seconds, rate, seed)
        ours, theirs, true = compute_features(samples, options), native(samples, options), exact(samples, options)
        assert ours.shape == theirs.shape
        assert ours.dtype == np.float32
        # a filter 90 dB below the loudest is noise of float32, which differs between processors, to both: where
        # kaldi-native-fbank is off by e itself, ours is not much farther off, so that the two differ by 2.5 e at most
        error = np.abs(theirs - true).max()
        assert np.abs(ours - true).max() < max(5e-4, 1.5 * error)
        assert np.abs(ours - theirs).max() < max(1e-3, 2.5 * error)


def test_many_filters():
    samples, options = speech_like(3.0, 16000, 0), FbankOptions(num_mel_bins=80)
    np.testing.assert_allclose(compute_features(samples, options), native(samples, options), atol=1e-3)


@pytest.mark.parametrize("rate", [11025, 22050, 44100])
def test_other_rates(rate):
    options = FbankOptions(sample_rate=rate)
    samples = speech_like(1.0, rate, 3)
    np.testing.assert_allclose(compute_features(samples, options), native(samples, options), atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(0, 12000) | st.integers(400 + 160 * (BLOCK - 2), 400 + 160 * (BLOCK + 2)),
    seed=st.integers(0, 2**31),
    loudness=st.floats(1e-3, 0.19),
    offset=st.floats(-4, 4),
    kind=st.sampled_from([FbankOptions(), MfccOptions(sample_rate=8000), MfccOptions(use_energy=True)]),
)
def test_any_length_and_level(length, seed, loudness, offset, kind):
    noise = np.random.default_rng(seed).uniform(offset - 1, offset + 1, length) * loudness
    samples = noise.astype(np.float32)
    ours = compute_features(samples, kind)
    assert len(ours) == num_frames(length, kind)
    if len(ours):
        np.testing.assert_allclose(ours, native(samples, kind), atol=1e-3)


@pytest.mark.parametrize("kind", [FbankOptions, MfccOptions, partial(MfccOptions, use_energy=True)])
def test_digital_silence_without_a_floor(kind):
    samples, options = np.zeros(16000, np.float32), kind(noise_floor=0)
    np.testing.assert_allclose(compute_features(samples, options), native(samples, options), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("kind", [FbankOptions, partial(MfccOptions, use_energy=True)])
def test_digital_silence_is_as_loud_as_noise_of_rounding(kind, rate):
    options, no_floor = kind(sample_rate=rate), kind(sample_rate=rate, noise_floor=0)
    noise = (np.random.default_rng(0).uniform(-0.52, 0.52, 60 * rate) / 32768).astype(np.float32)  # σ = 0.3
    silence = compute_features(np.zeros(rate, np.float32), options)
    assert np.ptp(silence, axis=0).max() == 0
    expected = compute_features(noise, no_floor)
    if kind is FbankOptions:
        np.testing.assert_allclose(silence[0], np.log(np.exp(expected).mean(0)), atol=0.1)
    else:
        np.testing.assert_allclose(silence[0, 0], np.log(np.exp(expected[:, 0]).mean()), atol=0.02)


def test_the_floor_leaves_louder_frames_alone():
    samples = speech_like(3.0, 16000, 5)
    floored, options = compute_features(samples, FbankOptions()), FbankOptions(noise_floor=0)
    np.testing.assert_array_equal(floored, compute_features(samples, options))


@pytest.mark.parametrize("offset", [0.0, 0.01, 0.1, 0.3])
def test_a_constant_offset_costs_no_precision(offset):
    samples = np.random.default_rng(0).uniform(-0.01, 0.01, 40000).astype(np.float32) + np.float32(offset)
    options = FbankOptions()
    assert np.abs(compute_features(samples, options) - exact(samples, options)).max() < 4e-4


def test_frames_do_not_depend_on_their_block():
    samples, options = speech_like(8.0, 16000, 1), FbankOptions()
    part = compute_features(samples[160 * 300 :], options)
    np.testing.assert_allclose(compute_features(samples, options)[300:], part, atol=1e-4)


def test_samples_are_left_alone():
    samples = speech_like(1.0, 16000, 2)
    before = samples.copy()
    compute_features(samples, FbankOptions())
    compute_features(samples, MfccOptions(use_energy=True, dither=1.0))
    np.testing.assert_array_equal(samples, before)


def test_dither_depends_on_the_utterance_alone():
    silence, options = np.zeros(16000, np.float32), FbankOptions(dither=1.0)
    first = compute_features(silence, options, "utt1")
    torch.manual_seed(7)
    np.testing.assert_array_equal(compute_features(silence, options, "utt1"), first)
    assert not np.array_equal(compute_features(silence, options, "utt2"), first)


def test_dither_has_the_given_strength():
    options = FbankOptions(dither=1.0)
    features = compute_features(np.zeros(16000, np.float32), options, "utt1")
    # white noise of variance 1: each filter's energy is the window's energy times the filter's sum of weights
    emphasis = 1 + 0.97**2 - 2 * 0.97 * torch.cos(torch.arange(257) * 2 * torch.pi / 512)
    expected = (mel_filters(options) * emphasis[:, None]).sum(0) * povey_window(400).square().sum()
    np.testing.assert_allclose(np.exp(features).mean(0)[5:], expected[5:], rtol=0.4)
