"""What a decision tree is grown from: sums over the frames of each phone in context and pdf class."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.hmm.transitions import TransitionModel, split_phones


@dataclass(frozen=True)
class TreeStats:
    """Sums over the frames of K different pairs of a context window and a pdf class, sorted by them.

    Attributes
    ----------
    central_position : int
        Index in a window of the phone that the frames belong to.
    windows : (K, context_width) int
        Phone-ids; 0 is outside the utterance, and every neighbour of a context-independent phone.
    pdf_classes : (K,) int
    counts : (K,) float64
        Frames.
    first, second : (K, D) float64
        Σ_t x_t and Σ_t x_t².
    """

    central_position: int
    windows: NDArray[Any]
    pdf_classes: NDArray[Any]
    counts: NDArray[Any]
    first: NDArray[Any]
    second: NDArray[Any]

    @property
    def sums(self) -> NDArray[Any]:
        """Counts, first and second side by side, (K, 1 + 2 D): see `steps.tree.clustering`."""
        return np.column_stack([self.counts, self.first, self.second])


def accumulate_tree_stats(
    model: TransitionModel,
    alignments: Mapping[str, NDArray[Any]],
    features: Mapping[str, NDArray[Any]],
    context_independent: AbstractSet[int],
    context_width: int = 3,
    central_position: int = 1,
) -> TreeStats:
    """Collect the statistics of aligned utterances (Kaldi's ``acc-tree-stats``).

    Parameters
    ----------
    model : TransitionModel
        What the transition-ids mean.
    alignments : mapping
        Utterance id -> transition-ids (T,), of one utterance at least.
    features : mapping
        Utterance id -> (T, D) float32, of the aligned utterances and perhaps of more.
    context_independent : set of int
        Phones whose neighbours do not count, as those of silence.
    context_width, central_position : int
        The window, as in `steps.hmm.tree.Tree`.

    Raises
    ------
    InputError
        When an utterance has no features, or another number of frames than its alignment.
    """
    keys, frames = [], []
    for utterance, tids in alignments.items():
        if utterance not in features:
            raise InputError(f"utterance {utterance} is aligned, but has no features; align the set they are made of")
        x = features[utterance]
        if len(x) != len(tids):
            raise InputError(
                f"utterance {utterance}: {len(tids)} frames are aligned, but the features have {len(x)}; "
                "align it again with these features"
            )
        phones, _, lengths = np.array(split_phones(model, tids), dtype=np.int64).reshape(-1, 3).T
        windows = context_windows(phones, context_independent, context_width, central_position)
        keys.append(np.column_stack([np.repeat(windows, lengths, axis=0), model.tid_to_pdf_class[tids]]))
        frames.append(x)
    return stats_of_frames(np.concatenate(keys), np.concatenate(frames), central_position)


def stats_of_frames(keys: NDArray[Any], features: NDArray[Any], central_position: int) -> TreeStats:
    """Collect the statistics of frames.

    Parameters
    ----------
    keys : (T, context_width + 1) int
        Of each frame the window and the pdf class.
    features : (T, D) float32
    central_position : int
    """
    order, starts, found = _group(keys)
    x = features[order]
    return TreeStats(
        central_position,
        found[:, :-1],
        found[:, -1],
        np.diff(starts, append=len(x)).astype(np.float64),
        np.add.reduceat(x, starts, axis=0, dtype=np.float64),
        np.add.reduceat(np.square(x, dtype=np.float64), starts, axis=0),
    )


def context_windows(
    phones: Sequence[int] | NDArray[Any],
    context_independent: AbstractSet[int],
    context_width: int,
    central_position: int,
) -> NDArray[Any]:
    """The window around each phone of an utterance.

    Returns
    -------
    (N, context_width) int

    Example
    -------
    >>> context_windows([1, 5, 6, 1], {1}, context_width=3, central_position=1)
    array([[0, 1, 0],
           [1, 5, 6],
           [5, 6, 1],
           [0, 1, 0]])
    """
    phones = np.asarray(phones)
    padded = np.pad(phones, (central_position, context_width - 1 - central_position))
    offsets = np.arange(context_width)
    windows = padded[np.arange(len(phones))[:, None] + offsets]
    free = np.isin(phones, list(context_independent))
    return np.where(free[:, None] & (offsets != central_position), 0, windows)


def sum_stats(parts: Sequence[TreeStats]) -> TreeStats:
    """Add statistics of the same kind of windows, always in the order given (Kaldi's ``sum-tree-stats``)."""
    keys = np.concatenate([np.column_stack([part.windows, part.pdf_classes]) for part in parts])
    order, starts, found = _group(keys)
    arrays = ([getattr(part, name) for part in parts] for name in ("counts", "first", "second"))
    sums = [np.add.reduceat(np.concatenate(array)[order], starts, axis=0) for array in arrays]
    return TreeStats(parts[0].central_position, found[:, :-1], found[:, -1], *sums)


def _group(keys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sort rows: the order that sorts them and keeps equal ones as they were, where each group starts, and the rows."""
    order = np.lexsort(keys.T[::-1])
    rows = keys[order]
    starts = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)])
    return order, starts, rows[starts]
