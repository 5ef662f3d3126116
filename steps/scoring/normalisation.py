"""What counts as the same word in scoring: case, punctuation, and a mapping file in the spirit of NIST's glm."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.base.options import Options
from steps.corpus.spelling import nfc


class Word(NamedTuple):
    """A word of a text; an optional one may be missing in the other text, as a hesitation may."""

    text: str
    optional: bool = False


Words = tuple[Word, ...]
Slot = tuple[Words, ...]
"""The alternatives at one place of a reference, each a sequence of words; mostly one of one word."""


@dataclass(frozen=True)
class Normalisation(Options):
    """How texts are made alike before they are compared.

    Parameters
    ----------
    mapping : Path
        A file of rules, in the spirit of NIST's glm: ``A => B`` replaces words in both texts, ``{ OKAY / O.K. }`` says
        that a reference with one of these is also right with another, ``(UH)`` that a word may be missing, or be there
        and not in the reference. Replacements come first, alternatives apply to their results. ``;;`` begins a comment.
    case : str
        keep, or lower: compare in lower case.
    punctuation : str
        keep, or remove: leave out punctuation but for apostrophes and hyphens within a word.
    """

    mapping: Path | None = None
    case: Literal["keep", "lower"] = "keep"
    punctuation: Literal["keep", "remove"] = "keep"


@dataclass(frozen=True)
class Rules:
    """The rules of a mapping file.

    Attributes
    ----------
    replaced : dict
        Words -> the words in their place.
    alternatives : dict
        Words -> all that may stand for them, themselves first.
    """

    replaced: dict[Words, Words] = field(default_factory=dict)
    alternatives: dict[Words, Slot] = field(default_factory=dict)


class Normaliser:
    """Brings references and hypotheses into the form in which they are compared.

    Parameters
    ----------
    options : Normalisation

    Raises
    ------
    InputError
        When a line of the mapping file is no rule, or two rules are for the same words.
    """

    def __init__(self, options: Normalisation = Normalisation()) -> None:
        self.options = options
        rules = read_rules(options.mapping, options) if options.mapping else Rules()
        self._replaced = rules.replaced
        self._alternatives = {
            self._replace(words): tuple(dict.fromkeys(map(self._replace, slot)))
            for words, slot in rules.alternatives.items()
        }

    def reference(self, text: str) -> list[Slot]:
        """Give the places of a reference with their alternatives."""
        words = tuple(self.hypothesis(text))
        return [self._alternatives.get(part, (part,)) for part in parts(words, self._alternatives)]

    def hypothesis(self, text: str) -> list[Word]:
        """Give the words of a hypothesis."""
        return list(self._replace(tuple(map(Word, plain_words(text, self.options)))))

    def _replace(self, words: Words) -> Words:
        if not self._replaced:
            return words  # much faster
        return tuple(word for part in parts(words, self._replaced) for word in self._replaced.get(part, part))


def parts(words: Words, rules: Collection[Words]) -> Sequence[Words]:
    """Cut a text into those words that there is a rule for, the longest at each place, and single ones.

    Example
    -------
    >>> a, b, c = map(Word, "abc")
    >>> [len(part) for part in parts((a, b, c), {(a,), (a, b)})]
    [2, 1]
    """
    longest = max(map(len, rules), default=0)
    if not longest:
        return [(word,) for word in words]
    found: list[Words] = []
    at = 0
    while at < len(words):
        sizes = range(min(longest, len(words) - at), 0, -1)
        size = next((size for size in sizes if words[at : at + size] in rules), 1)
        found.append(words[at : at + size])
        at += size
    return found


def plain_words(text: str, options: Normalisation) -> list[str]:
    """Split a text into its words, in composed Unicode (NFC), by the options on case and punctuation.

    Example
    -------
    >>> plain_words("Well, it's 5 o'clock - isn't it?", Normalisation(case="lower", punctuation="remove"))
    ['well', "it's", '5', "o'clock", "isn't", 'it']
    """
    words = split_fields(nfc(text))
    if options.case == "lower":
        words = [nfc(word.lower()) for word in words]
    if options.punctuation == "remove":
        words = [bare for word in words if (bare := _without_punctuation(word))]
    return words


def _without_punctuation(word: str) -> str:
    last = len(word) - 1
    return "".join(
        letter
        for at, letter in enumerate(word)
        if not unicodedata.category(letter).startswith("P") or (letter in "'’-" and 0 < at < last)
    )


def read_rules(path: Path, options: Normalisation = Normalisation()) -> Rules:
    """Read a mapping file; see `Normalisation`.

    Raises
    ------
    InputError
        Names the line that is no rule, or whose words have a rule already.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error})") from error
    rules = Rules()
    for number, line in enumerate(lines, 1):
        rule = line.partition(";;")[0].strip()
        if rule:
            try:
                _add_rule(rules, rule, options)
            except ValueError as error:
                raise InputError(f"{path}:{number}: {error}") from error
    return rules


def _add_rule(rules: Rules, rule: str, options: Normalisation) -> None:
    if rule.startswith("{") and rule.endswith("}"):
        sequences = [tuple(map(Word, plain_words(part, options))) for part in rule[1:-1].split(" / ")]
        if len(sequences) < 2 or not all(sequences):
            raise ValueError(f"'{rule}' needs two alternatives or more, as {{ OKAY / O.K. }}")
        if (Word("@"),) in sequences:
            raise ValueError(f"'{rule}': an alternative cannot be empty; (A) makes the word A optional")
        for own in sequences:
            _check_new(rules, own)
            rules.alternatives[own] = (own, *(other for other in sequences if other != own))
        return
    source, arrow, target = rule.partition("=>")
    words = tuple(map(Word, plain_words(source.strip().removeprefix("(").removesuffix(")"), options)))
    if not words or (not arrow and not _is_optional(rule)) or {"{", "}", "=>"} & {*split_fields(source + target)}:
        raise ValueError(f"'{rule}' is no rule; there are: A => B, {{ A / B }} and (A)")
    _check_new(rules, words)
    rules.replaced[words] = tuple(_target_words(target if arrow else rule, options))


def _target_words(text: str, options: Normalisation) -> Iterable[Word]:
    for token in split_fields(text):
        inner = token[1:-1] if _is_optional(token) else token
        yield from (Word(word, _is_optional(token)) for word in plain_words(inner, options))


def _is_optional(token: str) -> bool:
    return len(token) > 2 and token.startswith("(") and token.endswith(")") and not split_fields(token)[1:]


def _check_new(rules: Rules, words: Words) -> None:
    if words in rules.replaced or words in rules.alternatives:
        raise ValueError(f"'{' '.join(word.text for word in words)}' has a rule already")
