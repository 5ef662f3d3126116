"""Alignment against all state paths one by one."""

from dataclasses import replace

import kaldifst
import numpy as np
import pytest

from steps.hmm.best_path import best_path
from steps.hmm.joins import Rate
from steps.hmm.topology import read_topo, write_topo
from steps.hmm.training_graph import searchable, training_graph
from steps.hmm.transitions import transition_model
from steps.hmm.tree import monophone_tree
from steps.hmm.viterbi import AlignOptions, align, equal_alignment, shortest_path_frames
from steps.lang.fst_arrays import FstArrays, to_fst
from steps.lang.lexicon import Entry
from steps.lang.lexicon_fst import lexicon_fst
from tests.steps import brute_force, triphones

PHONES = {"<eps>": 0, "SIL": 1, "A": 2, "B": 3}
WORDS = {"<eps>": 0, "x": 1, "y": 2}
LEXICON = [Entry("x", 0.6, ("A",)), Entry("x", 0.4, ("A", "B")), Entry("y", 1.0, ("B",))]
WIDE = AlignOptions(acoustic_scale=1.0, beam=1e5, retry_beam=1e5)


@pytest.fixture
def topology(tmp_path):
    write_topo(tmp_path / "topo", [1], [2, 3])
    return read_topo(tmp_path / "topo")


def system(topology, seed, tree=None):
    """A model with random probabilities, and what brute force needs to know of it."""
    random = np.random.default_rng(seed)
    arcs = {"SIL": brute_force.ergodic(random)}
    arcs |= {phone: brute_force.left_to_right(random.uniform(0.2, 0.9, 3)) for phone in "AB"}
    tree = tree or monophone_tree(topology)
    model = transition_model(topology, tree)
    names = {number: name for name, number in PHONES.items()}
    ids = zip(model.tid_to_phone[1:], model.tid_to_hmm_state[1:], model.tid_to_next[1:], strict=True)
    probs = [arcs[names[phone]][state][to] for phone, state, to in ids]
    return tree, replace(model, log_prob=np.log([1.0, *probs])), arcs, random


def graph_of(text, sil_prob, tree, model):
    lexicon = lexicon_fst(LEXICON, PHONES, WORDS, sil_prob, "SIL")
    return training_graph([WORDS[word] for word in text], lexicon, tree, model)


def states_of(model, tids):
    names = {number: name for name, number in PHONES.items()}
    phones, states = model.tid_to_phone[tids], model.tid_to_hmm_state[tids]
    return [(names[p], s) for p, s in zip(phones.tolist(), states.tolist(), strict=True)]


@pytest.mark.parametrize("text", [["x"], ["x", "y"], []])
@pytest.mark.parametrize(("frames", "sil_prob", "scales"), [(6, 0.5, (1.0, 0.1)), (10, 0.9, (0.7, 1.0))])
@pytest.mark.parametrize("seed", [1, 2])
def test_best_of_all_paths(topology, text, frames, sil_prob, scales, seed):
    tree, model, arcs, random = system(topology, seed)
    scores = random.normal(0, 3, (frames, model.num_pdfs)).astype(np.float32)
    costs = {
        (name, state): -scores[:, model.states[model.state_index[phone, state, pdf]][2]]
        for name, phone in list(PHONES.items())[1:]
        for state, pdf in enumerate(tree.pdfs[phone])
    }
    world = brute_force.World(arcs, LEXICON, sil_prob, brute_force.transcript_lm(text), scales)
    paths = list(world.paths(costs))
    expected = min(paths, key=lambda path: path.cost)
    options = replace(WIDE, transition_scale=scales[0], self_loop_scale=scales[1])
    found = align(graph_of(text, sil_prob, tree, model), scores, model, options)
    assert found.cost == pytest.approx(expected.cost, abs=1e-3)
    assert states_of(model, found.tids) == expected.states
    assert found.words == [WORDS[word] for word in text]


