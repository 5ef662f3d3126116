"""All samples of an opened audio file, whatever length its header announces."""

import io
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.corpus.containers import Part, announced_frames, count_in_flac, flac_frames, flac_streams, without_size
from steps.corpus.mpeg import mpeg_parts
from steps.corpus.ogg import ogg_parts

MAX_MISSING = 0.5  # seconds: of a recording that lacks less at its end, what is there is taken
SOUNDING = 0.01  # the share of samples that differ from the one before, below which a recording holds no sound
_STEP = 2.0**-17  # a quarter of the smallest step of 16 bits, which decoders of lossy formats do not reach in silence
_BLOCK = 2**14  # samples
_RUN_UP = 2304  # samples that are decoded before those of an MP3 file that are wanted: the first ones can be wrong
_BAD_SEEK = 39  # libsndfile's number of this error
_UNITS = {"OGG": "a page of Ogg that is not the last one", "FLAC": "a frame of FLAC without a length in its header"}


@dataclass(frozen=True)
class AudioInfo:
    """What a recording holds.

    Attributes
    ----------
    rate, channels : int
        Sample rate in Hz, number of channels.
    frames : int
        Samples in each channel.
    announced : int
        How many its header announces, where these are more; otherwise the same number.
    silent : bool
        Whether it was read and nearly all samples of the channel are the same, zeros mostly (see `is_silent`).
    """

    rate: int
    channels: int
    frames: int
    announced: int
    silent: bool = False

    @property
    def seconds(self) -> float:
        """The duration."""
        return self.frames / self.rate

    @property
    def missing(self) -> float:
        """Seconds that the header announces and that are not there."""
        return (self.announced - self.frames) / self.rate


@dataclass
class _Stream:
    """A stream of a file and the sample it is at: not all formats report that, or allow seeking."""

    file: soundfile.SoundFile
    place: int = 0

    def decode(self, first: int, last: int) -> tuple[NDArray[Any], str | None]:
        """Give (samples, channels) float32 as far as they can be decoded, and what stopped it."""
        if not self.file.seekable() or self.file.subtype.startswith("DWVW"):  # libsndfile takes DWVW for seekable
            samples, fault = self._whole
            return samples[first:last], fault
        start = max(0, first - _RUN_UP) if self.file.format == "MP3" else first
        try:
            if start != self.place:  # seeking fails in a damaged flac, with a worse message
                self.file.seek(start)
        except soundfile.LibsndfileError as error:
            return np.empty((0, self.file.channels), np.float32), error.error_string
        samples, fault = _read(self.file, last - start)
        self.place = start + len(samples) if fault is None else -1
        return samples[first - start :], fault

    @cached_property
    def _whole(self) -> tuple[NDArray[Any], str | None]:
        return _read(self.file, self.file.frames)


@dataclass(frozen=True)
class Sound:
    """An opened recording: one or several streams, one after another."""

    name: str
    streams: list[_Stream]
    info: AudioInfo

    @property
    def exact(self) -> bool:
        """Whether all announced samples are there and finite without decoding them: PCM without compression."""
        files = [stream.file for stream in self.streams]
        return all(file.subtype.startswith("PCM_") and file.format != "FLAC" for file in files)

    def read(self, channel: int, first: int, last: int) -> NDArray[Any]:
        """Give the samples of one channel, (samples,) float32; fewer where less than `MAX_MISSING` is missing.

        Raises
        ------
        InputError
            When more is missing, and for NaN and infinite samples.
        """
        pieces: list[NDArray[Any]] = [np.empty(0, np.float32)]
        faults, begin = [], 0
        for stream in self.streams:
            start, end = max(first - begin, 0), min(last - begin, stream.file.frames)
            if start < end:
                samples, fault = stream.decode(start, end)
                pieces.append(samples[:, channel])
                faults += [fault] if fault else []
            begin += stream.file.frames
        samples = np.concatenate(pieces)
        lacking = last - first - len(samples)
        if lacking:
            _refuse_missing(self.name, replace(self.info, frames=self.info.frames - lacking), faults)
            if not len(samples):
                at = f"{first / self.info.rate:.3f} s to {last / self.info.rate:.3f} s"
                raise InputError(f"{self.name}: the audio file is truncated: nothing is there from {at}")
        finite = np.isfinite(samples)
        if not finite.all():
            bad = int(np.argmin(finite))
            raise InputError(
                f"{self.name}: {np.count_nonzero(~finite)} samples are NaN or infinite, the first at "
                f"{(first + bad) / self.info.rate:.3f} s"
            )
        return np.ascontiguousarray(samples)

    def check(self, channel: int) -> AudioInfo:
        """Find what would keep `read` from reading the whole channel, and whether there is sound in it.

        Samples are decoded only once and only as far as needed: all where the header does not show that they are there
        and are numbers, otherwise until there are enough that differ.
        """
        if not self.exact:
            samples = self.read(channel, 0, self.info.frames)
            return replace(self.info, frames=len(samples), silent=is_silent(samples))
        places = range(0, self.info.frames, _BLOCK)
        blocks = (self.read(channel, at, min(at + _BLOCK, self.info.frames)) for at in places)
        return replace(self.info, silent=not _sounds(blocks, self.info.frames))


def is_silent(samples: NDArray[Any]) -> bool:
    """Tell whether samples in [-1, 1) are nothing but zeros, or another constant, with hardly anything between.

    Example
    -------
    >>> silence, noise = np.zeros(9900), np.random.default_rng(0).standard_normal(200)
    >>> is_silent(silence), is_silent(np.concatenate([silence, noise]))
    (True, False)
    """
    places = range(0, len(samples), _BLOCK)
    return not _sounds((samples[at : at + _BLOCK] for at in places), len(samples))


