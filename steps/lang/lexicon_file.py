"""Lexicon files: Kaldi's, and those of other tools, with their marks of variants, probabilities and remarks."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

from steps.base.errors import InputError
from steps.base.fields import split_fields, with_other_spaces
from steps.corpus.spelling import say_respelled, spellings
from steps.lang.lines import listing, numbered_lines
from steps.lang.symbols import EPSILON, RESERVED

MAX_NUMBERS = 4  # MFA's: of the pronunciation, of silence after it, two corrections before it
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_SIGNED_OR_PERCENT = re.compile(rf"[-+]{_NUMBER.pattern}|[-+]?{_NUMBER.pattern}%", re.ASCII)
_VARIANT = re.compile(r"(.+)\(\d+\)", re.ASCII)
_DISAMBIGUATION = re.compile(r"#\d+", re.ASCII)
_BEFORE_TAB = re.compile(r"[^ \t]+\t")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SEPARATORS = ",;|"


class Entry(NamedTuple):
    """One pronunciation of a word; a word with variants has several."""

    word: str
    prob: float
    phones: tuple[str, ...]


class Row(NamedTuple):
    """A line of a lexicon: `fields` are what follows the word."""

    line: int
    word: str
    fields: tuple[str, ...]


def read_lexicon(path: str | Path) -> list[Entry]:
    """Read Kaldi's ``lexicon.txt`` (``word phone phone ...``) or ``lexiconp.txt`` (``word probability phone ...``).

    A file whose name begins with ``lexiconp`` has probabilities. Entries that repeat an earlier one are left out with a
    message; words that differ only in their Unicode form are one, spelled as the first.

    Returns
    -------
    list of Entry
        In the order of the file; probability 1 where the file has none.

    Raises
    ------
    InputError
        With file and line: a word without phones, a reserved word or phone, a probability that is not in (0, 1]. Also
        when there is no entry at all.
    """
    path = Path(path)
    rows = [_row(line, text) for line, text in numbered_lines(path) if text]
    return _entries(path, rows, int(_named_with_probs(path)))


def read_any_lexicon(path: str | Path) -> tuple[list[Entry], str]:
    """Read a lexicon in whichever form people have it, and say in which.

    - ``word phone phone ...``, as Kaldi has it.
    - Numbers between the word and its phones: the first is the pronunciation's probability (Kaldi's ``lexiconp.txt``),
      up to three more are those of silence in MFA's dictionaries, and are left out. Numbers are probabilities when they
      stand in the same places of every line and a decimal point is among them: one digit may be a phone (X-SAMPA's
      ``2``). In files with tabs, lines without numbers are words that MFA's training did not see; they get 1.
    - ``WORD(2)`` is a variant of ``WORD`` where that is in the file (CMUdict, Sphinx).
    - Where every line has a tab, the first one ends the word, or the word and its numbers.
    - Lines after ``;;;`` or ``#``, and what follows a ``#`` in a line, are remarks. Where there are lines after
      ``;;;``, as in CMUdict, ``#SHARP-SIGN`` is a word.

    Returns
    -------
    list of Entry
        In the order of the file.
    str
        The form, in a line.

    Raises
    ------
    InputError
        With file and line: as `read_lexicon`, and for what is no lexicon, such as a table with commas.
    """
    path = Path(path)
    kept, remarks = _without_remarks(list(numbered_lines(path)))
    rows = [_row(line, text) for line, text in kept]
    for row in rows:
        _check_characters(path, row)
    _check_separators(path, rows)
    numbers = max([_leading_numbers(row.fields) for row in rows] + [int(_named_with_probs(path))])
    _check_tabs(path, kept, numbers)
    bare = _lines_without_numbers(kept) if numbers and not _named_with_probs(path) else set()
    _check_numbers(path, [row for row in rows if row.line not in bare], numbers)
    variants = marked_variants(row.word for row in rows)
    _say_alone(path, rows, variants)
    entries = _entries(path, [row._replace(word=variants.get(row.word, row.word)) for row in rows], numbers, bare)
    form = ["'word probability phone phone ...'" if numbers else "'word phone phone ...'"]
    if numbers > 1:
        form.append(f"{numbers - 1} more columns of numbers left out (of silence, as in MFA's dictionaries)")
    if bare:
        form.append(f"{len(bare)} lines without numbers, which get probability 1")
    if variants:
        form.append(f"{len(variants)} words marked as variants, such as {min(variants)}")
    if spaced := with_other_spaces(row.word for row in rows):
        form.append(f"{len(spaced)} words with a space within that is not ASCII's, such as {spaced[0]}")
    if remarks:
        form.append(f"{len(remarks)} remarks left out, such as '{shorten(remarks[0], 50)}'")
    return entries, "; ".join(form)


def _named_with_probs(path: Path) -> bool:
    return path.name.startswith("lexiconp")


def _row(line: int, text: str) -> Row:
    word, *fields = split_fields(text)
    return Row(line, word, tuple(fields))


def _without_remarks(lines: Sequence[tuple[int, str]]) -> tuple[list[tuple[int, str]], list[str]]:
    """Lines without remarks, and the remarks."""
    cmudict = any(text.startswith(";;;") for _, text in lines)
    kept, remarks = [], []
    for line, text in lines:
        first, *others = split_fields(text) or [""]
        whole = first in ("", "#") or first.startswith((";;", "##"))
        if whole or (first[0] == "#" and not cmudict and not _DISAMBIGUATION.fullmatch(first)):
            entry, remark = "", text
        else:
            start = next((f for f in others if f[0] == "#" and not _DISAMBIGUATION.fullmatch(f)), None)
            found = start and re.search(rf"[ \t]{re.escape(start)}(?=[ \t]|$)", text)
            entry, remark = (text[: found.start()], text[found.start() + 1 :]) if found else (text, "")
        if entry:
            kept.append((line, entry))
        if remark:
            remarks.append(remark)
    return kept, remarks


@lru_cache
def _is_number(field: str) -> bool:
    return _NUMBER.fullmatch(field) is not None


@lru_cache
def _has_point(field: str) -> bool:
    """Whether a field can only be a number: ``2`` may be a phone."""
    return _is_number(field) and not field.isdigit()


def _leading_numbers(fields: Sequence[str]) -> int:
    """How many numbers with a decimal point stand before the phones."""
    count = 0
    while count < min(MAX_NUMBERS, len(fields)) and _has_point(fields[count]):
        count += 1
    return count


def _lines_without_numbers(lines: Sequence[tuple[int, str]]) -> set[int]:
    """Lines of MFA's form, a tab after every word, that have nothing between the word and its phones."""
    if not all(_BEFORE_TAB.match(text) for _, text in lines):
        return set()
    columns = {line: text.split("\t") for line, text in lines}
    return {line for line, found in columns.items() if len(found) == 2 and not _has_point(split_fields(found[1])[0])}


