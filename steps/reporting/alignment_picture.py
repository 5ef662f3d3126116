"""A picture of an utterance: its spectrogram, its words and phones."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.corpus.ctm import Token, position_in_recording, read_ctm
from steps.corpus.data_dir import DataDir

LINE = 4.0  # seconds at most in one line of the picture
INCHES = 3.0  # a second: 0.1 for the shortest phones
HEIGHTS = (3.0, 0.5)  # inches, of a spectrogram and of a tier
BOUNDARIES = {"words": {"color": "C0"}, "reference": {"color": "C3", "linestyle": "--"}}  # in the spectrogram
WINDOW, STEP = 0.006, 0.002  # seconds, short enough to see each glottal pulse
RANGE = 70  # dB
COLOURS = matplotlib.colormaps["RdYlGn"]


def reference_tokens(reference: Path, utterance: str, data: DataDir, end: float) -> list[Token]:
    """Find an utterance's tokens in a CTM file, with times in the utterance.

    Parameters
    ----------
    reference : Path
    utterance : str
    data : DataDir
        Says where the utterance is.
    end : float
        Of the utterance, in seconds from its start.

    Raises
    ------
    InputError
        When the file has none.
    """
    tokens = read_ctm(reference)
    for where in (position_in_recording(utterance, data), position_in_recording(utterance)):
        channels = {channel: found for (recording, channel), found in tokens.items() if recording == where.recording}
        if not channels:
            continue
        if len(channels) > 1 and where.channel not in channels:
            raise InputError(
                f"{reference}: recording '{where.recording}' has the channels {' and '.join(channels)}; say in "
                "reco2file_and_channel which one it is"
            )
        chosen = channels.get(where.channel, next(iter(channels.values())))
        inside = [t._replace(start=t.start - where.start, end=t.end - where.start) for t in chosen]
        return [t for t in inside if t.end > 0 and t.start < end]
    recording = position_in_recording(utterance, data).recording
    raise InputError(f"{reference}: it has neither the recording '{recording}' nor the utterance '{utterance}'")


def draw(
    samples: NDArray[Any], rate: int, tiers: dict[str, list[Token]], limits: tuple[float, float], title: str = ""
) -> Figure:
    """Draw a spectrogram and tiers of tokens.

    Parameters
    ----------
    samples : (N,) float32
    rate : int
        Hz.
    tiers : dict
        Name -> tokens.
    limits : (float, float)
        The part to draw, in seconds.
    title : str
        Title of the picture.
    """
    lines = math.ceil((limits[1] - limits[0]) / LINE)
    line = (limits[1] - limits[0]) / lines
    height = sum(heights := [HEIGHTS[0], *(HEIGHTS[1] for _ in tiers)]) + 0.7
    figure = Figure(figsize=(1.5 + max(INCHES * line, 4.0), lines * height + 0.4), layout="constrained")
    level, step = spectrogram(samples, rate)
    extent = (-step / 2, (level.shape[1] - 0.5) * step, 0, rate / 2000)  # columns' middles are at 0, step, ...
    for i, part in enumerate(figure.subfigures(lines, 1, squeeze=False).flat):
        start, end = limits[0] + i * line, limits[0] + (i + 1) * line
        top, *rows = part.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        top.imshow(level, origin="lower", aspect="auto", extent=extent, cmap="gray_r", interpolation="bilinear")
        top.set_xlim(start, end)
        top.set_ylabel("kHz")
        for axes, (name, tokens) in zip(rows, tiers.items(), strict=True):
            visible = [t for t in tokens if t.end > start and t.start < end]
            draw_tier(axes, name, visible, (start, end))
            if name in BOUNDARIES:
                for time in {time for token in visible for time in (token.start, token.end)}:
                    top.axvline(time, linewidth=1.2, **BOUNDARIES[name])
    rows[-1].set_xlabel("seconds")
    if title:
        figure.suptitle(title, wrap=True)
    return figure


def spectrogram(samples: NDArray[Any], rate: int) -> tuple[NDArray[Any], float]:
    """Power of frequencies over time.

    Parameters
    ----------
    samples : (N,) float32
    rate : int
        Hz.

    Returns
    -------
    (F, columns) float32
        In dB, from 0 Hz to half the rate.
    float
        Seconds from a column to the next.
    """
    import librosa  # takes a second to import

    window, hop = round(WINDOW * rate), max(1, round(STEP * rate))
    size = max(256, 1 << (window - 1).bit_length())
    sharpened = librosa.effects.preemphasis(samples)
    power = np.abs(librosa.stft(sharpened, n_fft=size, win_length=window, hop_length=hop)) ** 2
    return librosa.power_to_db(power, ref=np.max, top_db=RANGE), hop / rate


def draw_tier(axes: Axes, name: str, tokens: Sequence[Token], limits: tuple[float, float]) -> None:
    """Draw tokens as boxes in the colour of their confidence.

    The texts of neighbours stand at different heights: they are wider than short phones.
    """
    for i, token in enumerate(tokens):
        start, end = np.clip([token.start, token.end], *limits)
        axes.axvspan(start, end, facecolor=COLOURS(token.confidence), alpha=0.6, edgecolor="black")
        height = 0.5 if name == "words" else (0.72, 0.28)[i % 2]
        axes.text((start + end) / 2, height, token.text, ha="center", va="center", fontsize=9)
    axes.set_ylabel(name, rotation=0, ha="right", va="center")
    axes.set_yticks([])
    axes.set_ylim(0, 1)
