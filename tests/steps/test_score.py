"""The command, on a small work directory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from steps.base.errors import InputError
from steps.score import score
from steps.scoring.normalisation import Normalisation

ROOT = Path(__file__).parents[2]
REFERENCE = {"dev": "d1 ONE TWO\nd2 THREE\n", "test": "t1 FOUR FIVE\nt2 SIX\n"}


def decode(work, folder, directory, text, **more):
    name = directory.partition("_")[2]
    path = work / "exp" / folder / directory
    path.mkdir(parents=True, exist_ok=True)
    path.joinpath("text").write_text(text)
    described = {"model": folder, "set": name, "lm": "bigram", "seconds": 1.5, "seed": 7, "utts": 2}
    path.joinpath("decode.json").write_text(
        json.dumps(described | {"acoustic_scale": 0.1, "insertion_penalty": 0.0} | more)
    )
    return path


@pytest.fixture
def work(tmp_path):
    for name, text in REFERENCE.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "text").write_text(text)
    decode(tmp_path, "mono", "tune_dev", "d1 ONE TWO\nd2 TREE\n")
    decode(tmp_path, "mono", "decode_test", "t1 FOUR FIVE\nt2 SIX\n")
    decode(tmp_path, "lstmp", "tune_dev", "d1 ONE TWO\nd2 THREE\n")
    decode(tmp_path, "lstmp", "decode_test", "t1 FOUR\nt2\n")
    return tmp_path


def results(work):
    return json.loads((work / "exp" / "results.json").read_text())


def test_rows_and_details(work, capsys):
    score(work / "data", work / "exp")
    assert [(r["set"], r["model"], r["errors"], r["chosen"]) for r in results(work)] == [
        ("dev", "lstmp", 0, True),
        ("dev", "mono", 1, False),
        ("test", "lstmp", 2, True),
        ("test", "mono", 0, False),
    ]
    names = "model set lm wer wer_low wer_high errors words sub ins del cer utts missing seconds acoustic_scale"
    assert all(" ".join(row) == f"{names} insertion_penalty seed chosen p_chosen" for row in results(work))
    folder = work / "exp" / "lstmp" / "decode_test"
    assert "t1: [1/2] FOUR (FIVE->*)" in (folder / "wer").read_text()
    assert (folder / "ref.trn").read_text() == "FOUR FIVE (t1)\nSIX (t2)\n"
    assert (folder / "hyp.trn").read_text() == "FOUR (t1)\n(t2)\n"
    details = json.loads((folder / "summary.json").read_text())
    assert details["wer"] == pytest.approx(200 / 3)
    assert details["sentence_errors"] == 2
    assert details["wer_low"] < details["wer"] <= details["wer_high"]
    assert details["cer"] == pytest.approx(100 * (len(" FIVE") + len("SIX")) / (len("FOUR FIVE") + len("SIX")))
    printed = capsys.readouterr().out
    assert "lstmp *" in printed
    assert str(folder / "wer") in printed
    assert printed.endswith("results.json\n")


def test_scoring_again_changes_nothing(work):
    score(work / "data", work / "exp")
    before = {p: p.read_bytes() for p in work.rglob("*") if p.is_file()}
    score(work / "data", work / "exp")
    assert {p: p.read_bytes() for p in work.rglob("*") if p.is_file()} == before


def test_another_language_model_adds_rows(work):
    score(work / "data", work / "exp")
    description = work / "exp" / "mono" / "decode_test" / "decode.json"
    description.write_text(description.read_text().replace("bigram", "unigram"))
    score(work / "data", work / "exp")
    assert [(r["lm"], r["set"], r["model"]) for r in results(work)][-2:] == [
        ("bigram", "test", "mono"),
        ("unigram", "test", "mono"),
    ]


def test_missing_hypothesis_is_said(work, capsys):
    decode(work, "tri", "decode_test", "t1 FOUR FIVE\n")
    score(work / "data", work / "exp")
    assert "tri/decode_test: 1 of 2 utterances have no hypothesis and count as deleted: t2" in capsys.readouterr().out


def test_utterances_that_could_not_be_used_count_as_deleted(work, capsys):
    (work / "data/test/left_out").write_text("t3 SEVEN EIGHT\n")
    score(work / "data", work / "exp")
    [row] = [row for row in results(work) if (row["model"], row["set"]) == ("mono", "test")]
    assert (row["words"], row["del"], row["errors"], row["utts"], row["missing"]) == (5, 2, 2, 3, ["t3"])
    printed = capsys.readouterr().out
    assert "mono/decode_test: 1 of 3 utterances have no hypothesis and count as deleted: t3" in printed
    assert " 2 of 3\n" in printed
    assert (work / "exp/mono/decode_test/hyp.trn").read_text() == "FOUR FIVE (t1)\nSIX (t2)\n(t3)\n"


def test_roles(work, capsys):
    """decode.json says what a decoding is for; the directory's name only where it does not."""
    decode(work, "mono", "first_test", "t1 FOUR\n", role="pass")
    decode(work, "mono", "decode_other_pass", "t1 FOUR\n", set="test", role="pass")
    decode(work, "tri", "second_test", "t1 FOUR\n")  # as earlier versions named the second of three passes
    decode(work, "sat", "best_dev", "d1 ONE TWO\nd2 THREE\n", set="dev", role="tune")
    decode(work, "sat", "final", "t1 FOUR FIVE\nt2 SIX\n", set="test", role="test")
    for directory in ("mono/tune_dev", "lstmp/tune_dev"):
        (work / "exp" / directory / "decode.json").unlink()
    score(work / "data", work / "exp")
    assert [(r["set"], r["model"], r["errors"], r["chosen"]) for r in results(work)] == [
        ("dev", "sat", 0, True),
        ("test", "lstmp", 2, False),
        ("test", "mono", 0, False),
        ("test", "sat", 0, True),
    ]


