"""Growing the decision tree of a context-dependent system (Young, Odell and Woodland, 1994)."""

import heapq
import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import count
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from nnet.ranges import Count, NotNegative, Range
from steps.base.errors import InputError
from steps.base.options import Options
from steps.hmm.topology import Topology, num_pdf_classes
from steps.hmm.tree import Node, Question, Tree
from steps.tree.clustering import log_likelihood, merges
from steps.tree.questions import check_sets
from steps.tree.stats import TreeStats

TIE = 1e-11  # log likelihood per frame and dimension: what rounding may change, two sums that should be equal included


@dataclass(frozen=True)
class TreeOptions(Options):
    """How far the decision tree grows, with the defaults of Kaldi's ``build-tree``.

    Parameters
    ----------
    num_leaves : int
        It stops growing at this many leaves, those of silence included; merging leaves somewhat fewer.
    min_gain : float
        It stops growing when no split gains as much log likelihood.
    cluster_thresh : float
        In the end, leaves of the same phone and state are merged whose merger loses less log likelihood: 0 for none,
        -1 for the smallest gain of a split.
    """

    num_leaves: Count = 2000
    min_gain: NotNegative = 300.0
    cluster_thresh: Annotated[float, Range(at_least=-1)] = -1.0


@dataclass(frozen=True)
class Split:
    """The position in the window and the number of the question that is asked about it, and what that gains."""

    gain: float
    position: int
    question: int


@dataclass
class _Node:
    """A node while the tree grows: the rows of the statistics that come to it and, below a split, where they go on."""

    rows: NDArray[Any]
    split: Split | None = None
    below: "tuple[_Node, _Node] | None" = None  # yes, no

    def leaves(self) -> "Iterator[_Node]":
        """The leaves below, yes before no."""
        for node in self.below or ():
            yield from node.leaves()
        if self.below is None:
            yield self


def build_tree(
    stats: TreeStats,
    topology: Topology,
    options: TreeOptions,
    questions: Sequence[AbstractSet[int]],
    sets: Sequence[AbstractSet[int]],
    context_independent: AbstractSet[int],
) -> Tree:
    """Grow a decision tree (Kaldi's ``build-tree``).

    There is a root for each phone set and pdf class. The leaf whose best question gains the most is split, again and
    again, until one of the limits of `options` is met; then leaves below the same root are merged. Also what was never
    seen has a leaf.

    Parameters
    ----------
    stats : TreeStats
    topology : Topology
    options : TreeOptions
    questions : sequence of sets of int
        From `steps.tree.questions.phone_questions`; they are asked about each phone of the window. Of questions
        that gain the same the first is taken.
    sets : sequence of sets of int
        Phones that share their roots; a question that divides such a set may be asked about the central phone too.
    context_independent : set of int
        Phones whose roots are not split.

    Raises
    ------
    InputError
        When the sets do not divide the topology's phones, the statistics have other phones, or there are more roots
        than leaves are asked for.

    Returns
    -------
    Tree
        Its pdf-ids are counted from 0 in the order of phones, pdf classes and, below a root, yes before no.
    """
    check_sets(sets, topology, context_independent, stats)
    ordered = sorted(sorted(phones) for phones in sets)
    roots = _roots(stats, topology, ordered)
    if len(roots) > options.num_leaves:
        raise InputError(
            f"num_leaves is {options.num_leaves}, but the tree begins with {len(roots)} leaves, one for each phone and "
            "pdf class; ask for at least as many"
        )
    sums, member = stats.sums, membership(questions, 1 + max(topology))
    free = [root for (phone, _), root in roots.items() if phone not in context_independent]
    smallest = _grow(free, options.num_leaves - len(roots), options.min_gain, stats.windows, sums, member)
    # no merger may take back the smallest split itself, which by rounding could lose a little less than it gained
    thresh = smallest - _tolerance(sums.sum(0)) if options.cluster_thresh < 0 else options.cluster_thresh
    num_pdfs, done = 0, {}
    for key, root in roots.items():
        pdfs = num_pdfs + _merged(np.array([sums[leaf.rows].sum(0) for leaf in root.leaves()]), thresh)
        done[key] = _finished(root, questions, iter(pdfs.tolist()))
        num_pdfs = 1 + int(pdfs.max())
    nodes = {
        phone: [done[phones[0], pdf_class] for pdf_class in range(num_pdf_classes(topology[phone]))]
        for phones in ordered
        for phone in phones
    }
    return Tree(stats.windows.shape[1], stats.central_position, dict(sorted(nodes.items())))


