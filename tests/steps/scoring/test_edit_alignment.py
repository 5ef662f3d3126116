"""Alignments against an exhaustive search, and against NIST's sclite where ties abound."""

import random
import re
import subprocess
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.scoring.edit_alignment import align_words, chain
from steps.scoring.normalisation import Word
from steps.scoring.wer import align_texts

texts = st.lists(st.integers(0, 2), max_size=6)


def least_cost(reference, hypothesis):
    """By recursion, without a table of its own."""

    @cache
    def cost(r, h):
        options = [cost(r - 1, h) + 3] if r else []
        options += [cost(r, h - 1) + 3] if h else []
        options += [cost(r - 1, h - 1) + 4 * (reference[r - 1] != hypothesis[h - 1])] if r and h else []
        return min(options, default=0)

    return cost(len(reference), len(hypothesis))


@settings(deadline=None)  # the first call compiles
@given(texts, texts)
def test_the_cost_is_the_least(reference, hypothesis):
    pairs = align_words(chain(reference), np.array(hypothesis, np.int64)).tolist()
    assert [arc - 1 for arc, _ in pairs if arc >= 0] == list(range(len(reference)))
    assert [at for _, at in pairs if at >= 0] == list(range(len(hypothesis)))
    cost = sum(3 if -1 in pair else 4 * (reference[pair[0] - 1] != hypothesis[pair[1]]) for pair in pairs)
    assert cost == least_cost(tuple(reference), tuple(hypothesis))


def paths(slots):
    """All word sequences of a reference, each with the cost of the optional words that it leaves out."""
    found = [([], 0)]
    for slot in slots:
        ways = [way for alternative in slot for way in without_optional_words(alternative)]
        found = [([*path, *words], cost + more) for path, cost in found for words, more in ways]
    return found


def without_optional_words(alternative):
    found = [([], 0)]
    for word in alternative:
        left_out = [(words, cost + 2) for words, cost in found] if word.optional else []
        found = [([*words, word.text], cost) for words, cost in found] + left_out
    return found


words = st.builds(Word, st.sampled_from("abc"), st.booleans())
alternatives = st.lists(st.lists(words, max_size=2).map(tuple), min_size=1, max_size=3).map(tuple)


@settings(deadline=None)  # the first call compiles
@given(st.lists(alternatives, max_size=4), st.lists(words, max_size=4))
def test_alternatives_are_all_tried(slots, hypothesis):
    found = align_texts(slots, hypothesis, {})
    costs = {"S": 4, "I": 3, "D": 3, "O": 2}
    missing = sum(letter == "C" and not hyp for (_, hyp), letter in zip(found.pairs, found.letters, strict=True))
    assert sum(costs.get(letter, 0) for letter in found.letters) + 2 * missing == min(
        least_cost(tuple(ref), tuple(hyp)) + ref_cost + hyp_cost
        for ref, ref_cost in paths(slots)
        for hyp, hyp_cost in without_optional_words(hypothesis)
    )


def aligned_by_sclite(sclite, references, hypotheses, folder, *options):
    """What sclite prints of each pair: (correct, substituted, deleted, inserted) and the words of both."""
    for name, texts in (("ref.trn", references), ("hyp.trn", hypotheses)):
        lines = (f"{text} (u-{k:05d})\n" for k, text in enumerate(texts))
        (folder / name).write_text("".join(lines))
    command = [sclite, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "wsj", "-o", "pra", "stdout", *options]
    printed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    found = {}
    for block in printed.split("id: (u-")[1:]:
        scores = re.search(r"\(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)", block)
        rows = [re.search(rf"^{row}: (.*)$", block, re.MULTILINE) for row in ("REF", "HYP")]
        found[int(block[:5])] = (tuple(map(int, scores.groups())), [row[1].split() if row else [] for row in rows])
    return [found[k] for k in range(len(references))]


def shown(found):
    """An alignment as sclite shows it: errors in capitals, asterisks where there is no word."""
    ref, hyp = [], []
    for (r, h), letter in zip(found.pairs, found.letters, strict=True):
        ref.append("*" * len(h) if not r else r if letter == "C" else r.upper())
        hyp.append("*" * len(r) if not h else h if letter == "C" else h.upper())
    return tuple(found.letters.count(letter) for letter in "CSDI"), [ref, hyp]


def test_the_alignment_is_that_of_sclite(sclite, tmp_path):
    """With so few different words most pairs have several alignments of the same cost."""
    draw = random.Random(1)
    pairs = []
    for _ in range(2000):
        letters = "abc"[: draw.choice([2, 3])]
        pairs.append(tuple([draw.choice(letters) for _ in range(draw.randint(0, 12))] for _ in range(2)))
    references, hypotheses = ([" ".join(pair[side]) for pair in pairs] for side in (0, 1))
    expected = aligned_by_sclite(sclite, references, hypotheses, tmp_path)
    ours = [shown(align_texts([((Word(w),),) for w in ref], [Word(w) for w in hyp], {})) for ref, hyp in pairs]
    assert ours == expected


@pytest.mark.parametrize(
    ("reference", "slots", "hypothesis"),
    [
        ("a { b / c d } e", [["a"], ["b", "c d"], ["e"]], "a c d e"),
        ("a { b / c d } e", [["a"], ["b", "c d"], ["e"]], "a c e"),
        ("a { b / @ } e", [["a"], ["b", ""], ["e"]], "a e"),
        ("a (uh) b", [["a"], ["(uh)"], ["b"]], "a b"),
        ("a (uh) b", [["a"], ["(uh)"], ["b"]], "a c"),
    ],
)
def test_alternatives_count_as_in_sclite(sclite, tmp_path, reference, slots, hypothesis):
    network = [
        tuple(tuple(Word(w.strip("()"), w.startswith("(")) for w in alternative.split()) for alternative in slot)
        for slot in slots
    ]
    found = align_texts(network, [Word(word) for word in hypothesis.split()], {})
    [(counts, _)] = aligned_by_sclite(sclite, [reference], [hypothesis], tmp_path, "-D")
    assert tuple(found.letters.count(letter) for letter in "CSDI") == counts


def test_optional_words_cost_what_they_do_in_sclite(sclite, tmp_path):
    """The errors agree; sclite counts an optional word that is inserted as a correct one, so that C differs."""
    draw = random.Random(2)
    pairs = [
        tuple([Word(draw.choice("abc"), draw.random() < 0.3) for _ in range(draw.randint(0, 8))] for _ in range(2))
        for _ in range(1000)
    ]
    texts = (
        [" ".join(f"({w.text})" if w.optional else w.text for w in pair[side]) for pair in pairs] for side in (0, 1)
    )
    expected = [sum(counts[1:]) for counts, _ in aligned_by_sclite(sclite, *texts, tmp_path, "-D")]
    found = [align_texts([((word,),) for word in ref], hyp, {}).letters for ref, hyp in pairs]
    assert [sum(letters.count(letter) for letter in "SDI") for letters in found] == expected