def test_unfinished_directories_and_untranscribed_sets_are_left_out(work, capsys):
    decode(work, "mono", "decode_test.partial", "")
    decode(work, "mono", "decode_test.old", "")
    decode(work, "mono.old", "decode_test", "", model="mono")
    decode(work, "mono", "decode_new", "n1 SEVEN\n")
    score(work / "data", work / "exp")
    assert {row["set"] for row in results(work)} == {"dev", "test"}
    assert "decode_new: not scored, there is no" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("directory", "text", "more", "message"),
    [
        ("decode_test", "", {}, "tri/decode_test/text: no utterance was decoded"),
        (
            "decode_b",
            "t1 FOUR\n",
            {"set": "test", "model": "mono"},
            "both hold set test of model mono .* bigram; remove",
        ),
    ],
)
def test_wrong_input(work, directory, text, more, message):
    decode(work, "tri", directory, text, **more)
    with pytest.raises(InputError, match=message):
        score(work / "data", work / "exp")


def test_what_was_decoded_from_other_data_is_left_out(work, capsys):
    score(work / "data", work / "exp")
    assert {row["model"] for row in results(work) if row["chosen"]} == {"lstmp"}
    for name in ("dev", "test"):
        (work / "data" / name / "text").write_text({"dev": "d1 ONE TWO\n", "test": "t1 FOUR FIVE\n"}[name])
    decode(work, "mono", "tune_dev", "d1 ONE TWO\n")
    decode(work, "mono", "decode_test", "t1 FOUR FIVE\n")
    score(work / "data", work / "exp")
    assert [(row["set"], row["model"], row["chosen"]) for row in results(work)] == [
        ("dev", "mono", True),
        ("test", "mono", True),
    ]
    printed = capsys.readouterr().out
    assert "lstmp/tune_dev: not scored, it was decoded from other data: 1 of its utterances, the first is d2" in printed
    decode(work, "mono", "tune_dev", "d9 ONE TWO\n")
    decode(work, "mono", "decode_test", "t9 FOUR FIVE\n")
    with pytest.raises(InputError, match="all that was decoded is of other data than"):
        score(work / "data", work / "exp")


def test_incomplete_description(work):
    (work / "exp" / "mono" / "tune_dev" / "decode.json").write_text('{"model": "mono", "set": "dev", "lm": "bigram"}')
    message = r"tune_dev/decode\.json: lacks seconds, acoustic_scale, insertion_penalty, seed; decode the set again"
    with pytest.raises(InputError, match=message):
        score(work / "data", work / "exp")


def test_what_is_recognised_in_an_empty_reference_is_inserted(work):
    (work / "data" / "test" / "text").write_text("t1 FOUR FIVE\nt2\n")
    score(work / "data", work / "exp")
    [row] = [row for row in results(work) if (row["model"], row["set"]) == ("mono", "test")]
    assert (row["words"], row["ins"], row["errors"]) == (2, 1, 1)


def test_nothing_decoded(tmp_path):
    with pytest.raises(InputError, match=r"no model has decoded a set of .*; decode first"):
        score(tmp_path, tmp_path)


