"""The tree against one that is grown frame by frame, trying every question at every leaf and merging every pair."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.hmm.topology import left_to_right
from steps.hmm.tree import Question, write_tree
from steps.tree.clustering import VARIANCE_FLOOR
from steps.tree.growing import TreeOptions, best_split, build_tree, membership
from steps.tree.questions import phone_questions
from steps.tree.stats import TreeStats, sum_stats

SILENCE = {1}
TOPOLOGY = {1: left_to_right(2), 2: left_to_right(2), 3: left_to_right(2), 4: left_to_right(1), 5: left_to_right(1)}
SETS = [{1}, {2, 3}, {4}, {5}]
PHONES = list(TOPOLOGY)
AROUND = [0, *PHONES]
ROOTS = 6
DIM = 2
NONE = TreeOptions(num_leaves=1000, min_gain=0.0, cluster_thresh=0.0)


def log_likelihood(frames):
    """Of frames under the Gaussian that fits them best, none of whose variances is below the floor."""
    variance = np.maximum(frames.var(0), VARIANCE_FLOOR)
    return -0.5 * (np.log(2 * np.pi * variance) + (frames - frames.mean(0)) ** 2 / variance).sum()


@st.composite
def spoken(draw):
    """Frames by window and pdf class, whose means depend on all of it; phone 5 is not among them, and not all else."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    effect = random.normal(0, [[[0.5]], [[2.0]], [[1.0]], [[1.0]]], (4, 6, DIM))
    frames = {}
    for left, phone, right in product(AROUND[:-1], PHONES[:-1], AROUND[:-1]):
        for pdf_class in range(len(TOPOLOGY[phone])):
            context = (0, phone, 0) if phone in SILENCE else (left, phone, right)
            if random.random() < 0.4 and (*context, pdf_class) not in frames:
                key = (*context, pdf_class)
                mean = sum(effect[i, value] for i, value in enumerate(key))
                frames[key] = random.normal(mean, 0.7, (random.integers(1, 6), DIM))
    return frames


def stats_of(frames):
    keys = np.array(sorted(frames)).reshape(-1, 4)
    values = [frames[key] for key in sorted(frames)]
    first, second = (np.array([(x**power).sum(0) for x in values]) for power in (1, 2))
    return TreeStats(1, keys[:, :3], keys[:, 3], np.array([float(len(x)) for x in values]), first, second)


QUESTIONS = st.lists(st.sets(st.sampled_from(AROUND), min_size=1, max_size=4), min_size=1, max_size=7)
POSITIONS = range(3)


def every_split(frames, questions):
    """The gain of each position and question that divide some frames."""
    whole = log_likelihood(np.concatenate(list(frames.values())))
    for position, (number, question) in product(POSITIONS, enumerate(questions)):
        sides = sides_of(frames, position, question)
        if all(sides):
            parts = (log_likelihood(np.concatenate(list(side.values()))) for side in sides)
            yield sum(parts) - whole, position, number


def sides_of(frames, position, question):
    yes = {key: x for key, x in frames.items() if key[position] in question}
    return yes, {key: x for key, x in frames.items() if key not in yes}


def best_of_all(frames, questions):
    splits = list(every_split(frames, questions)) if frames else []
    highest = max((gain for gain, *_ in splits), default=0)
    return next((split for split in splits if split[0] >= highest - 1e-8), None)


def grow(frames, questions, options, sets=SETS):
    """The leaves below each root, as frames by window and pdf class, and the gains in order."""
    roots = {}
    for phones in map(sorted, sets):
        for pdf_class in range(len(TOPOLOGY[phones[0]])):
            own = {key: x for key, x in frames.items() if key[1] in phones and key[3] == pdf_class}
            roots[phones[0], pdf_class] = [own]
    best = {}  # of each leaf, kept beside it
    gains = []
    while sum(map(len, roots.values())) < options.num_leaves:
        candidates = []
        for (phone, pdf_class), leaves in roots.items():
            for number, leaf in enumerate(leaves):
                if id(leaf) not in best:
                    best[id(leaf)] = leaf, best_of_all(leaf, questions)
                split = best[id(leaf)][1]
                if phone not in SILENCE and split is not None and split[0] >= options.min_gain:
                    candidates.append((split, (phone, pdf_class), number))
        if not candidates:
            break
        (gain, position, question), root, number = max(candidates)
        roots[root][number : number + 1] = sides_of(roots[root][number], position, questions[question])
        gains.append(gain)
    return roots, gains


def loss(a, b):
    together = np.concatenate([*a.values(), *b.values()])
    return sum(log_likelihood(np.concatenate(list(x.values()))) for x in (a, b)) - log_likelihood(together)


def merge(leaves, threshold):
    leaves = list(leaves)
    while len(leaves) > 1:
        least, a, b = min((loss(leaves[a], leaves[b]), a, b) for a, b in combinations(range(len(leaves)), 2))
        if least >= threshold:
            break
        leaves[a] = leaves[a] | leaves.pop(b)
    return leaves


