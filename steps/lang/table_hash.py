"""Hashes of symbol tables, for the files whose numbers mean something only through such a table."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.lang.symbols import is_disambiguation, read_symbols

PHONES, WORDS = "tables of phones", "tables of words"  # in messages


def table_hash(symbols: Mapping[str, int]) -> str:
    """Identify a symbol table by which number stands for which symbol; how a file lists them does not count.

    Returns
    -------
    str
        16 hexadecimal digits.

    Example
    -------
    >>> table_hash({"<eps>": 0, "no": 1}) == table_hash({"no": 1, "<eps>": 0})
    True
    >>> table_hash({"<eps>": 0, "no": 1}) == table_hash({"<eps>": 0, "no": 2})
    False
    """
    pairs = sorted((number, symbol) for symbol, number in symbols.items())
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]


def words_hash(path: Path) -> str:
    """The hash of a words.txt."""
    return table_hash(read_symbols(path))


def phones_hash(path: Path) -> str:
    """The hash of a phones.txt without #0, #1, ...: a lexicon of other words may need more of them.

    Matches what Kaldi's ``utils/lang/check_phones_compatible.sh`` compares.
    """
    return table_hash(
        {symbol: number for symbol, number in read_symbols(path).items() if not is_disambiguation(symbol)}
    )


def lang_tables(lang: Path) -> dict[str, str]:
    """The hashes of both tables of a lang directory, under the names that they have in JSON files."""
    return {"phones": phones_hash(lang / "phones.txt"), "words": words_hash(lang / "words.txt")}


def check_same(what: str, one: Path, one_hash: str | None, other: Path, other_hash: str | None, advice: str) -> None:
    """Compare the tables of two files that are to be joined.

    Parameters
    ----------
    what : str
        What is compared, for messages.
    one, other : Path
        The files that are or carry the tables.
    one_hash, other_hash : str or None
        The tables' hashes; None in files without one, such as Kaldi's: then nothing is compared, and a line says so.
    advice : str
        What to do when they differ.

    Raises
    ------
    InputError
        When both are known and differ.
    """
    if one_hash is None or other_hash is None:
        without = other if other_hash is None else one
        _print_once(f"{one} and {other}: not checked that their {what} are the same, {without} has no hash of them")
    elif one_hash != other_hash:
        raise InputError(f"{one} and {other}: their {what} differ (hash {one_hash}, {other_hash}); {advice}")


def check_labels(labels: NDArray[Any], fst: Path, table: Path) -> None:
    """Check that every label of an FST is in a symbol table, which may have gaps between its numbers.

    Parameters
    ----------
    labels : int array
        Of its arcs, 0 for epsilon.
    fst, table : Path
        The files.

    Raises
    ------
    InputError
        When one is not.
    """
    missing = set(np.unique(labels).tolist()) - {0, *read_symbols(table).values()}
    if missing:
        raise InputError(
            f"{fst}: its label {min(missing)} is not in {table}; both have to be made together, make them again"
        )


@lru_cache(maxsize=64)  # a command may open a pair of files several times
def _print_once(message: str) -> None:
    print(message, flush=True)
