import itertools
import math
import shutil
import subprocess

import kaldifst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.lang.arpa import write_arpa
from steps.lang.grammar_fst import grammar_fst
from steps.lang.lexicon import Entry, add_lex_disambig
from steps.lang.lexicon_fst import lexicon_fst, write_fst
from steps.lang.ngram import train_ngram
from steps.lang.symbols import phone_symbols, word_symbols, write_symbols
from tests.steps.lang.sentences import sentence_log_prob

PHONES = st.lists(st.sampled_from("AB"), min_size=1, max_size=3).map(tuple)
LEXICON = st.lists(
    st.builds(Entry, st.sampled_from(["u", "v", "w"]), st.sampled_from([1.0, 0.5, 0.25]), PHONES),
    min_size=1,
    max_size=5,
    unique_by=lambda entry: (entry.word, entry.phones),
)


def make(lexicon, sil_prob, disambig):
    marked, highest = add_lex_disambig(lexicon)
    symbols = [f"#{i}" for i in range(highest + 2)]
    words = word_symbols(entry.word for entry in lexicon)
    phones = phone_symbols(["SIL"], ["A", "B"], symbols)
    fst = lexicon_fst(
        marked if disambig else lexicon, phones, words, sil_prob, "SIL", symbols[-1] if disambig else None
    )
    return fst, phones, words


def paths(fst, state=None):
    """Every path of an acyclic graph: (input labels, cost)."""
    state = fst.start if state is None else state
    if fst.final(state).value != math.inf:
        yield (), fst.final(state).value
    for arc in kaldifst.ArcIterator(fst, state):
        for labels, cost in paths(fst, arc.nextstate):
            yield ((arc.ilabel, *labels) if arc.ilabel else labels), cost + arc.weight.value


def expected_paths(lexicon, phones, words, sil_prob):
    """The same, said anew: choose a variant for each word, and silence or none around them."""
    found = []
    for entries in itertools.product(*[[entry for entry in lexicon if entry.word == word] for word in words]):
        for silences in itertools.product([False, True] if sil_prob else [False], repeat=len(words) + 1):
            labels = [phones["SIL"]] if silences[0] else []
            cost = 0.0
            if sil_prob:
                cost = -sum(math.log(sil_prob if silence else 1 - sil_prob) for silence in silences)
            for entry, silence in zip(entries, silences[1:], strict=True):
                labels += [phones[phone] for phone in entry.phones] + ([phones["SIL"]] if silence else [])
                cost -= math.log(entry.prob)
            found.append((tuple(labels), cost))
    return found


@settings(deadline=None, max_examples=60)
@given(lexicon=LEXICON, data=st.data(), sil_prob=st.sampled_from([0.0, 0.5, 0.2]))
def test_every_path_of_every_word_sequence(lexicon, data, sil_prob):
    fst, phones, words = make(lexicon, sil_prob, disambig=False)
    known = sorted({entry.word for entry in lexicon})
    sentence = data.draw(st.lists(st.sampled_from(known), max_size=3))
    acceptor = kaldifst.make_linear_acceptor([words[word] for word in sentence])
    found = sorted(paths(kaldifst.compose(fst, acceptor)))
    expected = sorted(expected_paths(lexicon, phones, sentence, sil_prob))
    assert [labels for labels, _ in found] == [labels for labels, _ in expected]
    assert sorted(cost for _, cost in found) == pytest.approx(sorted(cost for _, cost in expected), abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(lexicon=LEXICON, data=st.data(), sil_prob=st.sampled_from([0.0, 0.5]), order=st.integers(1, 3))
def test_lexicon_and_grammar_determinise_and_accept_what_they_should(tmp_path_factory, lexicon, data, sil_prob, order):
    known = sorted({entry.word for entry in lexicon})
    text = data.draw(st.lists(st.lists(st.sampled_from(known), min_size=1, max_size=4), min_size=1, max_size=6))
    model = train_ngram(text, known, order)
    fst, _, words = make(lexicon, sil_prob, disambig=True)
    folder = tmp_path_factory.mktemp("lang")
    write_arpa(folder / "lm.arpa", model)
    write_symbols(folder / "words.txt", words)
    graph = kaldifst.compose(fst, grammar_fst(folder / "lm.arpa", folder / "words.txt", folder / "G.fst"))
    assert kaldifst.determinize_star(graph, max_states=100_000) is False
    assert graph.num_states > 0
    kaldifst.arcsort(graph, "olabel")
    for word in known:
        path = kaldifst.shortest_path(kaldifst.compose(graph, kaldifst.make_linear_acceptor([words[word]])))
        linear, _, output, weight = kaldifst.get_linear_symbol_sequence(path)
        assert linear
        assert output == [words[word]]
        lexical = min(cost for _, cost in expected_paths(lexicon, phone_symbols(["SIL"], "AB", []), [word], sil_prob))
        # the best path never costs more than the model's: the back-off path may be the better one
        assert weight.value <= lexical - sentence_log_prob(model, [word]) * math.log(10) + 1e-3


def test_arcs_are_sorted_and_backoff_passes(tmp_path):
    lexicon = [Entry("v", 1.0, ("A", "B")), Entry("u", 1.0, ("A",))]
    for disambig in (False, True):
        fst, phones, words = make(lexicon, 0.5, disambig)
        assert fst.is_olabel_sorted
        arcs = [arc for state in kaldifst.StateIterator(fst) for arc in kaldifst.ArcIterator(fst, state)]
        loops = [arc for arc in arcs if (arc.ilabel, arc.olabel) == (phones["#0"], words["#0"])]
        assert bool(loops) == disambig


@pytest.mark.skipif(not shutil.which("fstinfo"), reason="OpenFst's tools are not installed")
def test_openfst_reads_it(tmp_path):
    fst, _, _ = make([Entry("u", 0.5, ("A", "B")), Entry("v", 1.0, ("A",))], 0.5, disambig=True)
    write_fst(tmp_path / "L.fst", fst)
    said = subprocess.run(["fstinfo", tmp_path / "L.fst"], capture_output=True, text=True, check=True).stdout
    facts = dict(line.rsplit(maxsplit=1) for line in said.splitlines())
    assert int(facts["# of states"]) == fst.num_states
    assert facts["output label sorted"] == "y"