def partition(leaves):
    return {frozenset(leaf) for leaf in leaves if leaf}


def partition_by(tree, frames):
    found = {}
    for *window, pdf_class in frames:
        found.setdefault(tree.pdf(window, pdf_class), set()).add((*window, pdf_class))
    return set(map(frozenset, found.values()))


def build(frames, questions, options, sets=SETS):
    return build_tree(stats_of(frames), TOPOLOGY, options, questions, sets, SILENCE)


@settings(deadline=None, max_examples=60)
@given(spoken(), QUESTIONS, st.sampled_from([2, 4]))
def test_best_of_all_questions(frames, questions, phone):
    frames = {key: x for key, x in frames.items() if key[1] == phone}
    stats = stats_of(frames)
    found = best_split(stats.windows, stats.sums, membership(questions, 6))
    expected = best_of_all(frames, questions)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert (found.position, found.question) == expected[1:]
        assert found.gain == pytest.approx(expected[0], rel=1e-9, abs=1e-9)
        assert found.gain > -1e-9, "no division fits worse"


OPTIONS = st.builds(
    TreeOptions,
    num_leaves=st.integers(ROOTS + 1, 25),
    min_gain=st.sampled_from([0.0, 5.0, 20.0]),
    cluster_thresh=st.just(0.0),
)


@settings(deadline=None, max_examples=30)
@given(spoken(), QUESTIONS, OPTIONS, st.booleans())
def test_growing_takes_the_best_split_of_all_leaves(frames, questions, options, shared):
    sets = SETS if shared else [{phone} for phone in PHONES]
    options = replace(options, num_leaves=options.num_leaves + 2)  # two roots more when none are shared
    roots, gains = grow(frames, questions, options, sets)
    tree = build(frames, questions, options, sets)
    assert partition_by(tree, frames) == partition(leaf for leaves in roots.values() for leaf in leaves)
    assert tree.num_pdfs == sum(map(len, roots.values())) <= options.num_leaves
    assert min(gains, default=np.inf) >= options.min_gain


@settings(deadline=None, max_examples=30)
@given(spoken(), QUESTIONS, OPTIONS, st.sampled_from([2.0, 10.0, 50.0, 1e9, -1.0]))
def test_merging_takes_the_least_loss_of_all_pairs(frames, questions, options, threshold):
    roots, gains = grow(frames, questions, options)
    tree = build(frames, questions, replace(options, cluster_thresh=threshold))
    limit = min(gains, default=np.inf) - 1e-8 if threshold < 0 else threshold
    merged = [merge(filter(None, leaves), limit) for leaves in roots.values()]
    assert partition_by(tree, frames) == partition(leaf for leaves in merged for leaf in leaves)
    # and what that means: less likely than before, and no pair is left that would lose so little
    before, after = (
        sum(log_likelihood(np.concatenate(list(leaf.values()))) for leaves in forest for leaf in leaves if leaf)
        for forest in (roots.values(), merged)
    )
    assert after <= before + 1e-9
    assert all(loss(a, b) >= limit for leaves in merged for a, b in combinations(leaves, 2))


@settings(deadline=None, max_examples=30)
@given(spoken(), OPTIONS, st.sampled_from([0.0, -1.0, 20.0]))
def test_every_window_has_a_pdf(frames, options, threshold):
    stats = stats_of(frames)
    questions = phone_questions(stats, TOPOLOGY, SETS, SILENCE)
    tree = build_tree(stats, TOPOLOGY, replace(options, cluster_thresh=threshold), questions, SETS, SILENCE)
    found = {}
    for left, phone, right in product(AROUND, PHONES, AROUND):
        for state, _ in enumerate(TOPOLOGY[phone]):
            found.setdefault((phone, state), set()).add(tree.pdf((left, phone, right), state))
    assert set().union(*found.values()) == set(range(tree.num_pdfs))
    assert found[2, 0] == found[3, 0], "the questions cannot tell the phones of a set apart"
    assert all(len(found[phone, state]) == 1 for phone, state in ((1, 0), (1, 1), (5, 0))), "silence, or never seen"
    assert list(tree.pdfs) == PHONES
    check_no_idle_question(tree.pdfs.values())


def check_no_idle_question(roots):
    for node in (node for nodes in roots for node in nodes):
        if isinstance(node, Question):
            assert node.yes != node.no
            check_no_idle_question([[node.yes, node.no]])


