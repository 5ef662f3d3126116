"""Tables of a set's errors: by group, by word, by length, rate and noise of the utterances."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from steps.scoring.wer import Counts, Score, WordAlignment

TEXTS = {"group", "reference", "hypothesis", "word", "in training", "recognised in its place"}  # columns of no numbers
BANDS = 4  # groups of utterances of rising length, rate or noise


class Table(NamedTuple):
    """A table of a report.

    Attributes
    ----------
    title : str
    columns : list of str
    rows : list of list
        Of numbers and texts; None where there is no rate.
    whole : bool
        Whether all rows are always shown.
    """

    title: str
    columns: list[str]
    rows: list[list[Any]]
    whole: bool = False

    def text(self, most: int | None = None) -> str:
        """Write the title and the rows, at most so many unless all are wanted."""
        rows = self.rows if self.whole else self.rows[:most]
        left_out = [f"... {len(self.rows) - len(rows)} more"] if len(rows) < len(self.rows) else []
        cells = [[_cell(value) for value in row] for row in rows]
        align = ["left" if name in TEXTS else "right" for name in self.columns]
        shown = tabulate(cells, self.columns, "simple", disable_numparse=True, colalign=align if rows else None)
        return "\n".join([f"# {self.title}", shown, *left_out])


def _cell(value: Any) -> Any:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else value


ERRORS = ["utts", "words", "correct", "sub", "ins", "del", "errors", "wer", "ser"]


class Group(NamedTuple):
    """The errors of some utterances."""

    utterances: int
    wrong_utterances: int
    counts: Counts

    @property
    def row(self) -> list[Any]:
        """The columns `ERRORS`."""
        c = self.counts
        ser = 100 * self.wrong_utterances / self.utterances
        counts = [c.words, c.correct, c.substitutions, c.insertions, c.deletions, c.errors]
        return [self.utterances, *counts, c.wer if c.words else None, ser]


def group(utterances: Iterable[str], score: Score) -> Group:
    """Add up the errors of some utterances."""
    chosen = [score.counts[utterance] for utterance in utterances]
    wrong = sum(c.errors > 0 for c in chosen)
    return Group(len(chosen), wrong, Counts(*(sum(column) for column in zip(*chosen, strict=True))))


def by_group(title: str, score: Score, groups: Mapping[str, str]) -> Table:
    """Give the errors of each group of utterances, such as a speaker's, and of all.

    Parameters
    ----------
    title : str
    score : Score
    groups : mapping of str to str
        Utterance -> its group; "-" is that of others.
    """
    rows = [[name, *found.row] for name, found in group_errors(score, groups)]
    return Table(title, ["group", *ERRORS], rows, whole=True)


def group_errors(score: Score, groups: Mapping[str, str]) -> list[tuple[str, Group]]:
    """Give the errors of each group by name, "-" of utterances in none, and SUM of all."""
    members: dict[str, list[str]] = defaultdict(list)
    for utterance in score.alignments:
        members[groups.get(utterance, "-")].append(utterance)
    found = [(name, group(members[name], score)) for name in sorted(members)]
    return [*found, ("SUM", group(score.alignments, score))]


def by_band(title: str, score: Score, values: Mapping[str, float], form: Callable[[float], str]) -> Table:
    """Give the errors of utterances in bands of rising value, each with about as many utterances.

    Parameters
    ----------
    title : str
    score : Score
    values : mapping of str to float
        Utterance -> its value; utterances without one are in none.
    form : callable
        Writes a value.
    """
    known = {utterance: values[utterance] for utterance in score.alignments if utterance in values}
    if not known:
        return Table(title, ["from", "to", *ERRORS], [])
    edges = np.unique(np.quantile(list(known.values()), np.linspace(0, 1, BANDS + 1)[1:-1]))
    bands: dict[int, list[str]] = defaultdict(list)
    for utterance, value in known.items():
        bands[int(np.searchsorted(edges, value, side="left"))].append(utterance)
    rows = []
    for band in sorted(bands):
        inside = [known[utterance] for utterance in bands[band]]
        rows.append([form(min(inside)), form(max(inside)), *group(bands[band], score).row])
    return Table(title, ["from", "to", *ERRORS], rows)


def by_length(score: Score) -> Table:
    """Give the errors of utterances by the number of words of their reference."""
    lengths = {utterance: float(counts.words) for utterance, counts in score.counts.items()}
    return by_band("errors by the number of words of an utterance", score, lengths, lambda words: f"{words:.0f}")


def substitutions(score: Score) -> Table:
    """Count which word was recognised as which other."""
    pairs = Counter(pair for found in score.alignments.values() for pair, letter in _lettered(found) if letter == "S")
    return Table("substitutions", ["count", "reference", "hypothesis"], [[n, *pair] for pair, n in _ranked(pairs)])


def one_sided(score: Score, letter: str) -> Table:
    """Count the words that were inserted (I) or deleted (D)."""
    side = 1 if letter == "I" else 0
    words = Counter(
        pair[side] for found in score.alignments.values() for pair, own in _lettered(found) if own == letter
    )
    title = {"I": "insertions", "D": "deletions"}[letter]
    return Table(title, ["count", "word"], [[n, word] for word, n in _ranked(words)])


def by_word(score: Score, training: Collection[str] | None = None) -> Table:
    """Give each word of the references that has errors, those with the highest error rate first.

    Parameters
    ----------
    score : Score
    training : collection of str, optional
        The words of the training transcripts, as they are compared; others are marked as unseen.
    """
    total: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for found in score.alignments.values():
        for (ref, _), letter in _lettered(found):
            if letter not in "IO":
                total[ref] += 1
                wrong[ref] += letter != "C"
    ranked = sorted(
        (word for word in total if wrong[word]), key=lambda word: (-wrong[word] / total[word], -total[word], word)
    )
    rows = [
        [word, total[word], wrong[word], 100 * wrong[word] / total[word], _mark(word, training, "unseen")]
        for word in ranked
    ]
    return Table("words by error rate", ["word", "count", "errors", "%", "in training"], rows)


def out_of_vocabulary(score: Score, vocabulary: Collection[str]) -> Table:
    """List the words of the references that cannot be recognised, with what stands opposite them and beside it.

    Parameters
    ----------
    score : Score
    vocabulary : collection of str
        The words that can be recognised, as they are compared.
    """
    opposite: dict[str, Counter[str]] = defaultdict(Counter)
    for found in score.alignments.values():
        for k, ((ref, hyp), letter) in enumerate(_lettered(found)):
            if letter not in "IO" and ref not in vocabulary:
                opposite[ref][_with_insertions(found, k, hyp)] += 1
    rows = [
        [sum(hyps.values()), word, ", ".join(f"{hyp or '-'} ({n})" for hyp, n in _ranked(hyps))]
        for word, hyps in sorted(opposite.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    ]
    return Table("words that are not in the vocabulary", ["count", "word", "recognised in its place"], rows)


def _with_insertions(found: WordAlignment, at: int, hyp: str) -> str:
    """The word opposite a pair's, with those that are inserted directly before and after."""
    first, last = at, at + 1
    while first and found.letters[first - 1] == "I":
        first -= 1
    while last < len(found.letters) and found.letters[last] == "I":
        last += 1
    around = [*found.hypothesis[first:at], hyp, *found.hypothesis[at + 1 : last]]
    return " ".join(word for word in around if word)


def _mark(word: str, known: Collection[str] | None, mark: str) -> str:
    return mark if known is not None and word not in known else ""


def _lettered(found: WordAlignment) -> Iterable[tuple[tuple[str, str], str]]:
    return zip(found.pairs, found.letters, strict=True)


def _ranked(counter: Mapping[Any, int]) -> Sequence[tuple[Any, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))
