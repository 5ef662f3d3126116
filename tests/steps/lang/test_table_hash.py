import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.lang.symbols import read_symbols
from steps.lang.table_hash import check_labels, check_same, phones_hash, table_hash, words_hash

SYMBOLS = st.dictionaries(st.text("aäб#0", min_size=1, max_size=3), st.integers(0, 9), max_size=6)


@given(SYMBOLS, SYMBOLS, st.randoms())
def test_two_tables_have_one_hash_if_they_are_the_same(one: dict, other: dict, order: random.Random):
    shuffled = list(one.items())
    order.shuffle(shuffled)
    assert table_hash(dict(shuffled)) == table_hash(one)
    assert (table_hash(one) == table_hash(other)) == (one == other)


@pytest.mark.parametrize(
    "content", [b"<eps> 0\nno 1\nyes 3\n", b"yes 3\r\nno\t1\r\n<eps>  0\r\n", b"\xef\xbb\xbf<eps> 0\nyes 3\nno 1"]
)
def test_lines_do_not_count(content, tmp_path):
    (tmp_path / "words.txt").write_bytes(content)
    assert read_symbols(tmp_path / "words.txt") == {"<eps>": 0, "no": 1, "yes": 3}
    assert words_hash(tmp_path / "words.txt") == table_hash({"<eps>": 0, "no": 1, "yes": 3})


def test_a_lexicon_may_need_more_disambiguation_symbols(tmp_path):
    hashes = []
    for name, more in (("a", ""), ("b", "#1 4\n#2 5\n"), ("c", "#x 4\n")):
        (tmp_path / name).write_text("<eps> 0\nSIL 1\nA 2\n#0 3\n" + more)
        hashes.append(phones_hash(tmp_path / name))
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_is_unknown_is_said_once_and_not_refused(tmp_path, capsys):
    one, other = tmp_path / "words.txt", tmp_path / "G.fst"
    for _ in range(2):
        check_same("tables of words", one, "0123", other, None, "make G again")
        check_same("tables of words", one, "0123", other, "0123", "make G again")
    assert capsys.readouterr().out == (
        f"{one} and {other}: not checked that their tables of words are the same, {other} has no hash of them\n"
    )
    with pytest.raises(
        InputError, match=r"words\.txt and .*G\.fst: their tables of words .* \(hash 0123, 4567\); make G again$"
    ):
        check_same("tables of words", one, "0123", other, "4567", "make G again")


def test_labels_without_a_symbol(tmp_path):
    (tmp_path / "words.txt").write_text("b 7\n<eps> 0\na 2\n")
    check_labels(np.array([0, 7, 2, 7]), tmp_path / "G.fst", tmp_path / "words.txt")
    with pytest.raises(InputError, match=r"G\.fst: its label 3 is not in .*words\.txt; both have to be made together"):
        check_labels(np.array([7, 3]), tmp_path / "G.fst", tmp_path / "words.txt")
