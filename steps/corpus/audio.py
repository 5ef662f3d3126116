"""Recordings: what an entry of wav.scp says, and the samples behind it."""

import io
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.base.fields import BLANK
from steps.corpus.sound import AudioInfo, Sound, open_sound

MAX_OVERSHOOT = 0.5  # seconds that a segment may end after its recording, cut off then: Kaldi's extract-segments


@dataclass(frozen=True)
class AudioSource:
    """What an entry of wav.scp says: a file, or a command that writes wav to its standard output."""

    path: Path | None = None
    command: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.command is None else f"'{self.command} |'"


def parse_wav_entry(entry: str, base: Path) -> AudioSource:
    """Tell what an entry of wav.scp means.

    Commands that only decode or copy a file (``flac -c -d -s F |`` in any order of its flags, ``cat F |``) become that
    file, which is read directly.

    Parameters
    ----------
    entry : str
        The rest of a line of wav.scp.
    base : Path
        The data directory: where a relative path is looked up that is not there from the current directory, which is
        Kaldi's way.

    Example
    -------
    >>> parse_wav_entry("flac -cds /corpus/a.flac |", Path("data/train")).path.as_posix()
    '/corpus/a.flac'
    >>> parse_wav_entry("sph2pipe -f wav a.sph |", Path("data/train")).command
    'sph2pipe -f wav a.sph'
    """
    entry = entry.strip(BLANK)
    if not entry.endswith("|"):
        return AudioSource(path=_locate(entry, base))
    command = entry[:-1].strip(BLANK)
    file = _plain_file(command)
    return AudioSource(command=command) if file is None else AudioSource(path=_locate(file, base))


def _locate(name: str, base: Path) -> Path:
    path = Path(name)
    return path if path.is_absolute() or path.exists() or not (base / path).exists() else base / path


def _plain_file(command: str) -> str | None:
    """Find the file that a command decodes or copies as a whole; None for any other command."""
    stages = _pipeline(command)
    if stages is None or len(stages) != 1 or not stages[0]:
        return None
    program, *arguments = stages[0]
    flags = {argument for argument in arguments if argument.startswith("-")}
    files = [argument for argument in arguments if not argument.startswith("-")]
    if len(files) != 1:
        return None
    if Path(program).name == "cat" and not flags:
        return files[0]
    long = {flag for flag in flags if flag.startswith("--")}
    short = set("".join(flag[1:] for flag in flags - long))
    names = {"--stdout": "c", "--decode": "d", "--silent": "s", "--totally-silent": "s"}
    letters = short | {names.get(flag, "?") for flag in long}
    return files[0] if Path(program).name == "flac" and {"c", "d"} <= letters <= {"c", "d", "s"} else None


def _pipeline(command: str) -> list[list[str]] | None:
    """List the programs of a pipeline with their arguments; None when it needs a shell."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|;<>&()")
    lexer.whitespace_split, lexer.commenters = True, ""
    stages: list[list[str]] = [[]]
    try:
        for token in lexer:
            if token == "|":
                stages.append([])
            elif token and not token.strip("|;<>&()"):
                return None
            else:
                stages[-1].append(token)
    except ValueError:  # a quotation without end
        return None
    return stages


def audio_info(source: AudioSource, allow_commands: bool = False) -> AudioInfo:
    """Rate, channels and length of a recording, by its header where that can be believed.

    Raises
    ------
    InputError
        When it is missing, empty, truncated or not audio, or a command that is refused or fails.
    """
    with _opened(source, allow_commands) as sound:
        return sound.info


def check_audio(source: AudioSource, channel: int | None = None, allow_commands: bool = False) -> AudioInfo:
    """Do as `audio_info`, find what would keep `read_audio` from reading the whole recording, and whether it is silent.

    All samples are decoded where a header cannot show this: in compressed files, which may be damaged, and in those of
    floating-point numbers, which may not be finite. Of others as many are read as show that there is sound.
    """
    with _opened(source, allow_commands) as sound:
        return sound.check(_pick_channel(sound.info, channel, source))


def read_audio(
    source: AudioSource,
    channel: int | None = None,
    start: float | None = None,
    end: float | None = None,
    allow_commands: bool = False,
) -> tuple[NDArray[Any], int]:
    """Read one channel of a recording, or of a part of it.

    Parameters
    ----------
    source : AudioSource
        See `parse_wav_entry`.
    channel : int, optional
        Which channel of a recording that has several, from 0.
    start, end : float, optional
        In seconds; an `end` of -1 is the recording's end. Times become samples as in Kaldi's extract-segments, which
        also lets a segment end up to half a second after its recording.
    allow_commands : bool
        Run what is a command in wav.scp (without a shell: programs and pipes only).

    Returns
    -------
    numpy.ndarray
        (samples,) float32 in [-1, 1).
    int
        The sample rate in Hz.

    Raises
    ------
    InputError
        When the recording is missing, empty, truncated, not audio, of several channels with none chosen, holds NaN or
        infinite samples, is a command that is refused or fails; when the segment is not within the recording.
    """
    with _opened(source, allow_commands) as sound:
        first, last = _sample_range(sound.info, source, start, end)
        return sound.read(_pick_channel(sound.info, channel, source), first, last), sound.info.rate


def times_fault(start: float, end: float) -> str | None:
    """Say what is wrong with a segment's times in themselves, in seconds; None when nothing is."""
    if start < 0 or (end != -1 and end <= start):
        return f"the segment goes from {start:g} s to {end:g} s; it has to end after its start, and start at 0 or later"
    return None