def test_command_starts_without_torch(work):
    code = (
        "import sys; from steps.base.cli import command; from steps.score import score; "
        f"command(score, [{str(work / 'data')!r}, {str(work / 'exp')!r}]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    assert len(results(work)) == 4


def test_groups_speakers_and_what_is_known_of_the_utterances(work):
    """Files of the data directory become tables; those of the features are found by decode.json."""
    test = work / "data/test"
    (test / "utt2spk").write_text("t1 anna\nt2 bert\n")
    (test / "spk2gender").write_text("anna f\nbert m\n")
    (test / "utt2accent").write_text("t1 north\n")
    (work / "data/train").mkdir()
    (work / "data/train/text").write_text("a SIX FOUR\n")
    feats = work / "data/feats/test/fbank"
    feats.mkdir(parents=True)
    (feats / "utt2dur").write_text("t1 1.0\nt2 0.5\n")
    (feats / "utt2snr").write_text("t1 20.0\nt2 12.5\n")
    graph = work / "graph"
    graph.mkdir()
    (graph / "words.txt").write_text("<eps> 0\nFOUR 1\nSIX 2\n#0 3\n")
    folder = decode(work, "lstmp", "decode_test", "t1 FOUR\nt2\n", data=str(feats.parent), graph=str(graph))
    score(work / "data", work / "exp")
    written = {"wer", "per_utt", "per_spk", "per_gender", "per_accent", "ops", "ref.trn", "hyp.trn", "summary.json"}
    assert {p.name for p in folder.iterdir()} == {"text", "decode.json", *written}
    assert (folder / "per_gender").read_text().splitlines()[1].split()[:4] == ["f", "raw", "1", "2"]
    groups = [line.split()[0] for line in (folder / "per_accent").read_text().splitlines()[1::2]]
    assert groups == ["-", "north", "SUM"]
    tables = {table["title"]: table["rows"] for table in json.loads((folder / "summary.json").read_text())["tables"]}
    assert [row[:3] for row in tables["errors by speaking rate, words a second"]] == [["2.00", "2.00", 2]]
    assert [row[:3] for row in tables["errors by signal-to-noise ratio, dB"]] == [
        ["12.5", "12.5", 1],
        ["20.0", "20.0", 1],
    ]
    assert tables["words by error rate"] == [["FIVE", 1, 1, 100.0, "unseen"], ["SIX", 1, 1, 100.0, ""]]
    assert tables["words that are not in the vocabulary"] == [[1, "FIVE", "- (1)"]]
    (feats / "utt2dur").write_text("t1 long\n")
    with pytest.raises(InputError, match="utt2dur: 'long' of t1 is no number"):
        score(work / "data", work / "exp")


def test_normalisation(work, tmp_path):
    (tmp_path / "glm").write_text("{ FIVE / FIFE }\n")
    decode(work, "mono", "decode_test", "t1 four fife\nt2 six.\n")
    score(work / "data", work / "exp", Normalisation(mapping=tmp_path / "glm", case="lower", punctuation="remove"))
    [row] = [row for row in results(work) if (row["model"], row["set"]) == ("mono", "test")]
    assert (row["words"], row["errors"]) == (3, 0)
    folder = work / "exp/mono/decode_test"
    assert (folder / "text").read_text() == "t1 four fife\nt2 six.\n"  # as it was recognised
    assert (folder / "ref.trn").read_text() == "four { five / fife } (t1)\nsix (t2)\n"
    assert (folder / "hyp.trn").read_text() == "four fife (t1)\nsix (t2)\n"


def test_the_chosen_model_is_compared_with_the_others(work):
    reference = {f"t{k:02}": "ONE TWO THREE" for k in range(30)}
    (work / "data/test/text").write_text("".join(f"{utt} {text}\n" for utt, text in reference.items()))
    for model, wrong in (("lstmp", 2), ("mono", 20)):
        texts = {utt: text if k >= wrong else "ONE" for k, (utt, text) in enumerate(reference.items())}
        decode(work, model, "decode_test", "".join(f"{utt} {text}\n" for utt, text in texts.items()))
    score(work / "data", work / "exp")
    found = {(row["model"], row["set"]): row["p_chosen"] for row in results(work)}
    assert found.pop(("mono", "test")) < 0.001
    assert set(found.values()) == {None}  # dev has one error: too little to test


def test_a_speaker_without_words_has_no_rate_and_a_set_without_is_an_error(work):
    (work / "data/test/utt2spk").write_text("t1 anna\nt2 bert\n")
    (work / "data/test/text").write_text("t1 FOUR FIVE\nt2\n")
    score(work / "data", work / "exp")
    folder = work / "exp/mono/decode_test"
    tables = {table["title"]: table["rows"] for table in json.loads((folder / "summary.json").read_text())["tables"]}
    assert [row[-2] for row in tables["errors by speaker"]] == [0.0, None, 50.0]
    (work / "data/test/text").write_text("t1\nt2\n")
    with pytest.raises(InputError, match="test/text: none of its transcripts has a word"):
        score(work / "data", work / "exp")
