"""The yardstick's own parts: configurations, the held-out quarter, exchanged sets, rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from steps.corpus.data_dir import DataDir
from tests.bench import accuracy_log
from tests.bench.accuracy import best_gmms, exchange, letters_of, read_config, read_table_of_configs, versus
from tests.bench.accuracy_corpora import held_out
from tests.bench.accuracy_log import Row, add, read_letters, read_rows


def row(config: str, corpus: str, dev: int, system: str = "") -> Row:
    errors, words = {"dev": dev, "held": 0}, {"dev": 40, "held": 1}
    return Row(config, system or config, "k", corpus, 1, "abc", "2026-11-28", "a trial", words, errors, {}, {})


def test_every_configuration_can_be_read() -> None:
    table = read_table_of_configs()
    keys = [read_config(name, table).key for name in table]
    assert len(set(keys)) == len(keys)


def test_configuration_takes_what_it_does_not_say_from_the_one_it_is_like() -> None:
    table = {
        "base": {"why": "b", "run": ["--gmm", "tri"], "model": {"cells": 8, "delay": 5}},
        "other": {"why": "o", "like": "base", "model": {"delay": 2}, "training": {"epochs": 3}},
    }
    other = read_config("other", table)
    assert other.parts == {"model": {"cells": 8, "delay": 2}, "training": {"epochs": 3}}
    assert (other.run, other.gmms) == (["--gmm", "tri"], ("mono", "tri"))
    with pytest.raises(SystemExit, match="unknown keys modl"):
        read_config("wrong", {"wrong": {"why": "w", "modl": {}}})


def test_a_quarter_of_the_speakers_or_sentences_is_held_out() -> None:
    utterances = [f"u{k:02}" for k in range(32)]
    data = DataDir(
        Path("x"),
        {utt: "x.wav" for utt in utterances},
        {utt: f"sentence {k // 2}" for k, utt in enumerate(utterances)},
        {utt: f"s{k // 4}" for k, utt in enumerate(utterances)},
    )
    by_sentence, by_speaker = (held_out(data, by_speaker) for by_speaker in (False, True))
    assert len(by_sentence) == len(by_speaker) == 8
    assert len({data.text[utt] for utt in by_sentence}) == 4
    assert len({data.utt2spk[utt] for utt in by_speaker}) == 2


def test_sets_are_exchanged_in_a_command() -> None:
    folder = Path("/w")
    command = ["-m", "--tuned", "/w/exp/a/tune_bigram_dev", "/w/data/feats/held", "/w/exp/a/decode_bigram_held"]
    expected = ["-m", "--tuned", "/w/swapped/exp/a/tune_bigram_held", "/w/data/feats/dev"]
    assert [exchange(word, folder) for word in command] == [*expected, "/w/swapped/exp/a/decode_bigram_dev"]
    assert exchange("/other/dev", folder) == "/other/dev"


RESULTS = [("a", 5, "mono"), ("a", 4, "sat"), ("b", 3, "mono"), ("b", 3, "tri")]


def test_best_gmm_is_chosen_on_dev_corpus_by_corpus() -> None:
    rows = [
        row("gmm", "a", 5, "mono"),
        row("gmm", "a", 4, "sat"),
        row("gmm", "b", 3, "mono"),
        row("gmm", "b", 3, "tri"),
    ]
    assert {r.corpus: r.system for r in best_gmms(rows)} == {"a": "sat", "b": "mono"}


def test_rows_are_kept_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy_log, "ROWS", tmp_path / "rows")
    monkeypatch.setattr(accuracy_log, "LETTERS", tmp_path / "letters")
    worse, better = row("one", "a", 20), row("two", "a", 10)
    # a word in error is further from the next one than the two right words that end a segment of the test
    add(
        [
            (worse, {"dev": " ".join(["CSCCSC"] * 10), "held": "C"}),
            (better, {"dev": " ".join(["CCCCSC"] * 10), "held": "C"}),
        ]
    )
    assert list(read_rows().values()) == [worse, better]
    assert versus([worse], [better], read_letters()).startswith("-50.0%, p ")
    add([(replace(better, commit="def"), {"dev": "C", "held": "C"})])
    assert [r.commit for r in read_rows().values()] == ["abc", "def"]


def test_letters_are_in_the_order_of_the_utterances(tmp_path: Path) -> None:
    (tmp_path / "ref").write_text("a one two\nb three\nc\n")
    (tmp_path / "hyp").write_text("a one\nb four\nc five\n")
    assert letters_of(tmp_path / "ref", tmp_path / "hyp") == "CD S I"
