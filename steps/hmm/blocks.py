"""Utterances of a training set in blocks, each with all that an EM iteration needs of it.

The blocks are fixed by the list of utterances alone, so that sums over them do not depend on the number of processes;
features and graphs are made once and read back in every iteration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steps.hmm.training_graph import Pronouncer, training_graph
from steps.hmm.transitions import TransitionModel
from steps.hmm.tree import Tree
from steps.lang.fst_arrays import FstArrays
from steps.output import writing

ARCS = ("src", "dst", "ilabel", "olabel", "weight")


@dataclass(frozen=True)
class Block:
    """Utterances, their features (T, D) and their training graphs, in the same order."""

    utterances: list[str]
    features: list[np.ndarray]
    graphs: list[FstArrays]


def make_block(
    utterances: Sequence[str],
    features: Mapping[str, np.ndarray],
    texts: Mapping[str, str],
    pronouncer: Pronouncer,
    tree: Tree,
    model: TransitionModel,
) -> Block:
    """Read the features and compile the graphs of some utterances."""
    graphs = [
        training_graph(pronouncer.word_ids(utterance, texts[utterance]), pronouncer.lexicon, tree, model)
        for utterance in utterances
    ]
    return Block(list(utterances), [features[utterance] for utterance in utterances], graphs)


def write_block(path: Path, block: Block) -> None:
    """Write a block as one ``npz``: everything concatenated, with the lengths beside it."""
    graphs = {name: np.concatenate([getattr(graph, name) for graph in block.graphs]) for name in (*ARCS, "final")}
    with writing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            utterances=np.array(block.utterances),
            features=np.concatenate(block.features),
            frames=[len(matrix) for matrix in block.features],
            start=[graph.start for graph in block.graphs],
            states=[len(graph.final) for graph in block.graphs],
            arcs=[len(graph.src) for graph in block.graphs],
            **graphs,
        )


def read_block(path: Path) -> Block:
    """Read what `write_block` wrote."""
    with np.load(path) as file:
        arrays = dict(file)
    features = np.split(arrays["features"], np.cumsum(arrays["frames"])[:-1])
    arcs = {name: np.split(arrays[name], np.cumsum(arrays["arcs"])[:-1]) for name in ARCS}
    final = np.split(arrays["final"], np.cumsum(arrays["states"])[:-1])
    graphs = [
        FstArrays(int(start), final[i], **{name: arcs[name][i] for name in ARCS})
        for i, start in enumerate(arrays["start"])
    ]
    return Block([str(utterance) for utterance in arrays["utterances"]], features, graphs)
