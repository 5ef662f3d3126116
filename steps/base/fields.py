"""What separates the fields of a line: spaces and tabs of ASCII, and nothing else."""

import re
from collections.abc import Iterable

BLANK = " \t\r\n"
_FIELD = re.compile(f"[^{BLANK}]+")


def split_fields(text: str) -> list[str]:
    r"""Split a line, or a transcript into its words, as Kaldi's ``SplitStringToVector(line, " \t\r\n", true)`` does.

    Python's own ``split()`` takes no-break and ideographic spaces as well, which may stand within a word.

    Example
    -------
    >>> split_fields("5\u00a0000 francs\tF R AA\n")
    ['5\xa0000', 'francs', 'F', 'R', 'AA']
    """
    return _FIELD.findall(text)


def split_id(line: str) -> tuple[str, str]:
    r"""Split a table's line into the id and the rest, in which blanks stay as they are.

    Example
    -------
    >>> split_id("call-1\tmy  calls/1.wav\n")
    ('call-1', 'my  calls/1.wav')
    """
    line = line.strip(BLANK)
    found = _FIELD.match(line)
    name = found[0] if found else ""
    return name, line[len(name) :].strip(BLANK)


def visible(text: str) -> str:
    r"""Show spaces other than ASCII's by their numbers.

    Example
    -------
    >>> print(visible("5\u00a0000 F"))
    5\u00a0000 F
    """
    return re.sub(r"[^\S ]", lambda space: f"\\u{ord(space[0]):04x}", text)


def with_other_spaces(words: Iterable[str]) -> list[str]:
    """Find the words that hold a space other than ASCII's, made visible."""
    return [visible(word) for word in words if visible(word) != word]
