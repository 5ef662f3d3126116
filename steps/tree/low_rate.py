"""Alignments in states of a low frame rate: of phones with an entry state and a loop state (`CHAIN`).

Such an alignment has a transition-id a feature frame, as any other. Of a network that steps by `skip` frames, an
utterance has `skip` phases: the frames p, p + skip, p + 2 skip, ... for p from 0 to skip - 1. At each of them the
alignment is a path through the transition model: the first `skip` frames of a phone are in its entry state, the others
in its loop state. All frames together are no path.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.hmm.joins import rate_of
from steps.hmm.topology import CHAIN
from steps.hmm.transitions import TransitionModel, read_transition_model, split_phones
from steps.hmm.tree import Tree, read_tree
from steps.tree.stats import TreeStats, context_windows, stats_of_frames


class PhoneFrames(NamedTuple):
    """The phones of an utterance, (N,), and the frame after the last one of each, (N,)."""

    phones: NDArray[Any]
    ends: NDArray[Any]

    @property
    def lengths(self) -> NDArray[Any]:
        """Frames of each phone, (N,)."""
        return np.diff(self.ends, prepend=0)

    @property
    def within(self) -> NDArray[Any]:
        """How many frames of its phone are before each frame, (T,)."""
        frames: NDArray[Any] = np.arange(self.ends[-1]) - np.repeat(self.ends - self.lengths, self.lengths)
        return frames

    @property
    def left(self) -> NDArray[Any]:
        """How many frames its phone still lasts from each frame on, itself included, (T,)."""
        frames: NDArray[Any] = np.repeat(self.ends, self.lengths) - np.arange(self.ends[-1])
        return frames


def phone_frames(model: TransitionModel, tids: NDArray[Any], skip: int) -> PhoneFrames | str:
    """Find the phones of an alignment, none shorter than `skip` frames: so each has an output at every phase.

    A shorter phone takes the first frames of the phone after it, at the end of an utterance the last frames of those
    before it.

    Parameters
    ----------
    model : TransitionModel
        What the transition-ids mean; at the rate of the features.
    tids : (T,) int
    skip : int
        Feature frames from one output to the next.

    Returns
    -------
    PhoneFrames or str
        The reason in words, where there are fewer than `skip` frames a phone.
    """
    phones, first, lengths = np.array(split_phones(model, tids), dtype=np.int64).reshape(-1, 3).T
    count, shortest = len(phones), skip * np.arange(1, len(phones) + 1)
    if not count or len(tids) < skip * count:
        return f"{len(tids)} frames are too few for {count} phones of at least {skip}"
    ends = np.maximum.accumulate(np.maximum(first + lengths - shortest, 0)) + shortest  # later where one is too short
    return PhoneFrames(phones, np.minimum(ends, len(tids) - skip * count + shortest))


def low_rate_stats(
    model: TransitionModel,
    alignments: Mapping[str, NDArray[Any]],
    features: Mapping[str, NDArray[Any]],
    context_independent: AbstractSet[int],
    window: tuple[int, int],
    skip: int,
) -> TreeStats | None:
    """Collect the statistics of entry states (pdf class 0) and loop states (1), from the frames of all phases.

    See `steps.tree.stats.accumulate_tree_stats`.

    Parameters
    ----------
    model : TransitionModel
        What the transition-ids mean; at the rate of the features.
    alignments : mapping
        Utterance id -> transition-ids (T,).
    features : mapping
        Utterance id -> (T, D) float32.
    context_independent : set of int
        Phones whose neighbours do not count, as those of silence.
    window : (int, int)
        Its width and the position of the phone in it.
    skip : int
        Feature frames from one output to the next.

    Returns
    -------
    TreeStats or None
        None when all utterances are too short for their phones.
    """
    keys, frames = [], []
    for utterance, tids in alignments.items():
        found = phone_frames(model, tids, skip)
        if not isinstance(found, str):
            windows = context_windows(found.phones, context_independent, *window)
            keys.append(np.column_stack([np.repeat(windows, found.lengths, axis=0), found.within >= skip]))
            frames.append(features[utterance])
    return stats_of_frames(np.concatenate(keys), np.concatenate(frames), window[1]) if frames else None


def convert_to_low_rate(
    tids: NDArray[Any], source: TransitionModel, tree: Tree, target: TransitionModel
) -> NDArray[Any] | str:
    """Convert an alignment to states of a low frame rate (Kaldi's ``convert-ali --frame-subsampling-factor``).

    Parameters
    ----------
    tids : (T,) int
    source : TransitionModel
        What they mean; at the rate of the features.
    tree, target : Tree, TransitionModel
        Those of the result, from steps.build_tree.

    Returns
    -------
    (T,) int array or str
        At each phase a path through `target` with the same phones. The reason in words, where there are fewer than
        `skip` frames a phone.
    """
    skip = target.rate.skip
    found = phone_frames(source, tids, skip)
    if isinstance(found, str):
        return found
    windows = context_windows(found.phones, set(), tree.context_width, tree.central_position)
    first = np.array([_first_tids(window, tree, target) for window in windows.tolist()])
    within, left = found.within, found.left
    entered, looped = np.repeat(first, found.lengths, axis=0).T
    # graphs are reordered: a loop state's way out comes before its self-loops
    entry = entered + (left <= skip)
    loop = looped + (within < 2 * skip)
    return np.where(within < skip, entry, loop)


def _first_tids(window: Sequence[int], tree: Tree, model: TransitionModel) -> list[int]:
    """The first transition-ids of the entry and of the loop state: into the loop state; the second leave the phone."""
    phone = window[tree.central_position]
    states = [model.state_index[phone, state, tree.pdf(window, CHAIN[state].pdf_class)] for state in range(len(CHAIN))]
    return [int(model.first_tid[state]) for state in states]


def check_feature_rate(ali: Path) -> None:
    """Check that alignments are in states at the rate of the features.

    Raises
    ------
    InputError
        When they are in those of steps.build_tree.
    """
    if (skip := rate_of(ali).skip) != 1:
        raise InputError(
            f"{ali}: its states are at one of {skip} frames already; give alignments in the states of a GMM system"
        )


def read_low_rate(folder: Path) -> tuple[Tree, TransitionModel]:
    """Read states of a low frame rate.

    Raises
    ------
    InputError
        When the directory has other ones.
    """
    tree, model = read_tree(folder / "tree.json"), read_transition_model(folder)
    if any(states != CHAIN for states in model.topology.values()):
        raise InputError(f"{folder}: its states are not of a low frame rate; give those of steps.build_tree")
    return tree, model
