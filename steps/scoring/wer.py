"""Word error rate: the errors of one alignment of each hypothesis with its reference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import jiwer
import numpy as np

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.corpus.spelling import nfc

_SPLIT = jiwer.Compose([jiwer.ReduceToListOfListOfWords()])  # at single spaces

Pair = tuple[str, str]  # a word of the reference and the one of the hypothesis opposite it; "" where there is none


@dataclass(frozen=True)
class Counts:
    """Words of the reference and the errors in them."""

    words: int
    substitutions: int
    insertions: int
    deletions: int

    @property
    def errors(self) -> int:
        """Substitutions, insertions and deletions."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def wer(self) -> float:
        """Errors in percent of the words; can exceed 100."""
        return 100 * self.errors / self.words


@dataclass(frozen=True)
class Score:
    """The comparison of a set's hypotheses with its references.

    Attributes
    ----------
    alignments : dict of list of Pair
        For every utterance of the reference, sorted by id, its words and those opposite them.
    missing : list of str
        Utterances without a hypothesis; all their words count as deleted.
    respelled : dict of str to str
        Words of the hypotheses that are right and in another Unicode form than in the references -> those of these.
    """

    alignments: dict[str, list[Pair]]
    missing: list[str]
    respelled: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> Counts:
        """The counts over all utterances."""
        return count(pair for pairs in self.alignments.values() for pair in pairs)

    @property
    def sentence_errors(self) -> int:
        """Number of utterances with at least one error."""
        return sum(any(ref != hyp for ref, hyp in pairs) for pairs in self.alignments.values())


def count(pairs: Iterable[Pair]) -> Counts:
    """Count words and errors of aligned words.

    Example
    -------
    >>> count([("THE", "THE"), ("CAT", "BAT"), ("", "IS"), ("SAT", "")])
    Counts(words=3, substitutions=1, insertions=1, deletions=1)
    """
    pairs = list(pairs)
    return Counts(
        words=sum(ref != "" for ref, _ in pairs),
        substitutions=sum(ref != "" and hyp != "" and ref != hyp for ref, hyp in pairs),
        insertions=sum(ref == "" for ref, _ in pairs),
        deletions=sum(hyp == "" for _, hyp in pairs),
    )


def score(reference: Mapping[str, str], hypothesis: Mapping[str, str]) -> Score:
    """Align every hypothesis with its reference by the fewest errors (Levenshtein's distance over words).

    Parameters
    ----------
    reference, hypothesis : mapping of str to str
        Utterance id to its words, separated by spaces. A hypothesis may be empty. An utterance that has none was not
        decoded: its words are deleted ones, as in Kaldi's ``compute-wer --mode=all``, and it is listed. Words are the
        same that are so in composed Unicode (NFC); in an alignment both are then spelled as in the reference.

    Returns
    -------
    Score

    Raises
    ------
    InputError
        For no reference at all, an empty one, and a hypothesis of an utterance that has none.

    Example
    -------
    >>> result = score({"u1": "ONE TWO", "u2": "THREE"}, {"u1": "ONE TOO"})
    >>> result.total
    Counts(words=3, substitutions=1, insertions=0, deletions=1)
    >>> result.missing
    ['u2']
    """
    utterances = sorted(reference)
    if not utterances:
        raise InputError("there are no reference transcripts to score against")
    for utt in utterances:
        if not split_fields(reference[utt]):
            raise InputError(f"utterance {utt} has an empty reference transcript; leave it out of the set's text")
    unknown = sorted(set(hypothesis) - set(reference))
    if unknown:
        raise InputError(
            f"{len(unknown)} hypotheses have no reference transcript, the first is utterance {unknown[0]}; "
            "decode the data that the references belong to"
        )
    words = jiwer.process_words(
        [" ".join(split_fields(nfc(reference[utt]))) for utt in utterances],
        [" ".join(split_fields(nfc(hypothesis.get(utt, "")))) for utt in utterances],
        reference_transform=_SPLIT,
        hypothesis_transform=_SPLIT,
    )
    spelled = {
        utt: _pairs(split_fields(reference[utt]), split_fields(hypothesis.get(utt, "")), chunks)
        for utt, chunks in zip(utterances, words.alignments, strict=True)
    }
    respelled = {hyp: ref for pairs in spelled.values() for ref, hyp in pairs if ref != hyp and nfc(ref) == nfc(hyp)}
    return Score(
        alignments={
            utt: [(ref, ref if nfc(ref) == nfc(hyp) else hyp) for ref, hyp in pairs] for utt, pairs in spelled.items()
        },
        missing=[utt for utt in utterances if utt not in hypothesis],
        respelled=respelled,
    )


def _pairs(reference: list[str], hypothesis: list[str], chunks: list[jiwer.AlignmentChunk]) -> list[Pair]:
    pairs: list[Pair] = []
    for chunk in chunks:
        ref = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        hyp = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        pairs += zip(ref or [""] * len(hyp), hyp or [""] * len(ref), strict=True)
    return pairs


def score_characters(reference: Mapping[str, str], hypothesis: Mapping[str, str]) -> Score:
    """Score by characters instead of words; the space between two words is a character, ``_``.

    Example
    -------
    >>> score_characters({"u1": "NO ONE"}, {"u1": "NOON"}).total
    Counts(words=6, substitutions=0, insertions=0, deletions=2)
    """
    return score(_spell(reference), _spell(hypothesis))


def _spell(texts: Mapping[str, str]) -> dict[str, str]:
    return {utt: " ".join("_".join(split_fields(nfc(text)))) for utt, text in texts.items()}


def confidence_interval(result: Score, samples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Give the 95 % interval of the word error rate by drawing utterances with replacement.

    Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004. It tells
    what other utterances like these would give; with few speakers, other speakers differ more than that.

    Parameters
    ----------
    result : Score
        Of U utterances.
    samples : int
        How many sets of U utterances are drawn.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    tuple of float
        Both ends, in percent.
    """
    counts = [count(pairs) for pairs in result.alignments.values()]
    errors = np.array([c.errors for c in counts])
    words = np.array([c.words for c in counts])
    draws = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=samples)
    low, high = np.percentile(100 * (draws @ errors) / (draws @ words), [2.5, 97.5])
    return float(low), float(high)
