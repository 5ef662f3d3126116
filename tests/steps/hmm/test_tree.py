"""The map from windows to pdf-ids: against lists of conditions, and against all windows there are."""

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.hmm.joins import Rate, rate_of, tree_hash
from steps.hmm.topology import HmmState, left_to_right
from steps.hmm.tree import Question, Tree, monophone_tree, read_tree, write_tree

# two phones of two states, and one whose second and third state share a pdf class
SHARED = tuple(HmmState(pdf_class, ((i, 0.5), (i + 1, 0.5))) for i, pdf_class in enumerate((0, 1, 1)))
TOPOLOGY = {1: left_to_right(2), 2: left_to_right(2), 3: SHARED}
MONOPHONES = '{"context_width": 1, "central_position": 0, "pdfs": {"1": [0, 1], "2": [2, 3], "3": [4, 5]}}'
WINDOWS = list(product((0, 1, 2, 3), (1, 2, 3), (0, 1, 2, 3)))


@st.composite
def nodes(draw, windows, depth=4):
    """A node for some windows, each question of which divides them."""
    question = draw(st.tuples(st.integers(0, 2), st.frozensets(st.integers(0, 3), min_size=1, max_size=3)))
    yes = [window for window in windows if window[question[0]] in question[1]]
    no = [window for window in windows if window[question[0]] not in question[1]]
    if not depth or not yes or not no or draw(st.integers(0, 4)) == 0:
        return draw(st.integers(0, 9))
    return Question(*question, draw(nodes(yes, depth - 1)), draw(nodes(no, depth - 1)))


@st.composite
def trees(draw):
    """Phones 1 and 2 share their roots, which may ask for the central phone."""
    shared = [draw(nodes([window for window in WINDOWS if window[1] < 3])) for _ in range(2)]
    own = [draw(nodes([window for window in WINDOWS if window[1] == 3])) for _ in range(2)]
    return Tree(3, 1, {1: shared, 2: shared, 3: own})


def paths(node, conditions=()):
    """Every leaf with what has to hold on the way to it."""
    if isinstance(node, int):
        return [(conditions, node)]
    yes = paths(node.yes, (*conditions, (node.position, node.phones, True)))
    return yes + paths(node.no, (*conditions, (node.position, node.phones, False)))


def holds(window, conditions):
    return all((window[position] in phones) == answer for position, phones, answer in conditions)


@settings(deadline=None)
@given(trees())
def test_each_window_comes_to_the_one_leaf_whose_conditions_it_meets(tree):
    for window, pdf_class in product(WINDOWS, (0, 1)):
        leaves = [pdf for conditions, pdf in paths(tree.pdfs[window[1]][pdf_class]) if holds(window, conditions)]
        assert [tree.pdf(window, pdf_class)] == leaves


@settings(deadline=None)
@given(trees())
def test_tuples_are_what_windows_come_to(tree):
    found = {
        (window[1], index, tree.pdf(window, state.pdf_class))
        for window in WINDOWS
        for index, state in enumerate(TOPOLOGY[window[1]])
    }
    assert tree.tuples(TOPOLOGY) == sorted(found)
    assert tree.num_pdfs == 1 + max(pdf for _, _, pdf in found)


@settings(deadline=None)
@given(trees())
def test_files(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("trees") / "tree.json"
    write_tree(path, tree)
    again = read_tree(path)
    assert again == tree
    before = path.read_bytes()
    write_tree(path, again)
    assert path.read_bytes() == before


def test_phones_are_written_sorted(tmp_path):
    many = [40, 3, 17, 0, 64, 8, 1000]  # a set of these has another order than their values
    write_tree(tmp_path / "tree.json", Tree(3, 1, {1: [Question(0, frozenset(many), 0, 1)]}))
    found = json.loads((tmp_path / "tree.json").read_text())["pdfs"]
    assert found == {"1": [{"position": 0, "phones": sorted(many), "yes": 0, "no": 1}]}


def test_the_rate_of_the_states_is_written_where_it_is_not_the_features(tmp_path):
    tree = monophone_tree(TOPOLOGY)
    (tmp_path / "topo").write_text("")
    hashes = set()
    for rate in (Rate(), Rate(3, 1.0), Rate(3, 0.5), Rate(2, 1.0)):
        write_tree(tmp_path / "tree.json", replace(tree, rate=rate))
        content = json.loads((tmp_path / "tree.json").read_text())
        assert {name: content[name] for name in rate._fields if name in content} == (
            {} if rate == Rate() else {"skip": rate.skip, "self_loop_scale": rate.self_loop_scale}
        )
        assert read_tree(tmp_path / "tree.json").rate == rate_of(tmp_path) == rate
        hashes.add(tree_hash(tmp_path))
    assert len(hashes) == 4


def test_monophone_files_stay_as_they_are(tmp_path):
    write_tree(tmp_path / "tree.json", monophone_tree(TOPOLOGY))
    assert (tmp_path / "tree.json").read_text() == MONOPHONES
    assert read_tree(tmp_path / "tree.json") == monophone_tree(TOPOLOGY)


def test_monophones_of_sets_of_one_are_the_same_file(tmp_path):
    write_tree(tmp_path / "tree.json", monophone_tree(TOPOLOGY, [{3}, {1}, {2}]))
    assert (tmp_path / "tree.json").read_text() == MONOPHONES


def test_monophones_of_a_set_share_their_pdfs():
    tree = monophone_tree(TOPOLOGY | {4: TOPOLOGY[2]}, [{2, 4}, {3}])
    assert tree.pdfs == {1: [0, 1], 2: [2, 3], 3: [4, 5], 4: [2, 3]}
    assert tree.num_pdfs == 6


@pytest.mark.parametrize(("phone", "pdf_class", "pdf"), [(1, 0, 0), (2, 1, 3), (3, 1, 5)])
def test_monophones(phone, pdf_class, pdf):
    assert monophone_tree(TOPOLOGY).pdf([phone], pdf_class) == pdf
    assert monophone_tree(TOPOLOGY).tuples(TOPOLOGY)[-2:] == [(3, 1, 5), (3, 2, 5)]
