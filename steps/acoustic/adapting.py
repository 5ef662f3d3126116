"""Adapting a model to speakers: their transforms (fMLLR), and the passes that lead to them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

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

SILENCE_WEIGHT, MIN_FRAMES, ITERATIONS = 0.01, 500.0, 3


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

    @cached_property
    def utterances(self) -> list[str]:
        """Those that have features and an alignment."""
        return [utterance for utterance in self.features if utterance in self.alignments]

    def check(self) -> None:
        """Check that the alignments fit model and data.

        Raises
        ------
        InputError
            When the model is a network, the alignments are of other states or phones, or no utterance has one.
        """
        if self.description.is_network:
            raise InputError(f"{self.model_dir}: a network; only GMM systems have speakers' transforms of this kind")
        _ = self.alignments  # an error in them comes first
        check_states(self.ali, self.model_dir, "align with that model or with its NAME_si")
        check_lang(self.lang, self.model_dir)
        if not self.utterances:
            raise InputError(f"{self.ali}: none of the utterances of {self.data} is aligned there")


def estimate_transforms(
    inputs: AdaptationInputs,
    run: SharedJobs[AdaptationInputs],
    silence_weight: float = SILENCE_WEIGHT,
    min_frames: float = MIN_FRAMES,
    iterations: int = ITERATIONS,
) -> Transform:
    """Estimate the affine map of each speaker's features towards a model (fMLLR), and print the gain.

    Parameters
    ----------
    inputs : AdaptationInputs
    run : SharedJobs
        From `steps.base.parallel.jobs`, which shares `inputs`.
    silence_weight : float
        Weight of the frames of silence.
    min_frames : float
        A speaker with no more (weighted) frames than this gets no map.
    iterations : int
        Each computes the posteriors of the Gaussians from the features as the iteration before transformed them.

    Returns
    -------
    Transform
        That of the model, with the speakers' maps.
    """
    transform = inputs.features.transform
    for iteration in range(iterations):
        desc = f"adapting {inputs.data.name}: {iteration + 1}/{iterations}"
        maps, gain = speaker_maps(_statistics(inputs, transform, silence_weight, run, desc), min_frames)
        transform = transform.adapted(maps)
        if not maps:
            break
        print(f"fMLLR: {len(maps)} speakers, {gain:.3f} in log likelihood per frame", flush=True)
    speakers = {inputs.untransformed.utt2spk[utterance] for utterance in inputs.utterances}
    if few := sorted(speakers - set(transform.speakers)):
        print(f"no more than {min_frames:g} frames, not adapted: {' '.join(few)}")
    return transform


def write_speakers(folder: Path, transform: Transform, model: Path) -> None:
    """Write the transforms that were estimated for a model, and for which one it was."""
    write_transform(folder, transform)
    (folder / ADAPTED).write_text(json.dumps(adapted_to(model), indent=1) + "\n")


Maps = Mapping[str, NDArray[Any]]
"""Speaker id -> affine map."""


def _statistics(
    inputs: AdaptationInputs,
    transform: Transform,
    silence_weight: float,
    run: SharedJobs[AdaptationInputs],
    desc: str,
) -> list[BySpeaker]:
    """Collect the statistics of features with a transform, block by block."""
    utt2spk = inputs.untransformed.utt2spk
    items: list[tuple[list[str], Maps]] = []
    for block in split_into_blocks(inputs.utterances):
        speakers = {utt2spk[utterance] for utterance in block} & transform.speakers.keys()
        items.append((block, {speaker: transform.speakers[speaker] for speaker in speakers}))
    return run(partial(_block_statistics, silence_weight=silence_weight), items, desc)


def _block_statistics(inputs: AdaptationInputs, item: tuple[list[str], Maps], silence_weight: float) -> BySpeaker:
    (utterances, maps), model, features = item, inputs.model, inputs.untransformed
    assert model.gmms is not None  # `AdaptationInputs.check` refuses networks
    mapped = TransformedFeatures(features, replace(inputs.features.transform, speakers=maps))
    aligned = ((features.utt2spk[u], mapped[u], inputs.alignments[u]) for u in utterances)
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
    unadapted.take_features(inputs)
    with jobs(nj, unadapted) as run:
        aligned, failed = align_utterances(unadapted, options, posterior_scale, run)
    if not aligned:
        return Adapted(model, {}, failed, None)
    with output_dir(first) as part:
        write_alignment_dir(part, first, unadapted, aligned, posterior_scale)
    adaptation = AdaptationInputs(
        data=inputs.data,
        model_dir=inputs.model_dir,
        lang=inputs.lang,
        ali=first,
        allow_commands=inputs.allow_commands,
    )
    adaptation.take_features(inputs)
    adaptation.check()
    with output_dir(speakers) as part, jobs(nj, adaptation) as run_adaptation:
        write_speakers(part, estimate_transforms(adaptation, run_adaptation), inputs.model_dir)
    return Adapted(model, aligned, failed, speakers)
