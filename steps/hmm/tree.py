"""From a phone in context and an HMM state to a pdf-id."""

import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.base.files import read_json
from steps.base.output import writing
from steps.hmm.joins import FEATURE_RATE, Rate, rate_in
from steps.hmm.topology import Topology, num_pdf_classes


@dataclass(frozen=True)
class Question:
    """A node of the tree that asks about one phone of the window.

    Attributes
    ----------
    position : int
        Index in the window of the phone that is asked about.
    phones : frozenset of int
        The answer is yes for these phone-ids; 0 stands for what is outside the utterance.
    yes, no : Question or int
        Where it goes on; an int is a leaf, the pdf-id.
    """

    position: int
    phones: frozenset[int]
    yes: "Node"
    no: "Node"


Node = Question | int


@dataclass(frozen=True)
class Tree:
    """The map from context windows to pdf-ids.

    Attributes
    ----------
    context_width : int
        Phones in a window: 1 for monophones, 3 for triphones.
    central_position : int
        Index in the window of the phone that is modelled.
    pdfs : dict
        For each phone-id the root of each pdf class: in a monophone tree the pdf-id itself.
    phones : str, optional
        The hash of the phones.txt that its phone-ids are of (`steps.lang.table_hash`), where that is known.
    rate : Rate
        Of the states.

    Example
    -------
    >>> tree = Tree(3, 1, {7: [Question(0, frozenset({0, 1}), 0, 1)]})
    >>> tree.pdf([1, 7, 7], 0), tree.pdf([7, 7, 1], 0), tree.num_pdfs
    (0, 1, 2)
    """

    context_width: int
    central_position: int
    pdfs: dict[int, list[Node]]
    phones: str | None = None
    rate: Rate = FEATURE_RATE

    @property
    def num_pdfs(self) -> int:
        """One more than the largest pdf-id."""
        roots = ((phone, root) for phone, classes in self.pdfs.items() for root in classes)
        return 1 + max(pdf for phone, root in roots for pdf in self._leaves(root, phone))

    def pdf(self, window: Sequence[int], pdf_class: int) -> int:
        """The pdf-id of a state of the window's central phone."""
        node = self.pdfs[window[self.central_position]][pdf_class]
        while isinstance(node, Question):
            node = node.yes if window[node.position] in node.phones else node.no
        return node

    def tuples(self, topology: Topology) -> list[tuple[int, int, int]]:
        """All (phone-id, HMM state, pdf-id) that can occur, sorted: Kaldi's transition-states in their order."""
        return sorted(
            {
                (phone, index, pdf)
                for phone, states in topology.items()
                for index, state in enumerate(states)
                for pdf in self._leaves(self.pdfs[phone][state.pdf_class], phone)
            }
        )

    def _leaves(self, node: Node, phone: int) -> Iterator[int]:
        """The pdf-ids below a node that a central phone can reach: phones may share a root and part below it."""
        if not isinstance(node, Question):
            yield node
            return
        central = node.position == self.central_position
        if not central or phone in node.phones:
            yield from self._leaves(node.yes, phone)
        if not central or phone not in node.phones:
            yield from self._leaves(node.no, phone)


def monophone_tree(topology: Topology, sets: Sequence[AbstractSet[int]] = (), phones: str | None = None) -> Tree:
    """Give every pdf class of every phone a pdf of its own (Kaldi's ``gmm-init-mono``).

    Parameters
    ----------
    topology : Topology
    sets : sequence of sets of int
        Phones that share theirs, from `steps.hmm.phone_sets.read_phone_sets`; a phone that is in none shares with none.
    phones : str, optional
        The hash of the phones.txt that the phone-ids are of.

    Example
    -------
    >>> from steps.hmm.topology import left_to_right
    >>> monophone_tree(dict.fromkeys([1, 2, 3], left_to_right(2)), [{1, 3}, {2}]).pdfs
    {1: [0, 1], 2: [2, 3], 3: [0, 1]}
    """
    first = {phone: min(group) for group in sets for phone in group}
    pdfs: dict[int, list[Node]] = {}
    count = 0
    for phone, states in sorted(topology.items()):
        shared = first.get(phone, phone)
        if shared < phone:
            pdfs[phone] = pdfs[shared]
        else:
            classes = num_pdf_classes(states)
            pdfs[phone] = list(range(count, count + classes))
            count += classes
    return Tree(1, 0, pdfs, phones)


def write_tree(path: str | Path, tree: Tree) -> None:
    """Write ``tree.json``, always with the same bytes for the same tree."""
    content = {"context_width": tree.context_width, "central_position": tree.central_position, "pdfs": tree.pdfs}
    if tree.rate != FEATURE_RATE:  # not where it is the default: the hash of earlier trees has to stay
        content |= tree.rate._asdict()
    if tree.phones is not None:
        content["phones"] = tree.phones
    with writing(path) as part:
        part.write_text(json.dumps(content, default=_to_json))


def _to_json(question: Question) -> dict[str, Any]:
    return {**vars(question), "phones": sorted(question.phones)}


def read_tree(path: str | Path) -> Tree:
    """Read ``tree.json``."""
    content = read_json(Path(path), "context_width", "central_position", "pdfs")
    pdfs = {int(phone): [_from_json(root) for root in roots] for phone, roots in content["pdfs"].items()}
    return Tree(content["context_width"], content["central_position"], pdfs, content.get("phones"), rate_in(content))


def _from_json(node: dict[str, Any] | int) -> Node:
    if isinstance(node, int):
        return node
    return Question(node["position"], frozenset(node["phones"]), _from_json(node["yes"]), _from_json(node["no"]))
