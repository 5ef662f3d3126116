"""Ranges of options' values, in the options' types: the help shows them, and every command checks them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints


@dataclass(frozen=True)
class Range:
    """The range of a number; used as in ``Annotated[float, Range(above=0)]``.

    Parameters
    ----------
    at_least, above, at_most, below : number, optional
        Limits.
    finite : bool
        Whether infinity is refused; what is not a number always is.

    Example
    -------
    >>> Range(at_least=1), Range(above=0), Range(at_least=0, below=1), Range(at_most=5), Range()
    (1 or more, above 0, at least 0 and below 1, at most 5, a finite number)
    >>> [value for value in (-1.0, 0.0, 2.0, math.inf, math.nan) if Range(at_least=0).holds(value)]
    [0.0, 2.0]
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    finite: bool = True

    def holds(self, value: float) -> bool:
        """Whether a value is in the range."""
        return (
            (math.isfinite(value) or (math.isinf(value) and not self.finite))
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def demand(self, value: float) -> str:
        """Say what a value has to be that is not in the range."""
        return repr(self if math.isfinite(value) or not self.finite else Range())

    def __repr__(self) -> str:
        words = {"at least": self.at_least, "above": self.above, "at most": self.at_most, "below": self.below}
        limits = [f"{word} {limit}" for word, limit in words.items() if limit is not None]
        if limits == [f"at least {self.at_least}"]:
            return f"{self.at_least} or more"
        return " and ".join(limits) or ("a finite number" if self.finite else "a number")


Count = Annotated[int, Range(at_least=1)]
Whole = Annotated[int, Range(at_least=0)]
Seed = Annotated[int, Range(at_least=0, below=2**63)]
Number = Annotated[float, Range()]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(at_least=0)]
Share = Annotated[float, Range(at_least=0, at_most=1)]
Probability = Annotated[float, Range(at_least=0, below=1)]  # of what must not happen every time


def range_of(hint: Any) -> Range | None:
    """The range in a type; for a list or mapping, that of its items."""
    if isinstance(hint, Range):
        return hint
    return next((found for part in get_args(hint) if (found := range_of(part))), None)


def out_of_range(values: Mapping[str, Any], kind: Any, group: str = "") -> str | None:
    """Describe the first value that is not in its range.

    Parameters
    ----------
    values : mapping
        Of options by name; a group of options is a dataclass, or any object with them as attributes.
    kind : class or function
        Whose type hints hold the ranges: those of a dataclass's fields, or of a function's parameters.
    group : str
        What stands before the names in the message.

    Returns
    -------
    str or None
        The option, its value and the range.

    Example
    -------
    >>> def decode(beam: Positive = 13.0, scales: list[Positive] | None = None) -> None: ...
    >>> out_of_range({"beam": -1.0}, decode)
    'beam is -1.0; it has to be above 0'
    >>> out_of_range({"beam": 1.0, "scales": [0.1, 0.0]}, decode)
    'scales holds 0.0; each has to be above 0'
    >>> def tune(scales: dict[str, list[Positive]]) -> None: ...
    >>> out_of_range({"scales": {"cross_entropy": [0.1, 0.0]}}, tune)
    'scales holds 0.0; each has to be above 0'
    """
    for name, hint in _hints(kind).items():
        value, wanted = values.get(name), range_of(hint)
        if is_dataclass(hint) and value is not None:
            if fault := out_of_range(vars(value), hint, f"{group}{name}."):
                return fault
        elif wanted and value is not None:
            several = isinstance(value, list | tuple | Mapping)
            for item in _numbers(value):
                if not wanted.holds(item):
                    words = ("holds", "each") if several else ("is", "it")
                    return f"{group}{name} {words[0]} {item}; {words[1]} has to be {wanted.demand(item)}"
    return None


def _numbers(value: Any) -> Iterator[Any]:
    """A number, or all numbers of a list or mapping."""
    if isinstance(value, list | tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(item)
    else:
        yield value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)
