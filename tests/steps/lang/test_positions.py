"""Names of phones without their position; tests/steps/test_prepare_lang.py has the files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.lang.positions import mark, plain_names

BOUNDARIES = "SIL nonword\nSIL_S singleton\nA_B begin\nA_I internal\nA_E end\nA_S singleton\nN_S_B begin\n"


def lang(tmp_path, content):
    (tmp_path / "phones").mkdir()
    (tmp_path / "phones/word_boundary.txt").write_text(content)
    return tmp_path


@given(st.lists(st.text("AB_", min_size=1), min_size=1))
def test_a_mark_a_phone(phones):
    marks = "S" if len(phones) == 1 else "B" + "I" * (len(phones) - 2) + "E"
    assert mark(phones) == tuple(f"{phone}_{letter}" for phone, letter in zip(phones, marks, strict=True))


def test_names_lose_their_position(tmp_path):
    names = plain_names(lang(tmp_path, BOUNDARIES), ["SIL", "SIL_S", "A_B", "A_I", "A_E", "A_S", "N_S_B", "#0"])
    assert list(names.values()) == ["SIL", "SIL", "A", "A", "A", "A", "N_S", "#0"]


def test_suffixes_of_other_phones_stay(tmp_path):
    assert plain_names(tmp_path, ["A_B", "B"]) == {"A_B": "A_B", "B": "B"}
    # Kaldi allows positions for phones that do not tell them
    names = plain_names(lang(tmp_path, "SIL_B nonword\nA begin\nA_B end\n"), ["SIL_B", "A", "A_B"])
    assert list(names.values()) == ["SIL_B", "A", "A_B"]


@pytest.mark.parametrize("line", ["A middle", "A", "A_B begin end"])
def test_positions_that_are_none(tmp_path, line):
    folder = lang(tmp_path, f"SIL nonword\n{line}\n")
    with pytest.raises(InputError, match=rf"word_boundary\.txt:2: '{line}' is not a phone and one of nonword, begin"):
        plain_names(folder, ["A"])
