from steps.scoring.files import hypothesis_trn, ops_text, per_group_text, per_utt_text, reference_trn, trn, wer_text
from steps.scoring.normalisation import Normalisation, Normaliser
from steps.scoring.wer import count_characters, score

REFERENCE = {"u2": "THE EDISON LAMP", "u1": "GO", "u3": "ONE TWO", "u4": "EDISON"}
HYPOTHESIS = {"u2": "THE ADDISON OLD LAMP", "u1": "GO", "u3": "TWO"}


def test_wer():
    result = score(REFERENCE, HYPOTHESIS)
    lines = wer_text(result, count_characters(result), ["a remark"], []).splitlines()
    assert lines[:2] == ["%WER 57.14 [ 4 / 7, 1 ins, 2 del, 1 sub ]", "%SER 75.00 [ 3 / 4 ]"]
    assert lines[2].startswith("%CER ")
    assert lines[3:7] == ["a remark", "", "# no hypothesis, counted as deleted: 1 utterances", "u4"]
    assert lines[-4:] == [
        "u1: [0/1] GO",
        "u2: [2/3] THE (*->ADDISON) (EDISON->OLD) LAMP",
        "u3: [1/2] (ONE->*) TWO",
        "u4: [1/1] (EDISON->*)",
    ]


def test_errors_above_the_edit_distance_are_listed():
    result = score({"u": "c b b c b b c a b a"}, {"u": "b b b c a a c c a"})
    text = wer_text(result, result.total, [], [])
    assert (
        "\n# utterances whose errors exceed the edit distance, which compute-wer counts, and by how many\nu 1\n" in text
    )


def test_per_utt_and_ops_and_wer_say_the_same():
    result = score(REFERENCE, HYPOTHESIS)
    counts = [line.split()[2:] for line in per_utt_text(result).splitlines() if " #csid " in line]
    sums = [sum(map(int, column)) for column in zip(*counts, strict=True)]
    total = result.total
    assert sums == [total.correct, total.substitutions, total.insertions, total.deletions]
    by_kind = {}
    for line in ops_text(result).splitlines():
        kind, _, _, number = line.split()
        by_kind[kind] = by_kind.get(kind, 0) + int(number)
    assert list(by_kind.values()) == [total.correct, total.deletions, total.insertions, total.substitutions]


def test_per_group():
    result = score(REFERENCE, HYPOTHESIS)
    lines = per_group_text("SPEAKER", result, {"u1": "anna", "u2": "anna", "u3": "bert"}).splitlines()
    assert [line.split() for line in lines] == [
        ["SPEAKER", "id", "#SENT", "#WORD", "Corr", "Sub", "Ins", "Del", "Err", "S.Err"],
        ["-", "raw", "1", "1", "0", "0", "0", "1", "1", "1"],
        ["-", "sys", "1", "1", "0.00", "0.00", "0.00", "100.00", "100.00", "100.00"],
        ["anna", "raw", "2", "4", "3", "1", "1", "0", "2", "1"],
        ["anna", "sys", "2", "4", "75.00", "25.00", "25.00", "0.00", "50.00", "50.00"],
        ["bert", "raw", "1", "2", "1", "0", "0", "1", "1", "1"],
        ["bert", "sys", "1", "2", "50.00", "0.00", "0.00", "50.00", "50.00", "100.00"],
        ["SUM", "raw", "4", "7", "4", "1", "1", "2", "4", "3"],
        ["SUM", "sys", "4", "7", "57.14", "14.29", "14.29", "28.57", "57.14", "75.00"],
    ]


def test_trn_is_sorted_and_keeps_empty_utterances():
    assert trn({"s-b": "ÉTÉ  ÑO", "s-a": "", "S-c": "X"}) == "X (S-c)\n(s-a)\nÉTÉ ÑO (s-b)\n"


def test_normalised_trn_has_alternatives_and_optional_words(tmp_path):
    path = tmp_path / "glm"
    path.write_text("{ OKAY / O K }\n(UH)\n")
    normaliser = Normaliser(Normalisation(mapping=path))
    assert reference_trn({"u": normaliser.reference("OKAY UH GO")}) == "{ OKAY / O K } (UH) GO (u)\n"
    assert hypothesis_trn({"u": normaliser.hypothesis("O K UH")}) == "O K (UH) (u)\n"
