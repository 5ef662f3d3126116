"""Mel-frequency cepstral coefficients, as Kaldi's compute-mfcc-feats."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from steps.feats.fbank import fbank
from steps.feats.frames import log_energy
from steps.feats.options import MfccOptions


def mfcc(samples: Tensor, options: MfccOptions) -> Tensor:
    """Compute the liftered cosine transform of the log mel energies.

    Parameters
    ----------
    samples : Tensor (N,)
        float32, in [-1, 1), of `options.sample_rate`.
    options : MfccOptions

    Returns
    -------
    Tensor (T, num_ceps)
        float32; T is 0 when the audio is shorter than a frame.

    Example
    -------
    >>> mfcc(torch.zeros(16000), MfccOptions()).shape
    torch.Size([98, 13])
    """
    cepstra = fbank(samples, options) @ cepstral_transform(options)
    if options.use_energy and len(cepstra):
        cepstra[:, 0] = log_energy(samples, options)
    return cepstra


@lru_cache
def cepstral_transform(options: MfccOptions) -> Tensor:
    """Orthonormal type-II cosine transform with the lifter 1 + Q/2 sin(π k / Q): (num_mel_bins, num_ceps)."""
    N, Q = options.num_mel_bins, options.cepstral_lifter
    k = torch.arange(options.num_ceps, dtype=torch.float64)
    n = torch.arange(N, dtype=torch.float64)[:, None]
    transform = torch.cos(math.pi / N * (n + 0.5) * k) * math.sqrt(2 / N)
    transform[:, 0] = math.sqrt(1 / N)
    if Q:
        transform *= 1 + 0.5 * Q * torch.sin(math.pi * k / Q)
    return transform.float()


def mfcc_levels(features: Tensor, options: MfccOptions) -> Tensor:
    """Give the mean of the log mel energies of each frame: (T,); with ``use_energy`` the frame's log energy."""
    return features[:, 0] if options.use_energy else features[:, 0] / math.sqrt(options.num_mel_bins)
