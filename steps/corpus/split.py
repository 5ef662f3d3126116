"""A split of a corpus into sets that stays as it is."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from itertools import accumulate

from steps.base.errors import InputError

SHARES = {"train": 80.0, "dev": 10.0, "test": 10.0}


def normalise_transcript(text: str) -> str:
    """Case, accents' encoding, punctuation and white space taken away: what makes two transcripts the same.

    Example
    -------
    >>> normalise_transcript("  Good-bye,  ALL! ")
    'good bye all'
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(re.sub(r"[^\w\s']|_", " ", text).split())


def stable_split(transcripts: Mapping[str, str], shares: Mapping[str, float] = SHARES) -> dict[str, list[str]]:
    """Split utterances into sets by a hash of what is said in them.

    No transcript is in two sets, and where an utterance goes depends on its transcript and the shares alone: neither
    on the other utterances, nor on their order, nor on the machine. The shares are therefore met on average only; a
    set of a small corpus can be empty.

    Parameters
    ----------
    transcripts : mapping
        Utterance id -> transcript.
    shares : mapping
        Name of a set -> its share in percent; they add up to 100.

    Returns
    -------
    dict
        Name of a set -> its utterance ids, sorted.

    Raises
    ------
    InputError
        When the shares are negative or do not add up to 100.

    Example
    -------
    >>> sets = stable_split({"a1": "one two", "b1": "One, two.", "a2": "three"}, {"train": 50, "test": 50})
    >>> sorted(sets["train"] + sets["test"])
    ['a1', 'a2', 'b1']
    >>> ("a1" in sets["train"]) == ("b1" in sets["train"])
    True
    """
    if min(shares.values(), default=0) < 0 or abs(sum(shares.values()) - 100) > 1e-6:
        listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise InputError(f"the shares ({listed}) have to be percentages that add up to 100")
    names = [name for name, share in shares.items() if share > 0]
    bounds = list(accumulate(shares[name] for name in names))
    sets: dict[str, list[str]] = {name: [] for name in shares}
    for utterance in sorted(transcripts):
        position = _position(transcripts[utterance])
        sets[next((n for n, bound in zip(names, bounds, strict=True) if position < bound), names[-1])].append(utterance)
    return sets


def _position(transcript: str) -> float:
    """Where in [0, 100) a transcript's hash puts it."""
    digest = hashlib.md5(normalise_transcript(transcript).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 * 100
