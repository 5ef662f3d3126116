"""Align transcripts with audio."""

import json
from dataclasses import asdict
from pathlib import Path

from nnet.ranges import Count, NotNegative, Positive, Share
from steps.acoustic.aligning import (
    POSTERIOR_SCALE,
    AlignmentInputs,
    align_utterances,
    alignments_before,
    shifts_from,
    write_alignment_dir,
)
from steps.ali.directory import (
    check_failed,
    doubts_of,
    say_doubtful,
    say_failed,
)
from steps.ali.shifts import check_drift
from steps.ali.word_times import frame_times
from steps.base.cli import command
from steps.base.output import output_dir, writing
from steps.base.parallel import jobs
from steps.hmm.viterbi import AlignOptions

MAX_SHIFT = 20.0  # two frames: networks move boundaries by less than one; a delay that is wrong, by a step or more


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
    also: list[Path] | None = None,
    before: Path | None = None,
    max_shift: NotNegative = MAX_SHIFT,
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Align the transcripts of a data directory with its audio (Kaldi's align_si.sh).

    Writes ALI/ali.scp with a vector of transition-ids for each utterance, and the model's files that define these ids.
    failed.json lists the utterances that could not be aligned, with the reasons. scores.scp holds the log posterior of
    each frame's phone, and utt2loglike the mean log likelihood of a frame. doubtful.json lists utterances whose
    transcript may be wrong: there the model is as unsure as with another recording's transcript, or a wider beam may
    find a better path.

    --before is for a model that was trained on those alignments. The shift of the boundaries is then printed and
    written to shifts.json, and the run stops if its mean is too large.

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
    also : list of Path
        Further networks on the same states and features, whose outputs are averaged with those of MODEL.
    before : Path
        Alignments of the same data that the model was trained on.
    max_shift : float
        Stop when the mean shift of the boundaries from those of --before is larger, in ms, in either direction.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    old = alignments_before(before, model) if before else None  # first, so that an error in them comes at once
    inputs = AlignmentInputs(
        data=data,
        lang=lang,
        model_dir=model,
        oov_to_unk=oov_to_unk,
        allow_commands=allow_commands,
        speakers=speakers,
        also=tuple(also or ()),
    )
    with output_dir(ali, mark="ali.scp") as folder, jobs(nj, inputs) as run:
        aligned, failed = align_utterances(inputs, align, posterior_scale, run)
        say_failed(failed)
        say_doubtful(aligned)
        check_failed(failed, len(aligned) + len(failed), max_failed)
        if old is not None:
            shifts = shifts_from(old, aligned, frame_times(inputs.description.features).shift)
            print(f"{ali}: {shifts}", flush=True)
            check_drift(shifts, max_shift)
            with writing(folder / "shifts.json") as file:
                file.write_text(json.dumps({"before": str(before), **asdict(shifts)}, indent=1) + "\n")
        write_alignment_dir(folder, ali, inputs, aligned, posterior_scale)
        with writing(folder / "failed.json") as file:
            file.write_text(json.dumps(failed, indent=1))
    doubtful = len(doubts_of(aligned))
    print(
        f"{ali}: {len(aligned)} of {len(aligned) + len(failed)} utterances aligned"
        f"{f', {doubtful} of them doubtful' if doubtful else ''}"
    )


if __name__ == "__main__":
    command(align_data)