def _sounds(blocks: Iterable[NDArray[Any]], total: int) -> bool:
    """Whether more of `total` samples than `SOUNDING` differ from the one before; takes as few blocks as show it."""
    found = 0
    return any((found := found + count_sounding(block)) >= SOUNDING * total for block in blocks)


def count_sounding(samples: NDArray[Any]) -> int:
    """Count the samples in [-1, 1) that differ from the one before."""
    return int(np.count_nonzero(np.abs(np.diff(samples)) > _STEP))


@contextmanager
def open_sound(file: BinaryIO, name: str) -> Iterator[Sound]:
    """Open a file of any format that libsndfile knows, such that all that is in it can be read.

    Raises
    ------
    InputError
        When it is not audio, holds no samples, or lacks `MAX_MISSING` seconds or more of what its header announces.
    """
    with ExitStack() as stack:

        def opened(content: BinaryIO) -> soundfile.SoundFile:
            try:
                return stack.enter_context(soundfile.SoundFile(content))
            except soundfile.LibsndfileError as error:
                raise InputError(
                    f"{name}: not an audio file that libsndfile can read ({error.error_string})"
                ) from error

        sound = opened(file)
        whole = _whole(sound, file)
        parts = [sound] if whole is None else [opened(io.BytesIO(part.content)) for part in whole]
        info = _describe(name, parts, file, sum(part.missing for part in whole or []))
        if not info.frames:
            raise InputError(f"{name}: the audio file holds no samples")
        _refuse_missing(name, info)
        yield Sound(name, [_Stream(part) for part in parts], info)


def _whole(sound: soundfile.SoundFile, file: BinaryIO) -> list[Part] | None:
    """Give a file's streams with right headers where libsndfile would read less than is there; None elsewhere."""
    if sound.format in _PARTS:
        return _streams(sound.format, _content(file))
    if not sound.frames and (content := without_size(_content(file))):
        return [Part(content, 0)]
    return None


@lru_cache(maxsize=1)  # of one long recording there may be many segments
def _streams(kind: str, content: bytes) -> list[Part] | None:
    return _PARTS[kind](content)


def _flac_parts(content: bytes) -> list[Part] | None:
    streams = flac_streams(content)
    return [_counted(stream) for stream in streams] if streams[1:] or not flac_frames(content) else None


def _counted(flac: bytes) -> Part:
    """Write into a flac stream's header how many samples it has, where the header lacks it."""
    if flac_frames(flac):
        return Part(flac, 0)
    frames, fault = _count(flac)
    return Part(count_in_flac(flac, frames), math.inf if fault else 0)


_PARTS = {"MP3": mpeg_parts, "OGG": ogg_parts, "FLAC": _flac_parts}


def _content(file: BinaryIO) -> bytes:
    position = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(position)
    return content


def _describe(name: str, parts: list[soundfile.SoundFile], file: BinaryIO, missing: float) -> AudioInfo:
    kinds = sorted({(part.samplerate, part.channels) for part in parts})
    if len(kinds) > 1:
        listed = ", ".join(f"{rate} Hz in {channels} channel(s)" for rate, channels in kinds)
        raise InputError(f"{name}: its {len(parts)} streams differ ({listed}); make a file of each")
    [(rate, channels)] = kinds
    frames = sum(part.frames for part in parts)
    if missing == math.inf:
        raise InputError(
            f"{name}: the audio file is truncated: it ends within {_UNITS[parts[0].format]}, "
            f"{frames / rate:.3f} s are there, and it is unknown how many are missing"
        )
    announced = announced_frames(parts[0], file) if len(parts) == 1 else frames
    return AudioInfo(rate, channels, frames, announced + round(missing * rate))


def _refuse_missing(name: str, info: AudioInfo, faults: list[str] | None = None) -> None:
    """Stop where half a second or more is missing, by the header or, with `faults`, by what could be decoded."""
    if info.missing >= MAX_MISSING:
        what = f"truncated or damaged ({'; '.join(faults)})" if faults else "truncated"
        raise InputError(
            f"{name}: the audio file is {what}: its header announces {info.announced} samples "
            f"({info.announced / info.rate:.3f} s), but {info.frames} ({info.seconds:.3f} s) are there"
        )


def _count(content: bytes) -> tuple[int, str | None]:
    """Count the samples of a channel by decoding them, and say what stopped it before the end."""
    frames = 0
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            while True:
                samples, fault = _read(sound, _BLOCK)
                frames += len(samples)
                if fault or len(samples) < _BLOCK:
                    return frames, fault
    except soundfile.LibsndfileError as error:
        return frames, error.error_string


def _read(sound: soundfile.SoundFile, count: int) -> tuple[NDArray[Any], str | None]:
    """Decode from the file's present place.

    soundfile raises where a decoder stops and does not say how far it came, so the place of each sample is filled with
    NaN beforehand. It also seeks after reading, to its present place: where only that fails, all was read.
    """
    samples = np.full((count, sound.channels), np.nan, np.float32)
    try:
        return sound.read(out=samples), None
    except soundfile.LibsndfileError as error:
        lost = np.isnan(samples).any(axis=1)
        fault = None if error.code == _BAD_SEEK else error.error_string
        return samples[: int(np.argmax(lost)) if lost.any() else len(samples)], fault
