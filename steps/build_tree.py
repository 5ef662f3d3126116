"""Grow the decision tree of states for networks with a low frame rate."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnet.ranges import Count, NotNegative
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.base.parallel import jobs
from steps.gmm.triphones import AlignedTrainingInputs, starting_options, triphone_tree
from steps.hmm.joins import Rate
from steps.hmm.topology import CHAIN, read_topo, write_entries
from steps.hmm.transitions import write_transition_model
from steps.hmm.tree import write_tree
from steps.lang.table_hash import phones_hash
from steps.tree.growing import TreeOptions
from steps.tree.low_rate import check_feature_rate, convert_to_low_rate, low_rate_stats
from steps.tree.stats import TreeStats, sum_stats

Context = Literal["triphone", "biphone", "monophone"]
WINDOWS = {"triphone": (3, 1), "biphone": (2, 1), "monophone": (1, 0)}  # width, and the position of the phone itself


def build_tree(
    feats: Path,
    lang: Path,
    ali: Path,
    out: Path,
    tree: TreeOptions = TreeOptions(num_leaves=300),
    context: Context = "triphone",
    skip: Count = 3,
    self_loop_scale: NotNegative = 1.0,
    speakers: Path | None = None,
    nj: Count = 1,
) -> None:
    """Grow the tree of states for a network that gives an output every third frame (Kaldi's chain/build_tree.sh).

    Each phone gets an entry state, which can be left at once, and a state that loops, with pdfs of their own; it lasts
    one output or more. The alignments of a GMM system, mapped to these states, say what the tree is grown on and
    how probable the transitions are. The features are those of the system: MFCCs with deltas, or those that its
    transform gives.

    OUT has the files that say what states are: topo, tree.json and transitions.npz. Next, steps.convert_ali maps
    alignments to them, and steps.make_graph makes their graph.

    Parameters
    ----------
    feats : Path
        Features of the training set, from steps.make_feats.
    lang : Path
        Language directory, from steps.prepare_lang.
    ali : Path
        Alignments of the training set, from steps.align with a GMM system.
    out : Path
        Directory to write.
    tree : TreeOptions
        The decision tree.
    context : str
        What the states depend on: triphone, the phones before and after; biphone, the phone before; monophone, neither.
    skip : int
        Frames from one output of the network to the next (its model.skip).
    self_loop_scale : float
        Weight of the probabilities of staying in a state and of leaving it, in graphs and in alignment.
    speakers : Path
        Speakers' transforms, from steps.adapt, instead of those that the alignments were made with.
    nj : int
        Number of processes.
    """
    check_feature_rate(ali)
    options, transforms = starting_options(feats, speakers or ali), speakers or ali
    with output_dir(out, mark="transitions.npz") as folder:
        inputs = AlignedTrainingInputs(
            feats=feats, lang=lang, folder=folder, options=options, ali=ali, transforms=transforms
        )
        with jobs(nj, inputs) as run:
            blocks = inputs.blocks()
            found = run(partial(_stats, window=WINDOWS[context], skip=skip), blocks, "phones in context")
            stats = sum_stats(_present(found, ali))
            write_entries(folder / "topo", [(list(read_topo(lang / "topo")), CHAIN)])
            grown = triphone_tree(stats, read_topo(folder / "topo"), inputs.silence, tree, lang)
            grown = replace(grown, phones=phones_hash(lang / "phones.txt"), rate=Rate(skip, self_loop_scale))
            write_tree(folder / "tree.json", grown)
            counts = run(_transition_counts, blocks, "transitions")
        write_transition_model(folder / "transitions.npz", inputs.transitions.updated(np.sum(counts, axis=0)))
    print(f"{out}: {len(stats.counts)} states of phones in context seen, tied to {grown.num_pdfs}")


def _present(parts: list[TreeStats | None], ali: Path) -> list[TreeStats]:
    present = [part for part in parts if part is not None]
    if not present:
        raise InputError(f"{ali}: all utterances are too short for their phones at this frame rate")
    return present


def _stats(
    inputs: AlignedTrainingInputs, utterances: list[str], window: tuple[int, int], skip: int
) -> TreeStats | None:
    tids, features = inputs.read(utterances, inputs.transform)
    return low_rate_stats(inputs.aligned_with, tids, features, set(inputs.silence), window, skip)


def _transition_counts(inputs: AlignedTrainingInputs, utterances: list[str]) -> NDArray[Any]:
    """How often each transition-id is taken in the paths of all phases, which are all frames: (num_tids + 1,)."""
    counts = np.zeros(inputs.transitions.num_tids + 1)
    for utterance in utterances:
        tids = convert_to_low_rate(inputs.alignments[utterance], inputs.aligned_with, inputs.tree, inputs.transitions)
        if not isinstance(tids, str):
            counts += np.bincount(tids, minlength=len(counts))
    return counts


if __name__ == "__main__":
    command(build_tree)
