import pytest

from steps.corpus.ctm import Timed, read_ctm, write_ctm
from steps.errors import InputError

UTTERANCES = {"b": [Timed(0, 0.342, "SIL"), Timed(0.342, 0.05, "ж"), Timed(0.392, 1.0, "a")], "a": [Timed(0.1, 0, "x")]}


def test_what_is_written_is_read(tmp_path):
    write_ctm(tmp_path / "deep/phones.ctm", UTTERANCES)
    assert (tmp_path / "deep/phones.ctm").read_text(encoding="utf-8").splitlines()[:2] == [
        "a 1 0.100 0.000 x",
        "b 1 0.000 0.342 SIL",
    ]
    assert read_ctm(tmp_path / "deep/phones.ctm") == UTTERANCES


def test_confidences_are_left_out(tmp_path):
    (tmp_path / "words.ctm").write_text("a A 0.5 0.25 yes 0.99\n")
    assert read_ctm(tmp_path / "words.ctm") == {"a": [Timed(0.5, 0.25, "yes")]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a 1 0.5 yes", "'a 1 0.5 yes' is not 'utterance channel start duration token'"),
        ("", "'' is not 'utterance channel start duration token'"),
        ("a 1 zero 0.5 yes", "is not 'utterance channel start duration token'"),
        ("a 1 0.5 -0.1 yes", "holds a time that is negative or not a finite number"),
        ("a 1 nan 0.1 yes", "holds a time that is negative or not a finite number"),
        ("a 1 0.1 0.2 yes", "'yes' of utterance a starts at 0.1 s, but the one above it at 0.4 s"),
    ],
)
def test_bad_lines(tmp_path, line, message):
    (tmp_path / "words.ctm").write_text(f"a 1 0.4 0.2 no\n{line}\n")
    with pytest.raises(InputError, match=f"words.ctm:2: .*{message}"):
        read_ctm(tmp_path / "words.ctm")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.ctm: there is no such file"):
        read_ctm(tmp_path / "none.ctm")
