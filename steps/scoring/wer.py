"""Word error rate: the errors of one alignment of each hypothesis with its reference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jiwer
import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.corpus.spelling import WordTable
from steps.scoring.edit_alignment import NO_WORD, Network, align_words, chain, count_pairs
from steps.scoring.normalisation import Normaliser, Slot, Word

_SPLIT = jiwer.Compose([jiwer.ReduceToListOfListOfWords()])  # at single spaces

Pair = tuple[str, str]  # a word of the reference and the one of the hypothesis opposite it; "" where there is none


class WordAlignment(NamedTuple):
    """The words of an utterance, those of the hypothesis opposite those of the reference.

    Attributes
    ----------
    reference, hypothesis : list of str
        "" where there is no word.
    letters : str
        For each pair C (correct), S (substituted), I (inserted), D (deleted) or O (an optional word that is inserted:
        neither an error nor a word of the reference).
    """

    reference: list[str]
    hypothesis: list[str]
    letters: str

    @property
    def pairs(self) -> Iterator[Pair]:
        """The words opposite each other."""
        return zip(self.reference, self.hypothesis, strict=True)


class Counts(NamedTuple):
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
    def correct(self) -> int:
        """Words that are neither substituted nor deleted."""
        return self.words - self.substitutions - self.deletions

    @property
    def wer(self) -> float:
        """Errors in percent of the words; can exceed 100, and is infinite where words are inserted into nothing."""
        if not self.words:
            return float("inf") if self.errors else 0.0
        return 100 * self.errors / self.words


def count(letters: Iterable[str]) -> Counts:
    """Count words and errors of alignments.

    Example
    -------
    >>> count(["CSID"])
    Counts(words=3, substitutions=1, insertions=1, deletions=1)
    """
    joined = "".join(letters)
    inserted = joined.count("I")
    return Counts(len(joined) - inserted - joined.count("O"), joined.count("S"), inserted, joined.count("D"))


@dataclass(frozen=True)
class Score:
    """The comparison of a set's hypotheses with its references.

    Attributes
    ----------
    alignments : dict of WordAlignment
        For every utterance of the reference, sorted by id.
    missing : list of str
        Utterances without a hypothesis; all their words count as deleted.
    above : dict of int
        Utterance -> by how much its errors exceed the edit distance, where they do.
    """

    alignments: dict[str, WordAlignment]
    missing: list[str]
    above: dict[str, int]

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """The counts of each utterance."""
        return {utterance: count([found.letters]) for utterance, found in self.alignments.items()}

    @cached_property
    def total(self) -> Counts:
        """The counts over all utterances."""
        return count(found.letters for found in self.alignments.values())

    @property
    def sentence_errors(self) -> int:
        """Number of utterances with at least one error."""
        return sum(counts.errors > 0 for counts in self.counts.values())


def score(reference: Mapping[str, str], hypothesis: Mapping[str, str], normaliser: Normaliser | None = None) -> Score:
    """Align every hypothesis with its reference as NIST's sclite does.

    The errors are those of the alignment with the lowest cost, 4 for a substitution and 3 for an insertion or a
    deletion. They can be more than the edit distance, which Kaldi's ``compute-wer`` counts: three substitutions cost
    as much as two insertions and two deletions.

    Parameters
    ----------
    reference, hypothesis : mapping of str to str
        Utterance id to its words, separated by spaces; both may be empty. An utterance without a hypothesis was not
        decoded: its words are deleted ones, as in Kaldi's ``compute-wer --mode=all``, and it is listed.
    normaliser : Normaliser, optional
        What counts as the same word; in any case Unicode is compared in its composed form (NFC).

    Returns
    -------
    Score

    Raises
    ------
    InputError
        For no reference at all, or a hypothesis of an utterance that has none.

    Example
    -------
    >>> result = score({"u1": "ONE TWO", "u2": "THREE"}, {"u1": "ONE TOO"})
    >>> result.total
    Counts(words=3, substitutions=1, insertions=0, deletions=1)
    >>> result.missing
    ['u2']
    """
    normaliser = normaliser or Normaliser()
    references = {utterance: normaliser.reference(text) for utterance, text in reference.items()}
    hypotheses = {utterance: normaliser.hypothesis(text) for utterance, text in hypothesis.items()}
    return score_normalised(references, hypotheses)


def score_normalised(reference: Mapping[str, Sequence[Slot]], hypothesis: Mapping[str, Sequence[Word]]) -> Score:
    """Do what `score` does with texts that were brought into the form in which they are compared."""
    utterances = sorted(reference)
    if not utterances:
        raise InputError("there are no reference transcripts to score against")
    if unknown := sorted(set(hypothesis) - set(reference)):
        raise InputError(
            f"{len(unknown)} hypotheses have no reference transcript, the first is utterance {unknown[0]}; "
            "decode the data that the references belong to"
        )
    numbers: dict[str, int] = {}
    alignments = {utt: align_texts(reference[utt], hypothesis.get(utt, ()), numbers) for utt in utterances}
    missing = [utterance for utterance in utterances if utterance not in hypothesis]
    return Score(alignments, missing, above_edit_distance(alignments))


def respelled(reference: Mapping[str, str], hypothesis: Mapping[str, str]) -> dict[str, str]:
    """Words of the hypotheses that are in the references in another Unicode form only -> that form."""
    return WordTable(dict.fromkeys(_words_of(reference))).respelled(_words_of(hypothesis))


def _words_of(texts: Mapping[str, str]) -> set[str]:
    return {word for text in texts.values() for word in split_fields(text)}


def align_texts(slots: Sequence[Slot], words: Sequence[Word], numbers: dict[str, int]) -> WordAlignment:
    """Align the words of a hypothesis with a reference.

    Parameters
    ----------
    slots : sequence of Slot
        The reference.
    words : sequence of Word
        The hypothesis.
    numbers : dict
        Word -> number; new words are added.
    """
    arcs, network = to_network(slots, numbers)
    ids = np.array([numbers.setdefault(word.text, len(numbers)) for word in words], np.int64)
    optional = np.array([word.optional for word in words], np.bool_)
    reference, hypothesis, letters = [], [], []
    for arc, at in align_words(network, ids, optional).tolist():
        ref, hyp = "" if arc == NO_WORD else arcs[arc].text, "" if at < 0 else words[at].text
        if arc == NO_WORD:
            letter = "O" if words[at].optional else "I"
        elif at < 0:
            letter = "C" if arcs[arc].optional else "D"
        else:
            letter = "C" if ref == hyp else "S"
        reference.append(ref)
        hypothesis.append(hyp)
        letters.append(letter)
    return WordAlignment(reference, hypothesis, "".join(letters))


def to_network(slots: Sequence[Slot], numbers: dict[str, int]) -> tuple[list[Word], Network]:
    """Make the network of a reference, and list the words of its arcs; that of the start is empty."""
    start = Word("")
    if all(len(slot) == 1 and len(slot[0]) == 1 for slot in slots):
        words = [slot[0][0] for slot in slots]
        ids = [numbers.setdefault(word.text, len(numbers)) for word in words]
        return [start, *words], chain(ids, [word.optional for word in words])
    arcs, last = [start], [0]
    before: list[list[int]] = [[]]
    for slot in slots:
        ends: list[int] = []
        for alternative in slot:
            came = last
            for word in alternative:
                arcs.append(word)
                before.append(came)
                came = [len(arcs) - 1]
            ends += came
        last = ends
    ids = [NO_WORD, *(numbers.setdefault(word.text, len(numbers)) for word in arcs[1:])]
    starts = np.cumsum([0, *map(len, before)])
    flat = [arc for arcs_before in before for arc in arcs_before]
    return arcs, Network(
        np.array(ids, np.int64),
        np.array([word.optional for word in arcs], np.bool_),
        starts.astype(np.int64),
        np.array(flat, np.int64),
        np.array(last, np.int64),
    )


def above_edit_distance(alignments: Mapping[str, WordAlignment]) -> dict[str, int]:
    """Give by how much the errors of alignments exceed the fewest that any could have, which jiwer counts.

    Returns
    -------
    dict of int
        Of the utterances where they do.

    Raises
    ------
    InputError
        When an alignment has fewer errors than that, which cannot be.
    """
    compared = {utterance: compared_words(found) for utterance, found in alignments.items()}
    texts = {utt: (" ".join(ref), " ".join(hyp)) for utt, (ref, hyp) in compared.items() if ref and hyp}
    fewest = {utterance: len(ref) + len(hyp) for utterance, (ref, hyp) in compared.items()}  # where either is empty
    if texts:
        references, hypotheses = ([pair[side] for pair in texts.values()] for side in (0, 1))
        oracle = jiwer.process_words(references, hypotheses, _SPLIT, _SPLIT)
        fewest |= dict(zip(texts, map(_errors_of, oracle.alignments), strict=True))
    above = {utt: count([found.letters]).errors - fewest[utt] for utt, found in alignments.items()}
    if wrong := [utterance for utterance, more in above.items() if more < 0]:
        raise InputError(f"utterance {wrong[0]} has {-above[wrong[0]]} errors fewer than its edit distance")
    return {utterance: more for utterance, more in above.items() if more}


def _errors_of(chunks: Sequence[jiwer.AlignmentChunk]) -> int:
    lengths = ((c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx) for c in chunks if c.type != "equal")
    return sum(map(max, lengths))


def count_characters(result: Score) -> Counts:
    """Count the errors of characters in what was scored by words; the space between two words is a character.

    Of a reference with alternatives those words are taken that the hypothesis was aligned with.

    Example
    -------
    >>> count_characters(score({"u1": "NO ONE"}, {"u1": "NOON"}))
    Counts(words=6, substitutions=0, insertions=0, deletions=2)
    """
    total = np.zeros(4, np.int64)
    for found in result.alignments.values():
        reference, hypothesis = (_code_points(words) for words in compared_words(found))
        total += count_pairs(chain(reference), hypothesis)
    return Counts(*total.tolist())


def _code_points(words: Sequence[str]) -> NDArray[np.int64]:
    return np.frombuffer(" ".join(words).encode("utf-32-le"), np.uint32).astype(np.int64)


def compared_words(found: WordAlignment) -> tuple[list[str], list[str]]:
    """Give the words of the reference and of the hypothesis without optional ones that have none opposite them."""
    pairs = [
        (ref, hyp)
        for (ref, hyp), letter in zip(found.pairs, found.letters, strict=True)
        if letter != "O" and (letter != "C" or hyp)
    ]
    return [ref for ref, _ in pairs if ref], [hyp for _, hyp in pairs if hyp]
