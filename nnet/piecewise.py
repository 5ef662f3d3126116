"""A value that changes while a network is trained, by the fraction of the training that is done (Kaldi's schedules)."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from nnet.errors import ModelError


class Piecewise(NamedTuple):
    """A piecewise-linear function of the fraction of the training that is done."""

    fractions: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, fraction: float) -> float:
        """Return the value at a fraction from 0 to 1.

        Example
        -------
        >>> piecewise("0,0@0.20,0.5@0.50,0").at(0.75)
        0.25
        """
        return float(np.interp(fraction, self.fractions, self.values))


def piecewise(text: str) -> Piecewise:
    """Read a schedule of Kaldi's form: the value at the start, VALUE@FRACTION in rising order, the value at the end.

    Raises
    ------
    ModelError
        When the text is none.

    Example
    -------
    >>> piecewise("0,0@0.20,0.5@0.50,0")
    Piecewise(fractions=(0.0, 0.2, 0.5, 1.0), values=(0.0, 0.0, 0.5, 0.0))
    """
    first, *middle, last = [part.strip() for part in text.split(",")] if "," in text else ["", ""]
    try:
        points = [(float(fraction), float(value)) for value, fraction in (part.split("@") for part in middle)]
        points = [(0.0, float(first)), *points, (1.0, float(last))]
    except ValueError as error:
        raise ModelError(f"'{text}' is no schedule; it has to look like 0,0@0.2,0.5@0.5,0") from error
    if not all(before <= after for (before, _), (after, _) in pairwise(points)):  # "not all": so is nan refused
        raise ModelError(f"'{text}' is no schedule; its fractions have to rise from 0 to 1")
    fractions, values = zip(*points, strict=True)
    return Piecewise(fractions, values)
