import math
import random

import kaldifst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.lang.arpa import Arpa, write_arpa
from steps.lang.grammar_fst import grammar_fst
from steps.lang.ngram import train_ngram
from steps.lang.symbols import word_symbols, write_symbols
from tests.steps.lang.sentences import sentence_log_prob

WORDS = ["a", "b", "c", "é"]
SENTENCES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), min_size=1, max_size=8)


def make(folder, model):
    words = word_symbols(WORDS)
    write_arpa(folder / "lm.arpa", model)
    write_symbols(folder / "words.txt", words)
    return grammar_fst(folder / "lm.arpa", folder / "words.txt", folder / "G.fst"), words


def accepting(sentence, words):
    """An acceptor of a sentence that lets back-off happen anywhere."""
    fst = kaldifst.make_linear_acceptor([words[word] for word in sentence])
    for state in range(fst.num_states):
        fst.add_arc(state, kaldifst.StdArc(words["#0"], words["#0"], 0.0, state))
    kaldifst.arcsort(fst, "olabel")
    return fst


def best_cost(fst, grammar):
    path = kaldifst.shortest_path(kaldifst.compose(fst, grammar))
    linear, _, _, weight = kaldifst.get_linear_symbol_sequence(path)
    assert linear
    assert path.num_states > 0
    return weight.value


def failing(grammar, sentence, words):
    """The cost by G when #0 is taken only where the word itself has no arc, as an n-gram model backs off."""
    state, cost = grammar.start, 0.0
    for label in [*(words[word] for word in sentence), None]:
        while True:
            arcs = {arc.ilabel: arc for arc in kaldifst.ArcIterator(grammar, state)}
            if label is None and grammar.final(state).value != math.inf:
                return cost + grammar.final(state).value
            arc = arcs.get(label) or arcs[words["#0"]]
            state, cost = arc.nextstate, cost + arc.weight.value
            if arc.ilabel == label:
                break


@settings(deadline=None, max_examples=30)
@given(text=SENTENCES, order=st.integers(1, 4), sentences=SENTENCES)
def test_costs_are_those_of_the_model(tmp_path_factory, text, order, sentences):
    model = train_ngram(text, WORDS, order)
    grammar, words = make(tmp_path_factory.mktemp("lm"), model)
    for sentence in sentences:
        expected = -sentence_log_prob(model, sentence) * math.log(10)
        assert failing(grammar, sentence, words) == pytest.approx(expected, rel=1e-4, abs=1e-3)
        assert best_cost(accepting(sentence, words), grammar) <= expected + 1e-3


def test_graph_is_sorted_and_has_no_loop_without_words(tmp_path):
    random.seed(0)
    text = [random.choices(WORDS[:3], k=random.randint(1, 6)) for _ in range(30)]
    grammar, words = make(tmp_path, train_ngram(text, WORDS, 3))
    assert grammar.is_ilabel_sorted
    backoff = {}
    for state in kaldifst.StateIterator(grammar):
        arcs = list(kaldifst.ArcIterator(grammar, state))
        assert all(arc.ilabel not in (0, words["<s>"], words["</s>"]) for arc in arcs)
        assert len({arc.ilabel for arc in arcs}) == len(arcs)  # deterministic with #0 as a label
        backoff.update((state, arc.nextstate) for arc in arcs if arc.ilabel == words["#0"])
        assert all(arc.olabel == (0 if arc.ilabel == words["#0"] else arc.ilabel) for arc in arcs)
    for state in backoff:
        passed = []
        while state in backoff:
            passed.append(state)
            state = backoff[state]
            assert state not in passed
    assert (tmp_path / "G.fst").stat().st_size > 0


def test_a_word_that_is_not_in_words_txt(tmp_path):
    model = Arpa([{("<s>",): -99.0, ("</s>",): -0.5, ("zebra",): -0.5}], {})
    with pytest.raises(InputError, match=r"kaldilm cannot make a graph .*'zebra' not in symbol table"):
        make(tmp_path, model)
    assert not (tmp_path / "G.fst").exists()
