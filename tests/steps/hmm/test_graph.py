"""Graphs: HCLG against all sentences and state paths one by one, self-loops against their definition."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import kaldifst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.hmm import graph as graphs
from steps.hmm.best_path import best_path
from steps.hmm.graph import add_self_loops, hclg
from steps.hmm.joins import Rate
from steps.hmm.topology import CHAIN, HmmState, left_to_right, read_topo, silence
from steps.hmm.transitions import transition_model
from steps.hmm.tree import monophone_tree
from steps.lang.fst_arrays import FstArrays
from steps.lang.symbols import read_symbols
from steps.prepare_lang import prepare_lang
from steps.search.beam import SearchOptions, search_utterance
from steps.train_lm import train_lm
from tests.steps import brute_force, triphones

# homophones, a word with variants, one that is the beginning of another
LEXICON = [("a", 1.0, ["P"]), ("ab", 0.5, ["P", "Q"]), ("b", 0.9, ["Q"]), ("b", 0.3, ["P"]), ("c", 0.7, ["Q"])]
NAMES = ["SIL", "SPN", "P", "Q"]
TEXT = "u1 a b\nu2 b ab\nu3 ab\nu4 c a\nu5 b c\nu6 a\n"


@pytest.fixture(scope="module")
def lang(tmp_path_factory):
    """A lang directory whose phones have two states, with a bigram model."""
    path = tmp_path_factory.mktemp("lang")
    lexicon = ["<UNK> 1.0 SPN", *(f"{word} {prob} {' '.join(phones)}" for word, prob, phones in LEXICON)]
    files = {
        "lexiconp": "\n".join(lexicon),
        "silence_phones": "SIL\nSPN",
        "nonsilence_phones": "P\nQ",
        "optional_silence": "SIL",
    }
    (path / "dict").mkdir()
    for name, content in files.items():
        (path / "dict" / f"{name}.txt").write_text(content + "\n")
    (path / "data/train").mkdir(parents=True)
    (path / "data/train/text").write_text(TEXT)
    prepare_lang(path / "data/train", path / "dict", path / "lang", sil_prob=0.4, nonsilence_states=2)
    train_lm(path / "data", path / "lang", path / "lm")
    return path


def system(lang, seed):
    """A model with random probabilities, its graph, and all that brute force has to know."""
    tree = monophone_tree(read_topo(lang / "lang/topo"))
    model, graph, world, scores = with_random_numbers(lang, tree, np.random.default_rng(seed))
    names = phone_names(lang)
    costs = {(names[phone], state): -scores[:, pdf] for phone, state, pdf in model.states}
    return model, graph, world, scores, costs


def triphone_system(lang, seed):
    """The same with pdfs that depend on both neighbours."""
    random = np.random.default_rng(seed)
    table = triphones.random_table(read_topo(lang / "lang/topo"), 40, random)
    model, graph, world, scores = with_random_numbers(lang, triphones.tree_of(table), random)
    names = phone_names(lang) | {0: ""}
    costs = {
        (names[left], names[phone], names[right], state): -scores[:, pdf]
        for (left, phone, right, state), pdf in table.items()
    }
    return model, graph, world, scores, costs


def chain_system(lang, seed, width):
    """The same with states of a low frame rate, whose self-loops count in full; of 5 frames, for phones are short."""
    random = np.random.default_rng(seed)
    topology = dict.fromkeys(read_topo(lang / "lang/topo"), CHAIN)
    table = triphones.random_table(topology, 25, random)
    if width == 2:  # the phone on the right says nothing
        table = {key: table[key[0], key[1], 0, key[3]] for key in table}
    tree = replace(triphones.tree_of(table, width), rate=Rate(3, 1.0))
    arcs = {phone: [dict(zip((1, 2), random.dirichlet([2, 2]), strict=True)) for _ in CHAIN] for phone in NAMES}
    model, graph, world, scores = with_random_numbers(lang, tree, random, topology, arcs, frames=5)
    names = phone_names(lang) | {0: ""}
    costs = {
        (names[left], names[phone], names[right], state): -scores[:, pdf]
        for (left, phone, right, state), pdf in table.items()
    }
    return model, graph, replace(world, scales=(1.0, 1.0)), scores, costs


def with_random_numbers(lang, tree, random, topology=None, arcs=None, frames=7):
    if arcs is None:
        arcs = {phone: brute_force.ergodic(random) for phone in ("SIL", "SPN")}
        arcs |= {phone: brute_force.left_to_right(random.uniform(0.2, 0.9, 2)) for phone in "PQ"}
    model = transition_model(topology or read_topo(lang / "lang/topo"), tree)
    names = phone_names(lang)
    ids = zip(model.tid_to_phone[1:], model.tid_to_hmm_state[1:], model.tid_to_next[1:], strict=True)
    model = replace(model, log_prob=np.log([1.0, *(arcs[names[phone]][state][to] for phone, state, to in ids)]))
    lm = brute_force.backoff_lm((lang / "lm/lm.arpa").read_text())
    world = brute_force.World(arcs, LEXICON, 0.4, lm)
    disambig = [int(line) for line in (lang / "lang/phones/disambig.int").read_text().split()]
    fsts = [kaldifst.StdVectorFst.read(str(lang / name)) for name in ("lang/L_disambig.fst", "lm/G.fst")]
    scores = random.normal(0, 3, (frames, model.num_pdfs)).astype(np.float32)
    return model, hclg(*fsts, disambig, tree, model), world, scores


def phone_names(lang):
    return {number: name for name, number in read_symbols(lang / "lang/phones.txt").items()}


def triphone_paths(world, costs):
    nothing = {(phone, state): np.zeros(len(cost)) for (_, phone, _, state), cost in costs.items()}
    return (brute_force.in_context(path, costs, world.arcs) for path in world.paths(nothing))


@pytest.mark.parametrize("seed", range(6))
def test_best_of_all_sentences_and_paths(lang, seed):
    model, graph, world, scores, costs = system(lang, seed)
    check_best(lang, model, graph, scores, world.paths(costs))


@pytest.mark.parametrize("seed", range(3))
def test_best_of_all_sentences_contexts_and_paths(lang, seed):
    model, graph, world, scores, costs = triphone_system(lang, seed)
    check_best(lang, model, graph, scores, triphone_paths(world, costs))


def check_best(lang, model, graph, scores, paths):
    best = {}
    for path in paths:
        if path.words not in best or path.cost < best[path.words].cost:
            best[path.words] = path
    expected, second = sorted(best.values(), key=lambda path: path.cost)[:2]
    tids, words, cost = best_path(graph, np.ascontiguousarray(scores[:, model.tid_to_pdf[1:]]), 1e5)
    # determinisation and minimisation round the weights of arcs to 1/1024
    assert cost == pytest.approx(expected.cost, abs=0.02)
    assert second.cost - expected.cost > 0.04, "a tie: take another seed"
    symbols = {number: word for word, number in read_symbols(lang / "lang/words.txt").items()}
    assert tuple(symbols[word] for word in words) == expected.words
    names = phone_names(lang)
    assert [(names[model.tid_to_phone[t]], model.tid_to_hmm_state[t]) for t in tids] == expected.states
    found = search_utterance(graph, scores, 1.0, model, SearchOptions(beam=100))
    assert (found.words, found.finished) == (words, True)


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_best_of_all_at_a_low_frame_rate(lang, seed, width):
    model, graph, world, scores, costs = chain_system(lang, seed, width)
    check_best(lang, model, graph, scores, triphone_paths(world, costs))


def test_cost_of_every_sentence_at_a_low_frame_rate(lang):
    model, graph, world, scores, costs = chain_system(lang, 10, 3)
    check_every_sentence(lang, model, graph, scores, triphone_paths(world, costs))


def test_cost_of_every_sentence(lang):
    # not of the best one alone: each sentence's best path, by composition with the sentence
    model, graph, world, scores, costs = system(lang, 10)
    check_every_sentence(lang, model, graph, scores, world.paths(costs))


def test_cost_of_every_sentence_with_triphones(lang):
    model, graph, world, scores, costs = triphone_system(lang, 10)
    check_every_sentence(lang, model, graph, scores, triphone_paths(world, costs))


def check_every_sentence(lang, model, graph, scores, paths):
    best = {}
    for path in paths:
        best[path.words] = min(path.cost, best.get(path.words, np.inf))
    assert len(best) > 20
    symbols = read_symbols(lang / "lang/words.txt")
    columns = np.ascontiguousarray(scores[:, model.tid_to_pdf[1:]])
    kaldifst.arcsort(graph, "olabel")
    for words, cost in best.items():
        sentence = kaldifst.make_linear_acceptor([symbols[word] for word in words])
        only = kaldifst.StdVectorFst(kaldifst.compose(graph, sentence))
        assert best_path(only, columns, 1e5)[2] == pytest.approx(cost, abs=0.02)


@pytest.mark.skipif(not shutil.which("fstinfo"), reason="fstinfo is not installed (Debian: libfst-tools)")
def test_openfst_reads_the_file(lang, tmp_path):
    _, graph, *_ = system(lang, 1)
    graph.write(str(tmp_path / "HCLG.fst"))
    said = subprocess.run(["fstinfo", tmp_path / "HCLG.fst"], capture_output=True, text=True, check=True).stdout
    facts = dict(line.rsplit(None, 1) for line in said.splitlines())
    assert facts["fst type"] == "vector"
    assert facts["arc type"] == "standard"
    assert int(facts["# of states"]) == graph.num_states
    assert int(facts["# of arcs"]) == sum(graph.num_arcs(state) for state in range(graph.num_states))
    assert facts["# of coaccessible states"] == facts["# of accessible states"] == facts["# of states"]
    assert facts["input label sorted"] == "y"


def parts(lang, lexicon="L_disambig.fst"):
    topology = read_topo(lang / "lang/topo")
    tree = monophone_tree(topology)
    fsts = [kaldifst.StdVectorFst.read(str(lang / name)) for name in (f"lang/{lexicon}", "lm/G.fst")]
    disambig = [int(line) for line in (lang / "lang/phones/disambig.int").read_text().split()]
    return fsts, disambig, tree, transition_model(topology, tree)


def test_lexicon_without_disambiguation(lang, monkeypatch):
    monkeypatch.setattr(graphs, "MAX_STATES", 1000)
    (lexicon, grammar), disambig, tree, model = parts(lang, "L.fst")
    symbols = read_symbols(lang / "lang/words.txt")
    kaldifst.add_self_loops(lexicon, [disambig[0]], [symbols["#0"]])
    message = "the graph cannot be determinised .*: words of the same pronunciation lack disambiguation symbols"
    with pytest.raises(InputError, match=message):
        hclg(lexicon, grammar, disambig, tree, model)


def test_too_many_states(lang, monkeypatch):
    monkeypatch.setattr(graphs, "MAX_STATES", 3)
    fsts, *rest = parts(lang)
    with pytest.raises(InputError, match="the graph has over 3 states after determinisation: the LM is too large"):
        hclg(*fsts, *rest)


def test_no_word_in_common(lang):
    (lexicon, _), disambig, tree, model = parts(lang)
    with pytest.raises(InputError, match="the decoding graph is empty: the lexicon and the language model have no"):
        hclg(lexicon, kaldifst.compile("0 1 99 99\n1 0"), disambig, tree, model)


def test_lexicon_of_another_model(lang):
    fsts, disambig, *_ = parts(lang)
    topology = {1: silence(5), 2: silence(5), 3: left_to_right(2)}
    tree = monophone_tree(topology)
    with pytest.raises(InputError, match="phone 4 of the lexicon is none of the model's phones; use the lang"):
        hclg(*fsts, disambig, tree, transition_model(topology, tree))


# self-loops, for phones with loops, without one, and a silence

TOPOLOGY = {1: left_to_right(2), 2: (HmmState(0, ((1, 1.0),)), HmmState(1, ((1, 0.5), (2, 0.5))))}
MODEL = transition_model(TOPOLOGY, monophone_tree(TOPOLOGY))
MOVES = [tid for tid in range(1, MODEL.num_tids + 1) if not MODEL.is_self_loop[tid]]
LENGTH = 4


@st.composite
def graphs_of_moves(draw):
    states = draw(st.integers(1, 5))
    number = st.integers(0, states - 1)
    arc = st.tuples(number, number, st.sampled_from([0, *MOVES]), st.integers(0, 2), st.integers(0, 5))
    columns = list(zip(*draw(st.lists(arc, max_size=9)), strict=True)) or [()] * 5
    final = draw(st.lists(st.sampled_from([0.0, 1.0, np.inf]), min_size=states, max_size=states))
    integers = [np.array(column, np.int32) for column in columns[:4]]
    return FstArrays(draw(number), np.array(final, np.float32), *integers, np.array(columns[4], np.float32))


def language(graph: FstArrays, length: int) -> dict[tuple, float]:
    """The least cost of each pair of input and output sequences, of up to `length` labels each."""
    best = {(graph.start, (), ()): 0.0}
    agenda = list(best)
    arcs = list(zip(*(getattr(graph, n).tolist() for n in ("src", "dst", "ilabel", "olabel", "weight")), strict=True))
    while agenda:
        state, inputs, outputs = here = agenda.pop()
        for src, dst, ilabel, olabel, weight in arcs:
            there = dst, inputs + (ilabel,) * (ilabel > 0), outputs + (olabel,) * (olabel > 0)
            if src == state and max(len(there[1]), len(there[2])) <= length:
                cost = best[here] + weight
                if cost < best.get(there, np.inf):
                    best[there] = cost
                    agenda.append(there)
    accepted = {}
    for (state, *labels), cost in best.items():
        if np.isfinite(graph.final[state]):
            key = tuple(labels)
            accepted[key] = min(accepted.get(key, np.inf), cost + float(graph.final[state]))
    return accepted


def looped(tids: tuple[int, ...], length: int) -> Iterator[tuple[int, ...]]:
    """Every sequence in which each transition-id is followed by its state's self-loop any number of times."""
    if not tids:
        yield ()
        return
    loop = MODEL.self_loop_tid[MODEL.tid_to_state[tids[0]]]
    for stays in range(length - len(tids) + 1 if loop else 1):
        for rest in looped(tids[1:], length - 1 - stays):
            yield (tids[0], *[loop] * stays, *rest)


@settings(max_examples=60, deadline=None)
@given(graphs_of_moves())
def test_self_loops_follow_every_move_and_nothing_else(graph):
    expected = {}
    for (inputs, outputs), cost in language(graph, LENGTH).items():
        for sequence in looped(inputs, LENGTH):
            expected[sequence, outputs] = cost
    assert language(add_self_loops(graph, MODEL), LENGTH) == expected


@settings(max_examples=60, deadline=None)
@given(graphs_of_moves())
def test_self_loops_leave_the_other_arcs(graph):
    after = add_self_loops(graph, MODEL)
    n = len(graph.src)
    for name in ("src", "ilabel", "olabel", "weight"):
        np.testing.assert_array_equal(getattr(after, name)[:n], getattr(graph, name))
    added = after.ilabel[n:]
    assert (MODEL.is_self_loop[added] | (added == 0)).all()
    np.testing.assert_array_equal((after.src == after.dst)[n:], added > 0)
