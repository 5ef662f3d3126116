import pytest

from steps.base.errors import InputError
from steps.hmm.phone_sets import read_extra_questions, read_phone_sets
from steps.hmm.topology import left_to_right, silence

TOPOLOGY = {1: silence(5), 2: silence(5), **{phone: left_to_right(3) for phone in (3, 4, 5)}}


@pytest.fixture
def lang(tmp_path):
    (tmp_path / "phones").mkdir()
    return tmp_path


def test_without_files_each_phone_is_alone(lang):
    assert read_phone_sets(lang, TOPOLOGY) == [{1}, {2}, {3}, {4}, {5}]
    assert read_extra_questions(lang) == []


def test_a_set_a_line(lang):
    (lang / "phones/sets.int").write_text("1 2\n5 3\n\n4\n")
    (lang / "phones/extra_questions.int").write_text("1\n2 3\n")
    assert read_phone_sets(lang, TOPOLOGY) == [{1, 2}, {3, 5}, {4}]
    assert read_extra_questions(lang) == [{1}, {2, 3}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 2\n3\n4", "sets.int: phone 5 is in no phone set; put each phone of the topology into one"),
        ("1 2\n3 4 5\n5", "sets.int: phone 5 is in more than one phone set"),
        ("1 2\n3 4 5\n6", "sets.int: phone 6 is in a phone set, but not in the topology"),
        ("1\n2 3\n4\n5", "sets.int: phones 2 3 are one set, but differ in their number of pdf classes"),
        ("1 2\nA_B A_E", r"sets.int:2: 'A_B A_E' is not a list of phone-ids; make the lang directory again"),
    ],
)
def test_bad_sets(lang, content, message):
    (lang / "phones/sets.int").write_text(content)
    with pytest.raises(InputError, match=message):
        read_phone_sets(lang, TOPOLOGY)
