"""Intervals that hold what they promise, and the matched-pairs test against NIST's sc_stats."""

import math
import random
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.scoring.comparison import compare_letters
from steps.scoring.significance import bootstrap, bootstrap_p, interval, matched_pairs, score_interval, segments
from steps.scoring.wer import score

letters = st.text("CSDI", max_size=12)


def of_two_systems(seed, utterances, equal=True):
    """References and what two systems make of them; the utterances differ in how hard they are."""
    draw = random.Random(seed)
    texts = [{}, {}, {}]
    for k in range(utterances):
        reference = [draw.choice("ABCDEFGH") for _ in range(draw.randint(3, 14))]
        hardness = draw.betavariate(2, 10)
        texts[0][f"u-{k:04}"] = " ".join(reference)
        for text, factor in zip(texts[1:], (1.0, 1.0 if equal else 0.6), strict=True):
            text[f"u-{k:04}"] = " ".join(recognised(reference, hardness * factor, draw))
    return texts


def recognised(reference, rate, draw):
    hypothesis = []
    for word in reference:
        kind = draw.random() / rate
        if kind >= 0.2:  # not deleted
            hypothesis.append(word if kind >= 0.8 else draw.choice("IJKL"))
        if draw.random() < 0.2 * rate:
            hypothesis.append(draw.choice("MNOP"))
    return hypothesis


def letters_of(reference, hypothesis):
    return [found.letters for found in score(reference, hypothesis).alignments.values()]


@given(letters, letters)
def test_segments_hold_all_errors_and_none_is_without(first, second):
    found = list(segments(first, second))
    for side, letters in enumerate((first, second)):
        assert sum(pair[side] for pair in found) == sum(letter != "C" for letter in letters)
    assert all(a or b for a, b in found)
    assert [(b, a) for a, b in found] == list(segments(second, first))


def test_two_words_right_in_both_separate_segments():
    assert list(segments("SCCS", "CCCC")) == [(1, 0), (1, 0)]
    assert list(segments("SCS", "CCC")) == [(2, 0)]
    assert list(segments("SCCS", "CCSC")) == [(2, 1)]
    assert list(segments("SCICS", "CCCC")) == [(3, 0)]  # nothing may be inserted between them
    assert list(segments("CCCI", "CCCIO")) == [(1, 1)]


def test_other_alternatives_make_an_utterance_one_segment():
    assert list(segments("CCSCCCS", "CCC")) == [(2, 0)]
    assert list(segments("CCCC", "CCC")) == []


def test_nothing_to_test():
    for first, second in (([], []), (["CC"], ["CC"]), (["CSC"], ["CSC"]), (["S"], ["C"])):
        result = matched_pairs(first, second)
        assert (result.z, result.p) == (0.0, 1.0)


def test_optional_words_are_no_words_of_the_reference():
    assert list(segments("COCS", "CCC")) == [(1, 0)]


