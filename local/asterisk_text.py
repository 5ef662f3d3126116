"""Transcripts of Asterisk's prompts: read, corrected by a table, and made into words."""

import gzip
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from num2words import num2words

from steps.base.errors import InputError

ANYWHERE = "*"
_STAGE_DIRECTION = re.compile(r"\[[^]]*\]|\([^)]*\)|<[^>]*>")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_SYMBOLS = {  # how the prompts of each language name the keys
    "en": {"*": "star", "#": "pound"},
    "es": {"*": "asterisco", "#": "tecla de número"},
    "fr": {"*": "étoile", "#": "dièse"},
    "it": {"*": "asterisco", "#": "cancelletto"},
    "ru": {"*": "звёздочка", "#": "решётка"},
}
_LETTERS = {
    "en": "a-z",
    "es": "a-zñáéíóúü",
    "fr": "a-zàâæçèéêëîïôœùûü",
    "it": "a-zàèéìòù",
    "ru": "а-яё",
}
_ELIDING = ("fr", "it")  # l'heure is two words there, "l'" and "heure"


class Correction(NamedTuple):
    """One row of a table of corrections.

    ``prompt``: the prompt whose text is wrong, or ``*`` for every one. ``wrong``: the part of its text, as published,
    that becomes ``right``; empty for the whole text. With ``*`` it is a word, or several, of the normalised text.
    """

    prompt: str
    wrong: str
    right: str


def read_corrections(path: Path) -> list[Correction]:
    """Read a table of corrections: three columns with a tab between them; lines after ``#`` are comments.

    Raises
    ------
    InputError
        With file and line, when a row has not three columns.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 3 or not columns[0] or (columns[0] == ANYWHERE and not columns[1]):
            raise InputError(f"{path}:{number}: not a prompt, what is wrong and what is right, with tabs between them")
        rows.append(Correction(*columns))
    return rows


def read_prompts(path: Path) -> dict[str, str]:
    """Read a transcript of lines ``name: text``, plain or gzipped, as published; lines after ``;`` are comments.

    Of a name that comes twice, the first text counts.

    Raises
    ------
    InputError
        With file and line, when a line is not of this form or not UTF-8.
    """
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    prompts: dict[str, str] = {}
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}: the line is not UTF-8 (byte 0x{raw[error.start]:02x})") from error
        if not line or line.startswith(";"):
            continue
        name, colon, text = line.partition(":")
        if not colon or not name.strip():
            raise InputError(f"{path}:{number}: '{line}' is not 'name: text'")
        prompts.setdefault(name.strip(), text.strip())
    return prompts


def correct_prompts(prompts: Mapping[str, str], corrections: Iterable[Correction]) -> dict[str, str]:
    """Apply the corrections of single prompts; print those that do not apply, as with another release.

    Example
    -------
    >>> correct_prompts({"a": "Mute or umute"}, [Correction("a", "umute", "unmute"), Correction("b", "", "Hello")])
    {'a': 'Mute or unmute', 'b': 'Hello'}
    """
    corrected = dict(prompts)
    for prompt, wrong, right in corrections:
        if prompt == ANYWHERE:
            continue
        if not wrong:
            corrected[prompt] = right
        elif wrong in corrected.get(prompt, ""):
            corrected[prompt] = corrected[prompt].replace(wrong, right)
        elif prompt in corrected:
            print(f"the text of '{prompt}' does not hold '{wrong}': its correction is not needed")
    return corrected


def stage_direction(text: str) -> str | None:
    """Give what a text says about a sound that is not speech, when that is all that it says.

    Example
    -------
    >>> stage_direction("[this is a simple beep tone]")
    'this is a simple beep tone'
    >>> stage_direction("dash [-]")
    """
    return None if _STAGE_DIRECTION.sub("", text).strip() else text.strip("[]()<> \t")


def normalise(text: str, language: str, corrections: Iterable[Correction] = ()) -> str:
    """Turn a prompt's text into lower-case words with single spaces.

    Stage directions in brackets and punctuation are taken away, numbers and the keys ``*`` and ``#`` written as words.
    Apostrophes stay within words; in French and Italian a word ends after one.

    Parameters
    ----------
    text : str
        As published.
    language : str
        ``en``, ``es``, ``fr``, ``it`` or ``ru``.
    corrections : iterable of Correction
        Those for ``*`` are applied to the words in the end.

    Raises
    ------
    InputError
        When a character is none of the language.

    Example
    -------
    >>> normalise("Press 2 (beep) to re-send; don't hang up at 5 P.M.!", "en")
    "press two to re send don't hang up at five p m"
    >>> normalise("L’heure est 21", "fr")
    "l' heure est vingt et un"
    """
    text = unicodedata.normalize("NFC", _STAGE_DIRECTION.sub(" ", text)).lower()
    text = re.sub("[’‘`´]", "'", text)
    for symbol, name in _SYMBOLS[language].items():
        text = text.replace(symbol, f" {name} ")
    text = _NUMBER.sub(lambda found: f" {_number(found[0], language)} ", text)
    letters = _LETTERS[language]
    foreign = sorted({c for c in text if unicodedata.category(c)[0] in "LMN" and not re.match(f"[{letters}]", c)})
    if foreign:
        raise InputError(f"'{text.strip()}' holds {' '.join(foreign)}, which is no letter of the language '{language}'")
    text = re.sub(rf"[^{letters}']|(?<![{letters}])'|'(?![{letters}])", " ", text)
    if language in _ELIDING:
        text = re.sub(r"'(?!hui\b)", "' ", text)  # aujourd'hui is one word
    text = " ".join(text.split())
    for prompt, wrong, right in corrections:
        if prompt == ANYWHERE:
            text = re.sub(rf"(?<!\S){re.escape(wrong)}(?!\S)", right, text)
    return text


def _number(digits: str, language: str) -> str:
    value = float(digits.replace(",", ".")) if re.search("[.,]", digits) else int(digits)
    words: str = num2words(value, lang=language)
    return words.replace(", ", " ").replace("-", " ")
