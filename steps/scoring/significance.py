"""How sure an error rate is, and whether two systems differ: bootstrap intervals and the matched-pairs test."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steps.scoring.wer import Counts, Score

SAMPLES = 1000
SIGNIFICANT = 0.05
FEWEST_SPEAKERS = 10  # with fewer, utterances are drawn: the sums of so few speakers tell little of others
FEWEST_SEGMENTS = 10  # with fewer, the mean difference is too far from normally distributed for the test
CORRECT_BETWEEN = 2  # words that both systems have right and that separate two segments, as in NIST's sc_stats


@dataclass(frozen=True)
class MatchedPairs:
    """The result of a matched-pairs test.

    Attributes
    ----------
    segments : int
        With an error of at least one system.
    mean, deviation : float
        Of the difference in errors, first system minus second, over the segments.
    z : float
        The test's statistic, normally distributed where the systems are equal; 0 where there is nothing to test.
    p : float
        The probability of such a |z| or a larger one, were the systems equal.
    """

    segments: int
    mean: float
    deviation: float
    z: float
    p: float

    @property
    def has_enough(self) -> bool:
        """Whether enough segments have errors for the test to hold."""
        return self.segments >= FEWEST_SEGMENTS


def matched_pairs(first: Sequence[str], second: Sequence[str]) -> MatchedPairs:
    """Test whether two systems differ on the same utterances (MAPSSWE).

    Gillick and Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989, as in
    NIST's ``sc_stats -t mapsswe``: the differences of errors in segments that two words separate which both systems
    have right.

    Parameters
    ----------
    first, second : sequence of str
        For each utterance the letters of its alignment, C S I D, of each system.

    Example
    -------
    >>> result = matched_pairs(["CCSCCS", "CSC", "SCC"], ["CCCCCS", "CCC", "SCC"])
    >>> result.segments, round(result.z, 3), round(result.p, 3)
    (4, 1.732, 0.083)
    """
    pairs = [pair for a, b in zip(first, second, strict=True) for pair in segments(a, b)]
    differences = np.array([a - b for a, b in pairs], dtype=np.float64)
    n = len(differences)
    mean = float(differences.mean()) if n else 0.0
    deviation = float(differences.std(ddof=1)) if n > 1 else 0.0
    z = mean / (deviation / math.sqrt(n)) if deviation else 0.0
    return MatchedPairs(n, mean, deviation, z, math.erfc(abs(z) / math.sqrt(2)))


def segments(first: str, second: str) -> Iterator[tuple[int, int]]:
    """Give the errors of two systems in each segment of an utterance.

    Where the systems took alternatives of a reference with different numbers of words, the utterance is one segment.

    Example
    -------
    >>> list(segments("SCCCD", "CCCCIC"))  # the insertion stands before the last word
    [(1, 0), (1, 1)]
    """
    (wrong_a, inserted_a), (wrong_b, inserted_b) = _errors_by_word(first), _errors_by_word(second)
    if len(wrong_a) != len(wrong_b):
        errors = sum(wrong_a) + sum(inserted_a), sum(wrong_b) + sum(inserted_b)
        if any(errors):
            yield errors
        return
    a = b = correct = 0
    within = False
    for word in range(len(inserted_a)):
        new_a, new_b = inserted_a[word], inserted_b[word]
        if new_a or new_b:
            correct = 0
        if word < len(wrong_a):
            new_a, new_b = new_a + wrong_a[word], new_b + wrong_b[word]
            correct = 0 if wrong_a[word] or wrong_b[word] else correct + 1
        a, b, within = a + new_a, b + new_b, within or bool(new_a or new_b)
        if within and correct == CORRECT_BETWEEN:
            yield a, b
            a, b, within = 0, 0, False
    if within:
        yield a, b


def _errors_by_word(letters: str) -> tuple[list[int], list[int]]:
    """Whether each word of the reference is wrong, and how many are inserted before it; the last after all."""
    wrong: list[int] = []
    inserted = [0]
    for letter in letters:
        if letter == "I":
            inserted[-1] += 1
        elif letter != "O":
            wrong.append(int(letter != "C"))
            inserted.append(0)
    return wrong, inserted


def bootstrap(words: NDArray[Any], errors: NDArray[Any], samples: int = SAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Draw utterances (or speakers) with replacement and give the error rate of each draw, in percent.

    Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004. It tells
    what other utterances (speakers) like these would give.

    Parameters
    ----------
    words, errors : (U,) or (U, N)
        Of each utterance or speaker, of one system or of N.
    samples : int
    seed : int
        The same seed gives the same draws.

    Returns
    -------
    (samples,) or (samples, N) float64
    """
    random, units = np.random.default_rng(seed), len(words)
    rates = np.empty((samples, *errors.shape[1:]))
    for k in range(samples):
        drawn = random.integers(0, units, units)
        rates[k] = 100 * errors[drawn].sum(axis=0) / np.maximum(words[drawn].sum(axis=0), 1)
    return rates


class Interval(NamedTuple):
    """The 95 % interval of a word error rate, in percent.

    Attributes
    ----------
    low, high : float
    drawn : str
        What the bootstrap drew: utterances or speakers.
    units : int
        How many of these there are.
    """

    low: float
    high: float
    drawn: str
    units: int

    @property
    def text(self) -> str:
        """A line that says it."""
        return f"95 % interval of the WER: {self.low:.2f} to {self.high:.2f} (bootstrap over {self.units} {self.drawn})"


def score_interval(score: Score, utt2spk: Mapping[str, str]) -> Interval:
    """Give the 95 % interval of a set's word error rate.

    Parameters
    ----------
    score : Score
    utt2spk : mapping of str to str
        Utterance -> speaker; where all are known and there are ten or more, the bootstrap draws speakers.
    """
    words, errors, drawn = units_of([score.counts], utt2spk)
    return Interval(*interval(bootstrap(words, errors)[:, 0]), drawn, len(words))


def units_of(
    systems: Sequence[Mapping[str, Counts]], utt2spk: Mapping[str, str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Give what a bootstrap draws.

    Parameters
    ----------
    systems : sequence of mapping
        For each of N systems utterance -> counts, of the same utterances.
    utt2spk : mapping of str to str

    Returns
    -------
    words, errors : (U, N) int64
        Of each utterance or speaker.
    drawn : str
        utterances or speakers.
    """
    utterances = list(systems[0])
    speakers = [utt2spk.get(utterance) for utterance in utterances]
    words, errors = (
        np.array([[getattr(system[utterance], name) for system in systems] for utterance in utterances], np.int64)
        for name in ("words", "errors")
    )
    if None in speakers or len(set(speakers)) < FEWEST_SPEAKERS:
        return words, errors, "utterances"
    _, numbers = np.unique(np.array(speakers), return_inverse=True)
    summed = [np.zeros((numbers.max() + 1, len(systems)), np.int64) for _ in range(2)]
    for total, part in zip(summed, (words, errors), strict=True):
        np.add.at(total, numbers, part)
    return summed[0], summed[1], "speakers"


def interval(draws: NDArray[Any]) -> tuple[float, float]:
    """Give the 95 % interval of what `bootstrap` has drawn."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def p_text(p: float) -> str:
    """Write a probability.

    Example
    -------
    >>> p_text(0.0242), p_text(1e-5)
    ('p 0.024', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def bootstrap_p(differences: NDArray[Any]) -> float:
    """Give the two-sided probability that a difference of 0 has, by the draws of the difference."""
    below = float((differences < 0).mean() + 0.5 * (differences == 0).mean())
    return min(1.0, 2 * min(below, 1 - below))
