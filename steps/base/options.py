"""The base of the dataclasses that are groups of options."""

from dataclasses import dataclass

from nnet.ranges import out_of_range
from steps.base.errors import InputError


@dataclass(frozen=True)
class Options:
    """Options whose values are in the ranges that their types tell; to be inherited by a dataclass.

    (It is one itself: of a class with a base that is none, jsonargparse would make no group of options.)

    Raises
    ------
    InputError
        When it is made of a value that is not.

    Example
    -------
    >>> from nnet.ranges import Positive
    >>> @dataclass(frozen=True)
    ... class Search(Options):
    ...     beam: Positive = 13.0
    >>> Search(beam=-1.0)
    Traceback (most recent call last):
    steps.base.errors.InputError: beam is -1.0; it has to be above 0
    """

    def __post_init__(self) -> None:
        if fault := out_of_range(vars(self), type(self)):
            raise InputError(fault)
