"""A festvox voice's labels: phones with times, and which of them belong to which word of the sentence."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.dict_dir import SILENCE, Pronunciation
from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.corpus.ctm import Token

PAUSE = "pau"
VOWELS = "aa ae ay a ee e ii i oo o ur uu u yy y"
CONSONANTS = {  # what the voice's rules make of a letter: hard or soft, voiced or not, and a few exceptions
    "б": "bb b pp p",
    "в": "vv v ff f",
    "г": "gg g kk k hh h v",
    "д": "dd d tt t",
    "ж": "zh sh",
    "з": "zz z ss s",
    "й": "j",
    "к": "kk k gg g",
    "л": "ll l",
    "м": "mm m",
    "н": "nn n",
    "п": "pp p bb b",
    "р": "rr r",
    "с": "ss s zz z c sh",  # c in -тся, sh in сш
    "т": "tt t dd d",
    "ф": "ff f vv v",
    "х": "hh h",
    "ц": "c",
    "ч": "ch sch sh t",  # sh in что, sch in сч, t in чш
    "ш": "sh zh",
    "щ": "sch",
}
IOTATED = "еёюя"
SIGNS = "ьъ"
UNSPOKEN = "-'"


def read_labels(path: Path) -> list[Token]:
    """Read a label file of xlabel's: after a line ``#``, ``end colour phone`` for each phone; pauses become SIL.

    Pauses that follow one another are joined: what is between them is no boundary of sounds.

    Raises
    ------
    InputError
        With file and line, when it is missing, a line is something else, or a phone ends before it begins.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such label file, but etc/txt.done.data lists the utterance")
    header, mark, body = path.read_text(encoding="utf-8").partition("#\n")
    if not mark or not body.strip():
        raise InputError(f"{path}: there are no phones below a line '#'")
    phones: list[Token] = []
    end = 0.0
    for number, line in enumerate(body.removesuffix("\n").split("\n"), start=header.count("\n") + 2):
        start, (end, phone) = end, _parse(line, f"{path}:{number}")
        if not end > start:
            raise InputError(f"{path}:{number}: '{phone}' ends at {end:g} s, but begins at {start:g} s")
        if phone == PAUSE and phones and phones[-1].text == SILENCE:
            start = phones.pop().start
        phones.append(Token(SILENCE if phone == PAUSE else phone, start, end))
    return phones


def _parse(line: str, place: str) -> tuple[float, str]:
    try:
        end, _, phone = split_fields(line)
        return float(end), phone
    except ValueError as error:
        raise InputError(f"{place}: '{line}' is not 'end colour phone'") from error


def spoken_words(sentence: str) -> list[str]:
    """Words in lower case; the marks of stress (``вол+ос``) and punctuation go, hyphens within words stay.

    Raises
    ------
    InputError
        For something that is neither: digits or Latin letters.

    Example
    -------
    >>> spoken_words("Скайльс, - с +искоркой: кто-то, Пон-Неф.")
    ['скайльс', 'с', 'искоркой', 'кто-то', 'пон-неф']
    """
    text = sentence.replace("+", "").lower()
    words = re.findall(r"[а-яё]+(?:[-'][а-яё]+)*", text)
    strange = re.sub(r"[-а-яё',.:;?!\s]", "", text)
    if strange or not words:
        raise InputError(f"'{sentence}' " + (f"holds '{strange}', which no rule reads" if strange else "has no words"))
    return words


def cut_into_words(words: Sequence[str], phones: Sequence[str]) -> list[Pronunciation] | None:
    """Find the phones of each word of a sentence; None when the sentence is another one.

    A vowel letter is one vowel, perhaps after j; a consonant letter is one of its `CONSONANTS`, or nothing before
    another one (поздно, класс). That leaves no doubt where a word ends: Festival itself, given the corpus's sentences,
    says the same phones in each of their words.

    Parameters
    ----------
    words : sequence of str
        Of `spoken_words`.
    phones : sequence of str
        Of the whole sentence, without pauses.

    Example
    -------
    >>> cut_into_words(["мать", "я"], "m aa tt j aa".split())
    [('m', 'aa', 'tt'), ('j', 'aa')]
    """
    found = re.fullmatch("".join(f"({_pattern(word)})" for word in words), "".join(f"{phone} " for phone in phones))
    return [tuple(group.split()) for group in found.groups()] if found else None


def _pattern(word: str) -> str:
    """The phones that a word may have, each with a space after it, as a regular expression."""
    letters = re.sub(f"[{UNSPOKEN}]", "", word)
    pattern = ""
    for i, letter in enumerate(letters):
        following = letters[i + 1 :]
        if letter in CONSONANTS:
            dropped = following.lstrip(SIGNS)[:1] in CONSONANTS
            pattern += f"(?:(?:{CONSONANTS[letter].replace(' ', '|')}) )" + "?" * dropped
        elif letter in SIGNS:
            pattern += "(?:j )?" * (letter + following[:1] == "ьо")
        else:
            pattern += "(?:j )?" * (letter in IOTATED) + f"(?:{VOWELS.replace(' ', '|')}) "
    return pattern


def pronunciations(
    words: Mapping[str, Sequence[str]], labels: Mapping[str, Sequence[Token]]
) -> dict[str, list[Pronunciation]]:
    """Word -> its pronunciations in the labels, sorted.

    Raises
    ------
    InputError
        Naming an utterance whose labels are not its words'.
    """
    lexicon: dict[str, set[Pronunciation]] = {}
    for utterance in words:
        phones = [phone.text for phone in labels[utterance] if phone.text != SILENCE]
        found = cut_into_words(words[utterance], phones)
        if found is None:
            raise InputError(
                f"utterance {utterance}: its words '{' '.join(words[utterance])}' cannot have the labels "
                f"'{' '.join(phones)}'"
            )
        for word, pronunciation in zip(words[utterance], found, strict=True):
            lexicon.setdefault(word, set()).add(pronunciation)
    return {word: sorted(variants) for word, variants in lexicon.items()}
