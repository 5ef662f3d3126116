from steps.scoring.details import alignment_text, trn
from steps.scoring.wer import score, score_characters

REFERENCE = {"u2": "THE EDISON LAMP", "u1": "GO", "u3": "ONE TWO", "u4": "EDISON"}
HYPOTHESIS = {"u2": "THE ADDISON OLD LAMP", "u1": "GO", "u3": "TWO"}


def test_alignment_text():
    result = score(REFERENCE, HYPOTHESIS)
    text = alignment_text(result, score_characters(REFERENCE, HYPOTHESIS).total)
    assert text.splitlines()[:2] == ["%WER 57.14 [ 4 / 7, 1 ins, 2 del, 1 sub ]", "%SER 75.00 [ 3 / 4 ]"]
    assert "\nu1: [0/1] GO\nu2: [2/3] THE (" in text
    assert "\nu3: [1/2] (ONE->*) TWO\nu4: [1/1] (EDISON->*)\n" in text
    assert text.count("->*)") == 2
    assert text.count("(*->") == 1
    assert "# no hypothesis, counted as deleted: 1 utterances\nu4\n" in text


def test_most_frequent_errors_come_first():
    reference = {"a": "X B X B C", "b": "B", "c": "A"}
    text = alignment_text(result := score(reference, {"a": "X P X P Q", "b": "", "c": "A Z"}), result.total)
    assert text.endswith(
        "# substitutions: count, reference -> hypothesis\n2 B -> P\n1 C -> Q\n\n"
        "# deletions: count, word of the reference\n1 B\n\n"
        "# insertions: count, word of the hypothesis\n1 Z\n"
    )


def test_lists_of_errors_that_did_not_happen_are_left_out():
    result = score({"a": "A"}, {"a": "A"})
    assert alignment_text(result, result.total).endswith("\na: [0/1] A\n")


def test_trn_is_sorted_and_keeps_empty_utterances():
    assert trn({"s-b": "ÉTÉ  ÑO", "s-a": "", "S-c": "X"}) == "X (S-c)\n(s-a)\nÉTÉ ÑO (s-b)\n"
