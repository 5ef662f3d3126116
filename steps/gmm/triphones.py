"""The start of a triphone system: LDA, tree and single Gaussians from the alignments of another system."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnet.ranges import Whole
from steps.ali.directory import Alignments, read_alignments
from steps.base.errors import InputError
from steps.base.options import Options
from steps.base.parallel import SharedJobs, split_into_blocks
from steps.feats.reader import training_options, utterance_speakers
from steps.gmm.blocks import TrainingInputs, read_utterances
from steps.gmm.gmm import DiagGmms, sum_in_order
from steps.gmm.lda import LdaStats, accumulate_lda, estimate_lda
from steps.gmm.system import System, write_block_alignments, write_system
from steps.gmm.transforms import Transform, TransformedFeatures, check_speakers, read_transform
from steps.hmm.joins import check_lang
from steps.hmm.phone_sets import read_extra_questions, read_phone_sets
from steps.hmm.topology import Topology, read_topo
from steps.hmm.transitions import TransitionModel, read_transition_model, split_phones
from steps.hmm.tree import Tree
from steps.tree.growing import TreeOptions, build_tree
from steps.tree.questions import phone_questions
from steps.tree.stats import TreeStats, accumulate_tree_stats, context_windows, sum_stats

MIN_VARIANCE = 0.01  # of the first Gaussians, as Kaldi's gmm-init-model has it


Arrays = dict[str, NDArray[Any]]
"""Utterance id -> an array."""


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


@dataclass(frozen=True, kw_only=True)
class AlignedTrainingInputs(TrainingInputs):
    """A training set with another system's alignments of it.

    Parameters
    ----------
    ali : Path
        Alignment directory; utterances that have no alignment in it are left out.
    transforms : Path
        Where the transform is that the features start from: the alignment directory, or one of `steps.adapt`.
    """

    ali: Path
    transforms: Path

    @cached_property
    def alignments(self) -> Alignments:
        """The alignments."""
        return read_alignments(self.ali)

    @cached_property
    def aligned_with(self) -> TransitionModel:
        """What the alignments' transition-ids mean."""
        return read_transition_model(self.ali)

    @cached_property
    def transform(self) -> Transform:
        """The transform that the features start from."""
        return read_transform(self.transforms)

    def blocks(self) -> list[list[str]]:
        """Its utterances in blocks.

        Raises
        ------
        InputError
            When not a single one is aligned, or they were aligned with other phones than the lang directory's.
        """
        if self.aligned_with.topology != read_topo(self.lang / "topo"):
            raise InputError(
                f"{self.ali}: its phones or their HMMs are not those of {self.lang}; train and align "
                "again with that lang directory"
            )
        check_lang(self.lang, self.ali)
        aligned = [utterance for utterance in self.utterances() if utterance in self.alignments]
        if not aligned:
            raise InputError(f"{self.ali}: none of the utterances of {self.feats} is aligned there")
        return split_into_blocks(aligned)

    def read(self, utterances: Sequence[str], transform: Transform) -> tuple[Arrays, Arrays]:
        """Transition-ids (T,) and transformed features (T, D) of some of them.

        Raises
        ------
        InputError
            When an utterance has another number of frames than its alignment.
        """
        features = TransformedFeatures(self.features, transform)
        tids, x = {u: self.alignments[u] for u in utterances}, {u: features[u] for u in utterances}
        for utterance in utterances:
            if len(tids[utterance]) != len(x[utterance]):
                raise InputError(
                    f"{self.ali}: utterance {utterance} has {len(tids[utterance])} frames, but its features have "
                    f"{len(x[utterance])}; align it again with these features"
                )
        return tids, x


