"""Utterances of a training set in blocks, each with all that an EM iteration needs of it.

The blocks are fixed by the list of utterances alone, so that sums over them do not depend on the number of processes;
features and graphs are made once and read back in every iteration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.base.files import write_arrays
from steps.base.parallel import OpenedOnce, SharedJobs, split_into_blocks
from steps.feats.reader import Features, load_features, utterance_text
from steps.hmm.topology import silence_phones
from steps.hmm.training_graph import TrainingLexicon, read_training_lexicon, training_graph
from steps.hmm.transitions import TransitionModel, initial_transition_model
from steps.hmm.tree import Tree, read_tree
from steps.lang.fst_arrays import FstArrays

ARCS = ("src", "dst", "ilabel", "olabel", "weight")


@dataclass(frozen=True)
class Block:
    """Utterances, their speakers, their features (T, D) and their training graphs, in the same order."""

    utterances: list[str]
    speakers: list[str]
    features: list[NDArray[Any]]
    graphs: list[FstArrays]


@dataclass(frozen=True)
class TrainingInputs(OpenedOnce):
    """A training set, a lang directory and the folder of the training.

    Parameters
    ----------
    feats : Path
        Features and transcripts; see `load_features`.
    lang : Path
        Language directory.
    folder : Path
        Where the training takes place; it holds ``topo`` and ``tree.json`` before the first block is compiled.
    options : dict
        Of the features.
    oov_to_unk : bool
        Take words without a pronunciation as the unknown word instead of refusing them.
    """

    feats: Path
    lang: Path
    folder: Path
    options: dict[str, Any]
    oov_to_unk: bool = False

    @cached_property
    def features(self) -> Features:
        """The features before any transform."""
        return load_features(self.feats, self.options)

    @cached_property
    def texts(self) -> dict[str, str]:
        """Utterance id -> transcript."""
        return utterance_text(self.feats)

    @cached_property
    def lexicon(self) -> TrainingLexicon:
        """The words' pronunciations."""
        return read_training_lexicon(self.lang, self.oov_to_unk)

    @cached_property
    def silence(self) -> list[int]:
        """The silence phones."""
        return silence_phones(self.lang)

    @cached_property
    def tree(self) -> Tree:
        """The tree of the model in training."""
        return read_tree(self.folder / "tree.json")

    @cached_property
    def transitions(self) -> TransitionModel:
        """The transition model that training starts from."""
        return initial_transition_model(self.folder)

    def utterances(self) -> list[str]:
        """List those that have both features and text.

        Raises
        ------
        InputError
            When there are none.
        """
        found = [utterance for utterance in self.features if utterance in self.texts]
        if not found:
            raise InputError(f"{self.feats}: no utterance has both features and text")
        return found


def compile_blocks(inputs: TrainingInputs, run: SharedJobs[TrainingInputs]) -> list[Path]:
    """Compile the blocks of the training set that are missing in its folder.

    Parameters
    ----------
    inputs : TrainingInputs
    run : SharedJobs
        From `steps.base.parallel.jobs`, which shares `inputs`.
    """
    parts = split_into_blocks(inputs.utterances())
    paths = [inputs.folder / f"block.{i}.npz" for i in range(len(parts))]
    missing = [(path, names) for path, names in zip(paths, parts, strict=True) if not path.exists()]
    run(_compile, missing, "compiling graphs")
    return paths


def _compile(inputs: TrainingInputs, item: tuple[Path, list[str]]) -> None:
    path, utterances = item
    write_block(
        path, make_block(utterances, inputs.features, inputs.texts, inputs.lexicon, inputs.tree, inputs.transitions)
    )


def make_block(
    utterances: Sequence[str],
    features: Features,
    texts: Mapping[str, str],
    lexicon: TrainingLexicon,
    tree: Tree,
    model: TransitionModel,
) -> Block:
    """Read the features and compile the graphs of some utterances."""
    graphs = [
        training_graph(lexicon.word_ids(utterance, texts[utterance]), lexicon.fst, tree, model)
        for utterance in utterances
    ]
    speakers = [features.utt2spk[utterance] for utterance in utterances]
    return Block(list(utterances), speakers, [features[utterance] for utterance in utterances], graphs)


def write_block(path: Path, block: Block) -> None:
    """Write a block as one ``npz``: everything concatenated, with the lengths beside it."""
    graphs = {name: np.concatenate([getattr(graph, name) for graph in block.graphs]) for name in (*ARCS, "final")}
    write_arrays(
        path,
        utterances=np.array(block.utterances),
        speakers=np.array(block.speakers),
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
    return Block([str(u) for u in arrays["utterances"]], [str(s) for s in arrays["speakers"]], features, graphs)


def read_utterances(block: Path) -> list[str]:
    """The utterances of a block, without reading the rest of it."""
    with np.load(block) as arrays:
        return [str(utterance) for utterance in arrays["utterances"]]
