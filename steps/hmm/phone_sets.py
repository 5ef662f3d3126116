"""Sets of phones in a lang directory: those that share their tree roots, and those that a tree may ask for."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise
from pathlib import Path

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.hmm.topology import Topology, num_pdf_classes
from steps.lang.lines import numbered_lines


def read_phone_sets(lang: Path, topology: Topology) -> list[frozenset[int]]:
    """Read phones/sets.int of a lang directory: a set a line, as the variants of a phone by its position in a word.

    Returns
    -------
    list of frozenset of int
        Phone-ids; each phone alone where there is no such file.

    Raises
    ------
    InputError
        When a line is no set of phone-ids, or the sets do not divide the topology's phones.
    """
    path = lang / "phones" / "sets.int"
    if not path.exists():
        return [frozenset({phone}) for phone in topology]
    sets = _read_lines(path)
    try:
        check_partition(sets, topology)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return sets


def read_extra_questions(lang: Path) -> list[frozenset[int]]:
    """Read phones/extra_questions.int of a lang directory, a set of phone-ids a line; none where it is missing."""
    path = lang / "phones" / "extra_questions.int"
    return _read_lines(path) if path.exists() else []


def _read_lines(path: Path) -> list[frozenset[int]]:
    sets = []
    for line, text in numbered_lines(path):
        if not all(phone.isdecimal() for phone in split_fields(text)):
            raise InputError(f"{path}:{line}: '{text}' is not a list of phone-ids; make the lang directory again")
        sets.append(frozenset(map(int, split_fields(text))))
    return [phones for phones in sets if phones]


def check_partition(sets: Sequence[AbstractSet[int]], topology: Topology) -> None:
    """Check that each phone is in one set, with others of as many pdf classes.

    Raises
    ------
    InputError
        Names the phone and what is wrong.
    """
    listed = sorted(phone for phones in sets for phone in phones)
    if twice := sorted({phone for phone, after in pairwise(listed) if phone == after}):
        raise InputError(f"{those(twice)} in more than one phone set; put each phone into one")
    if missing := sorted(set(topology) - set(listed)):
        raise InputError(f"{those(missing)} in no phone set; put each phone of the topology into one")
    if unknown := sorted(set(listed) - set(topology)):
        raise InputError(f"{those(unknown)} in a phone set, but not in the topology; take both from one lang")
    for phones in map(sorted, sets):
        if len({num_pdf_classes(topology[phone]) for phone in phones}) > 1:
            raise InputError(f"phones {spaced(phones)} are one set, but differ in their number of pdf classes")


def those(phones: Sequence[int]) -> str:
    """Begin a message about some phones.

    Example
    -------
    >>> those([7]), those([7, 9])
    ('phone 7 is', 'phones 7 9 are')
    """
    return f"phone{'s'[: len(phones) > 1]} {spaced(phones)} {'are' if len(phones) > 1 else 'is'}"


def spaced(phones: Iterable[int]) -> str:
    """Write phone-ids with spaces between them."""
    return " ".join(map(str, phones))
