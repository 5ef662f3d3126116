import contextlib
import io
import itertools
import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaldingram.train import NgramCounts

from steps.base.errors import InputError
from steps.lang.arpa import log_prob, perplexity
from steps.lang.ngram import train_ngram

WORDS = ["a", "b", "c", "d", "e"]
SENTENCES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), min_size=1, max_size=8)


def histories(vocabulary, order):
    for length in range(order):
        for history in itertools.product(vocabulary, repeat=length):
            yield history
            if length + 1 < order:
                yield ("<s>", *history)


def of_kaldingram(text, order):
    counts = NgramCounts(order)
    for sentence in text:
        counts.add_raw_counts_from_line(" ".join(sentence))
    with contextlib.redirect_stderr(io.StringIO()):
        counts.cal_discounting_constants()
        counts.cal_f()
        counts.cal_bow()
    return counts


@settings(deadline=None, max_examples=80)
@given(text=SENTENCES, order=st.integers(1, 4))
def test_every_history_sums_to_one(text, order):
    model = train_ngram(text, WORDS, order)
    assert model.words == WORDS
    for history in histories(WORDS, order):
        probs = [10 ** log_prob(model, (*history, word)) for word in [*WORDS, "</s>"]]
        assert math.fsum(probs) == pytest.approx(1, abs=1e-9)
        assert min(probs) > 0 or math.isclose(max(probs), 1)


@settings(deadline=None, max_examples=60)
@given(text=SENTENCES, order=st.integers(2, 4))
def test_seen_ngrams_are_those_of_kaldingram(text, order):
    model = train_ngram(text, [], order)
    reference = of_kaldingram(text, order)
    for n, table in enumerate(reference.counts[: model.order]):
        if reference.d[n] >= 1:  # a discount of all that was seen: corrected
            continue
        for history, group in table.items():
            if n and math.isclose(sum(model_share(model, history, group)), 1):
                continue  # nothing to back off to: corrected
            for word, p in group.word_to_f.items():
                if word != "<s>":
                    assert 10 ** log_prob(model, (*history, word)) == pytest.approx(p, rel=1e-9)


def model_share(model, history, group):
    return [10 ** log_prob(model, (*history, word)) for word in group.word_to_f]


def test_backoffs_are_those_of_kaldingram():
    random.seed(1)
    text = [random.choices("abcdefghijklmnopqrst", weights=range(1, 21), k=random.randint(1, 6)) for _ in range(200)]
    model = train_ngram(text, [], 3)
    reference = of_kaldingram(text, 3)
    compared = 0  # no history is followed by every word: kaldingram would give those no back-off and too small a sum
    for table in reference.counts[:2]:
        for history, group in table.items():
            for word, weight in group.word_to_bow.items():
                if weight is not None and (*history, word) in model.backoffs:
                    assert 10 ** model.backoffs[(*history, word)] == pytest.approx(weight, rel=1e-6)
                    compared += 1
    assert compared > 50


def test_unigram_counts_all_words_of_a_line():
    model = train_ngram([["a", "b", "b"], ["b"]], [], 1)
    shares = {word: 10**p for (word,), p in model.probs[0].items()}
    assert shares["a"] == pytest.approx(1 / 6)
    assert shares["b"] == pytest.approx(3 / 6)
    assert shares["</s>"] == pytest.approx(2 / 6)
    assert shares["<s>"] == 1e-99


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unseen_words_share_what_singletons_have(order):
    text = [["a", "a"], ["a", "b"], ["c", "a"]]
    few = train_ngram(text, ["x"], order)
    many = train_ngram(text, [f"x{i}" for i in range(100)], order)
    singletons = 10 ** log_prob(many, ("b",)) + 10 ** log_prob(many, ("c",))
    unseen = sum(10 ** log_prob(many, (f"x{i}",)) for i in range(100))
    assert unseen == pytest.approx(singletons)  # b and c were seen once, or after one word
    assert log_prob(few, ("x",)) == pytest.approx(log_prob(few, ("b",)))  # never more than a singleton


def test_all_seen_once():
    model = train_ngram([["a", "b"], ["c", "d"]], [], 2)
    assert 10 ** log_prob(model, ("a", "b")) == pytest.approx(0.25)  # kaldingram's discount of 1 would leave 0
    assert log_prob(model, ("a", "b")) > log_prob(model, ("a", "c"))


def test_held_out_text_is_predicted_better_with_the_right_context():
    random.seed(0)
    after = {word: random.sample(WORDS, 2) for word in WORDS}

    def sentence():
        words = [random.choice(WORDS)]
        for _ in range(5):
            words.append(random.choice(after[words[-1]] if random.random() < 0.9 else WORDS))
        return words

    text, held_out = [sentence() for _ in range(200)], [sentence() for _ in range(50)]
    values = [perplexity(train_ngram(text, WORDS, order), held_out).value for order in (1, 2, 3)]
    assert values[1] < 0.75 * values[0]
    assert values[2] < 1.1 * values[1]
    assert 4 < values[0] < 6.5  # five words and the end


def test_a_text_shorter_than_the_order():
    model = train_ngram([["a"], ["b"]], [], 5)
    assert model.order == 3  # <s> a </s>


@pytest.mark.parametrize(
    ("text", "order", "message"),
    [
        ([], 2, "no text to train"),
        ([[]], 2, "no text to train"),
        ([["a"]], 0, "the order of the n-gram model is 0"),
        ([["a", "<s>"]], 2, "'a <s>': the text must not hold <s> or </s>"),
    ],
)
def test_bad_input(text, order, message):
    with pytest.raises(InputError, match=re.escape(message)):
        train_ngram(text, ["a"], order)
