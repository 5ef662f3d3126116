"""Adapting a model to speakers: their transforms (fMLLR), and the passes that lead to them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from nnet.ranges import Count, NotNegative
from steps.acoustic.aligning import POSTERIOR_SCALE, AlignmentInputs, align_utterances, write_alignment_dir
from steps.acoustic.inputs import ADAPTED, AcousticInputs, adapted_to
from steps.acoustic.model import alignment_model
from steps.ali.directory import Aligned, Alignments, read_alignments
from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.base.parallel import SharedJobs, jobs, split_into_blocks
from steps.gmm.adaptation import BySpeaker, speaker_maps, speaker_statistics
from steps.gmm.transforms import Transform, TransformedFeatures, read_transform, write_transform
from steps.hmm.joins import check_lang, check_states
from steps.hmm.topology import silence_phones
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
        Alignments with the states of this model: of transcripts, from steps.align, or of the hypotheses of a first
        pass, from steps.decode or steps.tune.
    out : Path
        Directory to write.
    silence_weight : float
        Weight of the frames of silence.
    min_frames : float
        A speaker with no more (weighted) frames than this gets no transform.
    iterations : int
        Each computes the posteriors of the Gaussians from the features as the iteration before transformed them.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    inputs = AdaptationInputs(data=data, model_dir=model, allow_commands=allow_commands, lang=lang, ali=ali)
    if inputs.model.is_network:
        raise InputError(f"{model}: a network; only GMM systems have speakers' transforms of this kind")
    utterances = _aligned_utterances(inputs)
    speakers = {inputs.features.features.utt2spk[utterance] for utterance in utterances}
    with output_dir(out, mark="transform.npz") as folder, jobs(nj, inputs) as run:
        transform = inputs.features.transform
        for iteration in range(iterations):
            desc = f"adapting {data.name}: {iteration + 1}/{iterations}"
            maps, gain = speaker_maps(_statistics(inputs, utterances, transform, silence_weight, run, desc), min_frames)
            transform = transform.adapted(maps)
            if not maps:
                break
            print(f"fMLLR: {len(maps)} speakers, {gain:.3f} in log likelihood per frame", flush=True)
        write_transform(folder, transform)
        (folder / ADAPTED).write_text(json.dumps(adapted_to(model), indent=1) + "\n")
    if few := sorted(speakers - set(transform.speakers)):
        print(f"no more than {min_frames:g} frames, not adapted: {' '.join(few)}")


@dataclass(frozen=True, kw_only=True)
class AdaptationInputs(AcousticInputs):
    """What transforms are estimated from.

    Parameters
    ----------
    lang : Path
        Language directory.
    ali : Path
        Alignments with the states of the model.
    """

    lang: Path
    ali: Path

    @cached_property
    def alignments(self) -> Alignments:
        """The alignments."""
        return read_alignments(self.ali)

    @cached_property
    def silence_pdfs(self) -> NDArray[Any]:
        """The pdf-ids of silence."""
        return self.model.transitions.pdfs_of(silence_phones(self.lang))


def _aligned_utterances(inputs: AdaptationInputs) -> list[str]:
    """List the utterances with features and an alignment; an error where there are none or of other states."""
    alignments = inputs.alignments
    check_states(inputs.ali, inputs.model_dir, "align with that model or with its NAME_si")
    check_lang(inputs.lang, inputs.model_dir)
    utterances = [utterance for utterance in inputs.features if utterance in alignments]
    if not utterances:
        raise InputError(f"{inputs.ali}: none of the utterances of {inputs.data} is aligned there")
    return utterances


Maps = Mapping[str, NDArray[Any]]
"""Speaker id -> affine map."""


def _statistics(
    inputs: AdaptationInputs,
    utterances: Sequence[str],
    transform: Transform,
    silence_weight: float,
    run: SharedJobs[AdaptationInputs],
    desc: str,
) -> list[BySpeaker]:
    """Collect the statistics of features with a transform, block by block."""
    utt2spk = inputs.features.features.utt2spk
    items: list[tuple[list[str], Maps]] = []
    for block in split_into_blocks(utterances):
        speakers = {utt2spk[utterance] for utterance in block} & transform.speakers.keys()
        items.append((block, {speaker: transform.speakers[speaker] for speaker in speakers}))
    return run(partial(_block_statistics, silence_weight=silence_weight), items, desc)


def _block_statistics(inputs: AdaptationInputs, item: tuple[list[str], Maps], silence_weight: float) -> BySpeaker:
    (utterances, maps), model, features = item, inputs.model, inputs.features.features
    assert model.gmms is not None  # `adapt` refuses networks
    transformed = TransformedFeatures(features, replace(inputs.features.transform, speakers=maps))
    aligned = ((features.utt2spk[u], transformed[u], inputs.alignments[u]) for u in utterances)
    return speaker_statistics(model.gmms, model.transitions, aligned, inputs.silence_pdfs, silence_weight)


class Adapted(NamedTuple):
    """How a speaker-adapted (SAT) model was adapted.

    Attributes
    ----------
    model : Path
        The alignment model, which made the first alignment.
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
    inputs: AlignmentInputs, folder: Path, options: AlignOptions, posterior_scale: float = POSTERIOR_SCALE, nj: int = 1
) -> Adapted | None:
    """Adapt a model to the speakers of transcribed speech, if it is a speaker-adapted (SAT) one.

    The first alignment is that of its alignment model, for speakers without a transform (Kaldi's align_fmllr.sh).

    Parameters
    ----------
    inputs : AlignmentInputs
    folder : Path
        Where to write.
    options, posterior_scale, nj
        See `steps.align.align_data`.

    Returns
    -------
    Adapted or None
        None for any other model.
    """
    model = alignment_model(inputs.model_dir)
    if model is None:
        return None
    first, speakers, unadapted = folder / "first_ali", folder / "fmllr", replace(inputs, model_dir=model)
    with jobs(nj, unadapted) as run:
        aligned, failed = align_utterances(unadapted, options, posterior_scale, run)
    if not aligned:
        return Adapted(model, {}, failed, None)
    with output_dir(first) as part:
        write_alignment_dir(part, first, unadapted, aligned, posterior_scale)
    adapt(inputs.data, inputs.lang, inputs.model_dir, first, speakers, allow_commands=inputs.allow_commands, nj=nj)
    return Adapted(model, aligned, failed, speakers)
