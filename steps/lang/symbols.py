"""Symbol tables: the numbers that stand for words and phones in graphs."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.base.output import writing
from steps.lang.lines import numbered_lines

EPSILON = "<eps>"
BACKOFF = "#0"  # the disambiguation symbol on the back-off arcs of G, which L passes through
BOS = "<s>"
EOS = "</s>"
UNK = "<UNK>"  # the word that stands for words without pronunciation
RESERVED = (EPSILON, BACKOFF, BOS, EOS)


def word_symbols(words: Iterable[str]) -> dict[str, int]:
    """Number words as Kaldi's words.txt does.

    Example
    -------
    >>> word_symbols(["yes", "no"])
    {'<eps>': 0, 'no': 1, 'yes': 2, '#0': 3, '<s>': 4, '</s>': 5}
    """
    return _numbered([EPSILON, *sorted(set(words)), BACKOFF, BOS, EOS])


def phone_symbols(silence: Iterable[str], nonsilence: Iterable[str], disambig: Iterable[str]) -> dict[str, int]:
    """Number phones as Kaldi's phones.txt does: silence phones first, disambiguation symbols last.

    Example
    -------
    >>> phone_symbols(["SIL"], ["AA", "B"], ["#0", "#1"])
    {'<eps>': 0, 'SIL': 1, 'AA': 2, 'B': 3, '#0': 4, '#1': 5}
    """
    return _numbered([EPSILON, *silence, *nonsilence, *disambig])


def is_disambiguation(symbol: str) -> bool:
    """Whether a symbol of phones.txt is one of #0, #1, ... and no phone."""
    return symbol.startswith("#") and symbol[1:].isdecimal()


def _numbered(symbols: Iterable[str]) -> dict[str, int]:
    return {symbol: number for number, symbol in enumerate(symbols)}


def read_symbols(path: str | Path) -> dict[str, int]:
    """Read words.txt or phones.txt.

    Raises
    ------
    InputError
        With file and line, when a line is not a symbol and its number or one of them comes twice.
    """
    symbols: dict[str, int] = {}
    numbers = set()
    for line, text in numbered_lines(path):
        fields = split_fields(text)
        if len(fields) != 2 or not fields[1].isdecimal():
            raise InputError(f"{path}:{line}: '{text}' is not a symbol and its number")
        symbol, number = fields[0], int(fields[1])
        if symbol in symbols or number in numbers:
            raise InputError(f"{path}:{line}: the symbol '{symbol}' or the number {number} comes twice")
        symbols[symbol] = number
        numbers.add(number)
    return symbols


def write_symbols(path: str | Path, symbols: Mapping[str, int]) -> None:
    """Write words.txt or phones.txt in the order of the numbers."""
    with writing(path) as part:
        lines = (f"{symbol} {number}\n" for symbol, number in sorted(symbols.items(), key=lambda item: item[1]))
        part.write_bytes("".join(lines).encode())
