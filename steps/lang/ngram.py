"""Training of n-gram models: Kneser-Ney back-off that leaves something to every word of the lexicon."""

import contextlib
import io
import math
from collections.abc import Collection, Iterable, Sequence

from kaldingram.train import CountsForHistory, NgramCounts

from steps.base.errors import InputError
from steps.lang.arpa import ZERO, Arpa, Ngram, children, log_prob
from steps.lang.symbols import BOS, EOS

NOTHING_LEFT = 1e-10  # probability mass below this is rounding


def train_ngram(sentences: Iterable[Sequence[str]], vocabulary: Collection[str], order: int) -> Arpa:
    """Train a Kneser-Ney back-off model (unmodified, one discount per order, as SRILM's ``-ukndiscount``).

    Kaldingram counts and discounts. Added here is what small texts need: words of the vocabulary that the text lacks
    share as much of the unigrams as the words seen once have, none more than such a word; a discount never takes all
    of a count; and the back-off weights follow from the probabilities, so that those of every history sum to 1.

    Parameters
    ----------
    sentences : iterable of sequences of str
        The words of each sentence; empty ones are left out.
    vocabulary : collection of str
        The words to give probability to, beside those of the text.
    order : int
        1 or more. A text whose sentences are all shorter gives a model of a lower order.

    Raises
    ------
    InputError
        When there is no sentence, the order is below 1, or ``<s>`` or ``</s>`` stands in the text.

    Example
    -------
    >>> model = train_ngram([["yes", "no"], ["yes"]], ["maybe"], order=1)
    >>> {word: round(10**p, 3) for (word,), p in model.probs[0].items() if word != "<s>"}
    {'</s>': 0.333, 'maybe': 0.167, 'no': 0.167, 'yes': 0.333}
    """
    if order < 1:
        raise InputError(f"the order of the n-gram model is {order}; it has to be 1 or more")
    counts = _discounted(sentences, order)
    probs = [_unigrams(counts, vocabulary)]
    for table in counts.counts[1:]:
        seen = {(*history, word): p for history, group in table.items() for word, p in group.word_to_f.items()}
        if not seen:
            break
        probs.append({ngram: math.log10(p) for ngram, p in sorted(seen.items())})
    return with_backoffs(probs)


def _discounted(sentences: Iterable[Sequence[str]], order: int) -> NgramCounts:
    counts = NgramCounts(order)
    empty = True
    for sentence in sentences:
        if BOS in sentence or EOS in sentence:
            raise InputError(f"'{' '.join(sentence)}': the text must not hold {BOS} or {EOS}; take them out")
        if sentence:
            counts.add_raw_counts_from_line(" ".join(sentence))
            empty = False
    if empty:
        raise InputError("there is no text to train the n-gram model on")
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars cannot be turned off
        counts.cal_discounting_constants()
        counts.d = [_below_one(d, table) for d, table in zip(counts.d, counts.counts, strict=True)]
        counts.cal_f()
    return counts


def _below_one(discount: float, table: dict[Ngram, CountsForHistory]) -> float:
    """Estimate the discount n1 / (n1 + 2 n2) as if one n-gram occurred twice where none does.

    It would be 1 else, and leave nothing to the n-grams that occur once.
    """
    if discount < 1:
        return discount
    once: int = sum(count == 1 for group in table.values() for count in group.word_to_count.values())
    return once / (once + 2)


def _unigrams(counts: NgramCounts, vocabulary: Collection[str]) -> dict[Ngram, float]:
    """Log10 probabilities of the words: their shares of the counts, or of the different words before them."""
    group = counts.counts[0][()]
    if counts.ngram_order == 1:
        shares: dict[str, float] = dict(group.word_to_count)
    else:
        shares = {word: len(before) for word, before in group.word_to_context.items()}
    shares.pop(BOS, None)
    if unseen := set(vocabulary) - set(shares):
        once = max(1, sum(count == 1 for count in shares.values()))
        shares.update(dict.fromkeys(unseen, min(1.0, once / len(unseen))))
    total = math.fsum(shares[word] for word in sorted(shares))
    log_probs = {(word,): math.log10(share / total) for word, share in shares.items()}
    return dict(sorted({**log_probs, (BOS,): ZERO}.items()))


def with_backoffs(probs: list[dict[Ngram, float]]) -> Arpa:
    """Complete a model by the back-off weights under which the probabilities of every history sum to 1.

    ::

        backoff(h) = (1 - sum of p(w | h)) / (1 - sum of p(w | h shortened))     over the n-grams h w of the model

    Where the n-grams of a history leave nothing to back off to, theirs are scaled to sum to 1 instead.
    """
    model = Arpa([dict(table) for table in probs], {})
    for table in model.probs[1:]:
        backoffs = {}
        for history, group in children(table).items():
            listed = math.fsum(10 ** table[ngram] for ngram in group)
            left = 1 - math.fsum(10 ** log_prob(model, ngram[1:]) for ngram in group)
            if left < NOTHING_LEFT:
                table.update({ngram: table[ngram] - math.log10(listed) for ngram in group})
                backoffs[history] = 0.0
            else:
                backoffs[history] = max(math.log10(max(1 - listed, NOTHING_LEFT) / left), ZERO)
        model.backoffs.update(backoffs)
    return model
