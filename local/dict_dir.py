"""Kaldi dict directories: a lexicon and which of its phones are silence."""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from steps.errors import InputError
from steps.output import writing

Pronunciation = tuple[str, ...]

SILENCE, SPOKEN_NOISE = "SIL", "SPN"
SPECIAL_WORDS = {"!SIL": (SILENCE,), "<UNK>": (SPOKEN_NOISE,)}


def grapheme_pronunciation(word: str) -> Pronunciation:
    """Spell a word: one phone for each letter, digit and combining mark, in lower case; other characters are silent.

    Example
    -------
    >>> grapheme_pronunciation("L'été")
    ('l', 'é', 't', 'é')
    """
    return tuple(c for c in unicodedata.normalize("NFC", word.lower()) if unicodedata.category(c)[0] in "LMN")


def spell(words: Iterable[str]) -> dict[str, list[Pronunciation]]:
    """Make a lexicon by graphemes; words in brackets, such as ``<noise>`` or ``[laughter]``, are spoken noise.

    Raises
    ------
    InputError
        When words have no letter to spell.
    """
    lexicon = {}
    for word in words:
        bracketed = len(word) > 2 and word[0] + word[-1] in ("<>", "[]")
        lexicon[word] = [(SPOKEN_NOISE,) if bracketed else grapheme_pronunciation(word)]
    silent = sorted(word for word, variants in lexicon.items() if not variants[0])
    if silent:
        raise InputError(
            f"{len(silent)} words have no letter to make a pronunciation of: {' '.join(silent[:20])}; take them out of "
            "the text or give a lexicon"
        )
    return lexicon


def read_pronunciations(path: Path) -> dict[str, list[Pronunciation]]:
    """Read ``word phone phone ...``, variants on lines of their own; empty lines and lines after ``#`` are skipped.

    Raises
    ------
    InputError
        With file and line: no such file, not UTF-8, a word without phones.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such lexicon")
    lexicon: dict[str, list[Pronunciation]] = {}
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            word, *phones = raw.decode("utf-8").split() or ["#"]
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}: the line is not UTF-8 (byte 0x{raw[error.start]:02x})") from error
        if word == "#":
            continue
        if not phones:
            raise InputError(f"{path}:{number}: the word '{word}' has no phones")
        variants = lexicon.setdefault(word, [])
        if tuple(phones) not in variants:
            variants.append(tuple(phones))
    return lexicon


def write_dict_dir(path: Path, lexicon: Mapping[str, Iterable[Pronunciation]]) -> None:
    """Write a dict directory: lexicon.txt, silence_phones.txt, nonsilence_phones.txt and optional_silence.txt.

    Parameters
    ----------
    path : Path
        The directory.
    lexicon : mapping
        Word -> its pronunciations. ``!SIL SIL`` and ``<UNK> SPN`` are added.
    """
    whole = {**{word: [phones] for word, phones in SPECIAL_WORDS.items()}, **lexicon}
    entries = sorted({(word, tuple(phones)) for word, variants in whole.items() for phones in variants})
    nonsilence = sorted({phone for _, phones in entries for phone in phones} - {SILENCE, SPOKEN_NOISE})
    files = {
        "lexicon.txt": [f"{word} {' '.join(phones)}" for word, phones in entries],
        "silence_phones.txt": [SILENCE, SPOKEN_NOISE],
        "nonsilence_phones.txt": nonsilence,
        "optional_silence.txt": [SILENCE],
    }
    for name, lines in files.items():
        with writing(path / name) as part:
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
