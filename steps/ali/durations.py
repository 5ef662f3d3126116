"""How long phones and their HMM states last in alignments."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steps.hmm.transitions import TransitionModel, path_at_frames, split_phones


class Occurrence(NamedTuple):
    """A phone in an alignment: its id, first frame and frames, and the frames in each of its HMM states."""

    phone: int
    first: int
    frames: int
    states: tuple[int, ...]


class Durations(NamedTuple):
    """How often something occurs, and the mean, median, 5th and 95th percentile of its frames."""

    count: int  # type: ignore[assignment]  # instead of tuple's method; the files have this name
    mean: float
    median: float
    p5: float
    p95: float


def occurrences(model: TransitionModel, tids: NDArray[Any]) -> list[Occurrence]:
    """Split an alignment into phones, with the frames of their states.

    Parameters
    ----------
    model : TransitionModel
    tids : (T,) int
    """
    found = []
    states_of_frames = model.tid_to_hmm_state[path_at_frames(model, tids[:: model.rate.skip], len(tids))]
    for phone, first, frames in split_phones(model, tids):
        states = states_of_frames[first : first + frames]
        counts = np.bincount(states, minlength=len(model.topology[phone]))
        found.append(Occurrence(phone, first, frames, tuple(counts.tolist())))
    return found


def durations(frames: Sequence[int] | NDArray[Any]) -> Durations:
    """Summarise numbers of frames.

    Example
    -------
    >>> durations([2, 3, 3, 8])
    Durations(count=4, mean=4.0, median=3.0, p5=2.15, p95=7.25)
    """
    p5, median, p95 = np.percentile(frames, [5, 50, 95]).round(2).tolist()
    return Durations(len(frames), round(float(np.mean(frames)), 2), median, p5, p95)


def phone_durations(
    counts: Mapping[tuple[int, tuple[int, ...]], int],
) -> dict[int, tuple[Durations, list[Durations | None]]]:
    """Summarise each phone, and each of its states over the occurrences that go through it.

    Parameters
    ----------
    counts : mapping
        (phone-id, frames in each state) -> how often; far fewer than the occurrences of a large set.

    Returns
    -------
    dict
        Phone-id -> durations of the phone, and of its states; None for a state that no occurrence goes through.
    """
    by_phone: dict[int, list[tuple[tuple[int, ...], int]]] = {}
    for (phone, states), count in sorted(counts.items()):
        by_phone.setdefault(phone, []).append((states, count))
    result = {}
    for phone, group in by_phone.items():
        kinds, times = zip(*group, strict=True)
        frames = np.repeat(np.array(kinds), times, axis=0)
        visited = [durations(column[column > 0]) if column.any() else None for column in frames.T]
        result[phone] = durations(frames.sum(axis=1)), visited
    return result