def _check_numbers(path: Path, rows: Sequence[Row], numbers: int) -> None:
    """Refuse a line that has fewer numbers than others."""
    for row in rows:
        if len(row.fields) < numbers or not all(map(_is_number, row.fields[:numbers])):
            full = next((row for row in rows if _leading_numbers(row.fields) == numbers), None)
            instead = f"line {full.line} has {' '.join(full.fields[:numbers])}" if full else f"{path.name} has a number"
            raise InputError(
                f"{path}:{row.line}: '{' '.join(row.fields[:numbers])}' follows the word where {instead}; every "
                "line has to have as many numbers between the word and its phones, or none"
            )


def _check_tabs(path: Path, lines: Sequence[tuple[int, str]], numbers: int) -> None:
    """Refuse a space in a word, where every line has a tab after the word or after the numbers that follow it."""
    if not all("\t" in text for _, text in lines):
        return
    before = {line: split_fields(text.partition("\t")[0]) for line, text in lines}
    most = 0 if any(len(fields) == 1 for fields in before.values()) else numbers
    for line, (word, *others) in before.items():
        if len(others) > most or not all(map(_is_number, others)):
            raise InputError(
                f"{path}:{line}: '{' '.join((word, *others))}' comes before the first tab, and a word cannot hold a "
                "space; write another character for it, or a tab where the word ends"
            )


def _check_characters(path: Path, row: Row) -> None:
    for field in (row.word, *row.fields):
        if strange := _CONTROL.search(field):
            raise InputError(
                f"{path}:{row.line}: {field!r} holds the control character U+{ord(strange[0]):04X}; take it out"
            )
    if remark := next((field for field in row.fields if field[0] == ";"), ";" if row.word == ";" else None):
        raise InputError(f"{path}:{row.line}: '{remark}' begins neither a word nor a phone; put # before a remark")
    for field in row.fields:
        if _SIGNED_OR_PERCENT.fullmatch(field):
            raise InputError(
                f"{path}:{row.line}: '{field}' is neither a phone nor a probability, which is a number above 0 and up "
                "to 1, without a sign"
            )
        if field in ("/", "//", "|") or "," in field:
            raise InputError(
                f"{path}:{row.line}: '{field}' cannot be a phone; phones have spaces between them, and every "
                "pronunciation of a word is a line of its own"
            )


