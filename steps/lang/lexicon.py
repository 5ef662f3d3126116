"""Pronunciations: Kaldi's dict directories, and the disambiguation symbols that make a lexicon determinisable."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.corpus.spelling import nfc, spellings
from steps.lang.lexicon_file import Entry, marked_variants, read_lexicon
from steps.lang.lines import listing, numbered_lines
from steps.lang.symbols import EPSILON


@dataclass(frozen=True)
class Dictionary:
    """What a Kaldi dict directory holds.

    `lexicon_path` is the file that the lexicon was read from, for messages; `extra_questions` are sets of phones that a
    decision tree may ask for.
    """

    lexicon_path: Path
    lexicon: list[Entry]
    silence_phones: list[str]
    nonsilence_phones: list[str]
    optional_silence: str
    extra_questions: Sequence[Sequence[str]] = ()


def read_dict_dir(path: str | Path) -> Dictionary:
    """Read and check a Kaldi dict directory.

    It holds ``lexiconp.txt`` (taken when both are there) or ``lexicon.txt``, ``silence_phones.txt``,
    ``nonsilence_phones.txt`` (one or more phones a line), ``optional_silence.txt``, and perhaps ``extra_questions.txt``
    (a set of phones a line).

    Raises
    ------
    InputError
        Naming what is missing, or the file, line and phone that do not fit together.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: there is no such dict directory")
    silence = _read_phones(path / "silence_phones.txt")
    nonsilence = _read_phones(path / "nonsilence_phones.txt")
    if both := sorted(set(silence) & set(nonsilence)):
        raise InputError(
            f"{path}: {listing(both)} in silence_phones.txt and in nonsilence_phones.txt; keep one of each"
        )
    optional = _read_phones(path / "optional_silence.txt")
    if len(optional) != 1 or optional[0] not in silence:
        found = listing(optional)
        raise InputError(f"{path / 'optional_silence.txt'}: holds {found}, but has to hold one of silence_phones.txt")
    lexicon_path = path / "lexiconp.txt" if (path / "lexiconp.txt").exists() else path / "lexicon.txt"
    lexicon = read_lexicon(lexicon_path)
    if variants := marked_variants(entry.word for entry in lexicon):
        print(
            f"{lexicon_path}: warning: {len(variants)} words look like marked variants, such as {min(variants)}; in "
            "Kaldi's lexicon all variants of a word are written alike, and these are words of their own"
        )
    listed = spellings([*silence, *nonsilence])
    _check_phones(lexicon_path, lexicon, listed)
    lexicon = [entry._replace(phones=tuple(listed[phone] for phone in entry.phones)) for entry in lexicon]
    questions = _read_questions(path / "extra_questions.txt", listed)
    return Dictionary(lexicon_path, lexicon, silence, nonsilence, optional[0], questions)


def _read_phones(path: Path) -> list[str]:
    phones: list[str] = []
    known: set[str] = set()
    for line, text in numbered_lines(path):
        for phone in split_fields(text):
            if phone == EPSILON or re.fullmatch(r"#\d+", phone):
                raise InputError(f"{path}:{line}: the phone '{phone}' is reserved; give it another name")
            if nfc(phone) in known:
                raise InputError(f"{path}:{line}: the phone '{phone}' is listed twice")
            phones.append(phone)
            known.add(nfc(phone))
    if not phones:
        raise InputError(f"{path}: no phone is listed")
    return phones


def _read_questions(path: Path, listed: Mapping[str, str]) -> list[list[str]]:
    questions: list[list[str]] = []
    for line, text in numbered_lines(path) if path.exists() else ():
        phones = split_fields(text)
        if unknown := [phone for phone in phones if phone not in listed]:
            raise InputError(
                f"{path}:{line}: {listing(unknown)} in neither silence_phones.txt nor nonsilence_phones.txt; name "
                "phones as they are there"
            )
        if phones:
            questions.append([listed[phone] for phone in phones])
    return questions


def _check_phones(path: Path, lexicon: Iterable[Entry], known: Collection[str]) -> None:
    unknown = {phone: entry.word for entry in reversed(list(lexicon)) for phone in entry.phones if phone not in known}
    if unknown:
        found = listing([f"{phone} (in {word})" for phone, word in sorted(unknown.items())], 20)
        raise InputError(f"{path}: phones that neither silence_phones.txt nor nonsilence_phones.txt lists: {found}")


def add_lex_disambig(lexicon: Sequence[Entry]) -> tuple[list[Entry], int]:
    """Append disambiguation symbols #1, #2, ... to pronunciations, as Kaldi's add_lex_disambig.pl does.

    A pronunciation gets one when another entry has the same, or when it is the beginning of another.

    Returns
    -------
    list of Entry
        The lexicon with those symbols.
    int
        The highest symbol's number, 0 when none was needed.

    Example
    -------
    >>> lexicon = [Entry("red", 1.0, ("R", "EH", "D")), Entry("read", 1.0, ("R", "EH", "D")), Entry("a", 1.0, ("R",))]
    >>> marked, highest = add_lex_disambig(lexicon)
    >>> [" ".join(entry.phones) for entry in marked], highest
    (['R EH D #1', 'R EH D #2', 'R #1'], 2)
    """
    count = Counter(entry.phones for entry in lexicon)
    beginnings = {phones[:length] for phones in count for length in range(1, len(phones))}
    given: Counter[tuple[str, ...]] = Counter()
    marked = []
    for entry in lexicon:
        if count[entry.phones] > 1 or entry.phones in beginnings:
            given[entry.phones] += 1
            entry = entry._replace(phones=(*entry.phones, f"#{given[entry.phones]}"))
        marked.append(entry)
    return marked, max(given.values(), default=0)
