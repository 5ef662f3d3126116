"""The choice of decoding options on dev."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from steps.base.errors import InputError

AXES = ("insertion_penalty", "acoustic_scale", "silence_deweight")


def best(points: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Choose a point of a grid by its errors on dev, such that chance has little part in it.

    A count of n errors on another dev set like this one would differ by about √n. Points within that one standard error
    of the fewest are therefore as good as equal (Breiman et al., 1984, section 3.4.3, prune trees by the same rule),
    and the one with the very fewest is often a lucky one at a cliff's edge. Among the equals the one in their middle is
    taken, since it has the most room to every side before errors rise: the one with the fewest steps of the grid to all
    the others. What is still equal is decided by the errors, the lower insertion penalty, the higher acoustic scale
    (the narrower search), then the lower silence deweighting. The order of the points has no influence.

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
    >>> best([{"acoustic_scale": a, "errors": e} for a, e in [(0.1, 40), (0.2, 17), (0.3, 18), (0.4, 20), (0.5, 25)]])
    {'acoustic_scale': 0.3, 'errors': 18}
    """
    if not points:
        raise InputError("the grid of decoding options is empty; give at least one value for each")
    fewest = min(point["errors"] for point in points)
    tied = [point for point in points if point["errors"] <= fewest + math.sqrt(fewest)]
    grid = {axis: sorted({point[axis] for point in points}) for axis in AXES if axis in tied[0]}
    places = [[values.index(point[axis]) for axis, values in grid.items()] for point in tied]

    def preference(i: int) -> tuple[float, ...]:
        steps = sum(abs(here - there) for place in places for here, there in zip(places[i], place, strict=True))
        return (
            steps,
            tied[i]["errors"],
            *(-tied[i][axis] if axis == "acoustic_scale" else tied[i][axis] for axis in grid),
        )

    return tied[min(range(len(tied)), key=preference)]
