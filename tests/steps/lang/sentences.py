"""Probabilities of whole sentences."""

from collections.abc import Sequence

from steps.lang.arpa import Arpa, log_prob
from steps.lang.symbols import BOS, EOS


def sentence_log_prob(model: Arpa, words: Sequence[str]) -> float:
    """Log10 probability of a sentence, its end included."""
    padded = (BOS, *words, EOS)
    return sum(log_prob(model, padded[max(0, i - model.order) : i]) for i in range(2, len(padded) + 1))
