import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.corpus.ctm import RecordingPosition, Token, position_in_recording, read_ctm, write_ctm
from steps.corpus.data_dir import DataDir, Segment

SEGMENTS = {"u1": Segment("call", 1.5, 3.0), "u2": Segment("call", 7.25, -1), "u3": Segment("talk", 0.0, 2.0)}
DATA = DataDir(
    Path("data"), {"call": "c.wav", "talk": "t.wav"}, {}, dict.fromkeys(SEGMENTS, "s"), SEGMENTS, {"call": 1}
)


def test_places():
    assert position_in_recording("u1", DATA) == RecordingPosition("call", "B", 1.5)
    assert position_in_recording("u3", DATA) == RecordingPosition("talk", "1", 0.0)
    recordings = DataDir(Path("data"), {"r": "r.wav"}, {}, {"r": "r"})
    assert position_in_recording("r", recordings) == position_in_recording("r") == RecordingPosition("r", "1", 0.0)
    with pytest.raises(InputError, match=r"^data: there is no utterance 'u4', which is aligned; is it another set's"):
        position_in_recording("u4", DATA)


def test_lines(tmp_path):
    path = tmp_path / "new" / "words.ctm"
    tokens = [("u2", Token("später", 0.0, 0.1175, 0.25)), ("u1", Token("b", 0.5, 0.75)), ("u1", Token("a", 0.1, 0.5))]
    write_ctm(
        path,
        [(where := position_in_recording(utterance, DATA), *where.shifted([token])) for utterance, token in tokens],
    )
    assert path.read_text(encoding="utf-8") == (
        "call B 1.6000 0.4000 a 1.0000\ncall B 2.0000 0.2500 b 1.0000\ncall B 7.2500 0.1175 später 0.2500\n"
    )


@given(st.lists(st.floats(0, 3000), min_size=2, max_size=30, unique_by=lambda time: round(time, 3)), st.floats(0, 1))
def test_what_touches_does_so_in_the_file(tmp_path_factory, times, confidence):
    path = tmp_path_factory.mktemp("ctm") / "words.ctm"
    times = sorted(times)
    tokens = [Token(f"w{i}", a, b, confidence) for i, (a, b) in enumerate(pairwise(times))]
    write_ctm(path, [(RecordingPosition("r", "1", 0.0), token) for token in tokens])
    [(key, found)] = read_ctm(path).items()
    assert key == ("r", "1")
    for token, again in zip(tokens, found, strict=True):
        assert again.text == token.text
        assert math.isclose(again.start, token.start, abs_tol=1e-4)
        assert math.isclose(again.confidence, confidence, abs_tol=1e-4)
    for one, other in pairwise(found):
        assert math.isclose(one.end, other.start, abs_tol=1e-9)


def test_other_spaces_than_asciis_are_part_of_words(tmp_path):
    path = tmp_path / "words.ctm"
    write_ctm(path, [(RecordingPosition("r", "1", 0.0), Token("5\u00a0000\u2028\x85", 0.5, 0.75))])
    assert read_ctm(path) == {("r", "1"): [Token("5\u00a0000\u2028\x85", 0.5, 0.75)]}


def test_reading(tmp_path):
    path = tmp_path / "ref.ctm"
    path.write_text(";; by hand\nr A 0.5 .25 one\n\nr B 0 1 x 0.5 lex\nr A 1 0.125 two 0.75\n")
    assert read_ctm(path) == {
        ("r", "A"): [Token("one", 0.5, 0.75), Token("two", 1.0, 1.125, 0.75)],
        ("r", "B"): [Token("x", 0.0, 1.0, 0.5)],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"r 1 0 1 a\nr 1 0 1\n", ":2: 'r 1 0 1' is not 'recording channel start duration token'"),
        (b"r 1 zero 1 a\n", ":1: 'r 1 zero 1 a' is not"),
        (b"r 1 0 1 a sure\n", ":1: 'r 1 0 1 a sure' is not"),
        (b"r 1 2.5 -1 a\n", ":1: it starts at 2.5 s and lasts -1 s; neither can be below 0"),
        (b"r 1 nan 1 a\n", ":1: it starts at nan s"),
        (b"r 1 0 1 sp\xe4t\n", ": not UTF-8 at byte 10"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, content, message):
    path = tmp_path / "ref.ctm"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_ctm(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.ctm: there is no such file"):
        read_ctm(tmp_path / "none.ctm")
