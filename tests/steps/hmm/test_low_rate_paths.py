"""Alignments with an output every few frames, against all state paths one by one."""

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from nnet.steps import nearest_steps
from steps.hmm.joins import Rate
from steps.hmm.topology import CHAIN
from steps.hmm.transitions import path_at_frames, split_phones, transition_model
from steps.hmm.tree import monophone_tree
from steps.hmm.viterbi import align
from tests.steps import brute_force
from tests.steps.hmm.test_viterbi import LEXICON, PHONES, WIDE, graph_of, states_of, system, topology

__all__ = ["topology"]  # a fixture


def nearest(frames, skip):
    """The step of each frame, by its distance from all of them; of two as near the second."""
    steps = range(0, frames, skip)
    return [min(range(len(steps)), key=lambda u: (abs(steps[u] - t), -u)) for t in range(frames)]


def costs_of(scores, model, tree):
    return {
        (name, state): -scores[:, model.states[model.state_index[phone, state, pdf]][2]]
        for name, phone in list(PHONES.items())[1:]
        for state, pdf in enumerate(tree.pdfs[phone])
    }


@pytest.mark.parametrize("skip", [2, 3])
@pytest.mark.parametrize("text", [["x"], ["x", "y"], []])
def test_states_of_ten_ms_take_the_nearest_output(topology, text, skip):
    tree, model, arcs, random = system(topology, 4)
    frames = 9
    outputs = random.normal(0, 3, (-(-frames // skip), model.num_pdfs)).astype(np.float32)
    world = brute_force.World(arcs, LEXICON, 0.5, brute_force.transcript_lm(text))
    expected = min(world.paths(costs_of(outputs[nearest(frames, skip)], model, tree)), key=lambda path: path.cost)
    found = align(graph_of(text, 0.5, tree, model), outputs[nearest_steps(frames, skip)], model, WIDE)
    assert found.cost == pytest.approx(expected.cost, abs=1e-3)
    assert states_of(model, found.tids) == expected.states


@pytest.mark.parametrize("frames", [13, 14, 15])
@pytest.mark.parametrize("text", [["x"], ["x", "y"]])
def test_states_of_thirty_ms(text, frames):
    chains = dict.fromkeys((1, 2, 3), CHAIN)
    tree = replace(monophone_tree(chains), rate=Rate(3, 1.0))
    random = np.random.default_rng(frames)
    stays = random.uniform(0.2, 0.9, (3, 2))
    arcs = {name: [{1: p, 2: 1 - p} for p in row] for name, row in zip(("SIL", "A", "B"), stays.tolist(), strict=True)}
    names = {number: name for name, number in PHONES.items()}
    model = transition_model(chains, tree)
    ids = zip(model.tid_to_phone[1:], model.tid_to_hmm_state[1:], model.tid_to_next[1:], strict=True)
    model = replace(model, log_prob=np.log([1.0, *(arcs[names[phone]][state][to] for phone, state, to in ids)]))
    scores = random.normal(0, 3, (-(-frames // 3), model.num_pdfs)).astype(np.float32)
    world = brute_force.World(arcs, LEXICON, 0.5, brute_force.transcript_lm(text), scales=(1.0, 1.0))
    costs = costs_of(3 * scores, model, tree)  # each stands for three frames
    expected = min(world.paths(costs), key=lambda path: path.cost)
    found = align(graph_of(text, 0.5, tree, model), scores, model, WIDE)  # the self-loop scale is that of the states
    assert found.cost == pytest.approx(expected.cost, abs=1e-3)
    assert states_of(model, found.tids) == expected.states

    tids = path_at_frames(model, found.tids, frames)
    assert states_of(model, tids) == [expected.states[u] for u in nearest(frames, 3)]
    np.testing.assert_array_equal(tids[::3], found.tids)
    numbers = np.cumsum([state == 0 for _, state in expected.states])[nearest(frames, 3)]  # a phone begins in state 0
    lengths = [len(list(group)) for _, group in groupby(numbers)]
    phones = [phone for phone, state in expected.states if state == 0]
    spans = list(zip(phones, np.cumsum([0, *lengths[:-1]]).tolist(), lengths, strict=True))
    assert [(names[phone], first, count) for phone, first, count in split_phones(model, tids)] == spans
