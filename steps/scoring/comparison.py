"""Two systems on the same utterances: their error rates, the difference, and whether it is one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.scoring.significance import (
    SIGNIFICANT,
    MatchedPairs,
    bootstrap,
    bootstrap_p,
    interval,
    matched_pairs,
    units_of,
)
from steps.scoring.wer import Counts, count


@dataclass(frozen=True)
class Scored:
    """What a system did on each utterance.

    Attributes
    ----------
    letters : dict of str
        Utterance -> the letters of its alignment, C S I D (O).
    reference : dict of str
        Utterance -> its reference; of alternatives those with which the hypothesis was aligned.
    hypothesis : dict of str
        Utterance -> what was recognised.
    transcript : dict of str
        Utterance, as ref.trn has it -> its reference with all alternatives.
    """

    letters: dict[str, str]
    reference: dict[str, str]
    hypothesis: dict[str, str]
    transcript: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """How two systems compare on the same utterances.

    Attributes
    ----------
    first, second : Counts
        Of each system.
    first_interval, second_interval : (float, float)
        95 % intervals of their word error rates.
    difference : float
        First word error rate minus second.
    difference_interval : (float, float)
    drawn : str
        What the bootstrap drew: utterances or speakers.
    test : MatchedPairs
    bootstrap_p : float
        Of the paired bootstrap.
    """

    first: Counts
    second: Counts
    first_interval: tuple[float, float]
    second_interval: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float]
    drawn: str
    test: MatchedPairs
    bootstrap_p: float

    @property
    def differ(self) -> bool:
        """Whether the matched-pairs test finds a difference; not with fewer segments than it needs."""
        return self.test.p < SIGNIFICANT and self.test.has_enough


def compare_letters(
    first: Mapping[str, str], second: Mapping[str, str], utt2spk: Mapping[str, str] | None = None
) -> Comparison:
    """Compare two systems.

    Parameters
    ----------
    first, second : mapping of str to str
        Utterance -> the letters of its alignment; the same utterances.
    utt2spk : mapping, optional
        With ten speakers or more the bootstrap draws speakers.

    Raises
    ------
    InputError
        When an utterance is scored for one system only.

    Example
    -------
    >>> found = compare_letters({"a": "CCSCC", "b": "CSC"}, {"a": "CCCCC", "b": "CSC"})
    >>> found.difference, found.test.segments
    (12.5, 2)
    """
    if odd := sorted(set(first) ^ set(second)):
        raise InputError(f"utterance {odd[0]} and {len(odd) - 1} others are scored for one of the two systems only")
    utterances = sorted(first)
    systems = [{utterance: count([letters[utterance]]) for utterance in utterances} for letters in (first, second)]
    words, errors, drawn = units_of(systems, utt2spk or {})
    rates = bootstrap(words, errors)
    totals = [count(letters.values()) for letters in (first, second)]
    differences = rates[:, 0] - rates[:, 1]
    return Comparison(
        first=totals[0],
        second=totals[1],
        first_interval=interval(rates[:, 0]),
        second_interval=interval(rates[:, 1]),
        difference=totals[0].wer - totals[1].wer,
        difference_interval=interval(differences),
        drawn=drawn,
        test=matched_pairs([first[u] for u in utterances], [second[u] for u in utterances]),
        bootstrap_p=bootstrap_p(differences),
    )


def read_scored(directory: Path) -> Scored:
    """Read the alignments of a scored decode directory, from its per_utt and ref.trn.

    Raises
    ------
    InputError
        When one is missing, or has a line of another form.
    """
    found: dict[str, dict[str, list[str]]] = {kind: {} for kind in ("ref", "hyp", "op", "#csid")}
    for number, line in enumerate(_lines(directory / "per_utt"), 1):
        fields = split_fields(line)
        if len(fields) < 2 or fields[1] not in found:
            raise InputError(
                f"{directory / 'per_utt'}:{number}: not a line of per_utt, 'UTTERANCE ref|hyp|op|#csid ...'"
            )
        utterance, kind, *rest = fields
        found[kind][utterance] = rest
    scored = Scored({}, {}, {}, {})
    for utterance, letters in found["op"].items():
        try:
            rows = [*zip(found["ref"][utterance], found["hyp"][utterance], letters, strict=True)]
        except (KeyError, ValueError) as error:
            raise InputError(f"{directory / 'per_utt'}: the lines of {utterance} are damaged; score again") from error
        scored.letters[utterance] = "".join(letters)
        scored.reference[utterance] = " ".join(ref for ref, _, letter in rows if letter not in "IO")
        scored.hypothesis[utterance] = " ".join(
            hyp for ref, hyp, letter in rows if letter != "D" and (letter != "C" or hyp == ref)
        )
    for line in _lines(directory / "ref.trn"):
        words, _, utterance = line.rpartition("(")
        scored.transcript[utterance.removesuffix(")")] = words.rstrip(" ")
    return scored


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path} is missing; score the directory first, with steps.score")
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
