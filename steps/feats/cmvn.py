"""Normalisation of mean and variance, as Kaldi's compute-cmvn-stats and apply-cmvn, with statistics of speech."""

import math
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from steps.feats.frames import frame_length
from steps.feats.options import FeatureOptions
from steps.feats.registry import feature_type

RANGE = 20 * math.log(10) / 10
"""No frame that is further below the speech level, 20 dB in nats, is speech."""

QUIET = 0.02
"""The share of frames below the noise level."""

CONTRAST = 1.0
"""An utterance whose speech level is above its noise level by less, in nats, holds no speech."""

CLICK = 8
"""Frames: what is louder than the rest for no longer may be a click, and does not count for the level of speech."""

PAUSES = 0.5
"""Frames of pauses that count, as a share of those of speech: about as many as read sentences have."""


def cmvn_stats(features: Tensor) -> Tensor:
    """Accumulate what normalisation needs; statistics of several utterances add up.

    Parameters
    ----------
    features : Tensor (T, D)

    Returns
    -------
    Tensor (2, D + 1)
        float64, Kaldi's layout: sums and at the end the number of frames; sums of squares and at the end 0.

    Example
    -------
    >>> cmvn_stats(torch.tensor([[1.0], [3.0]]))
    tensor([[ 4.,  2.],
            [10.,  0.]], dtype=torch.float64)
    """
    features = features.double()
    stats = torch.zeros(2, features.shape[1] + 1, dtype=torch.float64)
    stats[0, :-1], stats[0, -1] = features.sum(0), len(features)
    stats[1, :-1] = features.square().sum(0)
    return stats


def add_stats(stats: Iterable[Tensor]) -> Tensor:
    """Sum statistics in their order, so that the result does not depend on who computed them."""
    stats = iter(stats)
    total = next(stats).clone()
    for more in stats:
        total += more
    return total


def speaker_stats(features: Iterable[Tensor], options: FeatureOptions) -> Tensor:
    """Accumulate a speaker's statistics, of the frames that `cmvn_frames` says.

    Parameters
    ----------
    features : iterable of Tensor (T, D)
        Of each of the speaker's utterances, neither normalised nor with deltas.
    options : FbankOptions or MfccOptions

    Returns
    -------
    Tensor (2, D + 1)
        See `cmvn_stats`: of all frames where none of the utterances holds speech; zeros where there is no frame.
    """
    zeros = torch.zeros(2, options.dim + 1, dtype=torch.float64)
    everything, speech = zeros, zeros
    for matrix in features:
        everything = everything + cmvn_stats(matrix)
        if options.cmvn_frames == "speech":
            speech = speech + cmvn_stats(matrix[speech_frames(frame_levels(matrix, options), digital_silence(options))])
    return speech if speech[0, -1] else everything


def speech_frames(levels: Tensor, lowest: float) -> Tensor:
    """Choose an utterance's frames of speech, and of pauses half as many, so that longer silence changes nothing.

    The speech level is the mean of the levels weighted by the frames' power, L = Σ exp(e_t) e_t / Σ exp(e_t), which
    silence is too weak to move; no e_t in it is above the eighth loudest, so that a click does not move it either. The
    noise level N is the one that 2 % of the frames are below. Frames with e_t ≥ max((L + N) / 2, L - 20 dB) are speech.
    Of the others the loudest count as its pauses. Where L is hardly above N, there is no speech.

    Parameters
    ----------
    levels : Tensor (T,)
        From `frame_levels`.
    lowest : float
        The level of digital silence, which is no noise.

    Returns
    -------
    Tensor (K,)
        The frames' numbers, ascending.
    """
    levels = levels.double()
    found = _speech_and_noise(levels, lowest)
    if found is None or found[0] - found[1] < CONTRAST:
        return torch.zeros(0, dtype=torch.long)
    speech_level, noise_level = found
    speech = levels >= torch.maximum((speech_level + noise_level) / 2, speech_level - RANGE)
    wanted = min(len(levels), round((1 + PAUSES) * speech.sum().item()))
    return levels.topk(wanted).indices.sort().values


def _speech_and_noise(levels: Tensor, lowest: float) -> tuple[Tensor, Tensor] | None:
    """The levels of speech and of noise, see `speech_frames`; None for digital silence."""
    noisy = levels[levels > lowest + 1e-3]
    if not len(noisy):
        return None
    without_clicks = levels.clamp(max=levels.topk(min(CLICK, len(levels))).values[-1])
    power = (without_clicks - without_clicks.max()).exp()
    return (power @ without_clicks) / power.sum(), noisy.kthvalue(1 + int(QUIET * len(noisy))).values


def signal_to_noise(features: Tensor, options: FeatureOptions) -> float | None:
    """Estimate an utterance's signal-to-noise ratio, as the features see it.

    It is the difference of the levels of speech and of noise that `speech_frames` finds.

    Parameters
    ----------
    features : Tensor (T, D)
        Neither normalised nor with deltas.
    options : FbankOptions or MfccOptions

    Returns
    -------
    float or None
        In dB; None for digital silence.
    """
    found = _speech_and_noise(frame_levels(features, options).double(), digital_silence(options))
    return None if found is None else (found[0] - found[1]).item() * 10 / math.log(10)


def frame_levels(features: Tensor, options: FeatureOptions) -> Tensor:
    """Mean of the log mel energies of each frame: (T,); with ``use_energy`` the frame's log energy."""
    return feature_type(options).levels(features, options)


@lru_cache
def digital_silence(options: FeatureOptions) -> float:
    """The level of zeros."""
    zeros = torch.zeros(frame_length(options))
    return frame_levels(feature_type(options).compute(zeros, options), options).item()


def apply_cmvn(features: Tensor, stats: Tensor, norm_vars: bool) -> Tensor:
    """Subtract the mean and, with `norm_vars`, divide by the standard deviation.

    Parameters
    ----------
    features : Tensor (T, D)
    stats : Tensor (2, D + 1)
        From `speaker_stats`.
    norm_vars : bool
        Variances below 1e-20 are floored as in Kaldi.

    Returns
    -------
    Tensor (T, D)
        float32.
    """
    count = stats[0, -1]
    mean = stats[0, :-1] / count
    if not norm_vars:
        return features - mean.float()
    variance = (stats[1, :-1] / count - mean.square()).clamp_(min=1e-20)
    return (features - mean.float()) * variance.rsqrt().float()
