"""Word error rates against a plain edit distance, jiwer's own counts and NIST's sclite."""

import random
import re
import shutil
import subprocess
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.fetch import apt_download, unpack_deb
from steps.base.errors import InputError
from steps.scoring.details import trn
from steps.scoring.wer import Counts, confidence_interval, score, score_characters

WORDS = st.lists(st.sampled_from(["A", "B", "C", "*", "ñ"]), max_size=7)


def edit_distance(ref, hyp):
    """Wagner and Fischer's table."""
    D = np.add.outer(np.arange(len(ref) + 1), np.arange(len(hyp) + 1))
    for i, r in enumerate(ref, 1):
        for j, h in enumerate(hyp, 1):
            D[i, j] = min(D[i - 1, j] + 1, D[i, j - 1] + 1, D[i - 1, j - 1] + (r != h))
    return D[-1, -1]


@given(st.lists(st.tuples(WORDS.filter(len), WORDS), min_size=1, max_size=4))
def test_errors_are_the_edit_distance(pairs):
    reference = {f"u{i}": " ".join(ref) for i, (ref, _) in enumerate(pairs)}
    hypothesis = {f"u{i}": " ".join(hyp) for i, (_, hyp) in enumerate(pairs)}
    result = score(reference, hypothesis)
    total = result.total
    assert total.errors == sum(edit_distance(ref, hyp) for ref, hyp in pairs)
    assert total.words == sum(len(ref) for ref, _ in pairs)
    assert result.sentence_errors == sum(ref != hyp for ref, hyp in pairs)
    for i, (ref, hyp) in enumerate(pairs):  # nothing lost or reordered in an alignment
        aligned = result.alignments[f"u{i}"]
        assert [r for r, _ in aligned if r] == ref
        assert [h for _, h in aligned if h] == hyp
        assert ("", "") not in aligned


@given(st.lists(st.tuples(WORDS.filter(len), WORDS), min_size=1, max_size=4))
def test_counts_are_jiwers(pairs):
    reference, hypothesis = ([" ".join(pair[i]) for pair in pairs] for i in (0, 1))
    total = score(dict(enumerate(reference)), dict(enumerate(hypothesis))).total
    oracle = jiwer.process_words(reference, hypothesis)
    assert total == Counts(sum(len(ref) for ref, _ in pairs), oracle.substitutions, oracle.insertions, oracle.deletions)
    assert total.wer == pytest.approx(100 * oracle.wer)
    characters = score_characters(dict(enumerate(reference)), dict(enumerate(hypothesis))).total
    assert characters.wer == pytest.approx(100 * jiwer.cer(reference, hypothesis))


def test_unicode_forms_of_a_word_are_the_same():
    composed, decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    reference, hypothesis = {"a": f"{composed} ONE"}, {"a": f"{decomposed} e\u0301te"}
    result = score(reference, hypothesis)
    assert result.alignments == {"a": [(composed, composed), ("ONE", "e\u0301te")]}
    assert result.respelled == {decomposed: composed}
    assert score(reference, reference).respelled == {}
    assert score_characters({"a": composed}, {"a": decomposed}).total == Counts(3, 0, 0, 0)
    assert trn({"a": decomposed}) == trn({"a": composed})


def test_other_spaces_than_asciis_are_part_of_words():
    reference = {"a": "5\u00a0000 ONE"}
    assert score(reference, {"a": "5 000 ONE"}).total == Counts(2, 1, 1, 0)
    assert score(reference, reference).total == Counts(2, 0, 0, 0)
    assert score_characters(reference, reference).total.words == 9


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
        ({"a": "ONE", "b": " "}, {"a": "ONE"}, "utterance b has an empty reference transcript"),
        ({"a": "ONE"}, {"a": "ONE", "d": "", "c": "X"}, "2 hypotheses have no reference.*first is utterance c"),
    ],
)
def test_wrong_input(reference, hypothesis, message):
    with pytest.raises(InputError, match=message):
        score(reference, hypothesis)


def test_confidence_interval():
    rng = random.Random(1)
    reference = {f"u{i:03}": " ".join("A" * rng.randint(3, 12)) for i in range(200)}
    hypothesis = {utt: "".join(rng.choice("AAAAAAAAAB") if c == "A" else c for c in t) for utt, t in reference.items()}
    result = score(reference, hypothesis)
    low, high = confidence_interval(result)
    assert (low, high) == confidence_interval(result)
    assert low < result.total.wer < high
    # 10 % independent substitutions: binomial, +-1.96 standard deviations
    width = 2 * 1.96 * 100 * np.sqrt(0.1 * 0.9 / result.total.words)
    assert high - low == pytest.approx(width, rel=0.25)


def test_confidence_interval_of_a_perfect_set_is_zero():
    assert confidence_interval(score({"a": "A", "b": "B"}, {"a": "A", "b": "B"})) == (0, 0)


@pytest.fixture(scope="module")
def sclite(tmp_path_factory) -> str:
    """The installed sclite, or that of Debian's package, which is only unpacked."""
    found = shutil.which("sclite", path="/usr/lib/sctk/bin") or shutil.which("sclite")
    if found:
        return found
    folder = tmp_path_factory.mktemp("sctk")
    try:
        apt_download(["sctk"], folder)
        unpack_deb(next(folder.glob("sctk_*.deb")), folder)
    except InputError as error:
        pytest.skip(f"sclite is not installed (apt-get install sctk), nor can it be downloaded here: {error}")
    return str(folder / "usr/lib/sctk/bin/sclite")


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


def test_sclite_counts_no_fewer_errors_on_any_text(sclite, tmp_path):
    """sclite weighs a substitution 4 and the others 3, so that on unrelated texts it can count more than the fewest."""
    rng = random.Random(1)
    texts = [{f"u-{i}": " ".join(rng.choices("ABCDEFGH", k=rng.randint(1, 12))) for i in range(500)} for _ in range(2)]
    total = score(*texts).total
    words, errors = sclite_errors(sclite, *texts, tmp_path)
    assert words == total.words
    assert total.errors <= errors <= 1.02 * total.errors


def test_characters_with_a_meaning_to_sclite(sclite, tmp_path):
    words = [";", "A;B", "@", "A@", "{", "{A", "A{", "}", "/", "(", "(A)", "%A", "-A", "A-", "\\", "A\\;", "*", "<UNK>"]
    reference = {f"u-{i}": f"{word} X {word} {word} Y" for i, word in enumerate(words)} | {"u-(1)": ";; A", "U-0": "A"}
    hypothesis = {f"u-{i}": f"{word} X {word}Z Y" for i, word in enumerate(words)} | {"u-(1)": "", "U-0": "a"}
    total = score(reference, hypothesis).total
    assert sclite_errors(sclite, reference, hypothesis, tmp_path) == (total.words, total.errors)
