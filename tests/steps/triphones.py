"""A triphone tree that is a table: every phone between every two others has pdfs of its own choice."""

from collections.abc import Sequence

import numpy as np

from steps.hmm.topology import Topology
from steps.hmm.tree import Node, Question, Tree

Table = dict[tuple[int, int, int, int], int]  # left neighbour, phone, right neighbour and pdf class to pdf-id


def random_table(topology: Topology, num_pdfs: int, random: np.random.Generator) -> Table:
    """A pdf-id for each triphone and pdf class; all are in use, shared between any phones and classes."""
    around = [0, *topology]
    keys = [
        (left, phone, right, state.pdf_class)
        for phone, states in topology.items()
        for state in states
        for left in around
        for right in around
    ]
    pdfs = random.permutation(np.arange(len(keys)) % num_pdfs)
    return dict(zip(keys, pdfs.tolist(), strict=True))


def tree_of(table: Table, width: int = 3) -> Tree:
    """The tree that asks for one phone after the other, first on the left, then on the right (with width 2 not)."""
    around = sorted({left for left, *_ in table})
    nodes: dict[int, list[Node]] = {}
    for phone, pdf_class in sorted({(phone, pdf_class) for _, phone, _, pdf_class in table}):
        pdfs = [[table[left, phone, right, pdf_class] for right in around] for left in around]
        rights = [_which(2, around, row) if width == 3 else row[0] for row in pdfs]
        nodes.setdefault(phone, []).append(_which(0, around, rights))
    return Tree(width, 1, nodes)


def _which(position: int, phones: Sequence[int], below: Sequence[Node]) -> Node:
    node = below[-1]
    for phone, yes in reversed(list(zip(phones[:-1], below[:-1], strict=True))):
        node = Question(position, frozenset({phone}), yes, node)
    return node
