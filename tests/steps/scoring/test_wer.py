"""Word error rates against a plain edit distance, jiwer's own counts and NIST's sclite."""

import random
import re
import subprocess
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.scoring.files import trn
from steps.scoring.wer import Counts, count_characters, respelled, score

WORDS = st.lists(st.sampled_from(["A", "B", "C", "*", "ñ"]), max_size=7)


def edit_distance(ref, hyp):
    """Wagner and Fischer's table."""
    D = np.add.outer(np.arange(len(ref) + 1), np.arange(len(hyp) + 1))
    for i, r in enumerate(ref, 1):
        for j, h in enumerate(hyp, 1):
            D[i, j] = min(D[i - 1, j] + 1, D[i, j - 1] + 1, D[i - 1, j - 1] + (r != h))
    return D[-1, -1]


@given(st.lists(st.tuples(WORDS.filter(len), WORDS), min_size=1, max_size=4))
def test_errors_are_the_edit_distance_or_said_to_be_more(pairs):
    reference = {f"u{i}": " ".join(ref) for i, (ref, _) in enumerate(pairs)}
    hypothesis = {f"u{i}": " ".join(hyp) for i, (_, hyp) in enumerate(pairs)}
    result = score(reference, hypothesis)
    total = result.total
    fewest = {f"u{i}": edit_distance(ref, hyp) for i, (ref, hyp) in enumerate(pairs)}
    assert total.errors == sum(fewest.values()) + sum(result.above.values())
    assert all(more > 0 and result.counts[utt].errors == fewest[utt] + more for utt, more in result.above.items())
    assert total.words == sum(len(ref) for ref, _ in pairs)
    assert result.sentence_errors == sum(ref != hyp for ref, hyp in pairs)
    for i, (ref, hyp) in enumerate(pairs):  # nothing lost or reordered in an alignment
        aligned = list(result.alignments[f"u{i}"].pairs)
        assert [r for r, _ in aligned if r] == ref
        assert [h for _, h in aligned if h] == hyp
        assert ("", "") not in aligned


@given(st.lists(st.tuples(WORDS.filter(len), WORDS), min_size=1, max_size=4))
def test_jiwers_count_is_a_lower_bound(pairs):
    reference, hypothesis = ([" ".join(pair[i]) for pair in pairs] for i in (0, 1))
    result = score(dict(enumerate(reference)), dict(enumerate(hypothesis)))
    oracle = jiwer.process_words(reference, hypothesis)
    errors = oracle.substitutions + oracle.insertions + oracle.deletions
    assert result.total.errors == errors + sum(result.above.values())
    assert result.total.words == sum(len(ref) for ref, _ in pairs)
    assert count_characters(result).wer >= 100 * jiwer.cer(reference, hypothesis) - 1e-9


def test_three_substitutions_cost_what_two_insertions_and_two_deletions_do():
    result = score({"u": "c b b c b b c a b a"}, {"u": "b b b c a a c c a"})
    assert (result.total.errors, result.above) == (6, {"u": 1})


def test_unicode_forms_of_a_word_are_the_same():
    composed, decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    reference, hypothesis = {"a": f"{composed} ONE"}, {"a": f"{decomposed} e\u0301te"}
    result = score(reference, hypothesis)
    assert list(result.alignments["a"].pairs) == [(composed, composed), ("ONE", "\u00e9te")]
    assert respelled(reference, hypothesis) == {decomposed: composed}
    assert respelled(reference, reference) == {}
    assert count_characters(score({"a": composed}, {"a": decomposed})) == Counts(3, 0, 0, 0)
    assert trn({"a": decomposed}) == trn({"a": composed})


def test_other_spaces_than_asciis_are_part_of_words():
    reference = {"a": "5\u00a0000 ONE"}
    assert score(reference, {"a": "5 000 ONE"}).total == Counts(2, 1, 1, 0)
    assert score(reference, reference).total == Counts(2, 0, 0, 0)
    assert count_characters(score(reference, reference)).words == 9


def test_missing_hypothesis_counts_as_deleted_and_is_listed():
    result = score({"a": "ONE TWO", "b": "THREE"}, {"b": "THREE"})
    assert result.total == Counts(words=3, substitutions=0, insertions=0, deletions=2)
    assert result.missing == ["a"]


