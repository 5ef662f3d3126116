from steps.scoring.normalisation import Normalisation, Normaliser
from steps.scoring.tables import (
    by_band,
    by_group,
    by_length,
    by_word,
    one_sided,
    out_of_vocabulary,
    substitutions,
)
from steps.scoring.wer import score

REFERENCE = {"a-1": "X B X B C", "a-2": "B", "b-1": "A", "b-2": "", "c-1": "A B C D E F"}
HYPOTHESIS = {"a-1": "X P X P Q", "a-2": "", "b-1": "A Z", "b-2": "Z", "c-1": "A B C D E F"}


def of(reference=REFERENCE, hypothesis=HYPOTHESIS):
    return score(reference, hypothesis)


def test_groups_add_up_to_the_total():
    result = of()
    table = by_group("speakers", result, {"a-1": "a", "a-2": "a", "b-1": "b", "b-2": "b"})
    assert [row[0] for row in table.rows] == ["-", "a", "b", "SUM"]
    columns = dict(zip(table.columns, zip(*table.rows, strict=True), strict=True))
    for name in ("utts", "words", "correct", "sub", "ins", "del", "errors"):
        *parts, total = columns[name]
        assert sum(parts) == total, name
    assert columns["errors"][-1] == result.total.errors == 6
    assert columns["wer"] == (0.0, 100 * 4 / 6, 200.0, 100 * 6 / 13)  # of the sums, not a mean of rates
    assert columns["ser"] == (0.0, 100.0, 100.0, 80.0)


def test_bands_hold_as_many_utterances_and_each_once():
    reference = {f"u{k:02}": "A " * (k + 1) for k in range(20)}
    table = by_length(score(reference, reference))
    assert [(row[0], row[1], row[2]) for row in table.rows] == [
        ("1", "5", 5),
        ("6", "10", 5),
        ("11", "15", 5),
        ("16", "20", 5),
    ]
    same = by_band("rate", score(reference, reference), dict.fromkeys(reference, 2.0), str)
    assert [row[:3] for row in same.rows] == [["2.0", "2.0", 20]]
    assert by_band("noise", score(reference, reference), {}, str).rows == []


def test_the_most_frequent_errors_come_first():
    result = of()
    assert substitutions(result).rows == [[2, "B", "P"], [1, "C", "Q"]]
    assert one_sided(result, "D").rows == [[1, "B"]]
    assert one_sided(result, "I").rows == [[2, "Z"]]


def test_words_by_error_rate_and_those_unseen_in_training():
    rows = by_word(of(), {"A", "B"}).rows
    assert rows == [["B", 4, 3, 75.0, ""], ["C", 2, 1, 50.0, "unseen"]]
    assert {row[-1] for row in by_word(of()).rows} == {""}


def test_words_out_of_the_vocabulary_and_what_was_recognised_there():
    result = score(
        {"a": "GO TO ZANZIBAR NOW", "b": "ZANZIBAR", "c": "TO QUITO"},
        {"a": "GO TO SAND BAR NOW", "b": "", "c": "TO KEY"},
    )
    assert out_of_vocabulary(result, {"GO", "TO", "NOW"}).rows == [
        [2, "ZANZIBAR", "- (1), SAND BAR (1)"],
        [1, "QUITO", "KEY (1)"],
    ]


def test_optional_words_are_no_errors_in_any_table(tmp_path):
    path = tmp_path / "glm"
    path.write_text("(UH)\n")
    result = score(
        {"a": "I UH SEE", "b": "I SEE"}, {"a": "I SEE", "b": "I UH SEE"}, Normaliser(Normalisation(mapping=path))
    )
    assert [t.rows for t in (substitutions(result), one_sided(result, "I"), one_sided(result, "D"))] == [[], [], []]
    assert by_word(result).rows == []


def test_the_text_says_what_was_left_out():
    text = substitutions(of()).text(most=1)
    assert text.splitlines() == [
        "# substitutions",
        "  count  reference    hypothesis",
        "-------  -----------  ------------",
        "      2  B            P",
        "... 1 more",
    ]


def test_words_that_look_like_numbers_stay_as_they_are():
    result = score({"u": "1e5 007"}, {"u": "nan 1.50"})
    assert [line.split() for line in substitutions(result).text().splitlines()[3:]] == [
        ["1", "007", "1.50"],
        ["1", "1e5", "nan"],
    ]
    table = by_band("noise", result, {"u": 12.5}, "{:.1f}".format)
    assert table.text().splitlines()[-1].split()[:2] == ["12.5", "12.5"]
