"""Draw an utterance with its words and phones."""

import math
from pathlib import Path
from typing import Annotated

from nnet.ranges import Number, Range
from steps.ali.directory import read_aligned
from steps.ali.labels import labeller_of
from steps.base.cli import command
from steps.base.errors import InputError
from steps.corpus.ctm import position_in_recording
from steps.corpus.data_dir import read_data_dir, read_utterance_audio
from steps.reporting.alignment_picture import draw, reference_tokens
from steps.reporting.drawing import check_format, save_figure

LONGEST = 120.0  # seconds in a picture


def plot_alignment(
    ali: Path,
    lang: Path,
    data: Path,
    utterance: str,
    out: Path = Path("alignment.png"),
    reference: Path | None = None,
    start: Number = 0.0,
    end: Annotated[float, Range(finite=False)] = math.inf,
    allow_commands: bool = False,
) -> None:
    """Draw the spectrogram of an utterance, and below it its aligned words and phones.

    The colour of a word or phone shows its confidence, from red (0) over yellow to green (1).

    Parameters
    ----------
    ali : Path
        Alignment directory, from steps.align.
    lang : Path
        Language directory that it was aligned with.
    data : Path
        Data directory with the audio.
    utterance : str
        Its id.
    out : Path
        The picture; its suffix says the format: png, pdf, svg, ...
    reference : Path
        A CTM file with words or phones to compare with, such as another alignment's; times are those in the recording,
        or in the utterance where the file names utterances.
    start : float
        Draw the part from here on only, in seconds from the utterance's start.
    end : float
        Draw the part up to here only.
    allow_commands : bool
        Run commands in wav.scp.
    """
    check_format(out)
    aligned, recordings = read_aligned(ali), read_data_dir(data)
    if utterance not in aligned:
        raise InputError(f"{ali}: there is no utterance '{utterance}' in it, or it could not be aligned")
    labeller = labeller_of(aligned, lang)
    labels = labeller.labels(utterance, aligned.text[utterance], aligned[utterance])
    tiers = labeller.tiers(labels)
    position_in_recording(utterance, recordings)  # an error where the data is another set's
    if reference is not None:
        tiers["reference"] = reference_tokens(reference, utterance, recordings, labels.end)
    samples, rate = read_utterance_audio(recordings, utterance, allow_commands)
    start, end = max(start, 0.0), min(end, len(samples) / rate)
    if not 0 < end - start <= LONGEST:
        raise InputError(
            f"utterance {utterance}: its part from {start:g} s to {end:g} s cannot be drawn; it lasts "
            f"{len(samples) / rate:.2f} s, of which --start and --end choose up to {LONGEST:g} s"
        )
    figure = draw(samples, rate, tiers, (start, end), f"{utterance}: {aligned.text[utterance]}")
    save_figure(figure, out, dpi=120)
    print(f"{out} is written")


if __name__ == "__main__":
    command(plot_alignment)
