import pytest

from steps.base.errors import InputError
from steps.base.files import write_json
from steps.scoring.report import key, make_row, merge, read_results, table
from steps.scoring.significance import score_interval
from steps.scoring.wer import count_characters, score

DECODE = {
    "model": "mono",
    "set": "test",
    "lm": "bigram",
    "seconds": 3.5,
    "acoustic_scale": 0.1,
    "insertion_penalty": 0.5,
    "seed": 1,
    "audio_seconds": 60.0,
}


def row_of(texts, **more):
    result = score(*texts)
    return make_row(result, count_characters(result), DECODE | more, score_interval(result, {}))


def row(model, name, wer, lm="bigram"):
    return row_of(({"a": "A " * 100}, {"a": "A " * (100 - wer)}), model=model, set=name, lm=lm)


def half(*keys):
    return 0.5


def never(*keys):
    raise AssertionError(f"{keys} are compared")


def test_row():
    texts = {"a": "ONE TWO THREE", "b": "FOUR"}, {"a": "ONE TOO", "b": "FOUR FIVE"}
    low, high, *_ = score_interval(score(*texts), {})
    assert low < 75 < high
    assert merge([], [row_of(texts)], set(), never) == [
        {
            "model": "mono",
            "set": "test",
            "lm": "bigram",
            "wer": 75.0,
            "wer_low": low,
            "wer_high": high,
            "errors": 3,
            "words": 4,
            "sub": 1,
            "ins": 1,
            "del": 1,
            "cer": 100 * (1 + 6 + 5) / (13 + 4),  # W, " THREE", " FIVE"
            "utts": 2,
            "missing": [],
            "seconds": 3.5,
            "acoustic_scale": 0.1,
            "insertion_penalty": 0.5,
            "seed": 1,
            "chosen": False,
            "p_chosen": None,
        }
    ]


def test_utterances_without_a_hypothesis_are_in_the_table():
    texts = {"a": "ONE", "b": "TWO", "c": "THREE"}, {"b": "TWO"}
    lacking = row_of(texts)
    assert lacking["missing"] == ["a", "c"]
    older = {name: value for name, value in row("old", "test", 5).items() if name != "missing"}
    lines = table(merge([older], [lacking], set(), never)).splitlines()
    assert lines[2].rstrip().endswith(" 1 of 3")
    assert lines[3].rstrip().endswith(" 1")


def test_new_rows_replace_old_ones_of_the_same_key_and_others_stay():
    old = merge([], [row("mono", "test", 9), row("old", "test", 8), row("mono", "test", 7, lm="unigram")], set(), never)
    merged = merge(old, [row("mono", "test", 5)], set(), never)
    assert [(*key(r), r["wer"]) for r in merged] == [
        ("bigram", "test", "mono", 5),
        ("bigram", "test", "old", 8),
        ("unigram", "test", "mono", 7),
    ]


def test_dev_chooses_not_test():
    rows = [row("a", "dev", 5), row("a", "test", 9), row("b", "dev", 6), row("b", "test", 1)]
    assert {key(r).model for r in merge([], rows, {"dev"}, half) if r["chosen"]} == {"a"}
    # and again, when another model turns out better
    merged = merge(merge([], rows, {"dev"}, half), [row("c", "dev", 4), row("c", "test", 9)], {"dev"}, half)
    assert [(r["set"], r["model"]) for r in merged if r["chosen"]] == [("dev", "c"), ("test", "c")]


def test_models_are_compared_under_the_same_language_model():
    rows = [row("a", "dev", 5), row("b", "dev", 6), row("a", "dev", 9, "unigram"), row("b", "dev", 8, "unigram")]
    assert [(r["lm"], r["model"]) for r in merge([], rows, {"dev"}, half) if r["chosen"]] == [
        ("bigram", "a"),
        ("unigram", "b"),
    ]


def test_rows_are_compared_with_the_chosen_one_of_their_set():
    rows = [row("a", "dev", 5), row("a", "test", 9), row("b", "dev", 6), row("b", "test", 1)]
    old = merge([], [row("c", "dev", 7)], {"dev"}, never)
    asked = []
    merged = merge(old, rows, {"dev"}, lambda *keys: asked.append(keys) or 0.01)
    assert [(r["model"], r["set"], r["p_chosen"]) for r in merged] == [
        ("a", "dev", None),
        ("b", "dev", 0.01),
        ("c", "dev", None),
        ("a", "test", None),
        ("b", "test", 0.01),
    ]
    assert [(one.model, other.model, one.set, other.set) for one, other in asked] == [
        ("b", "a", "dev", "dev"),
        ("b", "a", "test", "test"),
    ]


def test_without_a_dev_set_nothing_is_chosen():
    rows = merge([], [row("a", "test", 5)], set(), never)
    assert not any(r["chosen"] for r in rows)
    assert "chosen" not in table(rows)


def test_table():
    rows = merge([], [row("mono", "dev", 12), row("lstmp", "dev", 9)], {"dev"}, half)
    rows[0] |= {"wer_low": 8.0, "wer_high": 10.5}
    for name in ("wer_low", "wer_high"):  # as in the results of earlier versions
        del rows[1][name]
    lines = table(rows).splitlines()
    assert " ".join(lines[2].split()) == "bigram dev lstmp * 9.00 8.00 - 10.50 9 / 100 0 0 9 9.05 1"
    assert " ".join(lines[3].split()) == "bigram dev mono 12.00 12 / 100 0 0 12 12.06 1 no, p 0.500"
    chosen = "* chosen: the lowest WER on dev"
    assert lines[4] == f"{chosen}; differs: p < 0.05 in the matched-pairs test on the same utterances"
    for p, shown in ((0.04, "yes, p 0.040"), (1e-5, "yes, p < 0.001"), (0.05, "no, p 0.050")):
        assert table([rows[0], rows[1] | {"p_chosen": p}]).splitlines()[3].endswith(shown)
    del rows[1]["p_chosen"]
    assert table(rows).splitlines()[4] == chosen
    del rows[1]["cer"]  # as in the results of earlier versions
    assert " ".join(table(rows).splitlines()[3].split()) == "bigram dev mono 12.00 12 / 100 0 0 12 1"


def test_results_survive_the_file(tmp_path):
    rows = merge([], [row("mono", "dev", 12), row("é", "dev", 9)], {"dev"}, half)
    write_json(tmp_path / "results.json", rows)
    assert read_results(tmp_path / "results.json") == rows
    assert read_results(tmp_path / "none.json") == []


@pytest.mark.parametrize(
    ("content", "message"), [(b"[{", "not JSON"), (b"\xff", "not JSON"), (b"{}", "not a list"), (b"[1]", "not a list")]
)
def test_broken_results_are_named(tmp_path, content, message):
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"results\.json: {message}"):
        read_results(tmp_path / "results.json")
