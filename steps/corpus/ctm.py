"""Times of words or phones in NIST's ctm format: a line ``utterance channel start duration token``, in seconds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from steps.errors import InputError
from steps.output import writing


class Timed(NamedTuple):
    """A word or phone and when it is said."""

    start: float
    duration: float
    token: str


def write_ctm(path: str | Path, utterances: Mapping[str, Sequence[Timed]]) -> None:
    r"""Write a ctm file, utterances sorted by code point, times rounded to milliseconds.

    Example
    -------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "phones.ctm")
    >>> write_ctm(path, {"u1": [Timed(0.0, 0.342, "SIL"), Timed(0.342, 0.05, "k")]})
    >>> path.read_text()
    'u1 1 0.000 0.342 SIL\nu1 1 0.342 0.050 k\n'
    >>> read_ctm(path)
    {'u1': [Timed(start=0.0, duration=0.342, token='SIL'), Timed(start=0.342, duration=0.05, token='k')]}
    """
    lines = [
        f"{utterance} 1 {start:.3f} {duration:.3f} {token}\n"
        for utterance in sorted(utterances)
        for start, duration, token in utterances[utterance]
    ]
    with writing(path) as part:
        part.write_text("".join(lines), encoding="utf-8")


def read_ctm(path: str | Path) -> dict[str, list[Timed]]:
    """Read a ctm file: utterance -> its tokens in the order of the file; confidences are left out.

    Raises
    ------
    InputError
        With file and line, when a line is no such entry, or a token begins before the one before it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    utterances: dict[str, list[Timed]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        timed, utterance = _parse(line, f"{path}:{number}")
        earlier = utterances.setdefault(utterance, [])
        if earlier and timed.start < earlier[-1].start:
            raise InputError(
                f"{path}:{number}: '{timed.token}' of utterance {utterance} starts at {timed.start:g} s, but the one "
                f"above it at {earlier[-1].start:g} s"
            )
        earlier.append(timed)
    return utterances


def _parse(line: str, place: str) -> tuple[Timed, str]:
    try:
        utterance, _, start, duration, token = line.split()[:5]
        timed = Timed(float(start), float(duration), token)
    except ValueError as error:
        raise InputError(f"{place}: '{line}' is not 'utterance channel start duration token'") from error
    if not (math.isfinite(timed.start) and math.isfinite(timed.duration) and timed.duration >= 0):
        raise InputError(f"{place}: '{line}' holds a time that is negative or not a finite number")
    return timed, utterance