def test_empty_hypothesis_counts_as_deleted_and_is_not_missing():
    result = score({"a": "ONE TWO"}, {"a": ""})
    assert result.total == Counts(words=2, substitutions=0, insertions=0, deletions=2)
    assert result.missing == []


def test_error_rate_can_exceed_100():
    assert score({"a": "ONE"}, {"a": "TWO THREE"}).total.wer == 200


def test_utterances_are_sorted_by_code_point():
    assert list(score({"é": "A", "b": "A", "B": "A"}, {}).alignments) == ["B", "b", "é"]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "message"),
    [
        ({}, {}, "no reference transcripts"),
        ({"a": "ONE"}, {"a": "ONE", "d": "", "c": "X"}, "2 hypotheses have no reference.*first is utterance c"),
    ],
)
def test_wrong_input(reference, hypothesis, message):
    with pytest.raises(InputError, match=message):
        score(reference, hypothesis)


def test_words_recognised_in_an_empty_reference_count_as_inserted():
    result = score({"a": "", "b": "ONE"}, {"a": "TWO", "b": "ONE"})
    assert result.total == Counts(1, 0, 1, 0)
    assert score({"a": ""}, {"a": "TWO"}).total.wer == float("inf")
    assert score({"a": ""}, {"a": ""}).total.wer == 0


def sclite_errors(sclite: str, reference: dict[str, str], hypothesis: dict[str, str], folder: Path) -> tuple[int, int]:
    """Words and errors that sclite counts, case-sensitive, as in Kaldi's score_sclite.sh."""
    for name, texts in [("ref.trn", reference), ("hyp.trn", hypothesis)]:
        (folder / name).write_text(trn(texts), encoding="utf-8")
    command = [sclite, "-s", "-e", "utf-8", "-i", "wsj", "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn"]
    done = subprocess.run([*command, "-o", "pralign", "stdout"], cwd=folder, capture_output=True, check=True)
    lines = re.findall(r"Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)", done.stdout.decode())
    assert len(lines) == len(reference)
    correct, substituted, deleted, inserted = np.array(lines, int).sum(0)
    return correct + substituted + deleted, substituted + deleted + inserted


def corrupted(text: str, vocabulary: list[str], rate: float, rng: random.Random) -> str:
    """What a recogniser might make of a text: words exchanged, lost and added, sometimes several in a row."""
    words = []
    for word in text.split():
        draw = rng.random()
        if draw < 0.6 * rate:
            words.append(rng.choice(vocabulary))
        elif draw > 0.2 * rate + 0.6 * rate:
            words.append(word)
        if rng.random() < 0.2 * rate:
            words.append(rng.choice(vocabulary))
    return " ".join(words)


PROMPTS = """please enter your password followed by the pound key
you have two new messages and one old message
the number you have dialed is not in service
press one to record your name
you are currently the only person in this conference
to leave a message please press five
sorry i did not understand your response
el número que usted marcó no está en servicio
your call is important to us please hold the line""".splitlines()


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.3])
def test_errors_agree_with_sclite(sclite, rate, tmp_path):
    rng = random.Random(rate)
    vocabulary = sorted({word for prompt in PROMPTS for word in prompt.split()})
    reference = {f"spk-{i:03}": rng.choice(PROMPTS) for i in range(300)}
    hypothesis = {utt: corrupted(text, vocabulary, rate, rng) for utt, text in reference.items()}
    total = score(reference, hypothesis).total
    assert total.errors > 0
    assert sclite_errors(sclite, reference, hypothesis, tmp_path) == (total.words, total.errors)


def test_characters_with_a_meaning_to_sclite(sclite, tmp_path):
    words = [";", "A;B", "@", "A@", "{", "{A", "A{", "}", "/", "(", "(A)", "%A", "-A", "A-", "\\", "A\\;", "*", "<UNK>"]
    words += [";;", "<", "<A", "(A", "A)", "שָׁלוֹם", "مَرْحَبًا", "n\u0303", "\u0b95\u0bcd"]  # right to left, combining marks
    reference = {f"u-{i}": f"{word} X {word} {word} Y" for i, word in enumerate(words)} | {"u-(1)": ";; A", "U-0": "A"}
    hypothesis = {f"u-{i}": f"{word} X {word}Z Y" for i, word in enumerate(words)} | {"u-(1)": "", "U-0": "a"}
    total = score(reference, hypothesis).total
    assert sclite_errors(sclite, reference, hypothesis, tmp_path) == (total.words, total.errors)
