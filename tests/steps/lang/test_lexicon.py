import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.lang.lexicon import add_lex_disambig, read_dict_dir
from steps.lang.lexicon_file import Entry, read_lexicon
from steps.lang.symbols import read_symbols, word_symbols, write_symbols


def write(path, text):
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def dict_dir(path, **files):
    contents = {
        "lexicon": "<UNK> SPN\nyes Y EH S\nno N OW\n",
        "silence_phones": "SIL\nSPN\n",
        "nonsilence_phones": "Y\nEH S\nN OW\n",
        "optional_silence": "SIL\n",
        **files,
    }
    for name, text in contents.items():
        write(path / f"{name}.txt", text)
    return path


def test_variants_and_probabilities(tmp_path):
    plain = read_lexicon(write(tmp_path / "lexicon.txt", "a AH\na  EY\nb\tB IY\n\n"))
    assert plain == [("a", 1.0, ("AH",)), ("a", 1.0, ("EY",)), ("b", 1.0, ("B", "IY"))]
    assert read_lexicon(write(tmp_path / "lexiconp.txt", "a 0.25 AH\na 1 EY\n")) == [
        ("a", 0.25, ("AH",)),
        ("a", 1.0, ("EY",)),
    ]


def test_bom_and_crlf(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_bytes("\ufeffmañana M A\r\nno N OW\r\n".encode())
    assert [entry.word for entry in read_lexicon(path)] == ["mañana", "no"]


def test_repeated_entries_are_dropped_and_said(tmp_path, capsys):
    path = write(tmp_path / "lexicon.txt", "a AH\nb B\na AH\na EY\n")
    assert [entry.phones for entry in read_lexicon(path)] == [("AH",), ("B",), ("EY",)]
    assert "1 entries repeat an earlier one and were dropped: a (line 3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("lexicon.txt", "a AH\nb\n", "lexicon.txt:2: the word 'b' has no phones"),
        ("lexicon.txt", "\n", "lexicon.txt: the lexicon is empty"),
        ("lexicon.txt", "a AH\n#0 B\n", "lexicon.txt:2: the word '#0' is reserved"),
        ("lexicon.txt", "<eps> B\n", "'<eps>' is reserved"),
        ("lexicon.txt", "<s> B\n", "'<s>' is reserved"),
        ("lexicon.txt", "</s> B\n", "'</s>' is reserved"),
        (";;;.txt", ";;; AH\n", r";;;.txt:1: the word ';;;' is reserved"),
        ("lexicon.txt", "a AH\n# remark\n", r"lexicon.txt:2: the word '#' is reserved"),
        ("lexicon.txt", "a AH #1\n", r"lexicon.txt:1: the phone '#1' of 'a' is reserved"),
        ("lexicon.txt", "a <eps>\n", r"lexicon.txt:1: the phone '<eps>' of 'a' is reserved"),
        ("lexicon.txt", "a 0.5 AH\n", r"lexicon.txt:1: '0.5' is among the phones of 'a'"),
        ("lexiconp.txt", "a 0 AH\n", "lexiconp.txt:1: .* above 0 and up to 1"),
        ("lexiconp.txt", "a 1.5 AH\n", "'a 1.5 AH' .* above 0 and up to 1"),
        ("lexiconp.txt", "a nan AH\n", "above 0 and up to 1"),
        ("lexiconp.txt", "a AH\n", "'a AH' .*a lexicon without probabilities is named lexicon.txt"),
        ("lexiconp.txt", "a 0.5\n", "lexiconp.txt:1: the word 'a' has no phones"),
    ],
)
def test_bad_lexicons(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        read_lexicon(write(tmp_path / name, text))


def test_lexicon_that_is_not_utf8(tmp_path):
    (tmp_path / "lexicon.txt").write_bytes(b"a AH\nma\xf1ana M\n")
    with pytest.raises(InputError, match=r"lexicon.txt:2: not UTF-8 \(byte 0xf1\)"):
        read_lexicon(tmp_path / "lexicon.txt")


def test_dict_dir(tmp_path):
    dictionary = read_dict_dir(dict_dir(tmp_path))
    assert dictionary.silence_phones == ["SIL", "SPN"]
    assert dictionary.nonsilence_phones == ["Y", "EH", "S", "N", "OW"]  # several on a line are phones all
    assert dictionary.optional_silence == "SIL"
    write(tmp_path / "lexiconp.txt", "yes 0.5 Y EH S\n")
    assert read_dict_dir(tmp_path).lexicon == [("yes", 0.5, ("Y", "EH", "S"))]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"lexicon": "yes Y EH S\nno N OU\n"},
            r"neither silence_phones.txt nor nonsilence_phones.txt lists: OU \(in no\)",
        ),
        ({"nonsilence_phones": "Y EH S N OW SPN\n"}, "SPN in silence_phones.txt and in nonsilence_phones.txt"),
        ({"nonsilence_phones": "Y EH\nS N OW Y\n"}, "nonsilence_phones.txt:2: the phone 'Y' is listed twice"),
        ({"nonsilence_phones": "Y EH S N OW #1\n"}, "nonsilence_phones.txt:1: the phone '#1' is reserved"),
        ({"silence_phones": "\n"}, "silence_phones.txt: no phone is listed"),
        (
            {"optional_silence": "SIL SPN\n"},
            "optional_silence.txt: holds SIL, SPN, but has to hold one of silence_phones",
        ),
        ({"optional_silence": "Y\n"}, "optional_silence.txt: holds Y, but"),
    ],
)
def test_bad_dict_dirs(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        read_dict_dir(dict_dir(tmp_path, **files))


def test_marked_variants_in_a_dict_dir_are_warned_of(tmp_path, capsys):
    words = [entry.word for entry in read_dict_dir(dict_dir(tmp_path, lexicon="no N OW\nno(2) N\nyes(1) Y\n")).lexicon]
    assert words == ["no", "no(2)", "yes(1)"]
    assert "lexicon.txt: warning: 1 words look like marked variants, such as no(2); in" in capsys.readouterr().out


def test_phones_in_two_unicode_forms(tmp_path):
    dictionary = read_dict_dir(dict_dir(tmp_path, lexicon="a a\u0303\n", nonsilence_phones="\u00e3\n"))
    assert dictionary.lexicon == [("a", 1.0, ("\u00e3",))]
    with pytest.raises(InputError, match=r"nonsilence_phones.txt:1: the phone 'a\u0303' is listed twice"):
        read_dict_dir(dict_dir(tmp_path, nonsilence_phones="\u00e3 a\u0303\n"))


def test_missing_dict_dir_and_file(tmp_path):
    with pytest.raises(InputError, match="there is no such dict directory"):
        read_dict_dir(tmp_path / "dict")
    dict_dir(tmp_path)
    (tmp_path / "optional_silence.txt").unlink()
    with pytest.raises(InputError, match=r"optional_silence.txt: there is no such file"):
        read_dict_dir(tmp_path)


PHONES = st.lists(st.sampled_from("ABC"), min_size=1, max_size=4).map(tuple)
LEXICON = st.lists(st.builds(Entry, st.sampled_from(["u", "v", "w", "x", "y"]), st.just(1.0), PHONES), min_size=1)


@settings(deadline=None)
@given(lexicon=LEXICON.map(lambda entries: list(dict.fromkeys(entries))))
def test_no_marked_pronunciation_begins_another(lexicon):
    marked, highest = add_lex_disambig(lexicon)
    phones = [entry.phones for entry in marked]
    assert not any(i != j and a == b[: len(a)] for i, a in enumerate(phones) for j, b in enumerate(phones))
    assert [entry._replace(phones=tuple(p for p in entry.phones if p[0] != "#")) for entry in marked] == lexicon
    used = {int(p[1:]) for entry in marked for p in entry.phones if p[0] == "#"}
    assert used == set(range(1, highest + 1))
    for before, after in zip(lexicon, marked, strict=True):
        others = [entry.phones for entry in lexicon if entry is not before]
        needed = any(before.phones == other[: len(before.phones)] for other in others)
        assert (before.phones != after.phones) == needed


def test_symbols_are_written_and_read(tmp_path):
    symbols = word_symbols(["b", "a", "é", "<UNK>", "Z"])
    assert list(symbols) == ["<eps>", "<UNK>", "Z", "a", "b", "é", "#0", "<s>", "</s>"]
    write_symbols(tmp_path / "words.txt", symbols)
    assert read_symbols(tmp_path / "words.txt") == symbols


@pytest.mark.parametrize("text", ["a 0\nb\n", "a 0\nb 0\n", "a 0\na 1\n", "a 0\nb x\n"])
def test_bad_symbols(tmp_path, text):
    with pytest.raises(InputError, match=re.escape("words.txt:2: ")):
        read_symbols(write(tmp_path / "words.txt", text))
