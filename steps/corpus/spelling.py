"""Words in composed and decomposed Unicode (NFC, NFD), which look the same and are the same."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


def nfc(text: str) -> str:
    """Compose a text's characters: what is compared in place of the text itself."""
    return unicodedata.normalize("NFC", text)


class WordTable(Mapping[str, T]):
    r"""A mapping from words that finds them in any Unicode form, and keeps their spelling.

    Of several spellings of a word in it the very one counts that is asked for, otherwise the first.

    Example
    -------
    >>> table = WordTable({"caf\u00e9": 7})
    >>> table["cafe\u0301"], "cafe\u0301" in table, "cafe" in table
    (7, True, False)
    """

    def __init__(self, words: Mapping[str, T]) -> None:
        self._words = dict(words)
        self._spelling = _first_spellings(words)

    def __getitem__(self, word: str) -> T:
        return self._words[word] if word in self._words else self._words[self._spelling[nfc(word)]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._words or (isinstance(word, str) and nfc(word) in self._spelling)

    def respelled(self, words: Iterable[str]) -> dict[str, str]:
        """Find those of some words that are here in another Unicode form only: word -> that form."""
        return {word: self._spelling[nfc(word)] for word in set(words) - set(self._words) if word in self}


def _first_spellings(words: Iterable[str]) -> dict[str, str]:
    spelling: dict[str, str] = {}
    for word in dict.fromkeys(words):
        spelling.setdefault(nfc(word), word)
    return spelling


def spellings(words: Iterable[str]) -> WordTable[str]:
    r"""Give each word its spelling, by any Unicode form of it; of several spellings the first.

    Example
    -------
    >>> table = spellings(["caf\u00e9", "cafe\u0301"])
    >>> ascii(table["cafe\u0301"]), len(table)
    ("'caf\\xe9'", 1)
    """
    return WordTable({word: word for word in _first_spellings(words).values()})


def say_respelled(where: object, respelled: Mapping[str, str], than: object) -> None:
    """Print, when there are any, how many words are in another Unicode form, and one of them.

    Parameters
    ----------
    where, than
        The file that holds them, and the one that has them in another form.
    respelled : mapping
        Word -> its spelling in `than`.
    """
    if respelled:
        word, other = min(respelled.items())
        print(
            f"{where}: {len(respelled)} words are in another Unicode form (composed or decomposed) than in {than} and "
            f"count as the same, such as {word}: {word!a} for {other!a}"
        )