@settings(deadline=None, max_examples=20)
@given(spoken(), OPTIONS, st.integers(0, 2**32 - 1))
def test_neither_blocks_nor_the_order_of_sets_matter(tmp_path_factory, frames, options, seed):
    random = np.random.default_rng(seed)
    parts = [{} for _ in range(4)]
    for key, x in frames.items():
        for part, some in zip(parts, np.split(x, np.sort(random.integers(0, len(x) + 1, 3))), strict=True):
            if len(some):
                part[key] = some
    whole = stats_of(frames)
    split = sum_stats([stats_of(part) for part in parts if part])
    written = []
    for stats, sets in ((whole, SETS), (split, SETS[::-1])):
        questions = phone_questions(stats, TOPOLOGY, sets, SILENCE)
        tree = build_tree(stats, TOPOLOGY, replace(options, cluster_thresh=-1.0), questions, sets, SILENCE)
        path = tmp_path_factory.mktemp("trees") / "tree.json"
        write_tree(path, tree)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def two_sounds():
    """Phone 4 sounds one way after 2 and another after 4 and 1."""
    random = np.random.default_rng(0)
    return {(left, 4, 2, 0): random.normal(5 * (left == 2), 1, (50, DIM)) for left in (1, 2, 4)}


# the second question divides these windows as the first one does, the third the other way round
@pytest.mark.parametrize("questions", [[{2}, {2, 3}, {1, 4}], [{2, 3}, {1, 4}, {2}], [{1, 4}, {2}, {2, 3}]])
def test_of_equal_questions_the_first_is_asked(questions):
    tree = build(two_sounds(), [{1}, *questions, {4}], replace(NONE, num_leaves=ROOTS + 1))
    assert isinstance(tree.pdfs[4][0], Question)
    assert tree.pdfs[4][0].phones == questions[0]


def test_rounding_does_not_choose_between_equal_positions():
    for seed in range(20):
        random = np.random.default_rng(seed)
        # the question divides the neighbours on both sides alike, but sums over them are added in another order
        alike = [*product((2, 3), (2, 3, 5)), *product((1, 4), (1, 4))]
        frames = {(left, 4, right, 0): random.normal(5 * (right in (1, 4)), 1, (7, DIM)) for left, right in alike}
        tree = build(frames, [{2, 3, 5}], replace(NONE, num_leaves=ROOTS + 1))
        assert tree.pdfs[4][0].position == 0


def test_the_smallest_gain_need_not_be_the_last():
    # neither neighbour tells much alone, both together do: the first question gains less than those below it
    random = np.random.default_rng(0)
    means = {(2, 2): 0.0, (2, 3): 5.0, (3, 2): 5.5, (3, 3): 0.5}
    frames = {(left, 4, right, 0): random.normal(mean, 0.1, (50, DIM)) for (left, right), mean in means.items()}
    options = replace(NONE, num_leaves=ROOTS + 3)
    _, gains = grow(frames, [{2}], options)
    assert gains[0] < min(gains[1:])
    # from the smallest gain no merger is allowed, then those of the two pairs that sound alike, then all
    for threshold, leaves in ((-1.0, 4), (gains[0], 4), (0.9 * gains[1], 2), (1e9, 1)):
        assert build(frames, [{2}], replace(options, cluster_thresh=threshold)).num_pdfs == ROOTS - 1 + leaves


def test_numbers_of_pdfs():
    tree = build(two_sounds(), [{2}], NONE)
    leaf = Question(0, frozenset({2}), 4, 5)
    assert tree.pdfs == {1: [0, 1], 2: [2, 3], 3: [2, 3], 4: [leaf], 5: [6]}


def test_questions_may_divide_the_phones_of_a_set():
    random = np.random.default_rng(0)
    frames = {(4, phone, 4, 0): random.normal(9 * phone, 1, (50, DIM)) for phone in (2, 3)}
    tree = build(frames, [{3}], NONE)
    assert tree.pdfs[2] == tree.pdfs[3] == [Question(1, frozenset({3}), 2, 3), 4]
    assert [row for row in tree.tuples(TOPOLOGY) if row[0] in (2, 3)] == [(2, 0, 3), (2, 1, 4), (3, 0, 2), (3, 1, 4)]


def test_phones_of_a_context_independent_set_are_not_divided():
    random = np.random.default_rng(0)
    frames = {(0, phone, 0, 0): random.normal(9 * phone, 1, (50, DIM)) for phone in (2, 3)}
    tree = build_tree(stats_of(frames), TOPOLOGY, NONE, [{3}], SETS, {2, 3})
    assert tree.pdfs[2] == tree.pdfs[3] == [2, 3]


def test_no_questions():
    assert build(two_sounds(), [], NONE).num_pdfs == ROOTS


def test_the_least_number_of_leaves():
    assert build(two_sounds(), [{2}], replace(NONE, num_leaves=ROOTS)).num_pdfs == ROOTS
    message = f"num_leaves is {ROOTS - 1}, but the tree begins with {ROOTS} leaves, one for each phone and pdf class"
    with pytest.raises(InputError, match=message):
        build(two_sounds(), [{2}], replace(NONE, num_leaves=ROOTS - 1))


def test_sets_are_checked():
    with pytest.raises(InputError, match="phone 5 is in no phone set"):
        build(two_sounds(), [{2}], NONE, SETS[:-1])
