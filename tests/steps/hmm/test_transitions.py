from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.hmm.joins import Rate
from steps.hmm.topology import HmmState, left_to_right, silence, write_topo
from steps.hmm.transitions import read_transition_model, split_phones, transition_model, write_transition_model
from steps.hmm.tree import Tree, monophone_tree, read_tree, write_tree

# silence of five states, three in a row, one alone, and one with a skip and a state without a loop
SKIP = (HmmState(0, ((0, 0.5), (1, 0.3), (2, 0.2))), HmmState(1, ((2, 1.0),)))
TOPOLOGY = {1: silence(5), 2: left_to_right(3), 3: left_to_right(1), 4: SKIP}
MODEL = transition_model(TOPOLOGY, monophone_tree(TOPOLOGY))


def test_ids_are_kaldis():
    # Kaldi's show-transitions numbers transition-states by phone, state and pdf, ids along the topology from 1
    expected, tid, pdf = [], 0, -1
    for phone, states in TOPOLOGY.items():
        for number, state in enumerate(states):
            pdf += 1
            for dest, probability in state.transitions:
                tid += 1
                expected.append((tid, phone, number, pdf, dest, probability))
    found = zip(
        range(1, MODEL.num_tids + 1),
        MODEL.tid_to_phone[1:],
        MODEL.tid_to_hmm_state[1:],
        MODEL.tid_to_pdf[1:],
        MODEL.tid_to_next[1:],
        np.exp(MODEL.log_prob[1:]),
        strict=True,
    )
    assert [row[:5] for row in found] == [row[:5] for row in expected]
    np.testing.assert_allclose(np.exp(MODEL.log_prob[1:]), [row[5] for row in expected])
    assert MODEL.num_pdfs == 11
    np.testing.assert_array_equal(MODEL.tid_to_pdf_class[1:], MODEL.tid_to_hmm_state[1:])
    assert [s for _, _, s in MODEL.states] == list(range(11))


def test_states_are_sorted_by_phone_state_and_pdf_when_pdfs_are_shared():
    tree = Tree(1, 0, {2: [1, 0, 1], 3: [0]})
    model = transition_model({2: TOPOLOGY[2], 3: TOPOLOGY[3]}, tree)
    assert model.states == [(2, 0, 1), (2, 1, 0), (2, 2, 1), (3, 0, 0)]
    assert model.num_pdfs == tree.num_pdfs == 2


def test_self_loops():
    loops = [tid for tid in range(1, MODEL.num_tids + 1) if MODEL.is_self_loop[tid]]
    assert len(loops) == 5 + 3 + 1 + 1
    for tid in loops:
        assert MODEL.tid_to_next[tid] == MODEL.tid_to_hmm_state[tid]
        assert MODEL.self_loop_tid[MODEL.tid_to_state[tid]] == tid
    assert MODEL.self_loop_tid[MODEL.state_index[4, 1, 10]] == 0


def test_the_scale_of_self_loops_is_that_of_the_states():
    tree = replace(monophone_tree(TOPOLOGY), rate=Rate(3, 0.7))
    model = transition_model(TOPOLOGY, tree)
    assert model.rate == (3, 0.7)
    np.testing.assert_array_equal(model.costs(), MODEL.costs(1.0, 0.7))
    np.testing.assert_array_equal(MODEL.costs(), MODEL.costs(1.0, 0.1))
    np.testing.assert_array_equal(model.costs(1.0, 0.1), MODEL.costs())


@pytest.mark.parametrize(("transition_scale", "loop_scale"), [(1.0, 0.1), (0.3, 1.0), (1.0, 1.0)])
def test_costs(transition_scale, loop_scale):
    costs = MODEL.costs(transition_scale, loop_scale)
    for tid in range(1, MODEL.num_tids + 1):
        prob = np.exp(MODEL.log_prob[tid])
        loop = MODEL.self_loop_tid[MODEL.tid_to_state[tid]]
        stay = np.exp(MODEL.log_prob[loop]) if loop else 0.0
        if tid == loop:
            expected = -loop_scale * np.log(prob)
        else:
            expected = -transition_scale * np.log(prob / (1 - stay)) - loop_scale * np.log(1 - stay)
        assert costs[tid] == pytest.approx(expected, abs=1e-6)
    assert costs[0] == 0
    if transition_scale == loop_scale == 1:
        np.testing.assert_allclose(costs[1:], -MODEL.log_prob[1:], atol=1e-6)


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), min_size=MODEL.num_tids, max_size=MODEL.num_tids))
def test_update_is_kaldis(counts):
    updated = np.exp(MODEL.updated(np.array([0, *counts], float)).log_prob)
    for first, end in zip(MODEL.first_tid[:-1], MODEL.first_tid[1:], strict=True):
        own = np.array(counts[first - 1 : end - 1], float)
        if own.sum() < 5:
            np.testing.assert_array_equal(updated[first:end], np.exp(MODEL.log_prob[first:end]))
            continue
        own /= own.sum()
        for _ in range(3):  # TransitionModel::MleUpdate
            own = np.maximum(own / own.sum(), 0.01)
        np.testing.assert_allclose(updated[first:end], own, rtol=1e-3)
        assert updated[first:end].sum() == pytest.approx(1)


@settings(deadline=None)
@given(st.data())
def test_split_phones(data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    tids, expected = [], []
    for phone in data.draw(st.lists(st.sampled_from(list(TOPOLOGY)), max_size=8)):
        state, first = 0, len(tids)
        while state < len(TOPOLOGY[phone]):
            transition_state = MODEL.states.index(next(s for s in MODEL.states if s[:2] == (phone, state)))
            ids = np.arange(MODEL.first_tid[transition_state], MODEL.first_tid[transition_state + 1])
            out = random.choice([tid for tid in ids if MODEL.tid_to_next[tid] != state])
            stay = random.integers(4) if MODEL.self_loop_tid[transition_state] else 0
            tids += [out] + [MODEL.self_loop_tid[transition_state]] * stay
            state = MODEL.tid_to_next[out]
        expected.append((phone, first, len(tids) - first))
    assert split_phones(MODEL, tids) == expected


def test_files(tmp_path):
    write_topo(tmp_path / "topo", [1], [2, 3])
    for name in ("tree.json", "transitions.npz"):
        with pytest.raises(InputError, match=f"neither a model nor an alignment directory, it has no {name}"):
            read_transition_model(tmp_path)
        topology = {1: silence(5), 2: left_to_right(3), 3: left_to_right(3)}
        if name == "tree.json":
            write_tree(tmp_path / name, tree := monophone_tree(topology))
    model = transition_model(topology, tree)
    model = replace(model, log_prob=model.log_prob - 0.5)
    write_transition_model(tmp_path / "transitions.npz", model)
    again = read_transition_model(tmp_path)
    assert again.states == model.states
    np.testing.assert_array_equal(again.log_prob, model.log_prob)
    assert read_tree(tmp_path / "tree.json") == tree
    assert tree.pdf([2], 1) == 6
    write_topo(tmp_path / "topo", [1], [2, 3], silence_states=3)
    with pytest.raises(InputError, match=r"has 30 transition-ids, but topo and tree\.json have 18; they belong to"):
        read_transition_model(tmp_path)
