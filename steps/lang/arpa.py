"""N-gram language models with back-off, and ARPA's text format.

All probabilities and back-off weights are log10, as in the files; -99 stands for zero.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from steps.base.errors import InputError
from steps.base.fields import BLANK, split_fields
from steps.base.output import writing
from steps.lang.lines import numbered_lines
from steps.lang.symbols import BOS, EOS

Ngram = tuple[str, ...]
ZERO = -99.0
NO_MASS = 1e-30
ROUNDING = 1e-5  # a log10 probability up to this is 0 that was rounded
BINARY = {"mmap lm http://kheafield.com/code": "KenLM's", "SRILM_BINARY_NGRAM": "SRILM's"}  # by how the files begin


@dataclass(frozen=True)
class Arpa:
    """A back-off model.

    ``probs[n - 1]`` holds the n-grams, `backoffs` the weights of the histories (0 for one that it lacks).
    """

    probs: list[dict[Ngram, float]]
    backoffs: dict[Ngram, float]

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return len(self.probs)

    @property
    def words(self) -> list[str]:
        """The words that have a probability, sorted; without ``<s>`` and ``</s>``."""
        return sorted(word for (word,) in self.probs[0] if word not in (BOS, EOS))

    @property
    def vocabulary(self) -> set[str]:
        """The words of all n-grams, without ``<s>`` and ``</s>``."""
        return {word for table in self.probs for ngram in table for word in ngram} - {BOS, EOS}


def log_prob(model: Arpa, ngram: Ngram) -> float:
    """Log10 probability of an n-gram's last word after the others; -inf for a word that the model does not know.

    Example
    -------
    >>> model = Arpa([{("a",): -0.5, ("b",): -1.0}, {("a", "a"): -0.2}], {("a",): -0.3})
    >>> log_prob(model, ("a", "a")), log_prob(model, ("a", "b"))
    (-0.2, -1.3)
    """
    ngram = ngram[-model.order :]
    cost = 0.0
    while ngram:
        if (found := model.probs[len(ngram) - 1].get(ngram)) is not None:
            return cost + found
        cost += model.backoffs.get(ngram[:-1], 0.0)
        ngram = ngram[1:]
    return -math.inf


def renamed(model: Arpa, names: Mapping[str, str]) -> Arpa:
    """Write some words in another way, none of which the model has.

    Example
    -------
    >>> renamed(Arpa([{("a",): -0.5, ("b",): -1.0}], {}), {"a": "A"}).words
    ['A', 'b']
    """
    if not names:
        return model

    def rename(table: dict[Ngram, float]) -> dict[Ngram, float]:
        return {tuple(names.get(word, word) for word in ngram): value for ngram, value in table.items()}

    return Arpa([rename(table) for table in model.probs], rename(model.backoffs))


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text, over the words that it knows (all but `oov` of them) and the sentence ends."""

    value: float
    words: int
    oov: int


def perplexity(model: Arpa, sentences: Iterable[Sequence[str]]) -> Perplexity:
    """Measure a model on a text as SRILM's ``ngram -ppl`` does: words that the model does not know are left out."""
    total, predicted, words, oov = 0.0, 0, 0, 0
    for sentence in sentences:
        padded = (BOS, *sentence, EOS)
        words += len(sentence)
        for i in range(2, len(padded) + 1):
            if (padded[i - 1],) not in model.probs[0]:
                oov += 1
                continue
            total += log_prob(model, padded[max(0, i - model.order) : i])
            predicted += 1
    return Perplexity(10 ** (-total / predicted) if predicted else math.inf, words, oov)


def children(ngrams: Iterable[Ngram]) -> dict[Ngram, list[Ngram]]:
    """Group n-grams by their history, in code point order."""
    groups = defaultdict(list)
    for ngram in sorted(ngrams):
        groups[ngram[:-1]].append(ngram)
    return dict(groups)


