"""Aligning a data directory's transcripts with its audio, in blocks of utterances."""

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from steps.acoustic.model import AcousticModel, load_acoustic_model, model_features
from steps.ali.confidence import DOUBTFUL_GMM, DOUBTFUL_NETWORK, doubtful_stretch, phone_log_posteriors
from steps.ali.directory import (
    Aligned,
    Alignments,
    copy_model_files,
    read_alignments,
    write_aligned,
)
from steps.ali.shifts import Shifts, compare_alignments
from steps.ali.word_times import frame_times
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.parallel import Run
from steps.corpus.split import cut
from steps.feats.reader import silent_utterances, utterance_text
from steps.gmm.transforms import TransformedFeatures, read_transform, write_transform
from steps.hmm.joins import check_lang, check_states
from steps.hmm.phone_sets import read_phone_sets
from steps.hmm.topology import silence_phones
from steps.hmm.training_graph import Pronouncer, read_pronouncer, training_graph
from steps.hmm.transitions import read_transition_model
from steps.hmm.tree import Tree, read_tree
from steps.hmm.viterbi import Alignment, AlignOptions, align

# at 1 GMMs are far too sure; at the search's 0.1, the posteriors of right and of wrong words are nearly alike
POSTERIOR_SCALE = 0.5

Sets = list[frozenset[int]]  # of phones


class Source(NamedTuple):
    """What is aligned with what, and how its words and audio are read."""

    data: Path
    lang: Path
    model: Path
    oov_to_unk: bool = False
    allow_commands: bool = False
    speakers: Path | None = None

    def features(self) -> TransformedFeatures:
        """The data's features as the model wants them."""
        return model_features(self.data, load_acoustic_model(self.model), self.allow_commands, self.speakers)


def align_utterances(
    source: Source, options: AlignOptions, scale: float, run: Run
) -> tuple[dict[str, Aligned], dict[str, str]]:
    """Align all utterances that have audio and text.

    Parameters
    ----------
    source : Source
    options : AlignOptions
    scale : float
        Of the log likelihoods in the log posteriors.
    run : Run
        From `steps.base.parallel.jobs`.

    Returns
    -------
    aligned : dict of Aligned
    failed : dict of str
        The reasons.
    """
    check_lang(source.lang, source.model)
    features, texts = source.features(), utterance_text(source.data)
    utterances = [utterance for utterance in features if utterance in texts]
    if not utterances:
        raise InputError(f"{source.data}: no utterance has both audio and text")
    _load.cache_clear()  # the files may have changed since an earlier call in this process
    step = partial(_align_block, source, options, scale)
    results: dict[str, Aligned | str] = {}
    for part in run(step, cut(utterances), f"aligning {source.data.name}"):
        results.update(part)
    failed = {utterance: found for utterance, found in results.items() if isinstance(found, str)}
    if failed:
        silent = silent_utterances(source.data, failed, source.allow_commands)
        failed |= dict.fromkeys(silent, "there is no sound in it, (almost) nothing but zeros")
    return {utterance: found for utterance, found in results.items() if isinstance(found, Aligned)}, failed


class _Loaded(NamedTuple):
    """What a process needs to align."""

    features: Mapping[str, np.ndarray]
    texts: Mapping[str, str]
    pronouncer: Pronouncer
    model: AcousticModel
    tree: Tree
    sets: Sets
    silence: list[int]  # phones


@lru_cache(maxsize=1)
def _load(source: Source) -> _Loaded:
    model, pronouncer = load_acoustic_model(source.model), read_pronouncer(source.lang, source.oov_to_unk)
    tree, sets = read_tree(source.model / "tree.json"), read_phone_sets(source.lang, model.transitions.topology)
    texts, silence = utterance_text(source.data), silence_phones(source.lang)
    return _Loaded(source.features(), texts, pronouncer, model, tree, sets, silence)


def _align_block(
    source: Source, options: AlignOptions, scale: float, utterances: list[str]
) -> dict[str, Aligned | str]:
    loaded = _load(source)
    pronouncer, transitions = loaded.pronouncer, loaded.model.transitions
    # the silence's prior counts in full here: it is deweighted for decoding alone
    scores = loaded.model.log_likelihoods([loaded.features[utterance] for utterance in utterances])
    results: dict[str, Aligned | str] = {}
    for utterance, matrix in zip(utterances, scores, strict=True):
        words = pronouncer.word_ids(utterance, loaded.texts[utterance])
        graph = training_graph(words, pronouncer.lexicon, loaded.tree, transitions)
        found = align(graph, matrix, transitions, options)
        results[utterance] = found if isinstance(found, str) else _scored(found, matrix, loaded, scale, options)
    return results


def _scored(
    found: Alignment, log_likelihoods: np.ndarray, loaded: _Loaded, scale: float, options: AlignOptions
) -> Aligned:
    tids, transitions = found.tids, loaded.model.transitions
    posteriors = phone_log_posteriors(log_likelihoods, tids, transitions, scale, loaded.sets)
    own = log_likelihoods[np.arange(len(tids)), transitions.tid_to_pdf[tids]].mean(dtype=np.float64)
    spoken = ~np.isin(transitions.tid_to_phone[tids], loaded.silence)
    worst = doubtful_stretch(posteriors, spoken, DOUBTFUL_NETWORK if loaded.model.is_network else DOUBTFUL_GMM)
    reasons = []
    if worst:
        first, end, confidence = worst
        start, stop = (frame_times(loaded.model.features).boundary(frame, len(tids)) for frame in (first, end))
        reasons.append(
            f"from {start:.2f} to {stop:.2f} s the confidence is {confidence:.3f}; does the transcript match the audio?"
        )
    if found.pruned:
        reasons.append(f"the path was still changing at a beam of {options.retry_beam:g}; try a wider align.retry_beam")
    return Aligned(tids, posteriors, float(own), "; ".join(reasons) or None)


def write_alignment_dir(
    folder: Path, final: Path, source: Source, aligned: Mapping[str, Aligned], posterior_scale: float
) -> None:
    """Write all files of an alignment directory but the list of what failed; see `write_aligned`."""
    times = frame_times(read_json(source.model / "model.json")["features"])
    write_aligned(folder, final, aligned, utterance_text(source.data), times, posterior_scale)
    copy_model_files(source.model, folder)
    transform = read_transform(source.speakers) if source.speakers else load_acoustic_model(source.model).transform
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
