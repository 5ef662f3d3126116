"""The command, on small decode directories."""

import json

import pytest

from steps.base.errors import InputError
from steps.compare import compare
from steps.scoring.comparison import read_scored
from steps.scoring.files import per_utt_text, reference_trn
from steps.scoring.normalisation import Normalisation, Normaliser
from steps.scoring.wer import score

REFERENCE = {f"u{k}": "ONE TWO THREE FOUR FIVE SIX" for k in range(12)}


@pytest.fixture
def scored(tmp_path):
    def write(name, hypothesis, reference=REFERENCE, model=None, normaliser=Normaliser()):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "per_utt").write_text(per_utt_text(score(reference, hypothesis, normaliser)))
        slots = {utt: normaliser.reference(text) for utt, text in reference.items()}
        (folder / "ref.trn").write_text(reference_trn(slots))
        if model:
            (folder / "decode.json").write_text(json.dumps({"model": model}))
        return folder

    return write


def test_a_difference(scored, capsys):
    worse = {utt: text.replace("THREE", "TREE") if utt < "u9" else text for utt, text in REFERENCE.items()}
    better = REFERENCE | {"u9": "ONE TWO THREE FOUR FIVE SIX SEVEN"}
    compare(scored("a", worse, model="mono"), scored("b", better, model="lstmp"), most=2)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines[2:5]]
    assert [row[:3] for row in rows[:2]] == [["A", "mono", "15.28"], ["B", "lstmp", "1.39"]]
    assert [row[-3:] for row in rows[:2]] == [["11", "/", "72"], ["1", "/", "72"]]
    low, high = float(rows[2][4]), float(rows[2][6])
    assert (rows[2][:4], rows[2][-1]) == (["A", "-", "B", "+13.89"], "+10")
    assert 0 < low < 13.89 < high
    assert lines[6].startswith("matched pairs (MAPSSWE): 12 segments, Z 5.0")
    assert lines[8] == "the systems differ (matched pairs: p < 0.05)"
    assert lines[10] == "lstmp (B) makes fewer errors in 11 utterances, mono (A) in 1, both as many in 0"
    assert lines[12:16] == [
        "u0: errors: A 1, B 0",
        "  ref  ONE TWO THREE FOUR FIVE SIX",
        "  A    ONE TWO TREE FOUR FIVE SIX",
        "  B    ONE TWO THREE FOUR FIVE SIX",
    ]
    assert lines[-1] == "... and 10 more (--most)"


def test_equal_systems(scored, capsys):
    first, second = scored("a", REFERENCE, model="lstmp"), scored("b", REFERENCE, model="lstmp")
    compare(first, second)
    printed = capsys.readouterr().out
    assert "no difference is shown (matched pairs: fewer than 10 segments have errors, too few to test)" in printed
    assert f"A   {first}" in printed  # the models' names do not tell them apart
    assert "both as many in 12" in printed


def test_json(scored, capsys):
    compare(scored("a", {}), scored("b", REFERENCE), json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] == 100
    assert found["test"]["segments"] == 12


def test_speakers_are_drawn(scored, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/utt2spk").write_text("".join(f"{utt} speaker{utt}\n" for utt in sorted(REFERENCE)))
    compare(scored("a", {}), scored("b", REFERENCE), tmp_path / "data")
    assert "95 %, over speakers" in capsys.readouterr().out
    about = {"model": "lstmp", "data": str(tmp_path / "data")}
    (tmp_path / "a/decode.json").write_text(json.dumps(about))  # without --data, those of what was decoded
    compare(tmp_path / "a", tmp_path / "b")
    assert "95 %, over speakers" in capsys.readouterr().out


def test_wrong_input(scored, tmp_path):
    first = scored("a", REFERENCE)
    with pytest.raises(InputError, match="per_utt is missing; score the directory first"):
        compare(first, tmp_path / "none")
    fewer = {utt: REFERENCE[utt] for utt in ("u0", "u1")}
    with pytest.raises(InputError, match="utterance u10 and 9 others are scored for one of the two systems only"):
        compare(first, scored("b", fewer, fewer))
    other = REFERENCE | {"u3": "SEVEN"}
    with pytest.raises(InputError, match="have other references, such as that of utterance u3"):
        compare(first, scored("c", other, other))
    (tmp_path / "a/per_utt").write_text("u0 ref ONE\nu0 hyp ONE\nu0 op C C\n")
    with pytest.raises(InputError, match=r"a/per_utt: the lines of u0 are damaged"):
        compare(first, first)
    (tmp_path / "a/per_utt").write_text("u0 ref ONE\nu0 hup ONE\n")
    with pytest.raises(InputError, match=r"a/per_utt:2: not a line"):
        compare(first, first)


def test_systems_may_have_taken_other_alternatives(scored, tmp_path, capsys):
    (tmp_path / "glm").write_text("{ I'M / I AM }\n(UH)\n")
    normaliser = Normaliser(Normalisation(mapping=tmp_path / "glm"))
    reference = {"u1": "I'M UH HERE", "u2": "ONE"}
    first = scored("a", {"u1": "I AM HERE", "u2": "TWO"}, reference, normaliser=normaliser)
    second = scored("b", {"u1": "I'M UH HERE", "u2": "ONE"}, reference, normaliser=normaliser)
    compare(first, second)
    assert "B) makes fewer errors in 1 utterances" in capsys.readouterr().out
    assert read_scored(first).hypothesis == {"u1": "I AM HERE", "u2": "TWO"}


def test_words_that_look_like_no_word(scored):
    found = read_scored(scored("a", {"u1": "*** B C\u2028", "u2": ""}, {"u1": "*** A *** C\u2028", "u2": ""}))
    assert found.reference == {"u1": "*** A *** C\u2028", "u2": ""}
    assert found.hypothesis == {"u1": "*** B C\u2028", "u2": ""}
