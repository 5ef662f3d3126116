"""The choice of decoding options on dev."""

from collections.abc import Mapping, Sequence
from typing import Any

from steps.errors import InputError

AXES = ("insertion_penalty", "acoustic_scale", "silence_deweight")


def best(points: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Choose the point of a grid with the fewest errors.

    Several points often tie on a small dev set. Among these the one in their middle is taken, since it has the most
    room to every side before errors rise: the one with the fewest steps of the grid to all the others. What is still
    equal is decided by the lower insertion penalty, then the higher acoustic scale (the narrower search), then the
    lower silence deweighting. The order of the points has no influence.

    Parameters
    ----------
    points : sequence of mapping
        Each with ``errors`` and any of ``insertion_penalty``, ``acoustic_scale`` and ``silence_deweight``, and whatever
        else; all with the same options.

    Returns
    -------
    mapping
        One of `points`.

    Raises
    ------
    InputError
        For no points.

    Example
    -------
    >>> best([{"acoustic_scale": a, "errors": e} for a, e in [(0.1, 9), (0.2, 7), (0.3, 7), (0.4, 7), (0.5, 8)]])
    {'acoustic_scale': 0.3, 'errors': 7}
    """
    if not points:
        raise InputError("the grid of decoding options is empty; give at least one value for each")
    fewest = min(point["errors"] for point in points)
    tied = [point for point in points if point["errors"] == fewest]
    grid = {axis: sorted({point[axis] for point in points}) for axis in AXES if axis in tied[0]}
    places = [[values.index(point[axis]) for axis, values in grid.items()] for point in tied]

    def preference(i: int) -> tuple[float, ...]:
        steps = sum(abs(here - there) for place in places for here, there in zip(places[i], place, strict=True))
        return steps, *(-tied[i][axis] if axis == "acoustic_scale" else tied[i][axis] for axis in grid)

    return tied[min(range(len(tied)), key=preference)]
