"""Estimate speakers' transforms (fMLLR)."""

from pathlib import Path

from nnet.ranges import Count, NotNegative
from steps.acoustic.adapting import (
    ITERATIONS,
    MIN_FRAMES,
    SILENCE_WEIGHT,
    AdaptationInputs,
    estimate_transforms,
    write_speakers,
)
from steps.base.cli import command
from steps.base.output import output_dir
from steps.base.parallel import jobs


def adapt(
    data: Path,
    lang: Path,
    model: Path,
    ali: Path,
    out: Path,
    silence_weight: NotNegative = SILENCE_WEIGHT,
    min_frames: NotNegative = MIN_FRAMES,
    iterations: Count = ITERATIONS,
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
    inputs.check()
    with output_dir(out, mark="transform.npz") as folder, jobs(nj, inputs) as run:
        write_speakers(folder, estimate_transforms(inputs, run, silence_weight, min_frames, iterations), model)


if __name__ == "__main__":
    command(adapt)