def restrict(model: Arpa, vocabulary: Collection[str]) -> Arpa:
    """Condition a model on all words being in a vocabulary.

    N-grams with other words are dropped, and what is left is divided, history by history, by the probability Z that
    the model gives to the vocabulary::

        p'(w | h) = p(w | h) / Z(h)          Z(h) = sum of p(w | h) over the vocabulary and </s>
        backoff'(h) = backoff(h) Z(h shortened) / Z(h)

    so that every history's probabilities sum to 1, whatever they sum to in the file. A model without other words is
    returned unchanged.
    """
    vocabulary = {*vocabulary, BOS, EOS}
    kept = [{ngram: p for ngram, p in table.items() if vocabulary.issuperset(ngram)} for table in model.probs]
    if all(len(table) == len(before) for table, before in zip(kept, model.probs, strict=True)):
        return model
    if not any(word not in (BOS, EOS) for (word,) in kept[0]):
        raise InputError("the language model shares no word with the lexicon; are both in the same case and spelling?")
    followers = {history: group for table in kept for history, group in children(table).items()}

    @cache
    def mass(history: Ngram) -> float:
        group = followers.get(history, [])
        listed = math.fsum(10 ** model.probs[len(ngram) - 1][ngram] for ngram in group if ngram != (BOS,))
        if not history:
            return max(listed, NO_MASS)
        covered = math.fsum(10 ** log_prob(model, ngram[1:]) for ngram in group)
        backoff = 10 ** model.backoffs.get(history, 0.0)
        return listed + backoff * max(0.0, mass(history[1:]) - covered)

    result = Arpa([{} for _ in kept], {})
    for history, group in followers.items():  # shorter histories first
        table = result.probs[len(history)]
        if mass(history) < NO_MASS:  # nothing is left after this history: back off entirely
            table.update({ngram: log_prob(result, ngram[1:]) for ngram in group})
            continue
        log_mass = math.log10(mass(history))
        table.update({ngram: max(kept[len(history)][ngram] - log_mass, ZERO) for ngram in group})
        if history:
            weight = model.backoffs.get(history, 0.0) + math.log10(max(mass(history[1:]), NO_MASS)) - log_mass
            result.backoffs[history] = max(weight, ZERO)
    result.probs[0][(BOS,)] = ZERO
    return result


def read_arpa(path: str | Path) -> Arpa:
    """Read a language model, plain or in ``.gz``.

    What the format has no use for is dropped: n-grams with ``<s>`` after the first place or ``</s>`` before the last,
    n-grams whose history is not listed (as Kaldi's arpa2fst does; said, with their number).

    Raises
    ------
    InputError
        With file and line: a section is missing, its n-grams are not as many as announced, a number is none, or the
        file ends early. Also when ``<s>`` or ``</s>`` is not among the words.
    """
    path = Path(path)
    lines = ((f"{path}:{number}", text) for number, text in numbered_lines(path) if text)
    for _, text in lines:
        if text == "\\data\\":
            break
        for beginning, whose in BINARY.items():
            if text.startswith(beginning):
                raise InputError(
                    f"{path}: this is a language model in {whose} binary format, which only {whose} programs read; "
                    "give the ARPA file that it was made from"
                )
    else:
        raise InputError(f"{path}: no line \\data\\; is this a language model in ARPA format?")
    counts, place, text = _read_counts(lines, path)
    probs: list[dict[Ngram, float]] = []
    backoffs: dict[Ngram, float] = {}
    for order, count in enumerate(counts, start=1):
        if text != f"\\{order}-grams:":
            raise InputError(f"{place}: '{text}' is where the section \\{order}-grams: should begin")
        table: dict[Ngram, float] = {}
        place, text = _read_section(lines, path, order, table, backoffs, order < len(counts))
        if len(table) != count:
            raise InputError(
                f"{place}: \\data\\ announces {count} {order}-grams, but {len(table)} were found up to here"
            )
        probs.append(table)
    if text != "\\end\\":
        raise InputError(f"{place}: '{text}' is where \\end\\ should be")
    for symbol in (BOS, EOS):
        if (symbol,) not in probs[0]:
            raise InputError(f"{path}: {symbol} is not among the 1-grams; train the model with sentence boundaries")
    return _usable(path, Arpa(probs, backoffs))