def segment_fault(info: AudioInfo, start: float, end: float) -> str | None:
    """Say what is wrong with a segment of a recording; None when nothing is."""
    if _sample(start, info.rate) >= info.frames or end > info.seconds + MAX_OVERSHOOT:
        until = "its end" if end == -1 else f"{end:g} s"
        return f"the segment from {start:g} s to {until} is not within its recording of {info.seconds:.3f} s"
    return times_fault(start, end)


def _sample(time: float, rate: int) -> int:
    """Turn a time into a sample's number as Kaldi's extract-segments does."""
    return int(time * rate + 0.5)


def _sample_range(info: AudioInfo, source: AudioSource, start: float | None, end: float | None) -> tuple[int, int]:
    start, end = 0.0 if start is None else start, -1 if end is None else end
    fault = segment_fault(info, start, end)
    if fault:
        raise InputError(f"{source}: {fault}")
    return _sample(start, info.rate), info.frames if end == -1 else min(info.frames, _sample(end, info.rate))


def resample(samples: NDArray[Any], rate: int, to_rate: int) -> NDArray[Any]:
    """Change the sample rate of (samples,) from `rate` to `to_rate` Hz; float32 as it came."""
    if rate == to_rate:
        return samples
    import librosa  # takes a second to import

    return librosa.resample(samples, orig_sr=rate, target_sr=to_rate).astype(np.float32, copy=False)


@contextmanager
def _opened(source: AudioSource, allow_commands: bool) -> Iterator[Sound]:
    if source.command is not None:
        file: BinaryIO = io.BytesIO(_run(source.command, allow_commands))
    elif source.path is None or not source.path.is_file():
        raise InputError(f"{source}: there is no such audio file")
    elif not source.path.stat().st_size:
        raise InputError(f"{source}: the audio file is empty")
    else:
        try:  # a file without its name: soundfile then goes by content
            file = cast(BinaryIO, os.fdopen(os.open(source.path, os.O_RDONLY), "rb"))
        except OSError as error:
            raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    with file, open_sound(file, str(source)) as sound:
        yield sound


def _pick_channel(info: AudioInfo, channel: int | None, source: AudioSource) -> int:
    if info.channels == 1:
        return 0  # as in Kaldi's swbd, where reco2file_and_channel names the channel of audio that a command split
    if channel is None:
        raise InputError(
            f"{source}: the audio has {info.channels} channels; choose one in reco2file_and_channel "
            "(a line 'recording file A' or '... B'), or mix them"
        )
    if channel >= info.channels:
        raise InputError(f"{source}: channel {channel + 1} is asked for, but the audio has {info.channels} channels")
    return channel


def _run(command: str, allow_commands: bool) -> bytes:
    """Give the standard output of a pipeline of programs, which no shell sees."""
    if not allow_commands:
        raise InputError(f"'{command} |' is a command, which is run only with --allow-commands")
    stages = _pipeline(command)
    if stages is None or not all(stages):
        raise InputError(f"'{command} |' needs a shell, which is not used: only programs, arguments and pipes are")
    output = b""
    for stage in stages:
        try:
            done = subprocess.run(stage, input=output, capture_output=True, check=False)
        except OSError as error:
            raise InputError(f"'{command} |': {stage[0]} cannot be run ({error.strerror})") from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(
                f"'{command} |': {stage[0]} ended with status {done.returncode}{': ' + words[-1] if words else ''}"
            )
        output = done.stdout
    if not output:
        raise InputError(f"'{command} |': the command wrote nothing")
    return output


def write_audio(path: Path, samples: NDArray[Any], rate: int, subtype: str) -> None:
    """Write samples to a file in the format of its suffix.

    Parameters
    ----------
    path : Path
    samples : (N,) float array
        In [-1, 1].
    rate : int
        In Hz.
    subtype : str
        How libsndfile writes a sample: ``PCM_16``, ``FLOAT``.

    Raises
    ------
    InputError
        When the file cannot be written, as on a full disk.
    """
    try:
        soundfile.write(path, samples, rate, subtype=subtype)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: the audio cannot be written ({error}); is the disk full?") from error
