import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.corpus.tables import read_table, scan_table, write_table

WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n"), min_size=1).filter(
    lambda word: not word.startswith("\ufeff")
)


@settings(deadline=None)
@given(table=st.dictionaries(WORD, st.lists(WORD).map(" ".join)))
def test_what_is_written_is_read(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("tables") / "text"
    write_table(path, table)
    assert read_table(path) == table
    assert list(read_table(path)) == sorted(table)
    lines = path.read_bytes().splitlines()
    assert lines == sorted(lines, key=lambda line: line.split(b" ")[0])  # as LC_ALL=C sort has it


def test_order_of_the_file_and_white_space(tmp_path):
    path = tmp_path / "text"
    path.write_text("b  one \t two \na\nc x\n")
    assert list(read_table(path).items()) == [("b", "one two"), ("a", ""), ("c", "x")]
    assert read_table(path, verbatim=True)["b"] == "one \t two"


def test_other_spaces_than_asciis_separate_nothing(tmp_path):
    path = tmp_path / "wav.scp"
    path.write_bytes("a\u00a0b \u3000x\u2028y.wav\x0b z\n".encode())
    assert read_table(path) == read_table(path, verbatim=True) == {"a\u00a0b": "\u3000x\u2028y.wav\x0b z"}
    for blank in " \t\n\r":
        with pytest.raises(InputError, match="holds white space"):
            write_table(path, {f"a{blank}b": "x"})


def test_bom_crlf_and_blank_lines_are_read_and_reported(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("\ufeffa één\r\n\r\nb two\r\n".encode())
    assert read_table(path) == {"a": "één", "b": "two"}
    _, faults = scan_table(path)
    assert [(fault.line, fault.message, fault.lost) for fault in faults] == [
        (1, "3 lines end with CRLF", False),
        (1, "begins with a byte order mark (BOM)", False),
        (2, "the line is blank", False),
    ]


@pytest.mark.parametrize(
    ("content", "verbatim", "other"),
    [
        ("u1 a b\nu1  a b\n", False, False),
        ("u1 a b\nu1\ta\t b \r\n", False, False),
        ("u1 a b\nu1 ab\n", False, True),
        ("u1 a b.wav\nu1 \ta b.wav \n", True, False),
        ("u1 a b.wav\nu1 a  b.wav\n", True, True),
        ("u1\nu1 \n", False, False),
    ],
)
def test_a_repeated_entry_is_the_same_with_other_blanks(tmp_path, content, verbatim, other):
    path = tmp_path / "text"
    path.write_bytes(content.encode())
    [fault] = [fault for fault in scan_table(path, verbatim=verbatim)[1] if "duplicate" in fault.message]
    message = f"duplicate id 'u1', first in line 1{' with another entry' if other else ''}"
    assert fault == (2, message, True, other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a one\nb two\na three\n", r"text:3: duplicate id 'a', first in line 1 with another entry$"),
        ("a one\nb déjà\n".encode("latin-1"), r"text:2: line 2 is not UTF-8 \(byte 0xe9\)$"),
        (b"a one\nb\n", r"text:2: 'b' has 1 field\(s\) where at least 2 are needed$"),
    ],
)
def test_refused(tmp_path, content, message):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(path, min_fields=2)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing: there is no such file$"):
        read_table(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a b": "c"}, "the id 'a b' is empty or holds white space"),
        ({"": "c"}, "the id '' is empty or holds white space"),
        ({"a": "b\nc"}, "the entry of 'a' holds a line break"),
    ],
)
def test_what_no_table_can_hold(tmp_path, table, message):
    with pytest.raises(InputError, match=message):
        write_table(tmp_path / "text", table)
    assert not (tmp_path / "text").exists()
