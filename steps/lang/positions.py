"""Phones that tell where in a word they stand, as Kaldi's ``prepare_lang.sh`` marks them.

A phone at the beginning of a word gets the suffix _B, inside _I, at the end _E; the only one of a word gets _S.
Optional silence belongs to no word and has the plain name.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.lang.lexicon import Dictionary
from steps.lang.lines import listing, numbered_lines

SUFFIXES = {"begin": "_B", "end": "_E", "internal": "_I", "singleton": "_S"}  # by the names in word_boundary.txt
NONWORD = "nonword"
BOUNDARIES = Path("phones", "word_boundary.txt")  # in a lang directory: the position of each phone


def with_positions(dictionary: Dictionary) -> Dictionary:
    """Put the variants of phones in the place of the phones, in the lists, the lexicon and the extra questions.

    Raises
    ------
    InputError
        When a variant's name is that of another phone.
    """
    silence, nonsilence = (
        [name for variants in sets for name in variants]
        for sets in (silence_variants(dictionary), nonsilence_variants(dictionary))
    )
    if twice := [name for name, count in Counter(silence + nonsilence).items() if count > 1]:
        raise InputError(
            f"{dictionary.lexicon_path.parent}: {listing(twice)} would be two phones: one of that name, and a variant "
            "of another one by its position in the word; rename one of them"
        )
    lexicon = [entry._replace(phones=mark(entry.phones)) for entry in dictionary.lexicon]
    phones = dictionary.silence_phones + dictionary.nonsilence_phones
    variants = dict(zip(phones, silence_variants(dictionary) + nonsilence_variants(dictionary), strict=True))
    questions = [[name for phone in question for name in variants[phone]] for question in dictionary.extra_questions]
    return replace(
        dictionary,
        lexicon=lexicon,
        silence_phones=silence,
        nonsilence_phones=nonsilence,
        extra_questions=questions,
    )


def mark(phones: Sequence[str]) -> tuple[str, ...]:
    """Mark the phones of a pronunciation.

    Example
    -------
    >>> mark(["Y", "EH", "S"]), mark(["AH"])
    (('Y_B', 'EH_I', 'S_E'), ('AH_S',))
    """
    if len(phones) == 1:
        return (f"{phones[0]}_S",)
    first, *inner, last = phones
    return (f"{first}_B", *(f"{phone}_I" for phone in inner), f"{last}_E")


def silence_variants(dictionary: Dictionary) -> list[list[str]]:
    """The variants of each silence phone, the plain name first."""
    return [[phone, *_marked(phone)] for phone in dictionary.silence_phones]


def nonsilence_variants(dictionary: Dictionary) -> list[list[str]]:
    """The variants of each other phone."""
    return [_marked(phone) for phone in dictionary.nonsilence_phones]


def _marked(phone: str) -> list[str]:
    return [phone + suffix for suffix in SUFFIXES.values()]


def position_questions(dictionary: Dictionary) -> list[list[str]]:
    """The phones of each position, silence and others apart (Kaldi's ``extra_questions.txt``)."""
    nonsilence, silence = nonsilence_variants(dictionary), silence_variants(dictionary)
    return [list(names) for sets in (nonsilence, silence) for names in zip(*sets, strict=True)]


def word_boundaries(dictionary: Dictionary) -> dict[str, str]:
    """The position of each phone that `with_positions` makes: begin, end, internal, singleton or nonword.

    Example
    -------
    >>> word_boundaries(Dictionary(Path("lexicon.txt"), [], ["SIL"], [], "SIL"))
    {'SIL': 'nonword', 'SIL_B': 'begin', 'SIL_E': 'end', 'SIL_I': 'internal', 'SIL_S': 'singleton'}
    """
    silence = (zip(names, [NONWORD, *SUFFIXES], strict=True) for names in silence_variants(dictionary))
    nonsilence = (zip(names, SUFFIXES, strict=True) for names in nonsilence_variants(dictionary))
    return {name: position for pairs in (*silence, *nonsilence) for name, position in pairs}


def plain_names(lang: Path, phones: Iterable[str]) -> dict[str, str]:
    """Name phones without their position in the word; in a lang directory without such phones they stay as they are.

    Parameters
    ----------
    lang : Path
        Its phones/word_boundary.txt says which position a phone is for.
    phones : iterable of str
        As in phones.txt.

    Raises
    ------
    InputError
        With file and line, when a position is none.
    """
    positions = {}
    if (lang / BOUNDARIES).exists():
        for line, text in numbered_lines(lang / BOUNDARIES):
            phone, *position = split_fields(text) or [""]
            if len(position) != 1 or position[0] not in {NONWORD, *SUFFIXES}:
                raise InputError(
                    f"{lang / BOUNDARIES}:{line}: '{text}' is not a phone and one of {', '.join([NONWORD, *SUFFIXES])}"
                )
            positions[phone] = position[0]
    return {phone: phone.removesuffix(SUFFIXES.get(positions.get(phone, NONWORD), "")) for phone in phones}
