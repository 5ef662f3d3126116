"""From a phone in context and an HMM state to a pdf-id."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steps.files import read_json
from steps.hmm.topology import Topology
from steps.output import writing


@dataclass(frozen=True)
class Tree:
    """The map from context windows to pdf-ids.

    Attributes
    ----------
    context_width : int
        Phones in a window: 1 for monophones.
    central_position : int
        Index in the window of the phone that is modelled.
    pdfs : dict
        For each phone-id the pdf-id of each pdf class.
    """

    context_width: int
    central_position: int
    pdfs: dict[int, list[int]]

    @property
    def num_pdfs(self) -> int:
        """One more than the largest pdf-id."""
        return 1 + max(pdf for classes in self.pdfs.values() for pdf in classes)

    def pdf(self, window: Sequence[int], pdf_class: int) -> int:
        """The pdf-id of a state of the window's central phone."""
        return self.pdfs[window[self.central_position]][pdf_class]

    def tuples(self, topology: Topology) -> list[tuple[int, int, int]]:
        """All (phone-id, HMM state, pdf-id) that can occur, sorted: Kaldi's transition-states in their order."""
        return sorted(
            (phone, index, self.pdfs[phone][state.pdf_class])
            for phone, states in topology.items()
            for index, state in enumerate(states)
        )


def monophone_tree(topology: Topology) -> Tree:
    """Give every pdf class of every phone a pdf of its own (Kaldi's ``gmm-init-mono``)."""
    pdfs, count = {}, 0
    for phone, states in topology.items():
        classes = 1 + max(state.pdf_class for state in states)
        pdfs[phone] = list(range(count, count + classes))
        count += classes
    return Tree(1, 0, pdfs)


def write_tree(path: str | Path, tree: Tree) -> None:
    """Write ``tree.json``."""
    content = {"context_width": tree.context_width, "central_position": tree.central_position, "pdfs": tree.pdfs}
    with writing(path) as part:
        part.write_text(json.dumps(content))


def read_tree(path: str | Path) -> Tree:
    """Read ``tree.json``."""
    content = read_json(Path(path))
    pdfs = {int(phone): classes for phone, classes in content["pdfs"].items()}
    return Tree(content["context_width"], content["central_position"], pdfs)