def _next_line(lines: Iterator[tuple[str, str]], path: Path) -> tuple[str, str]:
    line = next(lines, None)
    if line is None:
        raise InputError(f"{path}: the file ends without \\end\\; it is cut off, copy it again")
    return line


def _read_counts(lines: Iterator[tuple[str, str]], path: Path) -> tuple[list[int], str, str]:
    counts: list[int] = []
    while True:
        place, text = _next_line(lines, path)
        if not text.startswith("ngram "):
            break
        order, equals, count = text.removeprefix("ngram ").partition("=")
        if not equals or not count.strip(BLANK).isdecimal() or order.strip(BLANK) != str(len(counts) + 1):
            raise InputError(f"{place}: '{text}' is not 'ngram {len(counts) + 1}=COUNT'")
        counts.append(int(count))
    if not counts:
        raise InputError(f"{place}: \\data\\ announces no n-grams")
    return counts, place, text


def _read_section(
    lines: Iterator[tuple[str, str]],
    path: Path,
    order: int,
    table: dict[Ngram, float],
    backoffs: dict[Ngram, float],
    with_backoffs: bool,
) -> tuple[str, str]:
    """Fill `table` and `backoffs` with a section and give the line that follows it."""
    while True:
        place, text = _next_line(lines, path)
        fields = split_fields(text)
        if text.startswith("\\") and len(fields) == 1:
            return place, text
        if not order + 1 <= len(fields) <= order + 1 + with_backoffs:
            weight = ", a back-off weight or none" if with_backoffs else " (the longest have no back-off weight)"
            raise InputError(f"{place}: '{text}' is not a {order}-gram: a number, {order} words{weight}")
        ngram = tuple(fields[1 : order + 1])
        if ngram in table:
            raise InputError(f"{place}: the {order}-gram '{' '.join(ngram)}' comes twice")
        log_prob = _number(fields[0], place)
        if log_prob > ROUNDING:
            raise InputError(f"{place}: the log10 probability {fields[0]} is above 0")
        table[ngram] = min(log_prob, 0.0)
        if len(fields) == order + 2 and ngram[-1] != EOS:
            backoffs[ngram] = _number(fields[-1], place)


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or value == math.inf:
        raise InputError(f"{place}: '{text}' is not a log10 probability or weight")
    return max(value, ZERO)


def _usable(path: Path, model: Arpa) -> Arpa:
    probs: list[dict[Ngram, float]] = []
    for table in model.probs:
        probs.append(
            {
                ngram: p
                for ngram, p in table.items()
                if BOS not in ngram[1:] and EOS not in ngram[:-1] and (not probs or ngram[:-1] in probs[-1])
            }
        )
    while len(probs) > 1 and not probs[-1]:
        probs.pop()
    if dropped := sum(map(len, model.probs)) - sum(map(len, probs)):
        print(f"{path}: dropped {dropped} n-grams with misplaced <s> or </s>, or without their history")
    kept = {ngram for table in probs[:-1] for ngram in table}
    return Arpa(probs, {history: weight for history, weight in model.backoffs.items() if history in kept})


def write_arpa(path: str | Path, model: Arpa) -> None:
    """Write a model in ARPA format, n-grams by code point."""
    with writing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\\data\\\n")
        file.writelines(f"ngram {order}={len(table)}\n" for order, table in enumerate(model.probs, start=1))
        for order, table in enumerate(model.probs, start=1):
            file.write(f"\n\\{order}-grams:\n")
            for ngram, p in sorted(table.items()):
                backoff = f"\t{model.backoffs[ngram]:.7f}" if ngram in model.backoffs else ""
                file.write(f"{p:.7f}\t{' '.join(ngram)}{backoff}\n")
        file.write("\n\\end\\\n")
