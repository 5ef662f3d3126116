"""The choice of decoding options on dev."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from steps.base.errors import InputError

AXES = ("insertion_penalty", "acoustic_scale", "silence_deweight")


def beyond(values: Collection[float], chosen: float, geometric: bool) -> float | None:
    """Give the value that continues a row of values behind the chosen one.

    Parameters
    ----------
    values : collection of float
    chosen : float
    geometric : bool
        Whether the step at the edge is a ratio or a difference.

    Returns
    -------
    float or None
        None where the chosen one is not at the edge, or there is no step.

    Example
    -------
    >>> beyond([0.1, 0.2, 0.25], 0.25, geometric=True), beyond([-1.0, 0.0], -1.0, geometric=False)
    (0.3125, -2.0)
    >>> beyond([0.1, 0.2, 0.25], 0.2, geometric=True)
    """
    low, *rest = row = sorted(set(values))
    if not rest or chosen not in (row[0], row[-1]):
        return None
    inner = rest[0] if chosen == low else row[-2]
    return float(f"{chosen * chosen / inner if geometric else 2 * chosen - inner:.4g}")


def best(points: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Choose a point of a grid by its errors on dev, robustly against chance.

    A count of n errors on another dev set like this one would differ by about √n. We keep all points within √n of the
    fewest errors n, one standard error (the rule by which Breiman et al., 1984, section 3.4.3, prune trees), and take
    the most central: the one with the fewest steps of the grid to all the others. The point with the fewest errors
    itself is often a lucky one. Ties are decided by the errors, then by the lower insertion penalty, the higher
    acoustic scale (the narrower search) and the lower silence deweighting. The order of the points has no influence.

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
