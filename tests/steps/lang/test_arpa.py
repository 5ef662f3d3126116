import gzip
import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaldingram.ppl import compute_ppl
from kaldingram.prune import ArpaParser

from steps.base.errors import InputError
from steps.lang.arpa import log_prob, perplexity, read_arpa, restrict, write_arpa
from steps.lang.ngram import train_ngram
from tests.steps.lang.sentences import sentence_log_prob

GOOD = """A comment.

\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-99 <s> -0.3
-0.5\t</s>
-0.5\ta\t-0.2
-0.6\tb\t-0.1

\\2-grams:
-0.1\t<s> a
-0.2\ta </s>
-0.4\tb a

\\end\\
"""
WORDS = ["a", "b", "c", "d"]
SENTENCES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), min_size=1, max_size=8)


def written(tmp_path, text):
    path = tmp_path / "lm.arpa"
    path.write_text(text, encoding="utf-8")
    return path


def histories(vocabulary, order):
    """Histories of up to order - 1 words, `<s>` perhaps at their start."""
    for length in range(order):
        for history in itertools.product(vocabulary, repeat=length):
            yield history
            if length + 1 < order:
                yield ("<s>", *history)


def total(model, history, vocabulary):
    return math.fsum(10 ** log_prob(model, (*history, word)) for word in [*vocabulary, "</s>"])


