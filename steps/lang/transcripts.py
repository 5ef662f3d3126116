"""The training text as lists of words."""

from pathlib import Path

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.corpus.tables import read_table


def read_transcripts(path: str | Path) -> list[list[str]]:
    """Read the words of each transcript of a data directory's ``text``, in the order of the file.

    Raises
    ------
    InputError
        When there is not a word in it.
    """
    text = [split_fields(words) for words in read_table(path).values()]
    if not any(text):
        raise InputError(f"{path}: there is no transcript in it")
    return text
