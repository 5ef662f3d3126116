"""Speed perturbation (Ko et al., Interspeech 2015): the same speech, slower and faster, as utterances of their own."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.base.parallel import SharedJobs
from steps.corpus.audio import resample, write_audio
from steps.corpus.data_dir import DataDir, file_name, read_utterance_audio


def change_speed(samples: NDArray[Any], rate: int, factor: float) -> NDArray[Any]:
    """Play samples `factor` times as fast, at a pitch that rises with the speed (sox's ``speed``).

    Parameters
    ----------
    samples : (N,) float32
    rate : int
        Hz.
    factor : float

    Returns
    -------
    (N / factor,) float32

    Example
    -------
    >>> len(change_speed(np.zeros(8000, np.float32), 8000, 0.8))
    10000
    """
    return samples if factor == 1 else resample(samples, round(rate * factor), rate)


def perturbed_id(identifier: str, factor: float) -> str:
    """Name an utterance or a speaker at another speed, as Kaldi does.

    Example
    -------
    >>> perturbed_id("anna-1", 0.9), perturbed_id("anna-1", 1.0)
    ('sp0.9-anna-1', 'anna-1')
    """
    return identifier if factor == 1 else f"sp{factor:g}-{identifier}"


def perturb(
    data: DataDir, factors: Sequence[float], audio: Path, final: Path, allow_commands: bool, run: SharedJobs[DataDir]
) -> DataDir:
    """Write the audio of a data directory at several speeds and describe it as a data directory.

    Parameters
    ----------
    data : DataDir
    factors : sequence of float
        Speeds; 1 keeps the utterance and its ids.
    audio, final : Path
        The folder to write wav files into, and where it will be in the end.
    allow_commands : bool
        Run commands in wav.scp.
    run : SharedJobs
        From `steps.base.parallel.jobs`, which shares `data`.

    Raises
    ------
    InputError
        For a factor that is given twice.
    """
    if len(set(factors)) < len(factors):
        raise InputError(f"the speeds are {list(factors)}; each has to be given once")
    step = partial(_write, factors=factors, audio=audio, allow_commands=allow_commands)
    run(step, data.utterances, "changing speeds")
    wav: dict[str, str] = {}
    text: dict[str, str] = {}
    utt2spk: dict[str, str] = {}
    for factor in factors:
        for utterance in data.utterances:
            name = perturbed_id(utterance, factor)
            wav[name] = str(final / file_name(name))
            utt2spk[name] = perturbed_id(data.utt2spk[utterance], factor)
            if data.text:
                text[name] = data.text[utterance]
    return DataDir(final.parent, wav, text, utt2spk)


def _write(data: DataDir, utterance: str, factors: Sequence[float], audio: Path, allow_commands: bool) -> None:
    samples, rate = read_utterance_audio(data, utterance, allow_commands)
    for factor in factors:
        changed = np.clip(change_speed(samples, rate, factor), -1, 1 - 2**-15)  # resampling overshoots at loud places
        write_audio(audio / file_name(perturbed_id(utterance, factor)), changed, rate, "PCM_16")