@pytest.mark.parametrize("text", [["x", "y"], ["y", "x"], ["x"], []])
def test_best_of_all_contexts_and_paths(topology, text):
    table = triphones.random_table(topology, 40, np.random.default_rng(7))
    tree, model, arcs, random = system(topology, 3, triphones.tree_of(table))
    scores = random.normal(0, 3, (10, model.num_pdfs)).astype(np.float32)
    names = {number: name for name, number in PHONES.items()} | {0: ""}
    costs = {
        (names[left], names[phone], names[right], state): -scores[:, pdf]
        for (left, phone, right, state), pdf in table.items()
    }
    nothing = {(phone, state): np.zeros(len(scores)) for _, phone, _, state in costs}
    world = brute_force.World(arcs, LEXICON, 0.5, brute_force.transcript_lm(text))
    paths = (brute_force.in_context(path, costs, arcs) for path in world.paths(nothing))
    expected = min(paths, key=lambda path: path.cost)
    found = align(graph_of(text, 0.5, tree, model), scores, model, WIDE)
    assert found.cost == pytest.approx(expected.cost, abs=1e-3)
    assert states_of(model, found.tids) == expected.states
    assert found.words == [WORDS[word] for word in text]


def test_acoustic_scale(topology):
    tree, model, _, random = system(topology, 5)
    graph = graph_of(["x", "y"], 0.5, tree, model)
    scores = random.normal(0, 3, (12, model.num_pdfs)).astype(np.float32)
    found = align(graph, scores, model, replace(WIDE, acoustic_scale=0.25))
    same = align(graph, scores / 4, model, WIDE)
    assert found.cost == pytest.approx(same.cost, abs=1e-4)
    np.testing.assert_array_equal(found.tids, same.tids)


def test_an_output_of_a_low_rate_stands_for_several_frames(topology):
    tree, model, _, random = system(topology, 5)
    scores, graph = random.normal(0, 3, (12, model.num_pdfs)).astype(np.float32), graph_of(["x", "y"], 0.5, tree, model)
    thrice = align(graph, 3 * scores, model, replace(WIDE, acoustic_scale=0.25))
    found = align(graph, scores, replace(model, rate=Rate(3, 0.1)), replace(WIDE, acoustic_scale=0.25))
    assert found.cost == pytest.approx(thrice.cost, abs=1e-4)
    np.testing.assert_array_equal(found.tids, thrice.tids)


def test_retry_with_a_wider_beam(topology):
    tree, model, _, _ = system(topology, 1)
    good, bad = model.self_loop_tid[[model.state_index[phone, 0, tree.pdfs[phone][0]] for phone in (2, 3)]]
    # many ways that lead nowhere (the search spares the best 20 tokens from its beam), one bad way to the end
    ends = np.arange(1, 51)
    final = np.full(51, np.inf, np.float32)
    final[50] = 0
    src, dst = np.concatenate([0 * ends, ends]), np.concatenate([ends, ends])
    labels = np.where(dst == 50, bad, good)
    graph = FstArrays(0, final, src, dst, labels, 0 * labels, np.zeros(len(src), np.float32))
    scores = np.zeros((3, model.num_pdfs), np.float32)
    scores[:, tree.pdfs[3][0]] = -20
    options = replace(WIDE, beam=10, retry_beam=30)
    found = align(graph, scores, model, options)
    assert found == "no path survives a beam of 30; does the transcript match the audio?"
    assert align(graph, scores, model, replace(options, retry_beam=100)).tids.tolist() == [bad] * 3


