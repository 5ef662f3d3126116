"""What counts as the same word."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.scoring.normalisation import Normalisation, Normaliser, Word, plain_words
from steps.scoring.wer import score


@pytest.fixture
def rules(tmp_path):
    def write(text, **options):
        path = tmp_path / "glm"
        path.write_text(text, encoding="utf-8")
        return Normaliser(Normalisation(mapping=path, **options))

    return write


def letters(normaliser, reference, hypothesis):
    return score({"u": reference}, {"u": hypothesis}, normaliser).alignments["u"].letters


def test_replacements_are_made_in_both_texts(rules):
    normaliser = rules("MISTER => MR\nGOING TO => GONNA ;; as it is said\n")
    assert letters(normaliser, "MISTER FOX IS GOING TO GO", "MR FOX IS GONNA GO") == "CCCCC"


def test_the_longest_rule_counts_and_none_is_applied_to_another_s_result(rules):
    normaliser = rules("A => B\nA A => C\nB => D\n")
    assert [word.text for word in normaliser.hypothesis("A A A B")] == ["C", "B", "D"]


def test_alternatives(rules):
    normaliser = rules("{ OKAY / O.K. / OK }\n{ ICECREAM / ICE CREAM }\n{ I'M / I AM }\n")
    assert letters(normaliser, "OKAY I'M AN ICECREAM", "OK I AM AN ICE CREAM") == "CCCCCC"
    assert letters(normaliser, "I AM OKAY", "I'M O.K.") == "CC"
    assert letters(normaliser, "I AM OKAY", "I WAS O.K.") == "CSC"


def test_hesitations_may_be_missing_or_added(rules):
    normaliser = rules("(UH)\nUHM => (UH)\n")
    assert letters(normaliser, "I UH SEE", "I SEE") == "CCC"
    assert letters(normaliser, "I SEE", "I UHM SEE") == "COC"
    assert letters(normaliser, "I UH SEE", "I UHM SEE") == "CCC"
    total = score({"u": "I SEE"}, {"u": "I UHM SEE"}, normaliser).total
    assert (total.words, total.errors) == (2, 0)


def test_case_and_punctuation():
    options = Normalisation(case="lower", punctuation="remove")
    assert plain_words("«Straße», he said: 'no' – rock-'n'-roll!", options) == [
        "straße",
        "he",
        "said",
        "no",
        "rock-'n'-roll",
    ]
    assert letters(Normaliser(options), "Yes, SIR", "yes sir.") == "CC"
    assert letters(Normaliser(), "Yes, SIR", "yes sir.") == "SS"


def test_rules_are_compared_like_the_texts(rules):
    assert letters(rules("{ OKAY / O.K. }\n", case="lower", punctuation="remove"), "Okay", "o.k.") == "C"


def test_alternatives_hold_what_is_replaced(rules):
    normaliser = rules("{ MISTER FOX / FOX }\nMISTER => MR\n")
    assert letters(normaliser, "MISTER FOX", "MISTER FOX") == "CC"
    assert letters(normaliser, "MR FOX", "FOX") == "C"


phrases = st.lists(st.sampled_from("ABC"), min_size=1, max_size=2).map(" ".join)
replacements = st.tuples(phrases, st.sampled_from(["", "A", "B D", "(D)"])).map(" => ".join)
alternatives = st.lists(phrases, min_size=2, max_size=3, unique=True).map(lambda found: f"{{ {' / '.join(found)} }}")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(replacements | alternatives, max_size=3), st.lists(st.sampled_from("ABCD"), max_size=6).map(" ".join))
def test_a_text_is_right_whatever_the_rules(rules, lines, text):
    try:
        normaliser = rules("\n".join(lines))
    except InputError:
        return  # two rules for the same words
    assert not set(letters(normaliser, text, text)) - {"C", "O"}


def test_composed_and_decomposed_words_are_the_same():
    result = score({"u": "caf\u00e9"}, {"u": "cafe\u0301"})
    assert result.total.errors == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A B\n", r"glm:1: 'A B' is no rule; there are: A => B, \{ A / B \} and \(A\)"),
        (";; a comment\n=> B\n", "glm:2: '=> B' is no rule"),
        ("{ A }\n", "glm:1: .* needs two alternatives"),
        ("{ A / }\n", "glm:1: "),
        ("{ UM / @ }\n", r"glm:1: .* an alternative cannot be empty; \(A\) makes the word A optional"),
        ("A => { B / C }\n", "glm:1: .* is no rule"),
        ("A => B => C\n", "glm:1: .* is no rule"),
        ("A => B\n{ A / C }\n", "glm:2: 'A' has a rule already"),
    ],
)
def test_wrong_rules(rules, text, message):
    with pytest.raises(InputError, match=message):
        rules(text)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        Normaliser(Normalisation(mapping=tmp_path / "none"))


def test_optional_words_of_a_reference_know_it(rules):
    assert rules("(UH)\n").reference("A UH") == [((Word("A"),),), ((Word("UH", True),),)]
