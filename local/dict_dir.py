"""Kaldi dict directories: a lexicon and which of its phones are silence."""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from steps.base.errors import InputError
from steps.base.output import writing
from steps.corpus.spelling import spellings
from steps.lang.lexicon_file import Entry
from steps.lang.lines import listing

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


def spell(words: Iterable[str], source: str) -> list[Entry]:
    """Make a lexicon by graphemes; words in brackets, such as ``<noise>`` or ``[laughter]``, are spoken noise.

    Parameters
    ----------
    words : iterable of str
        Words that are the same in composed Unicode get one entry.
    source : str
        Where they stand, for messages.

    Raises
    ------
    InputError
        When words have no letter to spell.
    """
    lexicon = []
    for word in spellings(words):
        bracketed = len(word) > 2 and word[0] + word[-1] in ("<>", "[]")
        lexicon.append(Entry(word, 1.0, (SPOKEN_NOISE,) if bracketed else grapheme_pronunciation(word)))
    if silent := sorted(entry.word for entry in lexicon if not entry.phones):
        raise InputError(
            f"{len(silent)} words of {source} have no letter to make a pronunciation of: {listing(silent, 20)}; take "
            "them out of it or give a lexicon"
        )
    return lexicon


def entries(lexicon: Mapping[str, Iterable[Pronunciation]]) -> list[Entry]:
    """Give the entries of a lexicon by words: all with probability 1, repeated ones once.

    Example
    -------
    >>> entries({"a": [("AH",), ("EY",), ("AH",)]})
    [Entry(word='a', prob=1.0, phones=('AH',)), Entry(word='a', prob=1.0, phones=('EY',))]
    """
    return [Entry(word, 1.0, phones) for word, variants in lexicon.items() for phones in dict.fromkeys(variants)]


def by_word(lexicon: Iterable[Entry]) -> dict[str, list[Pronunciation]]:
    """Word -> its pronunciations.

    Example
    -------
    >>> by_word([Entry("a", 1.0, ("AH",)), Entry("a", 0.5, ("EY",))])
    {'a': [('AH',), ('EY',)]}
    """
    words: dict[str, list[Pronunciation]] = {}
    for entry in lexicon:
        words.setdefault(entry.word, []).append(entry.phones)
    return words


def write_dict_dir(path: Path, lexicon: Iterable[Entry]) -> None:
    """Write a dict directory: lexicon.txt, silence_phones.txt, nonsilence_phones.txt and optional_silence.txt.

    Where a pronunciation has a probability other than 1, lexiconp.txt as well; an older one is removed.

    Parameters
    ----------
    path : Path
        The directory.
    lexicon : iterable of Entry
        ``!SIL SIL`` and ``<UNK> SPN`` are added where it has no such words.
    """
    whole = list(lexicon)
    words = {entry.word for entry in whole}
    whole += [Entry(word, 1.0, phones) for word, phones in SPECIAL_WORDS.items() if word not in words]
    whole.sort(key=lambda entry: (entry.word, entry.phones))
    nonsilence = sorted({phone for entry in whole for phone in entry.phones} - {SILENCE, SPOKEN_NOISE})
    files = {
        "lexicon.txt": [" ".join((entry.word, *entry.phones)) for entry in whole],
        "lexiconp.txt": [" ".join((entry.word, str(entry.prob), *entry.phones)) for entry in whole],
        "silence_phones.txt": [SILENCE, SPOKEN_NOISE],
        "nonsilence_phones.txt": nonsilence,
        "optional_silence.txt": [SILENCE],
    }
    if all(entry.prob == 1 for entry in whole):
        (path / "lexiconp.txt").unlink(missing_ok=True)
        del files["lexiconp.txt"]
    for name, lines in files.items():
        with writing(path / name) as part:
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
