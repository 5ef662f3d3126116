"""How far the phone boundaries of an alignment are from a reference's."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from steps.corpus.ctm import Timed
from steps.scoring.wer import score

TOLERANCES_MS = (10, 20, 50)


def frame_boundary(frame: int, shift_ms: float = 10.0, window_ms: float = 25.0) -> float:
    """Where, in seconds, the boundary before a frame lies: halfway between its middle and that of the frame before.

    Frame t covers ``[shift t, shift t + window)`` (Kaldi's ``--snip-edges=true``), so that the boundary between frames
    t-1 and t is at ``shift (t - 1/2) + window / 2``.

    Example
    -------
    >>> frame_boundary(3)
    0.0375
    """
    return (shift_ms * (frame - 0.5) + window_ms / 2) / 1000


def times_of_frames(
    phones: Sequence[tuple[str, int, int]], shift_ms: float = 10.0, window_ms: float = 25.0
) -> list[Timed]:
    """Turn phones with their first frame and number of frames into times.

    Example
    -------
    >>> times_of_frames([("SIL", 0, 4), ("k", 4, 3)])[1].start
    0.0475
    """
    edges = [frame_boundary(frame, shift_ms, window_ms) for _, first, n in phones for frame in (first, first + n)]
    return [
        Timed(start, end - start, phone)
        for (phone, _, _), start, end in zip(phones, edges[::2], edges[1::2], strict=True)
    ]


def boundary_offsets(reference: Sequence[Timed], hypothesis: Sequence[Timed]) -> np.ndarray:
    """Offsets of an utterance's phone boundaries from those of the reference.

    A boundary is the beginning of each phone but the first. Where the two sequences of phones differ, they are aligned
    by the fewest errors, and only boundaries between two phones that stand side by side in both are compared.

    Parameters
    ----------
    reference, hypothesis : sequence of Timed
        The phones in order.

    Returns
    -------
    (B,) array of float64
        Seconds; positive where the hypothesis is later.

    Example
    -------
    >>> reference = [Timed(0.0, 0.1, "SIL"), Timed(0.1, 0.2, "a"), Timed(0.3, 0.1, "b"), Timed(0.4, 0.1, "SIL")]
    >>> hypothesis = [Timed(0.0, 0.12, "SIL"), Timed(0.12, 0.16, "a"), Timed(0.28, 0.3, "b")]
    >>> boundary_offsets(reference, hypothesis).round(3)
    array([ 0.02, -0.02])
    """
    texts = ({"": " ".join(timed.token for timed in side)} for side in (reference, hypothesis))
    matched, i, j = [], 0, 0
    for ref, hyp in score(*texts).alignments[""]:
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
    median_ms : float
        Median of the distances.
    mean_ms : float
        Mean of the offsets; positive where boundaries come later than the reference's.
    """

    boundaries: int
    within: dict[int, float]
    median_ms: float
    mean_ms: float


def agreement(offsets: np.ndarray, tolerances_ms: Sequence[int] = TOLERANCES_MS) -> Agreement:
    """Sum up offsets in seconds, (B,) with B > 0.

    Example
    -------
    >>> agreement(np.array([0.005, -0.015, 0.04, 0.01]))
    Agreement(boundaries=4, within={10: 0.5, 20: 0.75, 50: 1.0}, median_ms=12.5, mean_ms=10.0)
    """
    offsets_ms = np.round(1000 * offsets, 6)  # so that 10 ms are not a rounding error more than 10 ms
    distances = np.abs(offsets_ms)
    return Agreement(
        boundaries=len(offsets),
        within={ms: float(np.mean(distances <= ms)) for ms in tolerances_ms},
        median_ms=float(np.median(distances)),
        mean_ms=float(np.mean(offsets_ms)),
    )
