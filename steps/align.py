"""Align transcripts with audio."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnet.ranges import Count, NotNegative, Positive, Share
from steps.cli import command
from steps.corpus.split import cut
from steps.errors import InputError
from steps.feats.reader import silent_utterances, utterance_text
from steps.files import read_json
from steps.hmm.acoustic_model import AcousticModel, load_acoustic_model, model_features
from steps.hmm.alignments import (
    Aligned,
    Alignments,
    check_failed,
    copy_model_files,
    doubts_of,
    read_alignments,
    say_doubtful,
    say_failed,
    write_aligned,
)
from steps.hmm.confidence import DOUBTFUL_GMM, DOUBTFUL_NETWORK, doubtful_stretch, phone_log_posteriors
from steps.hmm.joins import check_lang, check_states
from steps.hmm.phone_sets import read_phone_sets
from steps.hmm.segments import frame_times
from steps.hmm.shifts import Shifts, check_drift, compare_alignments
from steps.hmm.topology import silence_phones
from steps.hmm.training_graph import Pronouncer, read_pronouncer, training_graph
from steps.hmm.transforms import TransformedFeatures, read_transform, write_transform
from steps.hmm.transitions import read_transition_model
from steps.hmm.tree import Tree, read_tree
from steps.hmm.viterbi import Alignment, AlignOptions, align
from steps.output import output_dir, writing
from steps.parallel import Run, jobs

# at 1 GMMs are far too sure; at the search's 0.1, the posteriors of right and of wrong words are nearly alike
POSTERIOR_SCALE = 0.5

MAX_SHIFT = 20.0  # two frames: networks move boundaries by less than one; a delay that is wrong, by 10 ms a frame

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


def align_data(
    data: Path,
    lang: Path,
    model: Path,
    ali: Path,
    align: AlignOptions = AlignOptions(),
    max_failed: Share = 0.1,
    posterior_scale: Positive = POSTERIOR_SCALE,
    oov_to_unk: bool = False,
    speakers: Path | None = None,
    before: Path | None = None,
    max_shift: NotNegative = MAX_SHIFT,
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Align the transcripts of a data directory with its audio (Kaldi's align_si.sh).

    Writes ALI/ali.scp with a vector of transition-ids an utterance, the files that give them a meaning, and failed.json
    with the utterances that could not be aligned and why. How well the others fit is in scores.scp, the log posterior
    of each frame's phone, and utt2loglike, the mean log likelihood of a frame. doubtful.json names those that are
    aligned, but likely not with their own words: the model is as unsure there as with another recording's transcript,
    or a wider beam may find a better path.

    With --before, the data is aligned again by a model that was trained on those alignments: how far the boundaries
    have moved is printed and written to shifts.json, and where they have moved to one side, the run stops.

    Parameters
    ----------
    data : Path
        A data directory with audio and text, or its features from steps.make_feats.
    lang : Path
        Language directory.
    model : Path
        Acoustic model: a GMM system or a network.
    ali : Path
        Alignment directory to write.
    align : AlignOptions
        The search.
    max_failed : float
        Stop when a larger share of the utterances cannot be aligned.
    posterior_scale : float
        Scale of the log likelihoods in the posteriors of scores.scp.
    oov_to_unk : bool
        Take words without a pronunciation as the unknown word instead of refusing them.
    speakers : Path
        Speakers' transforms, from steps.adapt, for a model that was trained with such ones.
    before : Path
        Alignments of the same data that the model was trained on.
    max_shift : float
        Stop when the mean shift of the boundaries from those is larger, in ms to either side.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    old = alignments_before(before, model) if before else None  # before the work: what is wrong is said at once
    with output_dir(ali, mark="ali.scp") as folder, jobs(nj) as run:
        source = Source(data, lang, model, oov_to_unk, allow_commands, speakers)
        aligned, failed = align_utterances(source, align, posterior_scale, run)
        say_failed(failed)
        say_doubtful(aligned)
        check_failed(failed, len(aligned) + len(failed), max_failed)
        if old is not None:
            shifts = shifts_from(old, aligned, frame_times(read_json(model / "model.json")["features"]).shift)
            print(f"{ali}: {shifts}", flush=True)
            check_drift(shifts, max_shift)
            with writing(folder / "shifts.json") as file:
                file.write_text(json.dumps({"before": str(before), **asdict(shifts)}, indent=1) + "\n")
        write_alignment_dir(folder, ali, source, aligned, posterior_scale)
        with writing(folder / "failed.json") as file:
            file.write_text(json.dumps(failed, indent=1))
    doubtful = len(doubts_of(aligned))
    print(
        f"{ali}: {len(aligned)} of {len(aligned) + len(failed)} utterances aligned"
        f"{f', {doubtful} of them doubtful' if doubtful else ''}"
    )


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
        From `steps.parallel.jobs`.

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


if __name__ == "__main__":
    command(align_data)
