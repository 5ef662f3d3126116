"""The alignment of a hypothesis with its reference, by the costs and the order of ties of NIST's sclite.

A reference is a network of words: where a transcript leaves a choice, as ``{ OKAY / O.K. }`` does, its alternatives are
paths side by side. Arcs are numbered so that an arc comes after all that lead to it; arc 0 is the start and no word.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

SUBSTITUTION, INSERTION_OR_DELETION, OPTIONAL = 4, 3, 2  # sclite's costs; the last of an optional word without another
NO_WORD = -1

_FAR = 1 << 30


class Network(NamedTuple):
    """The arcs of a reference.

    Attributes
    ----------
    words : (A,) int64
        The number of each arc's word; that of the start is `NO_WORD`.
    optional : (A,) bool
        Whether the word may be missing, as a hesitation may.
    starts : (A + 1,) int64
        Where in `before` the arcs that lead to an arc begin.
    before : (B,) int64
        These arcs, one arc's after the other's.
    last : (L,) int64
        The arcs with which the network can end.
    """

    words: NDArray[np.int64]
    optional: NDArray[np.bool_]
    starts: NDArray[np.int64]
    before: NDArray[np.int64]
    last: NDArray[np.int64]


def chain(words: Sequence[int] | NDArray[np.int64], optional: Sequence[bool] | None = None) -> Network:
    """Make the network of a reference without alternatives.

    Parameters
    ----------
    words : sequence of int
        The numbers of its words.
    optional : sequence of bool, optional
        Whether each may be missing.
    """
    size = len(words) + 1
    arcs, may_miss = np.full(size, NO_WORD, np.int64), np.zeros(size, np.bool_)
    arcs[1:] = words
    if optional is not None:
        may_miss[1:] = optional
    starts = np.arange(-1, size, dtype=np.int64)
    starts[0] = 0
    return Network(arcs, may_miss, starts, np.arange(size - 1, dtype=np.int64), np.array([size - 1], np.int64))


def align_words(
    reference: Network, hypothesis: NDArray[np.int64], optional: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Align a hypothesis with a reference: substitutions cost 4, insertions and deletions 3, of optional words 2.

    Of alignments of the same cost the one is taken that sclite takes: seen from the end, a substitution or a right word
    first, then an insertion, then a deletion.

    Parameters
    ----------
    reference : Network
    hypothesis : (H,) int64
        The numbers of its words.
    optional : (H,) bool, optional
        Words of the hypothesis whose insertion is no error.

    Returns
    -------
    (N, 2) int64
        The arc of the reference and the position in the hypothesis of each aligned pair; -1 where there is none.

    Example
    -------
    >>> align_words(chain([1, 2, 3]), np.array([1, 3])).tolist()
    [[1, 0], [2, -1], [3, 1]]
    """
    no_error = np.zeros(len(hypothesis), np.bool_) if optional is None else optional
    return _align(*reference, hypothesis, no_error)


def count_pairs(reference: Network, hypothesis: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count what `align_words` aligns, without optional words.

    Returns
    -------
    (4,) int64
        Words of the reference, substitutions, insertions, deletions.

    Example
    -------
    >>> count_pairs(chain([1, 2, 3]), np.array([1, 4])).tolist()
    [3, 1, 0, 1]
    """
    return _count(_align(*reference, hypothesis, np.zeros(len(hypothesis), np.bool_)), reference.words, hypothesis)


@numba.njit(cache=True)
def _count(pairs: NDArray[Any], words: NDArray[Any], hypothesis: NDArray[Any]) -> NDArray[Any]:
    counts = np.zeros(4, np.int64)
    for k in range(len(pairs)):
        arc, at = pairs[k]
        if arc < 0:
            counts[2] += 1
            continue
        counts[0] += 1
        if at < 0:
            counts[3] += 1
        elif words[arc] != hypothesis[at]:
            counts[1] += 1
    return counts


@numba.njit(cache=True)
def _align(
    words: NDArray[Any],
    optional: NDArray[Any],
    starts: NDArray[Any],
    before: NDArray[Any],
    last: NDArray[Any],
    hypothesis: NDArray[Any],
    hypothesis_optional: NDArray[Any],
) -> NDArray[Any]:
    A, H = len(words), len(hypothesis)
    cost = np.zeros((A, H + 1), np.int64)
    back = np.zeros((A, H + 1), np.int64)  # the arc before; of an insertion the arc itself
    step = np.zeros((A, H + 1), np.bool_)  # whether a word of the hypothesis was taken
    for h in range(H):
        cost[0, h + 1] = cost[0, h] + (OPTIONAL if hypothesis_optional[h] else INSERTION_OR_DELETION)
        step[0, h + 1] = True
    for a in range(1, A):
        deletion = OPTIONAL if optional[a] else INSERTION_OR_DELETION
        for h in range(H + 1):
            least_deleted, deleted_from, least_taken, taken_from = _FAR, 0, _FAR, 0
            for k in range(starts[a], starts[a + 1]):
                p = before[k]
                if cost[p, h] < least_deleted:
                    least_deleted, deleted_from = cost[p, h], p
                if h > 0 and cost[p, h - 1] < least_taken:
                    least_taken, taken_from = cost[p, h - 1], p
            least_deleted += deletion
            if h == 0:
                cost[a, h], back[a, h] = least_deleted, deleted_from
                continue
            inserted = cost[a, h - 1] + (OPTIONAL if hypothesis_optional[h - 1] else INSERTION_OR_DELETION)
            if words[a] != hypothesis[h - 1]:
                least_taken += SUBSTITUTION
            if least_taken <= least_deleted and least_taken <= inserted:
                cost[a, h], back[a, h], step[a, h] = least_taken, taken_from, True
            elif least_deleted < inserted:
                cost[a, h], back[a, h] = least_deleted, deleted_from
            else:
                cost[a, h], back[a, h], step[a, h] = inserted, a, True
    return _trace_back(cost, back, step, last)


@numba.njit(cache=True)
def _trace_back(cost: NDArray[Any], back: NDArray[Any], step: NDArray[Any], last: NDArray[Any]) -> NDArray[Any]:
    h = cost.shape[1] - 1
    a = last[0]
    for end in last:
        if cost[end, h] < cost[a, h]:
            a = end
    pairs = np.empty((len(cost) + h, 2), np.int64)
    n = len(pairs)
    while a > 0 or h > 0:
        came, taken = back[a, h], step[a, h]
        arc = NO_WORD if came == a else a  # an insertion stays on its arc
        n -= 1
        pairs[n, 0], pairs[n, 1] = arc, h - 1 if taken else -1
        a = came
        if taken:
            h -= 1
    return pairs[n:].copy()
