"""How far the phone boundaries of an alignment are from a reference's."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.corpus.ctm import Token
from steps.scoring.wer import score

TOLERANCES_MS = (10, 20, 50)


def boundary_offsets(reference: Sequence[Token], hypothesis: Sequence[Token]) -> NDArray[Any]:
    """Offsets of an utterance's phone boundaries from those of the reference.

    A boundary is the beginning of each phone but the first. Where the two sequences of phones differ, they are aligned
    by the fewest errors, and only boundaries between two phones that stand side by side in both are compared.

    Parameters
    ----------
    reference, hypothesis : sequence of Token
        The phones in order.

    Returns
    -------
    (B,) array of float64
        Seconds; positive where the hypothesis is later.

    Example
    -------
    >>> reference = [Token("SIL", 0.0, 0.1), Token("a", 0.1, 0.3), Token("b", 0.3, 0.4), Token("SIL", 0.4, 0.5)]
    >>> hypothesis = [Token("SIL", 0.0, 0.12), Token("a", 0.12, 0.28), Token("b", 0.28, 0.58)]
    >>> boundary_offsets(reference, hypothesis).round(3)
    array([ 0.02, -0.02])
    """
    ref_text, hyp_text = ({"": " ".join(token.text for token in side)} for side in (reference, hypothesis))
    matched, i, j = [], 0, 0
    for ref, hyp in score(ref_text, hyp_text).alignments[""].pairs:
        if ref == hyp:
            matched.append((i, j))
        i, j = i + (ref != ""), j + (hyp != "")
    return np.array(
        [
            hypothesis[j].start - reference[i].start
            for (before_i, before_j), (i, j) in pairwise(matched)
            if (i, j) == (before_i + 1, before_j + 1)
        ],
        dtype=np.float64,
    )


@dataclass(frozen=True)
class Agreement:
    """Offsets of many boundaries in a few numbers.

    Attributes
    ----------
    boundaries : int
        How many were compared.
    within : dict of int to float
        Milliseconds -> the share of the boundaries that are no farther off.
    within_of_mean : dict of int to float
        The same after the mean offset is taken away: it depends on where in a frame either side puts a boundary.
    median_ms : float
        Median of the distances.
    mean_ms : float
        Mean of the offsets; positive where boundaries come later than the reference's.
    """

    boundaries: int
    within: dict[int, float]
    within_of_mean: dict[int, float]
    median_ms: float
    mean_ms: float


def agreement(offsets: NDArray[Any], tolerances_ms: Sequence[int] = TOLERANCES_MS) -> Agreement:
    """Sum up offsets in seconds, (B,) with B > 0.

    Example
    -------
    >>> found = agreement(np.array([0.005, -0.015, 0.04, 0.01]))
    >>> found.within, found.within_of_mean
    ({10: 0.5, 20: 0.75, 50: 1.0}, {10: 0.5, 20: 0.5, 50: 1.0})
    >>> found.median_ms, found.mean_ms
    (12.5, 10.0)
    """
    offsets_ms = np.round(1000 * offsets, 6)  # so that 10 ms are not a rounding error more than 10 ms
    mean = float(np.mean(offsets_ms))
    return Agreement(
        boundaries=len(offsets),
        within=_shares(offsets_ms, tolerances_ms),
        within_of_mean=_shares(offsets_ms - mean, tolerances_ms),
        median_ms=float(np.median(np.abs(offsets_ms))),
        mean_ms=mean,
    )


def _shares(offsets_ms: NDArray[Any], tolerances_ms: Sequence[int]) -> dict[int, float]:
    return {ms: float(np.mean(np.abs(offsets_ms) <= ms)) for ms in tolerances_ms}
