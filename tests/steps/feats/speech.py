"""Made-up recordings, as the tests of normalisation take them."""

import numpy as np
import torch

from steps.feats.compute import compute_features
from steps.feats.options import FbankOptions, MfccOptions
from tests.bench.features import speech_like

KINDS = [FbankOptions(), MfccOptions(), MfccOptions(use_energy=True)]


def noise(seconds, seed):
    return np.random.default_rng(seed).normal(0, 1 / 32768, int(seconds * 16000)).astype(np.float32)


def raw(samples, options):
    return torch.from_numpy(compute_features(np.asarray(samples, np.float32), options))


def clean_speech(seed):
    """Four seconds of syllables and two of a quiet room."""
    samples = speech_like(4.0, 16000, seed)
    samples = np.where(np.abs(samples) < 0.012, 0, samples)  # their own noise is taken away
    return np.concatenate([samples, np.zeros(32000)]) + noise(6.0, seed)
