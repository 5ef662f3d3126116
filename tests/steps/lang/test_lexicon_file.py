import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.lang.lexicon_file import read_any_lexicon, read_lexicon

PLAIN, WITH_PROBS = "'word phone phone ...'", "'word probability phone phone ...'"


def read(tmp_path, text, name="my.dict"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    entries, form = read_any_lexicon(path)
    return [(entry.word, entry.prob, " ".join(entry.phones)) for entry in entries], form


@pytest.mark.parametrize(
    ("text", "entries", "form"),
    [
        ("one W AH N\n\ntwo T UW\n", [("one", 1, "W AH N"), ("two", 1, "T UW")], PLAIN),
        ("\ufeffone  W AH N\r\nma\u00f1ana\tM\r\n", [("one", 1, "W AH N"), ("ma\u00f1ana", 1, "M")], PLAIN),
        ("1 W AH N\n2.5 T UW\n", [("1", 1, "W AH N"), ("2.5", 1, "T UW")], PLAIN),  # words may be numbers
        ("deux d 2\noeuf 9 f\n", [("deux", 1, "d 2"), ("oeuf", 1, "9 f")], PLAIN),  # and phones one digit
        ("oeufs 2\noeuf 9 f\n", [("oeufs", 1, "2"), ("oeuf", 1, "9 f")], PLAIN),
        ("a 0.7 AH\na 3e-1 EY\nb 1 B\n", [("a", 0.7, "AH"), ("a", 0.3, "EY"), ("b", 1, "B")], WITH_PROBS),
        ("a 1.0\tAH\nb .5\tB IY\nc 1\tC\n", [("a", 1, "AH"), ("b", 0.5, "B IY"), ("c", 1, "C")], WITH_PROBS),
        ("a\t0.5\tAH\nb\t1\tB\n", [("a", 0.5, "AH"), ("b", 1, "B")], WITH_PROBS),
        ("oeufs 0.9 2\noeuf 1.0 9 f\n", [("oeufs", 0.9, "2"), ("oeuf", 1, "9 f")], WITH_PROBS),
        (
            "a\t0.99\t0.2\t1.0\t1.5\tAH\nb\t0.5\t0.1\t1.0\t0.9\tB IY\n",
            [("a", 0.99, "AH"), ("b", 0.5, "B IY")],
            f"{WITH_PROBS}; 3 more columns of numbers left out (of silence, as in MFA's dictionaries)",
        ),
        (
            "a\t0.99\tAH\noeufs\t2\nb\tB IY\n",
            [("a", 0.99, "AH"), ("oeufs", 1, "2"), ("b", 1, "B IY")],
            f"{WITH_PROBS}; 2 lines without numbers, which get probability 1",
        ),
        (
            ";;; # CMUdict\n#SHARP-SIGN  SH AA1 R P\n;SEMI-COLON  S EH1\nREAD  R EH1 D # past\nREAD(1)  R IY1 D\n",
            [
                ("#SHARP-SIGN", 1, "SH AA1 R P"),
                (";SEMI-COLON", 1, "S EH1"),
                ("READ", 1, "R EH1 D"),
                ("READ", 1, "R IY1 D"),
            ],
            f"{PLAIN}; 1 words marked as variants, such as READ(1); 2 remarks left out, such as ';;; # CMUdict'",
        ),
        (
            "# mine\n#another\none W AH N #1st\none(2) HH W\n",
            [("one", 1, "W AH N"), ("one", 1, "HH W")],
            f"{PLAIN}; 1 words marked as variants, such as one(2); 3 remarks left out, such as '# mine'",
        ),
        ("-1 M\n50% P\n", [("-1", 1, "M"), ("50%", 1, "P")], PLAIN),  # these are words
        ("a \tAH\nb\tB\tIY\n", [("a", 1, "AH"), ("b", 1, "B IY")], PLAIN),
        ("New York\tN\nb B\n", [("New", 1, "York N"), ("b", 1, "B")], PLAIN),  # no tab in every line
        (
            "10\u00a0000 T EH N\n",
            [("10\u00a0000", 1, "T EH N")],
            rf"{PLAIN}; 1 words with a space within that is not ASCII's, such as 10\u00a0000",
        ),
    ],
)
def test_forms(tmp_path, text, entries, form):
    assert read(tmp_path, text) == (entries, form)


def test_repeated_entries_are_dropped_and_said(tmp_path, capsys):
    assert read(tmp_path, "a 0.7 AH\nb 1.0 B\na 0.5 AH\n")[0] == [("a", 0.7, "AH"), ("b", 1, "B")]
    assert "my.dict: 1 entries repeat an earlier one and were dropped: a (line 3)" in capsys.readouterr().out


def test_what_looks_like_a_variant_of_nothing_stays_a_word(tmp_path, capsys):
    assert read(tmp_path, "read(1) R EH D\nread(2) R IY D\n")[0][1] == ("read(2)", 1, "R IY D")
    assert "not in the file, and stay words: read(1) (line 1), read(2) (line 2)" in capsys.readouterr().out


def test_unicode_forms_of_a_word_are_one(tmp_path, capsys):
    entries, _ = read(tmp_path, "e\u0301te\u0301 a\u0303\n\u00e9t\u00e9 \u00e3\n\u00e9t\u00e9 e\n")
    assert entries == [("e\u0301te\u0301", 1, "a\u0303"), ("e\u0301te\u0301", 1, "e")]
    said = capsys.readouterr().out
    assert "my.dict: 1 words are in another Unicode form (composed or decomposed) than in another line" in said
    assert "1 entries repeat an earlier one and were dropped: \u00e9t\u00e9 (line 2)" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "my.dict: the lexicon is empty"),
        ("# remark\n", "my.dict: the lexicon is empty"),
        ("b B\na # remark\n", "my.dict:2: the word 'a' has no phones"),
        ("b 0.5 B\na 0.5\n", "my.dict:2: the word 'a' has no phones"),
        ("a AH\n<eps> SIL\n", "my.dict:2: the word '<eps>' is reserved"),
        ("a AH\n#0 B\n", "my.dict:2: the word '#0' is reserved"),
        ("<s> SIL\n", "my.dict:1: the word '<s>' is reserved"),
        ("a AH #1\n", "my.dict:1: the phone '#1' of 'a' is reserved"),
        ("b B\na AH <eps>\n", "my.dict:2: the phone '<eps>' of 'a' is reserved"),
        ("read,R EH D\none,W AH N\n", "my.dict:1: there is a ',' in 'read,R' and in every line's first field"),
        ("b B IY\nread R, EH, D\n", "my.dict:2: 'R,' cannot be a phone"),
        ("read r eh d / r iy d\n", "my.dict:1: '/' cannot be a phone"),
        ("a AH\nread D\x0bX Y\n", r"my.dict:2: 'D\\x0bX' holds the control character U\+000B"),
        ("a 0.5 AH\nb B IY\n", "my.dict:2: 'B' follows the word where line 1 has 0.5; every line"),
        ("a AH\nb 0.5 0.2 B IY\n", "my.dict:1: 'AH' follows the word where line 2 has 0.5 0.2"),
        ("a 0.5 AH\nb 1.5 B IY\n", "my.dict:2: .* has to be a probability above 0 and up to 1"),
        ("a\t0.0\tAH\n", "my.dict:1: .* has to be a probability above 0 and up to 1"),
        ("a 0.1 0.2 0.3 0.4 0.5 AH\n", "my.dict:1: '0.5' is among the phones of 'a'"),
        ("a AH 0.5\n", "my.dict:1: '0.5' is among the phones of 'a'"),
        ("b\tb\nNew York\tn u\n", "my.dict:2: 'New York' comes before the first tab, and a word cannot hold a space"),
        ("b\t0.5\tb\nRoute 66\tr u t\n", "my.dict:2: 'Route 66' comes before the first tab"),
        ("b\t0.5\tb\nType 1\tt\n", "my.dict:2: 'Type 1' comes before the first tab"),
        ("b 0.5\tb\nNew York\tn u\n", "my.dict:2: 'New York' comes before the first tab"),
        ("b B\na -0.5 A\n", r"my.dict:2: '-0\.5' is neither a phone nor a probability, .* above 0 and up to 1"),
        ("a +0.5 A\n", r"my.dict:1: '\+0\.5' is neither"),
        ("a -1 A\n", "my.dict:1: '-1' is neither"),
        ("a 50% A\n", "my.dict:1: '50%' is neither"),
        ("a A -2.5e-1\n", "my.dict:1: '-2.5e-1' is neither"),
        ("a A\n; a remark\n", "my.dict:2: ';' begins neither a word nor a phone; put # before a remark"),
        ("b B\na A ; remark\n", "my.dict:2: ';' begins neither"),
        ("a A ;remark\n", "my.dict:1: ';remark' begins neither"),
        ("a A ;;; remark\n", "my.dict:1: ';;;' begins neither"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_kaldis_own_lexicon_is_taken_as_it_stands(tmp_path):
    (tmp_path / "lexicon.txt").write_text("New York\tn\na -1 50% ; A\n; B\n")
    found = [(entry.word, " ".join(entry.phones)) for entry in read_lexicon(tmp_path / "lexicon.txt")]
    assert found == [("New", "York n"), ("a", "-1 50% ; A"), (";", "B")]


def test_a_name_with_lexiconp_wants_probabilities(tmp_path):
    assert read(tmp_path, "a 1 AH\nb 1 B\n", "lexiconp.txt")[0] == [("a", 1, "AH"), ("b", 1, "B")]
    with pytest.raises(InputError, match=r"lexiconp.txt:1: 'AH' follows the word where lexiconp.txt has a number"):
        read(tmp_path, "a\tAH\nb\tB\n", "lexiconp.txt")


PHONES = st.lists(
    st.sampled_from(
        ["AH", "2", "9", "t_h", '"a'],
    ),
    min_size=1,
    max_size=4,
)


@given(
    st.dictionaries(
        st.sampled_from(["a", "2", "0.5", "b", "\u3000"]), st.tuples(st.floats(1e-9, 1), PHONES), min_size=1
    )
)
def test_forms_say_the_same(tmp_path_factory, lexicon):
    """One lexicon in all forms; written for Kaldi, it is read as such in the same way."""
    path = tmp_path_factory.mktemp("lexicon")
    wanted = [(word, phones) for word, (_, phones) in lexicon.items()]
    forms = {
        "plain": "{word} {phones}",
        "probs": "{word} {prob!r} {phones}",
        "mfa": "{word}\t{prob!r}\t0.5\t1.25\t0.9\t{phones}",
        "remarks": "{word}  {phones} # 0.5",
    }
    for name, form in forms.items():
        lines = [form.format(word=word, prob=prob, phones=" ".join(phones)) for word, (prob, phones) in lexicon.items()]
        (path / name).write_text("\n".join(lines), encoding="utf-8")
        found, _ = read_any_lexicon(path / name)
        assert [(entry.word, list(entry.phones)) for entry in found] == wanted
        probs = [prob for prob, _ in lexicon.values()] if name in ("probs", "mfa") else [1] * len(lexicon)
        assert [entry.prob for entry in found] == probs
    assert read_lexicon(path / "plain") == read_any_lexicon(path / "plain")[0]