def test_a_path_that_survives_need_not_be_the_best(topology):
    tree, model, _, _ = system(topology, 1)
    early, late = model.self_loop_tid[[model.state_index[phone, 0, tree.pdfs[phone][0]] for phone in (2, 3)]]
    # 50 ways that are good in the first frame and bad after it (the search spares the best 20 tokens from its beam),
    # and one the other way round, which is the best in the end
    ways = np.arange(1, 52)
    final = np.full(52, np.inf, np.float32)
    final[1:] = 0
    src, dst = np.concatenate([0 * ways, ways]), np.concatenate([ways, ways])
    labels = np.where(dst == 51, late, early)
    graph = FstArrays(0, final, src, dst, labels, 0 * labels, np.zeros(len(src), np.float32))
    scores = np.zeros((3, model.num_pdfs), np.float32)
    scores[0, tree.pdfs[3][0]] = -15
    scores[1:, tree.pdfs[2][0]] = -20
    options = replace(WIDE, beam=10, retry_beam=80)
    found = align(graph, scores, model, options)
    assert (found.tids.tolist(), found.pruned) == ([late] * 3, False)
    assert align(graph, scores, model, replace(options, retry_beam=20)).pruned  # it was still changing
    narrow = align(graph, scores, model, replace(options, retry_beam=10))
    assert (narrow.tids.tolist(), narrow.pruned) == ([early] * 3, False)


def test_too_short(topology):
    tree, model, _, _ = system(topology, 1)
    graph = graph_of(["x", "y"], 0.5, tree, model)
    assert shortest_path_frames(graph) == 6
    reason = "5 frames, but its shortest state path takes 6"
    assert align(graph, np.zeros((5, model.num_pdfs), np.float32), model, WIDE) == reason
    assert equal_alignment(graph, 5, seed=1) == reason
    # a random way with an ergodic silence is often longer than the shortest one: it is tried again
    assert all(len(equal_alignment(graph, 6, seed)) == 6 for seed in range(20))


def test_scores_that_are_not_numbers(topology):
    tree, model, _, _ = system(topology, 1)
    scores = np.full((9, model.num_pdfs), np.nan, np.float32)
    assert "no path survives" in align(graph_of(["x"], 0.5, tree, model), scores, model, WIDE)


def test_text_that_leaves_nothing_to_say(topology):
    tree, model, _, _ = system(topology, 1)
    graph = graph_of([], 0.0, tree, model)
    assert "no path survives" in align(graph, np.zeros((9, model.num_pdfs), np.float32), model, WIDE)
    assert "none of 100 random paths fits into 9 frames" in equal_alignment(graph, 9, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_equal_alignment(topology, seed):
    tree, model, _, _ = system(topology, 1)
    graph = graph_of(["x", "y"], 0.5, tree, model)
    tids = equal_alignment(graph, 60, seed)
    assert len(tids) == 60
    accepted = kaldifst.compose(kaldifst.make_linear_acceptor(tids.tolist()), to_fst(graph))
    assert accepted.num_states > 0
    moves = np.flatnonzero(~model.is_self_loop[tids])
    stays = np.diff([*moves, len(tids)])
    assert stays.max() - stays.min() <= 1
    np.testing.assert_array_equal(tids, equal_alignment(graph, 60, seed))


def test_a_flat_start_takes_any_seed(topology):
    tree, model, _, _ = system(topology, 1)
    graph = graph_of(["x", "y"], 0.5, tree, model)
    assert all(len(equal_alignment(graph, 60, seed)) == 60 for seed in (2**31, 2**63 - 1, 2**63 + 500))


def test_searchable_graph_is_the_same_graph(topology):
    tree, model, _, _ = system(topology, 3)
    graph = graph_of(["x", "y"], 0.5, tree, model)
    fst, tids = searchable(graph, model.costs())
    assert sorted(set(graph.ilabel) - {0}) == tids.tolist()
    scores = np.random.default_rng(0).normal(size=(14, model.num_tids)).astype(np.float32)
    local, words, cost = best_path(fst, np.ascontiguousarray(scores[:, tids - 1]), 1e5)
    whole = replace(graph, weight=graph.weight + model.costs()[graph.ilabel])
    expected, same_words, same_cost = best_path(to_fst(whole), scores, 1e5)
    assert tids[np.array(local) - 1].tolist() == expected
    assert words == same_words
    assert cost == pytest.approx(same_cost)