def _check_separators(path: Path, rows: Sequence[Row]) -> None:
    for separator in _SEPARATORS:
        if rows and all(separator in row.word[1:] for row in rows):
            raise InputError(
                f"{path}:{rows[0].line}: there is a '{separator}' in '{rows[0].word}' and in every line's first field; "
                "between a word and its phones there have to be spaces or tabs"
            )


def marked_variants(words: Iterable[str]) -> dict[str, str]:
    """Find what is marked as a variant of another of some words: WORD(2) -> WORD.

    Example
    -------
    >>> marked_variants(["one", "one(2)", "two(2)"])
    {'one(2)': 'one'}
    """
    words = spellings(words)
    found = {word: _VARIANT.fullmatch(word) for word in words}
    return {word: words[match[1]] for word, match in found.items() if match and match[1] in words}


def _say_alone(path: Path, rows: Iterable[Row], variants: Mapping[str, str]) -> None:
    alone = [f"{row.word} (line {row.line})" for row in rows if _VARIANT.fullmatch(row.word)]
    if alone := [word for word in alone if word.partition(" ")[0] not in variants]:
        print(f"{path}: look like variants of words that are not in the file, and stay words: {listing(alone, 5)}")


def _entries(path: Path, rows: Iterable[Row], numbers: int, bare: Collection[int] = ()) -> list[Entry]:
    """Check and take apart the lines; those in `bare` have no numbers."""
    pairs = [(row.line, _entry(path, row, 0 if row.line in bare else numbers)) for row in rows]
    if not pairs:
        raise InputError(f"{path}: the lexicon is empty; it needs a line 'word phone phone ...' for each pronunciation")
    return list(_merged(path, pairs))


def _entry(path: Path, row: Row, numbers: int) -> Entry:
    place = f"{path}:{row.line}"
    if row.word in RESERVED or row.word == "#" or row.word.startswith(";;;"):
        raise InputError(f"{place}: the word '{row.word}' is reserved; take it out of the lexicon")
    if numbers:
        _check_probability(path, row)
    phones = row.fields[numbers:]
    if not phones:
        raise InputError(f"{place}: the word '{row.word}' has no phones after it")
    for phone in phones:
        if phone == EPSILON or (phone[0] == "#" and _DISAMBIGUATION.fullmatch(phone)):
            raise InputError(f"{place}: the phone '{phone}' of '{row.word}' is reserved; give it another name")
        if _has_point(phone):
            raise InputError(
                f"{place}: '{phone}' is among the phones of '{row.word}'; numbers, such as a probability, come "
                f"after the word, at most {MAX_NUMBERS}, and in every line"
            )
    return Entry(row.word, float(row.fields[0]) if numbers else 1.0, phones)


def _check_probability(path: Path, row: Row) -> None:
    first = row.fields[0] if row.fields else ""
    if not _is_number(first) or not 0 < float(first) <= 1:
        otherwise = "; a lexicon without probabilities is named lexicon.txt" if _named_with_probs(path) else ""
        raise InputError(
            f"{path}:{row.line}: the second field of '{' '.join((row.word, *row.fields))}' has to be a probability "
            f"above 0 and up to 1{otherwise}"
        )


def _merged(path: Path, pairs: Iterable[tuple[int, Entry]]) -> Iterator[Entry]:
    """Give the same words and phones one spelling, the first; leave out what repeats, and say both."""
    pairs = list(pairs)
    words = spellings(entry.word for _, entry in pairs)
    phones = spellings(phone for _, entry in pairs for phone in entry.phones)
    known: set[tuple[str, tuple[str, ...]]] = set()
    repeated = []
    for line, entry in pairs:
        merged = Entry(words[entry.word], entry.prob, tuple(phones[phone] for phone in entry.phones))
        if (merged.word, merged.phones) in known:
            repeated.append(f"{entry.word} (line {line})")
            continue
        known.add((merged.word, merged.phones))
        yield merged
    say_respelled(path, words.respelled(entry.word for _, entry in pairs), "another line")
    if repeated:
        print(f"{path}: {len(repeated)} entries repeat an earlier one and were dropped: {listing(repeated, 10)}")
