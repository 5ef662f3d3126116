import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.festvox_labels import cut_into_words, pronunciations, read_labels, spoken_words
from steps.base.errors import InputError
from steps.corpus.ctm import Token

SPOKEN = {  # as Festival says them with this voice, each in some sentence of the corpus
    "корреспондент": "k ay rr ae s p a n dd ee n t",
    "женщину": "zh ee nn sch ae n u",
    "что-нибудь": "sh t oo nn ae b ur tt",
    "объявлением": "ay b j a v ll ee nn ae j e m",
    "её": "j e j oo",
    "от": "a d",
    "в": "f",
    "с": "z",
    "я": "j a",
    "из": "i s",
}


def write(path, *lines, header="#\n"):
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return path


def test_labels(tmp_path):
    path = write(tmp_path / "a.lab", "0.10200 125 pau", "0.15200 125 k", "0.30000 125 pau", "0.4 125 pau", "0.5 125 aa")
    labels = read_labels(path)
    assert [phone.text for phone in labels] == ["SIL", "k", "SIL", "aa"]
    assert [phone.start for phone in labels] == [0.0, 0.102, 0.152, 0.4]
    assert [phone.end - phone.start for phone in labels] == pytest.approx([0.102, 0.05, 0.248, 0.1])


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        (["0.1 125"], "#\n", "a.lab:2: '0.1 125' is not 'end colour phone'"),
        (["0.1 125 k", "x 125 k"], "separator ;\n#\n", "a.lab:4: 'x 125 k' is not 'end colour phone'"),
        (["0.1 125 k", "0.1 125 aa"], "#\n", "a.lab:3: 'aa' ends at 0.1 s, but begins at 0.1 s"),
        (["nan 125 k"], "#\n", "a.lab:2: 'k' ends at nan s, but begins at 0 s"),
        (["0.1 125 k"], "", "a.lab: there are no phones below a line '#'"),
        ([], "#\n", "a.lab: there are no phones below a line '#'"),
    ],
)
def test_bad_labels(tmp_path, lines, header, message):
    with pytest.raises(InputError, match=message):
        read_labels(write(tmp_path / "a.lab", *lines, header=header))


def test_missing_labels(tmp_path):
    with pytest.raises(InputError, match=r"a\.lab: there is no such label file"):
        read_labels(tmp_path / "a.lab")


@pytest.mark.parametrize(("sentence", "strange"), [("Дом 7.", "7"), ("Кофе, cafe!", "cafe"), ("да — нет", "—")])
def test_what_no_rule_reads(sentence, strange):
    with pytest.raises(InputError, match=f"holds '{strange}', which no rule reads"):
        spoken_words(sentence)


def test_no_words():
    with pytest.raises(InputError, match=r"'- \.\.\.' has no words"):
        spoken_words("- ...")


@given(st.lists(st.sampled_from(sorted(SPOKEN)), min_size=1, max_size=12))
def test_sentences_are_cut_between_their_words(words):
    phones = " ".join(SPOKEN[word] for word in words).split()
    assert cut_into_words(words, phones) == [tuple(SPOKEN[word].split()) for word in words]
    assert cut_into_words([*words, "да"], phones) is None
    assert cut_into_words(words, [*phones, "j"]) is None


@pytest.mark.parametrize(
    ("words", "phones"),
    [
        ("класс сел", "k l aa s | ss ee l"),  # of two letters the first is unspoken, not the next word's
        ("поздно но", "p oo z n a | n oo"),
        ("учиться я", "u ch ii c a | j aa"),
        ("теперь ещё", "tt i pp ee rr | j e sch oo"),  # j is not the soft sign's, as in the next
        ("павильон", "p a vv i ll j oo n"),
        ("счастье", "sch aa s tt j e"),
        ("л'аббеи", "l a bb ee i"),
    ],
)
def test_letters_that_are_not_spoken(words, phones):
    expected = [tuple(word.split()) for word in phones.split("|")]
    assert cut_into_words(words.split(), phones.replace("|", "").split()) == expected


def labels(text):
    return [Token(phone, float(i), float(i + 1)) for i, phone in enumerate(text.split())]


def test_variants_are_gathered():
    found = pronunciations(
        {"a": ["от", "я"], "b": ["я", "от"]}, {"a": labels("SIL a d j a SIL"), "b": labels("SIL j aa SIL a d SIL")}
    )
    assert found == {"от": [("a", "d")], "я": [("j", "a"), ("j", "aa")]}


def test_labels_of_another_sentence():
    message = "utterance b: its words 'от я' cannot have the labels 'j aa'"
    with pytest.raises(InputError, match=message):
        pronunciations({"b": ["от", "я"]}, {"b": labels("SIL j aa")})
