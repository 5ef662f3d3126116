"""Aligning a data directory's transcripts with its audio, in blocks of utterances."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.acoustic.inputs import AcousticInputs
from steps.ali.confidence import DOUBTFUL_GMM, DOUBTFUL_NETWORK, doubtful_stretch, phone_log_posteriors
from steps.ali.directory import Aligned, Alignments, copy_model_files, read_alignments, write_aligned
from steps.ali.shifts import Shifts, compare_alignments
from steps.ali.word_times import frame_times
from steps.base.errors import InputError
from steps.base.parallel import SharedJobs, split_into_blocks
from steps.feats.reader import silent_utterances, utterance_text
from steps.gmm.transforms import read_transform, write_transform
from steps.hmm.joins import check_lang, check_states
from steps.hmm.phone_sets import read_phone_sets
from steps.hmm.topology import silence_phones
from steps.hmm.training_graph import TrainingLexicon, read_training_lexicon, training_graph
from steps.hmm.transitions import path_at_frames, read_transition_model
from steps.hmm.tree import Tree, read_tree
from steps.hmm.viterbi import Alignment, AlignOptions, align

# at 1, GMMs are far too sure; at the search's 0.1, posteriors of right and of wrong words hardly differ
POSTERIOR_SCALE = 0.5


@dataclass(frozen=True, kw_only=True)
class AlignmentInputs(AcousticInputs):
    """What is aligned with what, and how its words are read.

    Parameters
    ----------
    lang : Path
        Language directory.
    oov_to_unk : bool
        Take words without a pronunciation as the unknown word instead of refusing them.
    """

    lang: Path
    oov_to_unk: bool = False

    @cached_property
    def texts(self) -> dict[str, str]:
        """Utterance id -> transcript."""
        return utterance_text(self.data)

    @cached_property
    def lexicon(self) -> TrainingLexicon:
        """The words' pronunciations."""
        return read_training_lexicon(self.lang, self.oov_to_unk)

    @cached_property
    def tree(self) -> Tree:
        """The model's tree."""
        return read_tree(self.model_dir / "tree.json")

    @cached_property
    def phone_sets(self) -> list[frozenset[int]]:
        """The phones that count as one in a confidence: variants of one phone."""
        return read_phone_sets(self.lang, self.model.transitions.topology)

    @cached_property
    def silence(self) -> list[int]:
        """The silence phones."""
        return silence_phones(self.lang)


def align_utterances(
    inputs: AlignmentInputs, options: AlignOptions, scale: float, run: SharedJobs[AlignmentInputs]
) -> tuple[dict[str, Aligned], dict[str, str]]:
    """Align all utterances that have audio and text.

    Parameters
    ----------
    inputs : AlignmentInputs
    options : AlignOptions
    scale : float
        Of the log likelihoods in the log posteriors.
    run : SharedJobs
        From `steps.base.parallel.jobs`, which shares `inputs`.

    Returns
    -------
    aligned : dict of Aligned
    failed : dict of str
        The reasons.
    """
    check_lang(inputs.lang, inputs.model_dir)
    utterances = [utterance for utterance in inputs.features if utterance in inputs.texts]
    if not utterances:
        raise InputError(f"{inputs.data}: no utterance has both audio and text")
    step = partial(_align_block, options=options, scale=scale)
    results: dict[str, Aligned | str] = {}
    for part in run(step, split_into_blocks(utterances), f"aligning {inputs.data.name}"):
        results.update(part)
    failed = {utterance: found for utterance, found in results.items() if isinstance(found, str)}
    if failed:
        silent = silent_utterances(inputs.data, failed, inputs.allow_commands)
        failed |= dict.fromkeys(silent, "there is no sound in it, (almost) nothing but zeros")
    return {utterance: found for utterance, found in results.items() if isinstance(found, Aligned)}, failed


def _align_block(
    inputs: AlignmentInputs, utterances: list[str], options: AlignOptions, scale: float
) -> dict[str, Aligned | str]:
    lexicon, transitions = inputs.lexicon, inputs.model.transitions
    # the silence's prior counts in full here: it is deweighted for decoding alone
    features = [inputs.features[utterance] for utterance in utterances]
    scores = inputs.model.log_likelihoods(features)
    results: dict[str, Aligned | str] = {}
    for utterance, matrix, x in zip(utterances, scores, features, strict=True):
        words = lexicon.word_ids(utterance, inputs.texts[utterance])
        graph = training_graph(words, lexicon.fst, inputs.tree, transitions)
        found = align(graph, matrix, transitions, options)
        results[utterance] = (
            found if isinstance(found, str) else _assessed(found, matrix, len(x), inputs, scale, options)
        )
    return results


def _assessed(
    found: Alignment,
    log_likelihoods: NDArray[Any],
    frames: int,
    inputs: AlignmentInputs,
    scale: float,
    options: AlignOptions,
) -> Aligned:
    """Say how well an alignment fits, and bring it to the rate of the features."""
    path, transitions = found.tids, inputs.model.transitions
    posteriors = phone_log_posteriors(log_likelihoods, path, transitions, scale, inputs.phone_sets)
    own = log_likelihoods[np.arange(len(path)), transitions.tid_to_pdf[path]].mean(dtype=np.float64)
    tids, posteriors = (path_at_frames(transitions, values, frames) for values in (path, posteriors))
    spoken = ~np.isin(transitions.tid_to_phone[tids], inputs.silence)
    worst = doubtful_stretch(posteriors, spoken, DOUBTFUL_NETWORK if inputs.model.is_network else DOUBTFUL_GMM)
    reasons = []
    if worst:
        first, end, confidence = worst
        start, stop = (frame_times(inputs.model.features).boundary(frame, len(tids)) for frame in (first, end))
        reasons.append(
            f"from {start:.2f} to {stop:.2f} s the confidence is {confidence:.3f}; does the transcript match the audio?"
        )
    if found.pruned:
        reasons.append(f"the path was still changing at a beam of {options.retry_beam:g}; try a wider align.retry_beam")
    return Aligned(tids, posteriors, float(own), "; ".join(reasons) or None)


def write_alignment_dir(
    folder: Path, final: Path, inputs: AlignmentInputs, aligned: Mapping[str, Aligned], posterior_scale: float
) -> None:
    """Write all files of an alignment directory but the list of what failed; see `write_aligned`."""
    write_aligned(folder, final, aligned, inputs.texts, frame_times(inputs.description.features), posterior_scale)
    copy_model_files(inputs.model_dir, folder)
    transform = read_transform(inputs.speakers) if inputs.speakers else inputs.description.transform
    if not transform.does_nothing:
        write_transform(folder, transform)


def alignments_before(before: Path, model: Path) -> Alignments:
    """Open the alignments that a model was trained on.

    Raises
    ------
    InputError
        When there are none, or they are of other states.
    """
    alignments, _ = read_alignments(before), read_transition_model(before)
    check_states(before, model, "give the alignments that it was trained on")
    return alignments


def shifts_from(before: Alignments, aligned: Mapping[str, Aligned], frame_shift: float) -> Shifts:
    """Compare new alignments with those of `alignments_before`; `frame_shift` in seconds."""
    tids = {utterance: found.tids for utterance, found in aligned.items()}
    try:
        return compare_alignments(before, tids, read_transition_model(before.folder), frame_shift)
    except InputError as error:
        raise InputError(f"{before.folder}: {error}; give the alignments of the same data") from error