@pytest.fixture(scope="module")
def sc_stats(sclite):
    path = Path(sclite).with_name("sc_stats")
    assert path.is_file(), f"sc_stats is not beside {sclite}"

    def run(texts, folder):
        """Z of system 1 minus system 2, and p, as sc_stats prints them."""
        alignments = ""
        for name, hypothesis in zip("ab", texts[1:], strict=True):
            for file, text in (("ref.trn", texts[0]), ("hyp.trn", hypothesis)):
                (folder / file).write_text("".join(f"{words} ({utt})\n" for utt, words in text.items()))
            command = [sclite, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", name, "-i", "wsj"]
            command += ["-o", "sgml", "-n", name]
            subprocess.run(command, cwd=folder, capture_output=True, check=True)
            alignments += (folder / f"{name}.sgml").read_text()

        def printed(*options):
            command = [str(path), "-p", "-t", "mapsswe", *options, "-n", "out"]
            done = subprocess.run(command, cwd=folder, input=alignments.encode(), capture_output=True, check=True)
            files = [file.read_bytes() for file in folder.glob("out*")]
            return b"\n".join([done.stdout, *files]).decode(errors="replace")

        z = re.search(r"\(Z Stat:\s*(\S+)\)", printed("-v"))
        p = re.search(r"MP     \|\|  a +\| +\| +\S+ +(\S+)", printed("-u"))
        assert z, printed("-v")
        assert p, printed("-u")
        return float(z[1]), p[1]

    return run


@pytest.mark.parametrize(("seed", "equal"), [(1, True), (2, True), (3, False), (4, False), (5, False), (6, False)])
def test_matched_pairs_are_those_of_sc_stats(sc_stats, tmp_path, seed, equal):
    texts = of_two_systems(seed, 60, equal)
    # sc_stats overlooks words that only the second system inserts after the last of the reference
    texts[2] = {utt: re.sub(r"( [MNOP])+$", "", words) for utt, words in texts[2].items()}
    result = matched_pairs(*(letters_of(texts[0], hypothesis) for hypothesis in texts[1:]))
    z, p = sc_stats(texts, tmp_path)
    assert result.z == pytest.approx(z, abs=5e-4 + 1e-9)
    # it looks its p up by two decimals of Z
    truncated = math.trunc(abs(z) * 100) / 100
    tabled = math.erfc(truncated / math.sqrt(2))
    assert p == (f"{tabled:.3f}" if tabled >= 0.001 else "<0.001")


def test_intervals_hold_the_true_rate_as_often_as_they_say():
    draw = np.random.default_rng(3)
    held = 0
    for trial in range(500):
        words = draw.integers(3, 15, 200)
        errors = draw.binomial(words, draw.beta(2, 18, 200))  # 10 % on average, and utterances differ
        low, high = interval(bootstrap(words, errors, samples=400, seed=trial))
        held += low <= 10 <= high
    assert 0.93 <= held / 500 <= 0.97


def test_equal_systems_rarely_differ():
    found = 0
    for trial in range(500):
        draw = np.random.default_rng(trial)
        pair = [[], []]
        for words, rate in zip(draw.integers(3, 15, 100), draw.beta(2, 18, 100), strict=True):
            for system in pair:
                kinds = draw.random(words)
                system.append("".join("C" if kind >= rate else "SDI"[int(3 * kind / rate)] for kind in kinds))
        found += matched_pairs(*pair).p < 0.05
    assert 0.03 <= found / 500 <= 0.07


def test_the_paired_bootstrap_agrees_with_the_matched_pairs():
    reference, *hypotheses = of_two_systems(7, 150, equal=False)
    both = [{u: a.letters for u, a in score(reference, text).alignments.items()} for text in hypotheses]
    found = compare_letters(*both)
    assert found.test.p < 0.01
    assert found.bootstrap_p < 0.02
    low, high = found.difference_interval
    assert 0 < low < found.difference < high
    swapped = compare_letters(both[1], both[0])
    assert swapped.difference == -found.difference
    assert swapped.test.z == pytest.approx(-found.test.z)
    assert swapped.difference_interval == pytest.approx((-high, -low))


def test_p_of_draws():
    assert bootstrap_p(np.zeros(10)) == 1
    assert bootstrap_p(np.array([1.0] * 9 + [-1.0])) == pytest.approx(0.2)
    assert bootstrap_p(np.ones(10)) == 0


def test_speakers_are_drawn_from_ten_on():
    reference = {f"s{k % 10}-{k:03}": "A B C D" for k in range(200)}
    hypothesis = {utt: "A B C D" if utt < "s8" else "A B" for utt in reference}  # two speakers have all errors
    result = score(reference, hypothesis)
    alone = score_interval(result, {})
    spoken = score_interval(result, {utt: utt[:2] for utt in reference})
    assert (alone.drawn, alone.units, spoken.drawn, spoken.units) == ("utterances", 200, "speakers", 10)
    assert spoken.high - spoken.low > 2 * (alone.high - alone.low)
    few = score_interval(result, {utt: utt[:2].replace("9", "8") for utt in reference})
    assert few.drawn == "utterances"
    assert spoken.text == (
        f"95 % interval of the WER: {spoken.low:.2f} to {spoken.high:.2f} (bootstrap over 10 speakers)"
    )
