import gzip
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.asterisk import RECIPE, SPEAKERS
from local.asterisk_text import (
    Correction,
    correct_prompts,
    normalise,
    read_corrections,
    read_prompts,
    stage_direction,
)
from steps.base.errors import InputError
from steps.lang.lexicon_file import read_any_lexicon


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "...to decrease the audio volume from other participants.", None),
        ("en", "Press 1 to listen, 2 to pause", "press one to listen two to pause"),
        ("en", "press * to toggle, press # to end", "press star to toggle press pound to end"),
        ("en", "If you'd like, it's 12 o’clock", "if you'd like it's twelve o'clock"),
        ("en", 'a polite "don\'t call" menu', "a polite don't call menu"),
        ("en", "at 3D P.M.", "at three d p m"),
        ("en", "a 28.8 kilobit modem.  To 21.", "a twenty eight point eight kilobit modem to twenty one"),
        ("en", "dash [-]", "dash"),
        ("en", "After the tone. (simple tone sound plays)", "after the tone"),
        ("en", "'quoted' words'", "quoted words"),
        ("es", "¿Mañana, a las 9 u 8?", "mañana a las nueve u ocho"),
        ("es", "número 22", "número veintidós"),
        ("fr", "L’agent n'est d'accord qu'aujourd'hui", "l' agent n' est d' accord qu' aujourd'hui"),
        ("fr", "s'il-vous-plaît, 17 ou 80", "s' il vous plaît dix sept ou quatre vingts"),
        ("it", "C’è un'altra, dell'elenco: 2", "c' è un' altra dell' elenco due"),
        ("it", "spazio []", "spazio"),
        ("ru", "Нажмите 1 — «звёздочка», или 8", "нажмите один звёздочка или восемь"),
        ("ru", "ПИН-код", "пин код"),
    ],
)
def test_normalise(language, text, words):
    assert normalise(text, language) == (words or "to decrease the audio volume from other participants")


def test_normalise_composes_accents():
    assert normalise("estación", "es") == "estación"


def test_normalise_refuses_foreign_letters():
    with pytest.raises(InputError, match=r"'первoe' holds e o, which is no letter of the language 'ru'"):
        normalise("первoe", "ru")


def test_word_corrections_apply_to_whole_words_in_order():
    table = [Correction("*", "что бы", "чтобы"), Correction("*", "еще", "ещё"), Correction("vm-no", "x", "y")]
    assert normalise("Что бы ещещё еще, что бы", "ru", table) == "чтобы ещещё ещё чтобы"


@given(st.text(alphabet="abc' -.,2[]()*#\n’é", max_size=30))
def test_normalised_text_is_words_and_stays_the_same(text):
    words = normalise(text.replace("é", "e"), "en")
    assert re.fullmatch(r"([a-z]+('[a-z]+)*( [a-z]+('[a-z]+)*)*)?", words)
    assert normalise(words, "en") == words


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("[ascending tones]", "ascending tones"),
        ("<beep decending>", "beep decending"),
        ("(10 seconds of silence)", "10 seconds of silence"),
        ("[ tono de error ]", "tono de error"),
        ("dash [-]", None),
        ("Pour (emphase)", None),
    ],
)
def test_stage_direction(text, direction):
    assert stage_direction(text) == direction


def test_read_prompts(tmp_path):
    path = tmp_path / "core-sounds-en.txt.gz"
    text = "\ufeff; Title\r\n\r\nvm-no: no\nletters/at: at: [@]\nvm-no: again\nempty:\n"
    path.write_bytes(gzip.compress(text.encode()))
    assert read_prompts(path) == {"vm-no": "no", "letters/at": "at: [@]", "empty": ""}


def test_read_prompts_names_the_bad_line(tmp_path):
    path = tmp_path / "core-sounds-it.txt"
    path.write_bytes("a: b\npiù tardi\n".encode())
    with pytest.raises(InputError, match=r"core-sounds-it.txt:2: 'più tardi' is not 'name: text'"):
        read_prompts(path)
    path.write_bytes(b"a: b\nb: pi\xf9 tardi\n")
    with pytest.raises(InputError, match=r"core-sounds-it.txt:2: the line is not UTF-8 \(byte 0xf9\)"):
        read_prompts(path)


def test_corrections_of_prompts(capsys):
    prompts = {"a": "umute", "b": "two", "c": ""}
    table = [
        Correction("a", "umute", "unmute"),
        Correction("b", "three", "four"),
        Correction("c", "", "hello"),
        Correction("*", "two", "too"),
        Correction("d", "", "no such prompt yet"),
        Correction("e", "x", "y"),
    ]
    corrected = correct_prompts(prompts, table)
    assert corrected == {"a": "unmute", "b": "two", "c": "hello", "d": "no such prompt yet"}
    assert "the text of 'b' does not hold 'three'" in capsys.readouterr().out


@pytest.mark.parametrize("row", ["a\tb", "\tb\tc", "*\t\tc", "a b c"])
def test_bad_corrections(tmp_path, row):
    path = tmp_path / "corrections-en.tsv"
    path.write_text(f"# comment\n{row}\n")
    with pytest.raises(InputError, match=r"corrections-en.tsv:2: not a prompt, what is wrong and what is right"):
        read_corrections(path)


@pytest.mark.parametrize("language", SPEAKERS)
def test_the_recipes_tables_can_be_read_and_mean_something(language):
    table = read_corrections(RECIPE / f"corrections-{language}.tsv")
    assert len({(row.prompt, row.wrong) for row in table}) == len(table)
    for row in table:
        assert row.wrong != row.right
        if row.prompt == "*":
            assert all(re.fullmatch(r"([^\W\d_]+'?[^\W\d_]*( |$))+", words) for words in (row.wrong, row.right)), row
            assert (row.wrong + row.right).islower()
    assert read_any_lexicon(RECIPE / f"lexicon-{language}.txt")
