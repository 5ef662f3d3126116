"""The start of a triphone system: LDA, tree and single Gaussians from the alignments of another system."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnet.ranges import Whole
from steps.ali.directory import read_alignments
from steps.base.errors import InputError
from steps.base.options import Options
from steps.base.parallel import Jobs, split_into_blocks
from steps.gmm.blocks import Material, read_utterances
from steps.gmm.gmm import DiagGmms, sum_in_order
from steps.gmm.lda import LdaStats, accumulate_lda, estimate_lda
from steps.gmm.system import System, write_block_alignments, write_system
from steps.gmm.transforms import Transform, TransformedFeatures
from steps.hmm.joins import check_lang
from steps.hmm.phone_sets import read_extra_questions, read_phone_sets
from steps.hmm.topology import Topology, read_topo
from steps.hmm.transitions import TransitionModel, initial_transition_model, read_transition_model, split_phones
from steps.hmm.tree import Tree, read_tree
from steps.tree.growing import TreeOptions, build_tree
from steps.tree.questions import phone_questions
from steps.tree.stats import TreeStats, accumulate_tree_stats, context_windows, sum_stats

MIN_VARIANCE = 0.01  # of the first Gaussians, as Kaldi's gmm-init-model has it


@dataclass(frozen=True)
class LdaOptions(Options):
    """Linear discriminant analysis of spliced frames, with the defaults of Kaldi's ``train_lda_mllt.sh``.

    Parameters
    ----------
    dim : int
        Dimension after it; 0 for no LDA: deltas, or the transform that the alignments were made with.
    context : int
        Frames spliced on each side.
    """

    dim: Whole = 0
    context: Whole = 3


@dataclass(frozen=True)
class Aligned:
    """A training set with another system's alignments of it; can be sent to other processes.

    Attributes
    ----------
    material : Material
    ali : Path
        Alignment directory; utterances that have no alignment in it are left out.
    silence : list of int
        Silence phones, whose context does not count.
    """

    material: Material
    ali: Path
    silence: list[int]

    def model(self) -> TransitionModel:
        """What the alignments' transition-ids mean."""
        return read_transition_model(self.ali)

    def blocks(self) -> list[list[str]]:
        """Its utterances in blocks.

        Raises
        ------
        InputError
            When not a single one is aligned, or they were aligned with other phones than the lang directory's.
        """
        if self.model().topology != read_topo(self.material.lang / "topo"):
            raise InputError(
                f"{self.ali}: its phones or their HMMs are not those of {self.material.lang}; train and align "
                "again with that lang directory"
            )
        check_lang(self.material.lang, self.ali)
        utterances, alignments = self.material.utterances(), read_alignments(self.ali)
        aligned = [utterance for utterance in utterances if utterance in alignments]
        if not aligned:
            raise InputError(f"{self.ali}: none of the utterances of {self.material.feats} is aligned there")
        return split_into_blocks(aligned)

    def read(self, utterances: Sequence[str], transform: Transform) -> tuple[dict, dict]:
        """Transition-ids (T,) and transformed features (T, D) of some of them.

        Raises
        ------
        InputError
            When an utterance has another number of frames than its alignment.
        """
        alignments, features = read_alignments(self.ali), TransformedFeatures(self.material.features(), transform)
        tids, x = {u: alignments[u] for u in utterances}, {u: features[u] for u in utterances}
        for utterance in utterances:
            if len(tids[utterance]) != len(x[utterance]):
                raise InputError(
                    f"{self.ali}: utterance {utterance} has {len(tids[utterance])} frames, but its features have "
                    f"{len(x[utterance])}; align it again with these features"
                )
        return tids, x


def estimate_lda_transform(aligned: Aligned, options: LdaOptions, run: Jobs) -> Transform:
    """Estimate LDA with the alignments' pdf-ids as classes, silence left out (``acc-lda`` and ``est-lda``)."""
    stats = sum_in_order(run(partial(_lda_stats, aligned, Transform(options.context)), aligned.blocks(), "LDA"))
    return Transform(options.context, estimate_lda(stats, options.dim))


def _lda_stats(aligned: Aligned, spliced: Transform, utterances: list[str]) -> LdaStats:
    model = aligned.model()
    tids, features = (np.concatenate(list(part.values())) for part in aligned.read(utterances, spliced))
    pdfs = model.tid_to_pdf[tids]
    heard = ~np.isin(pdfs, model.pdfs_of(aligned.silence))
    return accumulate_lda(features[heard], pdfs[heard], model.num_pdfs)


