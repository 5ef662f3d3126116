"""Adapting a model to speakers: their transforms (fMLLR), and the passes that lead to them."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nnet.ranges import Count, NotNegative
from steps.acoustic.aligning import POSTERIOR_SCALE, Source, align_utterances, write_alignment_dir
from steps.acoustic.model import ADAPTED, adapted_to, independent_model, load_acoustic_model, model_features
from steps.ali.directory import Aligned, read_alignments
from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.base.parallel import jobs
from steps.corpus.split import cut
from steps.feats.reader import Features
from steps.gmm.adaptation import BySpeaker, speaker_maps, speaker_statistics
from steps.gmm.gmm import read_gmms
from steps.gmm.transforms import Transform, TransformedFeatures, read_transform, write_transform
from steps.hmm.joins import check_lang, check_states
from steps.hmm.topology import silence_phones
from steps.hmm.transitions import read_transition_model
from steps.hmm.viterbi import AlignOptions


def adapt(
    data: Path,
    lang: Path,
    model: Path,
    ali: Path,
    out: Path,
    silence_weight: NotNegative = 0.01,
    min_frames: NotNegative = 500.0,
    iterations: Count = 3,
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Estimate for each speaker the affine map of the features that moves them towards a model (fMLLR).

    Writes OUT/transform.npz, which steps.align, steps.decode and steps.tune take as --speakers, and OUT/adapt.json,
    which says for which model it is. Matches what Kaldi's decode_fmllr.sh and align_fmllr.sh do between their passes.

    Parameters
    ----------
    data : Path
        A data directory with audio, or its features from steps.make_feats.
    lang : Path
        Language directory.
    model : Path
        Model directory: a GMM system.
    ali : Path
        Alignments with the states of this model: of transcripts, from steps.align, or of what a first pass heard, a
        directory of steps.decode or of steps.tune.
    out : Path
        Directory to write.
    silence_weight : float
        Weight of the frames of silence.
    min_frames : float
        A speaker with no more (weighted) frames keeps the features as they are.
    iterations : int
        Each starts with the Gaussians' shares of the frames as the one before has moved them.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    acoustic = load_acoustic_model(model)
    if acoustic.is_network:
        raise InputError(f"{model}: a network; only GMM systems have speakers' transforms of this kind")
    alignments = read_alignments(ali)
    check_states(ali, model, "align with that model or with its NAME_si")
    check_lang(lang, model)
    features = model_features(data, acoustic, allow_commands)
    utterances = [utterance for utterance in features if utterance in alignments]
    if not utterances:
        raise InputError(f"{ali}: none of the utterances of {data} is aligned there")
    transform = features.transform
    with output_dir(out, mark="transform.npz") as folder, jobs(nj) as run:
        for iteration in range(iterations):
            step = partial(_statistics, features.features, ali, model, silence_phones(lang), silence_weight, transform)
            parts = run(step, cut(utterances), f"adapting {data.name}: {iteration + 1}/{iterations}")
            maps, gain = speaker_maps(parts, min_frames)
            transform = transform.adapted(maps)
            if not maps:
                break
            print(f"fMLLR: {len(maps)} speakers, {gain:.3f} in log likelihood per frame", flush=True)
        write_transform(folder, transform)
        (folder / ADAPTED).write_text(json.dumps(adapted_to(model), indent=1) + "\n")
    speakers = {features.features.utt2spk[utterance] for utterance in utterances}
    if few := sorted(speakers - set(transform.speakers)):
        print(f"no more than {min_frames:g} frames, not adapted: {' '.join(few)}")


class Adapted(NamedTuple):
    """How a model of adapted speakers was adapted.

    Attributes
    ----------
    model : Path
        That of the first pass, for speakers who are not known yet.
    first : dict of Aligned
        Its alignments.
    failed : dict of str
        Why it could not align the other utterances.
    speakers : Path or None
        The directory of the transforms; None where the first pass could not align anything.
    """

    model: Path
    first: dict[str, Aligned]
    failed: dict[str, str]
    speakers: Path | None

    def unadapted(self, utt2spk: Mapping[str, str]) -> list[str]:
        """Utterances of speakers who have too few frames for a transform."""
        known = set(read_transform(self.speakers).speakers) if self.speakers else set()
        return [utterance for utterance in (*self.first, *self.failed) if utt2spk[utterance] not in known]


def adapt_to(
    source: Source, folder: Path, options: AlignOptions, posterior_scale: float = POSTERIOR_SCALE, nj: int = 1
) -> Adapted | None:
    """Adapt a model to the speakers of transcribed speech, if it is one of adapted speakers.

    A first alignment is that of its sibling for speakers who are not known yet (Kaldi's align_fmllr.sh).

    Parameters
    ----------
    source : Source
        What is to be aligned with what.
    folder : Path
        Where to write.
    options, posterior_scale, nj
        See `steps.align.align_data`.

    Returns
    -------
    Adapted or None
        None for any other model.
    """
    independent = independent_model(source.model)
    if independent is None:
        return None
    first, speakers, unadapted = folder / "first_ali", folder / "fmllr", source._replace(model=independent)
    with jobs(nj) as run:
        aligned, failed = align_utterances(unadapted, options, posterior_scale, run)
    if not aligned:
        return Adapted(independent, {}, failed, None)
    with output_dir(first) as part:
        write_alignment_dir(part, first, unadapted, aligned, posterior_scale)
    adapt(source.data, source.lang, source.model, first, speakers, allow_commands=source.allow_commands, nj=nj)
    return Adapted(independent, aligned, failed, speakers)


def _statistics(
    features: Features,
    ali: Path,
    model: Path,
    silence: list[int],
    silence_weight: float,
    transform: Transform,
    utterances: list[str],
) -> BySpeaker:
    gmms, transitions = read_gmms(model / "gmm.npz"), read_transition_model(model)
    alignments, transformed = read_alignments(ali), TransformedFeatures(features, transform)
    aligned = ((features.utt2spk[u], transformed[u], alignments[u]) for u in utterances)
    return speaker_statistics(gmms, transitions, aligned, transitions.pdfs_of(silence), silence_weight)