def test_plain_and_gz(tmp_path):
    model = read_arpa(written(tmp_path, GOOD))
    assert model.order == 2
    assert model.words == ["a", "b"]
    assert model.probs[1] == {("<s>", "a"): -0.1, ("a", "</s>"): -0.2, ("b", "a"): -0.4}
    assert model.backoffs == {("<s>",): -0.3, ("a",): -0.2, ("b",): -0.1}
    for name in ("lm.arpa.gz", "zipped.arpa"):  # not the name tells, but the content
        with gzip.open(tmp_path / name, "wb") as file:
            file.write(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
        assert read_arpa(tmp_path / name) == model
    (tmp_path / "plain.gz").write_text(GOOD)
    assert read_arpa(tmp_path / "plain.gz") == model


SPACES = ["\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\x0c", "\x1c"]


@pytest.mark.parametrize("space", SPACES)
def test_other_spaces_are_part_of_words(tmp_path, space):
    model = read_arpa(
        written(tmp_path, GOOD.replace("-0.6\tb\t", f"-0.6\tb{space}000\t").replace("b a", f"b{space}000 a"))
    )
    assert model.words == ["a", f"b{space}000"]
    assert model.backoffs[f"b{space}000",] == -0.1
    assert log_prob(model, (f"b{space}000", "a")) == -0.4


def test_probabilities_rounded_up_are_one(tmp_path):
    assert log_prob(read_arpa(written(tmp_path, GOOD.replace("-0.4\tb a", "1e-07\tb a"))), ("b", "a")) == 0


def test_backing_off(tmp_path):
    model = read_arpa(written(tmp_path, GOOD))
    assert log_prob(model, ("a", "b")) == pytest.approx(-0.2 - 0.6)
    assert log_prob(model, ("b", "b", "a")) == -0.4
    assert log_prob(model, ("b", "c")) == -math.inf
    assert sentence_log_prob(model, ["a", "b"]) == pytest.approx(-0.1 - 0.8 + (-0.1 - 0.5))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ngram 2=3", "ngram 2=4", r"lm.arpa:18: \\data\\ announces 4 2-grams, but 3 were found"),
        ("ngram 1=4", "ngram 1=3", r"lm.arpa:13: \\data\\ announces 3 1-grams, but 4"),
        ("ngram 1=4", "ngram 1=x", "lm.arpa:4: 'ngram 1=x' is not 'ngram 1=COUNT'"),
        ("ngram 2=3", "ngram 3=3", "lm.arpa:5: 'ngram 3=3' is not 'ngram 2=COUNT'"),
        ("-0.6\tb\t-0.1", "-o.6\tb\t-0.1", "lm.arpa:11: '-o.6' is not a log10 probability"),
        ("-0.6\tb\t-0.1", "-0.6\tb\tnan", "lm.arpa:11: 'nan' is not a log10"),
        ("-0.6\tb\t-0.1", "0.6\tb\t-0.1", "lm.arpa:11: the log10 probability 0.6 is above 0"),
        ("-0.6\tb\t-0.1", "0.001\tb\t-0.1", "lm.arpa:11: the log10 probability 0.001 is above 0"),
        ("-0.6\tb\t-0.1", "-0.6\tb c\t-0.1", "lm.arpa:11: '-0.6\tb c\t-0.1' is not a 1-gram"),
        ("-0.4\tb a", "-0.4\tb a 000", r"lm.arpa:16: '-0.4\tb a 000' is not a 2-gram: a number, 2 words \(the longest"),
        (
            "A comment.",
            "mmap lm http://kheafield.com/code format version 5",
            "KenLM's binary format, .*; give the ARPA",
        ),
        ("A comment.", "SRILM_BINARY_NGRAM_002", "SRILM's binary format"),
        ("-0.6\tb\t-0.1", "-0.6", "lm.arpa:11: '-0.6' is not a 1-gram"),
        ("-0.4\tb a", "-0.4\ta </s>", "lm.arpa:16: the 2-gram 'a </s>' comes twice"),
        ("\\2-grams:", "\\3-grams:", r"lm.arpa:13: '\\3-grams:' is where the section \\2-grams:"),
        ("\\end\\", "", r"ends without \\end\\; it is cut off"),
        ("\\end\\", "\\3-grams:", r"lm.arpa:18: '\\3-grams:' is where \\end\\ should be"),
        ("\\data\\", "", r"no line \\data\\; is this a language model in ARPA format"),
        ("-0.5\t</s>", "-0.5\tc", "lm.arpa: </s> is not among the 1-grams"),
    ],
)
def test_bad_files(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(InputError, match=message):
        read_arpa(written(tmp_path, GOOD.replace(old, new)))


def test_truncated_anywhere(tmp_path):
    for length in range(len(GOOD) - len("\\end\\\n") + 1):
        with pytest.raises(InputError):
            read_arpa(written(tmp_path, GOOD[:length]))


def test_truncated_gz_and_missing_file(tmp_path):
    path = tmp_path / "lm.arpa.gz"
    path.write_bytes(gzip.compress(GOOD.encode())[:-20])
    with pytest.raises(InputError, match="damaged gzip file"):
        read_arpa(path)
    path.write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(InputError, match="damaged gzip file after line 0"):
        read_arpa(path)
    with pytest.raises(InputError, match=r"lm: there is no such file"):
        read_arpa(tmp_path / "lm")


def test_useless_ngrams_are_dropped_and_said(tmp_path, capsys):
    text = GOOD.replace("ngram 2=3", "ngram 2=6").replace("-0.4\tb a", "-0.4\tb a\n-1\ta <s>\n-1\t</s> a\n-1\tc a")
    assert read_arpa(written(tmp_path, text)) == read_arpa(written(tmp_path, GOOD))
    assert "dropped 3 n-grams" in capsys.readouterr().out


@settings(deadline=None, max_examples=40)
@given(text=SENTENCES, order=st.integers(1, 4), other=SENTENCES)
def test_written_models_mean_the_same_to_kaldingram(tmp_path_factory, text, order, other):
    model = train_ngram(text, WORDS, order)
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    write_arpa(path, model)
    [theirs] = ArpaParser().loadf(str(path), encoding="utf-8")
    for words in other:
        assert theirs.log_s(tuple(words)) == pytest.approx(sentence_log_prob(model, words), abs=1e-4)
    measured = perplexity(model, other)
    reference = compute_ppl(theirs, [" ".join(words) for words in other])
    assert measured.value == pytest.approx(reference["ppl"], rel=1e-3)
    again = read_arpa(path)
    assert [list(table) for table in again.probs] == [list(table) for table in model.probs]


def test_perplexity_leaves_unknown_words_out():
    model = train_ngram([["a", "b"], ["a"]], [], 1)
    assert perplexity(model, [["a", "x"]]).oov == 1
    assert perplexity(model, [["a", "x"]]).value == pytest.approx(perplexity(model, [["a"]]).value)


@settings(deadline=None, max_examples=60)
@given(text=SENTENCES, order=st.integers(1, 4), kept=st.sets(st.sampled_from(WORDS), min_size=1))
def test_restricted_is_conditioned_on_the_vocabulary(text, order, kept):
    model = train_ngram(text, WORDS, order)
    smaller = restrict(model, kept)
    assert smaller.words == sorted(kept)
    for history in histories(sorted(kept), order):
        mass = total(model, history, kept)
        for word in [*kept, "</s>"]:
            expected = 10 ** log_prob(model, (*history, word)) / mass
            assert 10 ** log_prob(smaller, (*history, word)) == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_restricting_to_all_words_changes_nothing(tmp_path):
    model = read_arpa(written(tmp_path, GOOD))
    assert restrict(model, ["a", "b", "z"]) is model


def test_restricting_a_history_that_is_left_with_nothing(tmp_path):
    text = (
        GOOD.replace("-0.6\tb\t-0.1", "-0.6\tb\t-99").replace("-0.4\tb a", "0\tb c").replace("ngram 1=4", "ngram 1=5")
    )
    model = read_arpa(written(tmp_path, text.replace("\n\n\\2-", "\n-0.7 c\n\n\\2-")))
    smaller = restrict(model, ["a", "b"])
    assert total(smaller, ("b",), ["a", "b"]) == pytest.approx(1)
    assert log_prob(smaller, ("b", "a")) == pytest.approx(log_prob(smaller, ("a",)))


def test_nothing_in_common(tmp_path):
    with pytest.raises(InputError, match="shares no word with the lexicon"):
        restrict(read_arpa(written(tmp_path, GOOD)), ["A", "B"])


def test_minus_infinity_is_zero(tmp_path):
    model = read_arpa(written(tmp_path, GOOD.replace("-99 <s>", "-inf <s>")))
    assert model.probs[0]["<s>",] == -99


def test_order_of_writing(tmp_path):
    random.seed(0)
    text = [random.choices(WORDS, k=4) for _ in range(10)]
    write_arpa(tmp_path / "a", train_ngram(text, WORDS, 3))
    write_arpa(tmp_path / "b", train_ngram(text[::-1], set(WORDS), 3))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