def tree_statistics(aligned: Aligned, transform: Transform, run: Jobs) -> TreeStats:
    """Collect the statistics of all triphones."""
    return sum_stats(run(partial(_tree_stats, aligned, transform), aligned.blocks(), "triphones"))


def _tree_stats(aligned: Aligned, transform: Transform, utterances: list[str]) -> TreeStats:
    return accumulate_tree_stats(aligned.model(), *aligned.read(utterances, transform), set(aligned.silence))


def triphone_tree(
    stats: TreeStats, topology: Topology, silence: Sequence[int], options: TreeOptions, lang: Path
) -> Tree:
    """Find questions and grow the tree; the lang directory says which phones share roots, and what else to ask."""
    sets = read_phone_sets(lang, topology)
    questions = phone_questions(stats, topology, sets, set(silence), read_extra_questions(lang))
    return build_tree(stats, topology, options, questions, sets, set(silence))


def start(
    aligned: Aligned, stats: TreeStats, transform: Transform, blocks: Sequence[Path], state: Path, run: Jobs
) -> None:
    """Write what EM goes on from: a Gaussian a leaf, and the alignments in the new tree's transition-ids.

    Parameters
    ----------
    aligned : Aligned
    stats : TreeStats
        Of the transformed features.
    transform : Transform
    blocks : sequence of Path
        From `steps.gmm.blocks.compile_blocks`.
    state : Path
        File of the system to write; ``topo`` and ``tree.json`` lie beside it.
    run : Jobs
    """
    run(partial(_convert_block, aligned), blocks, "converting alignments")
    gmms = leaf_gaussians(stats, read_tree(state.with_name("tree.json")))
    write_system(state, System(gmms, initial_transition_model(state.parent), transform), iteration=0)


def leaf_gaussians(stats: TreeStats, tree: Tree) -> DiagGmms:
    """Give every leaf of a tree the Gaussian of its frames (Kaldi's ``gmm-init-model``); one without, that of all."""
    pairs = zip(stats.windows.tolist(), stats.pdf_classes.tolist(), strict=True)
    pdfs = np.array([tree.pdf(window, pdf_class) for window, pdf_class in pairs])
    counts = np.bincount(pdfs, stats.counts, minlength=tree.num_pdfs)
    first, second = np.zeros((2, tree.num_pdfs, stats.first.shape[1]))
    np.add.at(first, pdfs, stats.first)
    np.add.at(second, pdfs, stats.second)
    unseen = counts == 0
    counts[unseen], first[unseen], second[unseen] = stats.counts.sum(), stats.first.sum(0), stats.second.sum(0)
    means = first / counts[:, None]
    variances = np.maximum(second / counts[:, None] - means**2, MIN_VARIANCE)
    return DiagGmms(np.ones((tree.num_pdfs, 1)), means[:, None], variances[:, None])


def _convert_block(aligned: Aligned, block: Path) -> None:
    source, alignments = aligned.model(), read_alignments(aligned.ali)
    tree, target = read_tree(block.with_name("tree.json")), initial_transition_model(block.parent)
    utterances = read_utterances(block)
    converted = [
        convert(alignments[utterance], source, tree, target, aligned.silence)
        if utterance in alignments
        else f"it has no alignment in {aligned.ali}"
        for utterance in utterances
    ]
    write_block_alignments(block, utterances, converted)


def convert(
    tids: NDArray[Any], source: TransitionModel, tree: Tree, target: TransitionModel, silence: Sequence[int]
) -> NDArray[Any]:
    """Say an alignment in the transition-ids of another tree (Kaldi's ``convert-ali``).

    Parameters
    ----------
    tids : (T,) int array
    source : TransitionModel
        What they mean.
    tree, target : Tree, TransitionModel
        Those of the result; the topology is the same.
    silence : sequence of int
        Phones whose context does not count.

    Returns
    -------
    (T,) int array
        The same phones, HMM states and transitions, frame by frame.
    """
    segments = split_phones(source, tids)
    windows = context_windows(
        [phone for phone, _, _ in segments], set(silence), tree.context_width, tree.central_position
    )
    result = np.empty_like(tids)
    for window, (phone, first, length) in zip(windows.tolist(), segments, strict=True):
        part = slice(first, first + length)
        for state in np.unique(source.tid_to_hmm_state[tids[part]]):
            frames = first + np.flatnonzero(source.tid_to_hmm_state[tids[part]] == state)
            pdf = tree.pdf(window, target.topology[phone][state].pdf_class)
            offset = tids[frames] - source.first_tid[source.tid_to_state[tids[frames]]]
            result[frames] = target.first_tid[target.state_index[phone, int(state), pdf]] + offset
    return result
