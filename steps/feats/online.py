"""Normalisation that needs no later frame, as Kaldi's online CMVN (`OnlineCmvn` in feat/online-feature.cc)."""

import math
from bisect import insort
from heapq import heappush, heappushpop

import torch
from torch import Tensor

from steps.feats.cmvn import CLICK, CONTRAST, PAUSES, QUIET, RANGE, digital_silence, frame_levels
from steps.feats.options import FeatureOptions


def online_cmvn(features: Tensor, prior: Tensor, options: FeatureOptions) -> Tensor:
    """Normalise each frame with the statistics of the frames up to it.

    They are the statistics of the last `cmn_window` frames that count (see `speech_so_far`). While there are fewer,
    `global_frames` frames of the training set fill the window, so that the first frames are normalised as well. Every
    utterance starts from the training set alone. Kaldi also takes the speaker's earlier utterances; here the result
    does not depend on their order, and training and decoding do the same.

    Parameters
    ----------
    features : Tensor (T, D)
        Neither normalised nor with deltas.
    prior : Tensor (2, D + 1)
        Statistics of the training set, see `steps.feats.cmvn.cmvn_stats`.
    options : FbankOptions or MfccOptions

    Returns
    -------
    Tensor (T, D)
        float32. Its first t rows are those of ``features[:t]``.

    Example
    -------
    >>> from steps.feats.options import FbankOptions
    >>> options = FbankOptions(num_mel_bins=3, cmvn_frames="all", cmvn_norm_vars=False, global_frames=1)
    >>> prior = torch.tensor([[0.0, 0.0, 0.0, 10.0], [1.0, 1.0, 1.0, 0.0]]).double()
    >>> online_cmvn(torch.full((3, 3), 6.0), prior, options)  # the means are 6/2, 12/3 and 18/4
    tensor([[3.0000, 3.0000, 3.0000],
            [2.0000, 2.0000, 2.0000],
            [1.5000, 1.5000, 1.5000]])
    """
    x = features.double()
    counts = _counts(features, options)
    sums = torch.cat([x, x.square()], dim=1)[counts].cumsum(0)
    sums = torch.cat([sums.new_zeros(1, sums.shape[1]), sums])  # row k: of the first k frames that count
    end = counts.cumsum(0)
    begin = (end - options.cmn_window).clamp(min=0)
    frames = end - begin
    added = (options.cmn_window - frames).clamp(max=options.global_frames)
    moments = sums[end] - sums[begin] + added[:, None] * (prior[:, :-1] / prior[0, -1]).reshape(-1)
    mean, square = (moments / (frames + added)[:, None]).chunk(2, dim=1)
    normalised = x - mean
    if options.cmvn_norm_vars:
        normalised *= (square - mean.square()).clamp(min=1e-20).rsqrt()
    return normalised.float()


def _counts(features: Tensor, options: FeatureOptions) -> Tensor:
    """Which frames enter the statistics: (T,) bool."""
    if options.cmvn_frames == "all":
        return torch.ones(len(features), dtype=torch.bool)
    return speech_so_far(frame_levels(features, options), digital_silence(options))


def speech_so_far(levels: Tensor, lowest: float) -> Tensor:
    """Choose frames of speech and pauses as `steps.feats.cmvn.speech_frames`, each by the frames up to it.

    The levels of speech and noise are that function's, of the frames so far. Of the frames below the threshold, the
    next one counts as a pause as long as those that counted are fewer than half of those of speech; digital silence
    never counts. What is decided of a frame stays.

    Parameters
    ----------
    levels : Tensor (T,)
        From `steps.feats.cmvn.frame_levels`.
    lowest : float
        The level of digital silence.

    Returns
    -------
    Tensor (T,)
        bool.
    """
    running = _RunningLevels(lowest)
    counts, speech, pauses = [], 0, 0
    for level in levels.tolist():
        speech_level, noise_level = running.add(level)
        threshold = max((speech_level + noise_level) / 2, speech_level - RANGE)
        is_speech = speech_level - noise_level >= CONTRAST and level >= threshold
        is_pause = not is_speech and level > lowest + 1e-3 and pauses < PAUSES * speech
        speech, pauses = speech + is_speech, pauses + is_pause
        counts.append(is_speech or is_pause)
    return torch.tensor(counts, dtype=torch.bool)


class _RunningLevels:
    """The levels of speech and of noise in the frames so far, those of `steps.feats.cmvn`."""

    def __init__(self, lowest: float) -> None:
        self._lowest = lowest
        self._loudest: list[float] = []  # a heap of the CLICK loudest frames; all count as the quietest of them
        self._power = self._weighted = 0.0  # sums over the other frames: exp(e), exp(e) e
        self._noisy: list[float] = []  # sorted, without digital silence

    def add(self, level: float) -> tuple[float, float]:
        """Take the next frame, and give both levels; that of noise is infinite after digital silence alone."""
        if len(self._loudest) < CLICK:
            heappush(self._loudest, level)
        else:
            other = heappushpop(self._loudest, level)
            self._power += math.exp(other)
            self._weighted += math.exp(other) * other
        if level > self._lowest + 1e-3:
            insort(self._noisy, level)
        limit, count = self._loudest[0], len(self._loudest)
        power = self._power + count * math.exp(limit)
        speech = (self._weighted + count * math.exp(limit) * limit) / power
        return speech, self._noisy[int(QUIET * len(self._noisy))] if self._noisy else math.inf
