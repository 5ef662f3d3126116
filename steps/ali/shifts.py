"""How far phone boundaries move from one alignment of the same audio to the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.ali.boundaries import boundary_offsets
from steps.base.errors import InputError
from steps.corpus.ctm import Token
from steps.hmm.transitions import TransitionModel, split_phones


@dataclass(frozen=True)
class Shifts:
    """What changed between two alignments.

    Attributes
    ----------
    utterances, boundaries : int
        How many were compared: utterances that both have, boundaries between two phones that are neighbours in both.
    mean_ms, mean_absolute_ms : float
        Of the boundaries' shifts; positive where they come later than before.
    other_phone : float
        Share of the frames whose phone is another one.
    """

    utterances: int
    boundaries: int
    mean_ms: float
    mean_absolute_ms: float
    other_phone: float

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.boundaries} boundaries of {self.utterances} utterances moved by {self.mean_ms:+.1f} ms on average "
            f"(without signs {self.mean_absolute_ms:.1f} ms); {self.other_phone:.1%} of the frames have another phone"
        )


def compare_alignments(
    before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]], model: TransitionModel, frame_shift: float
) -> Shifts:
    """Compare two alignments of the same utterances with the same transition-ids.

    Parameters
    ----------
    before, after : mapping
        Utterance id -> (T,) transition-ids; utterances of one alone are left out.
    model : TransitionModel
        What transition-ids mean.
    frame_shift : float
        In seconds.

    Raises
    ------
    InputError
        When an utterance has other numbers of frames, or there is no boundary to compare.
    """
    common = sorted(set(before) & set(after))
    offsets: list[NDArray[Any]] = [np.zeros(0)]
    frames, other = 0, 0
    for utterance in common:
        old, new = before[utterance], after[utterance]
        if len(old) != len(new):
            raise InputError(f"utterance {utterance} has {len(new)} frames, but had {len(old)} before")
        offsets.append(boundary_offsets(_phones(model, old), _phones(model, new)))
        frames += len(new)
        other += int(np.sum(model.tid_to_phone[old] != model.tid_to_phone[new]))
    moved = 1000 * frame_shift * np.concatenate(offsets)
    if not len(moved):
        raise InputError(f"no phone boundary is in both alignments, which have {len(common)} utterances in common")
    return Shifts(len(common), len(moved), float(moved.mean()), float(np.abs(moved).mean()), other / frames)


def _phones(model: TransitionModel, tids: NDArray[Any]) -> list[Token]:
    """The phones of an utterance, in frames."""
    return [Token(str(phone), first, first + frames) for phone, first, frames in split_phones(model, tids)]


def check_drift(shifts: Shifts, max_shift: float) -> None:
    """Stop where boundaries have moved to one side.

    Parameters
    ----------
    shifts : Shifts
    max_shift : float
        Largest mean shift, in ms.

    Raises
    ------
    InputError
        Names the shift.
    """
    if abs(shifts.mean_ms) > max_shift:
        raise InputError(
            f"the boundaries moved by {shifts.mean_ms:+.1f} ms on average, more than the {max_shift:g} ms that "
            "max_shift allows. A network drifts by a step (10 ms, or skip times 10 ms) in each round for each step by "
            "which its delay is wrong: is 'delay' in its model.json that of its training (config.yaml)? "
            "If it is, and the new boundaries are right, allow more with max_shift"
        )