def _roots(stats: TreeStats, topology: Topology, sets: list[list[int]]) -> dict[tuple[int, int], _Node]:
    """The root of each phone set and pdf class, by the set's first phone and the class."""
    roots = {}
    for phones in sets:
        own = np.isin(stats.windows[:, stats.central_position], phones)
        for pdf_class in range(num_pdf_classes(topology[phones[0]])):
            roots[phones[0], pdf_class] = _Node(np.flatnonzero(own & (stats.pdf_classes == pdf_class)))
    return roots


def membership(questions: Sequence[AbstractSet[int]], num_phones: int) -> NDArray[Any]:
    """Write questions as a matrix (len(questions), num_phones): 1 where the phone-id is in the question, 0 elsewhere.

    Example
    -------
    >>> membership([{0, 2}, {1}], 3)
    array([[1., 0., 1.],
           [0., 1., 0.]])
    """
    rows = [[phone in question for phone in range(num_phones)] for question in questions]
    return np.array(rows, dtype=np.float64).reshape(len(questions), num_phones)


def best_split(windows: NDArray[Any], sums: NDArray[Any], member: NDArray[Any]) -> Split | None:
    """Find the question and the position that gain the most log likelihood.

    Parameters
    ----------
    windows : (K, context_width) int
    sums : (K, 1 + 2 D) float64
        Of each window, see `steps.tree.clustering`.
    member : (Q, num_phones) float64
        From `membership`.

    Returns
    -------
    Split or None
        None when no question divides the windows. Of splits with the same gain it is the one of the first position,
        then the first question.
    """
    total = sums.sum(0)
    gains = np.full((windows.shape[1], len(member)), -np.inf)
    for position, column in enumerate(windows.T):
        order = np.argsort(column, kind="stable")
        phones, starts = np.unique(column[order], return_index=True)
        asked = member[:, phones]
        divides = (asked.min(1, initial=1) == 0) & (asked.max(1, initial=0) == 1)
        if divides.any():
            by_phone = np.add.reduceat(sums[order], starts, axis=0)
            yes, no = asked[divides] @ by_phone, (1 - asked[divides]) @ by_phone
            gains[position, divides] = log_likelihood(yes) + log_likelihood(no) - log_likelihood(total)
    if not np.isfinite(gains).any():
        return None
    first = int((gains >= gains.max() - _tolerance(total)).argmax())
    position, question = divmod(first, len(member))
    return Split(float(gains[position, question]), position, question)


def _tolerance(total: NDArray[Any]) -> float:
    """What counts as nothing beside the log likelihood of so many frames."""
    return TIE * float(total[0]) * (len(total) // 2)


def _grow(
    roots: list[_Node],
    num_splits: int,
    min_gain: float,
    windows: NDArray[Any],
    sums: NDArray[Any],
    member: NDArray[Any],
) -> float:
    """Split the leaf that gains the most, at most so many times; give the smallest gain, infinity without a split."""
    heap: list[tuple[float, int, _Node, Split]] = []
    numbers = count()  # of nodes of the same gain the older one is first

    def offer(node: _Node) -> None:
        split = best_split(windows[node.rows], sums[node.rows], member)
        if split is not None and split.gain >= min_gain:
            heapq.heappush(heap, (-split.gain, next(numbers), node, split))

    for root in roots:
        offer(root)
    smallest = math.inf
    while heap and num_splits > 0:
        _, _, node, split = heapq.heappop(heap)
        node.split = split
        yes = member[split.question, windows[node.rows, split.position]] == 1
        node.below = _Node(node.rows[yes]), _Node(node.rows[~yes])
        for child in node.below:
            offer(child)
        smallest = min(smallest, split.gain)
        num_splits -= 1
    return smallest


def _merged(sums: NDArray[Any], threshold: float) -> NDArray[Any]:
    """Number the leaves of a root, from 0 in their order; leaves that are merged get the same number."""
    cluster = np.arange(len(sums))
    for kept, gone in merges(sums, threshold):
        cluster[cluster == gone] = kept
    numbers: NDArray[Any] = np.unique(cluster, return_inverse=True)[1]
    return numbers


def _finished(node: _Node, questions: Sequence[AbstractSet[int]], pdfs: Iterator[int]) -> Node:
    """Take the pdf-ids for the leaves in their order; a question both of whose answers lead to the same is left out."""
    if node.below is None or node.split is None:
        return next(pdfs)
    yes, no = (_finished(child, questions, pdfs) for child in node.below)
    phones = frozenset(questions[node.split.question])
    return yes if yes == no else Question(node.split.position, phones, yes, no)