def starting_options(feats: Path, transforms: Path) -> dict[str, Any]:
    """Give the feature options that a transform starts from: without one that projects, MFCCs with deltas.

    Parameters
    ----------
    feats : Path
        Features of the training set, from steps.make_feats.
    transforms : Path
        Where the transform is: an alignment directory, or one of `steps.adapt`.

    Raises
    ------
    InputError
        When there are no MFCCs, or all transforms are other speakers'.
    """
    transform = read_transform(transforms)
    check_speakers(transforms, transform, feats, set(utterance_speakers(feats).values()))
    options = training_options(feats, "mfcc")
    if transform.matrix is not None:
        options["deltas"] = 0  # the frames around take their place
    return options


def estimate_lda_transform(
    inputs: AlignedTrainingInputs, options: LdaOptions, run: SharedJobs[AlignedTrainingInputs]
) -> Transform:
    """Estimate LDA with the alignments' pdf-ids as classes, silence left out (``acc-lda`` and ``est-lda``)."""
    stats = sum_in_order(run(partial(_lda_stats, context=options.context), inputs.blocks(), "LDA"))
    return Transform(options.context, estimate_lda(stats, options.dim))


def _lda_stats(inputs: AlignedTrainingInputs, utterances: list[str], context: int) -> LdaStats:
    model = inputs.aligned_with
    tids, features = (np.concatenate(list(part.values())) for part in inputs.read(utterances, Transform(context)))
    pdfs = model.tid_to_pdf[tids]
    speech = ~np.isin(pdfs, model.pdfs_of(inputs.silence))
    return accumulate_lda(features[speech], pdfs[speech], model.num_pdfs)


def tree_statistics(
    inputs: AlignedTrainingInputs, lda: Transform | None, run: SharedJobs[AlignedTrainingInputs]
) -> TreeStats:
    """Collect the statistics of all triphones, of features projected by LDA or with the transform they start from."""
    return sum_stats(run(partial(_tree_stats, lda=lda), inputs.blocks(), "triphones"))


def _tree_stats(inputs: AlignedTrainingInputs, utterances: list[str], lda: Transform | None) -> TreeStats:
    tids, features = inputs.read(utterances, lda or inputs.transform)
    return accumulate_tree_stats(inputs.aligned_with, tids, features, set(inputs.silence))


def triphone_tree(
    stats: TreeStats, topology: Topology, silence: Sequence[int], options: TreeOptions, lang: Path
) -> Tree:
    """Find questions and grow the tree; the lang directory says which phones share roots, and what else to ask."""
    sets = read_phone_sets(lang, topology)
    questions = phone_questions(stats, topology, sets, set(silence), read_extra_questions(lang))
    return build_tree(stats, topology, options, questions, sets, set(silence))


def start(
    inputs: AlignedTrainingInputs,
    stats: TreeStats,
    transform: Transform,
    blocks: Sequence[Path],
    state: Path,
    run: SharedJobs[AlignedTrainingInputs],
) -> None:
    """Write what EM goes on from: a Gaussian a leaf, and the alignments in the new tree's transition-ids.

    Parameters
    ----------
    inputs : AlignedTrainingInputs
    stats : TreeStats
        Of the transformed features.
    transform : Transform
    blocks : sequence of Path
        From `steps.gmm.blocks.compile_blocks`.
    state : Path
        File of the system to write.
    run : SharedJobs
        From `steps.base.parallel.jobs`, which shares `inputs`.
    """
    run(_convert_block, blocks, "converting alignments")
    write_system(state, System(leaf_gaussians(stats, inputs.tree), inputs.transitions, transform), iteration=0)


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


def _convert_block(inputs: AlignedTrainingInputs, block: Path) -> None:
    utterances = read_utterances(block)
    converted = [
        convert(inputs.alignments[utterance], inputs.aligned_with, inputs.tree, inputs.transitions, inputs.silence)
        if utterance in inputs.alignments
        else f"it has no alignment in {inputs.ali}"
        for utterance in utterances
    ]
    write_block_alignments(block, utterances, converted)


def convert(
    tids: NDArray[Any], source: TransitionModel, tree: Tree, target: TransitionModel, silence: Sequence[int]
) -> NDArray[Any]:
    """Convert an alignment to the transition-ids of another tree (Kaldi's ``convert-ali``).

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
