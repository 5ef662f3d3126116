"""Speaker adaptation: an affine map of each speaker's features towards the model (fMLLR), from alignments."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.gmm.fmllr import FmllrStats, accumulate_fmllr, estimate_fmllr
from steps.gmm.gmm import DiagGmms, sum_in_order
from steps.hmm.transitions import TransitionModel

BySpeaker = dict[str, FmllrStats]


def speaker_statistics(
    gmms: DiagGmms,
    model: TransitionModel,
    aligned: Iterable[tuple[str, NDArray[Any], NDArray[Any]]],
    silence_pdfs: NDArray[Any],
    silence_weight: float,
) -> BySpeaker:
    """Collect the statistics for fMLLR.

    Parameters
    ----------
    gmms : DiagGmms
        What the features are moved towards.
    model : TransitionModel
    aligned : iterable of (str, (T, D) array, (T,) array)
        Speaker-id, features and transition-ids of each utterance.
    silence_pdfs : int array
    silence_weight : float
        Of their frames.
    """
    by_speaker: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {}
    for speaker, features, tids in aligned:
        by_speaker.setdefault(speaker, []).append((features, model.tid_to_pdf[tids]))
    statistics = {}
    for speaker, utterances in by_speaker.items():
        features, pdfs = (np.concatenate(arrays) for arrays in zip(*utterances, strict=True))
        weights = np.where(np.isin(pdfs, silence_pdfs), silence_weight, 1.0)
        counted = weights > 0
        statistics[speaker] = accumulate_fmllr(gmms, features[counted], pdfs[counted], weights[counted])
    return statistics


def speaker_maps(parts: Iterable[BySpeaker], min_frames: float) -> tuple[dict[str, NDArray[Any]], float]:
    """Estimate each speaker's affine map.

    Parameters
    ----------
    parts : iterable of dict
        From `speaker_statistics`, of several blocks.
    min_frames : float
        A speaker with no more (weighted) frames gets none.

    Returns
    -------
    maps : dict
        Speaker-id -> W (D, D + 1).
    gain : float
        In log likelihood per frame, of those who have one.
    """
    by_speaker: dict[str, list[FmllrStats]] = {}
    for part in parts:
        for speaker, stats in part.items():
            by_speaker.setdefault(speaker, []).append(stats)
    totals = {speaker: sum_in_order(stats) for speaker, stats in sorted(by_speaker.items())}
    found = {speaker: estimate_fmllr(stats, min_frames) for speaker, stats in totals.items()}
    estimated = {speaker: result for speaker, result in found.items() if result is not None}
    frames = sum(totals[speaker].beta for speaker in estimated)
    gain = sum(gain * totals[speaker].beta for speaker, (_, gain) in estimated.items()) / max(frames, 1.0)
    return {speaker: w for speaker, (w, _) in estimated.items()}, gain
