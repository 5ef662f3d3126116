"""Normalisation of mean and variance, as Kaldi's compute-cmvn-stats and apply-cmvn, with statistics of speech."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from steps.feats.options import FeatureOptions, MfccOptions, raw_dim

LOWEST, STEP, BINS = -20.0, 0.25, 240
"""Frames are sorted by level into bins of STEP, in nats; the first bin is at LOWEST, below float32's epsilon."""

RANGE = 20 * math.log(10) / 10
"""No frame that is further below the speech level, 20 dB in nats, is speech."""

QUIET = 0.02
"""The share of frames below the noise level."""

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
    """Accumulate a speaker's statistics, of speech where `cmvn_frames` says so.

    A frame's level e_t is the mean of its log mel energies. The speech level is the mean of the levels weighted by the
    frames' power, L = Σ exp(e_t) e_t / Σ exp(e_t), which silence is too weak to move; the noise level N is the one that
    2 % of the frames are below. Frames with e_t ≥ max((L + N) / 2, L - 20 dB) are speech. These count and, of the
    others, the loudest, half as many: the pauses of usual speech. So a longer pause changes nothing, nor does a
    recording of silence beside others of the same speaker.

    Parameters
    ----------
    features : iterable of Tensor (T, D)
        Of each of the speaker's utterances, neither normalised nor with deltas.
    options : FbankOptions or MfccOptions

    Returns
    -------
    Tensor (2, D + 1)
        See `cmvn_stats`; zeros where there is no frame.
    """
    if options.cmvn_frames == "all":
        return sum(map(cmvn_stats, features), torch.zeros(2, raw_dim(options) + 1, dtype=torch.float64))
    by_level = torch.zeros(BINS, 2, raw_dim(options) + 1, dtype=torch.float64)
    for matrix in features:
        by_level += stats_by_level(matrix, options)
    return speech_stats(by_level)


def online_stats(features: Tensor, options: FeatureOptions) -> Iterator[Tensor]:
    """Give the statistics at each frame of an utterance that streaming can know: of the frames up to there.

    Yields
    ------
    Tensor (2, D + 1)
        The same rule as `speaker_stats`; after the last frame, its result for this utterance alone.
    """
    by_level = torch.zeros(BINS, 2, features.shape[1] + 1, dtype=torch.float64)
    for frame in features.split(1):
        by_level += stats_by_level(frame, options)
        yield speech_stats(by_level)


def frame_levels(features: Tensor, options: FeatureOptions) -> Tensor:
    """Mean of the log mel energies of each frame: (T,); with ``use_energy`` the frame's log energy."""
    if not isinstance(options, MfccOptions):
        return features.mean(1)
    return features[:, 0] if options.use_energy else features[:, 0] / math.sqrt(options.num_mel_bins)


def stats_by_level(features: Tensor, options: FeatureOptions) -> Tensor:
    """Accumulate `cmvn_stats` for each level apart: (BINS, 2, D + 1)."""
    bins = ((frame_levels(features, options) - LOWEST) / STEP).long().clamp_(0, BINS - 1)
    features = features.double()
    stats = torch.zeros(BINS, 2, features.shape[1] + 1, dtype=torch.float64)
    stats[:, 0, :-1].index_add_(0, bins, features)
    stats[:, 1, :-1].index_add_(0, bins, features.square())
    stats[:, 0, -1] = torch.bincount(bins, minlength=BINS)
    return stats


def speech_stats(by_level: Tensor) -> Tensor:
    """Sum those of `stats_by_level` that `speaker_stats` counts: (2, D + 1)."""
    levels = LOWEST + STEP * (torch.arange(BINS, dtype=torch.float64) + 0.5)
    counts = by_level[:, 0, -1]
    power = counts * levels.exp()
    speech_level = (power @ levels) / power.sum()
    noise_level = levels[torch.searchsorted(counts.cumsum(0), QUIET * counts.sum()).clamp(max=BINS - 1)]
    speech = levels >= torch.maximum((speech_level + noise_level) / 2, speech_level - RANGE)
    wanted = (1 + PAUSES) * counts[speech].sum()
    louder = counts.sum() - counts.cumsum(0)
    share = ((wanted - louder) / counts.clamp(min=1)).clamp(0, 1)  # of each level; of one of them, a part
    return torch.einsum("b,bkd->kd", share, by_level)


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
