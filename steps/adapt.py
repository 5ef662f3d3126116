"""Estimate speakers' transforms (fMLLR)."""

from functools import partial
from pathlib import Path

from steps.align import align_data
from steps.cli import command
from steps.corpus.split import cut
from steps.errors import InputError
from steps.feats.reader import Features
from steps.hmm.acoustic_model import independent_model, load_acoustic_model, model_features, tree_hash
from steps.hmm.adaptation import BySpeaker, speaker_maps, speaker_statistics
from steps.hmm.alignments import read_alignments
from steps.hmm.gmm import read_gmms
from steps.hmm.topology import silence_phones
from steps.hmm.transforms import Transform, TransformedFeatures, write_transform
from steps.hmm.transitions import read_transition_model
from steps.hmm.viterbi import AlignOptions
from steps.output import output_dir
from steps.parallel import jobs


def adapt(
    data: Path,
    lang: Path,
    model: Path,
    ali: Path,
    out: Path,
    silence_weight: float = 0.01,
    min_frames: float = 500.0,
    iterations: int = 3,
    allow_commands: bool = False,
    nj: int = 1,
) -> None:
    """Estimate for each speaker the affine map of the features that moves them towards a model (fMLLR).

    Writes OUT/transform.npz, which steps.align, steps.decode and steps.tune take as --speakers. Matches what Kaldi's
    decode_fmllr.sh and align_fmllr.sh do between their passes.

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
        directory of steps.decode.
    out : Path
        Directory to write.
    silence_weight : float
        Weight of the frames of silence.
    min_frames : float
        A speaker with fewer (weighted) frames keeps the features as they are.
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
    if tree_hash(ali) != tree_hash(model):
        raise InputError(f"{ali}: its states are not those of {model}; align with that model or with its NAME_si")
    features, alignments = model_features(data, acoustic, allow_commands), read_alignments(ali)
    utterances = [utterance for utterance in features if utterance in alignments]
    if not utterances:
        raise InputError(f"{ali}: none of the utterances of {data} is aligned there")
    transform = features.transform
    with output_dir(out) as folder, jobs(nj) as run:
        for iteration in range(iterations):
            step = partial(_statistics, features.features, ali, model, silence_phones(lang), silence_weight, transform)
            parts = run(step, cut(utterances), f"adapting {data.name}: {iteration + 1}/{iterations}")
            maps, gain = speaker_maps(parts, min_frames)
            transform = transform.adapted(maps)
            print(f"fMLLR: {len(maps)} speakers, {gain:.3f} in log likelihood per frame", flush=True)
        write_transform(folder, transform)
    speakers = {features.features.utt2spk[utterance] for utterance in utterances}
    if few := sorted(speakers - set(transform.speakers)):
        print(f"fewer than {min_frames:g} frames, not adapted: {' '.join(few)}")


def adapt_to(
    data: Path, lang: Path, model: Path, folder: Path, align: AlignOptions, oov_to_unk: bool = False, nj: int = 1
) -> Path | None:
    """Adapt a model to the speakers of transcribed speech, if it is one of adapted speakers.

    A first alignment is that of its sibling for speakers who are not known yet (Kaldi's align_fmllr.sh).

    Parameters
    ----------
    data, lang, model, align, oov_to_unk, nj
        See `steps.align.align_data`.
    folder : Path
        Where to write.

    Returns
    -------
    Path or None
        The directory of the speakers' transforms; None for any other model.
    """
    independent = independent_model(model)
    if independent is None:
        return None
    first, speakers = folder / "first_ali", folder / "fmllr"
    align_data(data, lang, independent, first, align, oov_to_unk=oov_to_unk, nj=nj)
    adapt(data, lang, model, first, speakers, nj=nj)
    return speakers


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


if __name__ == "__main__":
    command(adapt)
