from hypothesis import given
from hypothesis import strategies as st

from steps.base.fields import split_fields
from steps.corpus.spelling import WordTable, nfc, say_respelled, spellings

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_very_spelling_comes_first():
    table = WordTable({COMPOSED: 1, DECOMPOSED: 2})
    assert (table[COMPOSED], table[DECOMPOSED], len(table)) == (1, 2, 2)
    assert table.respelled([COMPOSED, DECOMPOSED]) == {}
    assert list(spellings([DECOMPOSED, COMPOSED])) == [DECOMPOSED]


def test_what_differs_is_said_once(capsys):
    words = spellings([COMPOSED, "tea"])
    say_respelled("text", words.respelled(["tea", "the", DECOMPOSED, DECOMPOSED]), "lexicon.txt")
    say_respelled("text", words.respelled(["tea", COMPOSED]), "lexicon.txt")
    assert capsys.readouterr().out == (
        "text: 1 words are in another Unicode form (composed or decomposed) than in lexicon.txt and count as the same, "
        f"such as {DECOMPOSED}: 'cafe\\u0301' for 'caf\\xe9'\n"
    )


@given(st.lists(st.text(st.characters(exclude_characters=" \t\r\n", exclude_categories=["Cs"]), min_size=1)))
def test_fields_are_kept_whole(fields):
    assert split_fields("\t" + " \t ".join(fields) + " \r\n") == fields
    assert all(len(split_fields(nfc(field))) == 1 for field in fields)  # composing makes no blanks
