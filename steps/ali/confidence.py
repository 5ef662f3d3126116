"""How sure a model is of an alignment, frame by frame, and whether that is too little."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steps.hmm.transitions import TransitionModel

DOUBTFUL_GMM, DOUBTFUL_NETWORK = 0.06, 0.15
"""Three seconds of speech with less confidence mostly have the transcript of another recording."""

STRETCH = 300
"""Frames of speech that are judged together: a sentence that is not there shows in a long recording as well."""


def phone_log_posteriors(
    log_likelihoods: NDArray[Any],
    tids: NDArray[Any],
    model: TransitionModel,
    scale: float,
    sets: Sequence[AbstractSet[int]] = (),
) -> NDArray[Any]:
    """Log posterior of each frame's phone among all phones, without regard to what may follow what.

    With a network's scores at scale 1 this is the goodness of pronunciation of Witt and Young (2000), by frames.

    Parameters
    ----------
    log_likelihoods : (T, num_pdfs) float32
        Of GMMs, or a network's log posteriors without log priors.
    tids : (T,) int
        The alignment.
    model : TransitionModel
    scale : float
        Of the log likelihoods. GMMs take frames for independent of one another and are far too sure at 1.
    sets : sequence of sets of int
        Phones that count as one, like the variants of a phone by its position in a word.

    Returns
    -------
    (T,) float32
        At most 0.
    """
    scaled = scale * torch.from_numpy(log_likelihoods)
    total = torch.logsumexp(scaled, dim=1)
    result = torch.empty(len(tids))
    one = {phone: min(phones) for phones in sets for phone in phones}
    tid_to_phone = np.array([one.get(phone, phone) for phone in model.tid_to_phone.tolist()])
    phones = tid_to_phone[tids]
    for phone in np.unique(phones):
        frames = torch.from_numpy(np.flatnonzero(phones == phone))
        pdfs = torch.from_numpy(np.unique(model.tid_to_pdf[tid_to_phone == phone]))
        # log p(phone | x) = log Σ_{s of the phone} exp(κ log p(x|s)) - log Σ_s exp(κ log p(x|s))
        result[frames] = torch.logsumexp(scaled[frames][:, pdfs], dim=1) - total[frames]
    return result.clamp_(max=0).numpy()


def doubtful_stretch(
    log_posteriors: NDArray[Any], spoken: NDArray[Any], doubtful: float
) -> tuple[int, int, float] | None:
    """Find the part of an alignment that fits worst, where it fits as badly as another transcript would.

    Parameters
    ----------
    log_posteriors : (T,) float32
        From `phone_log_posteriors`.
    spoken : (T,) bool
        Frames that are aligned with speech.
    doubtful : float
        `DOUBTFUL_GMM` or `DOUBTFUL_NETWORK`.

    Returns
    -------
    (first, end, confidence) or None
        Of the `STRETCH` frames of speech (all, where there are fewer) with the lowest confidence, the geometric mean
        of the posteriors; None where that is not below `doubtful`.

    Example
    -------
    >>> doubtful_stretch(np.full(5, -4.0), np.array([False, True, True, True, False]), 0.06)
    (1, 4, 0.01831...)
    >>> doubtful_stretch(np.full(5, -1.0), np.ones(5, bool), 0.06) is None
    True
    """
    frames = np.flatnonzero(spoken)
    if not len(frames):
        return None
    length = min(STRETCH, len(frames))
    sums = np.concatenate([[0.0], np.cumsum(log_posteriors[frames], dtype=np.float64)])
    means = (sums[length:] - sums[:-length]) / length
    worst = int(np.argmin(means))
    confidence = float(np.exp(means[worst]))
    return (int(frames[worst]), int(frames[worst + length - 1]) + 1, confidence) if confidence < doubtful else None
