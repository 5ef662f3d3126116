"""Kaldi data directories: read strictly, cut, and written."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.base.output import fitting, is_unfinished
from steps.corpus.audio import parse_wav_entry, read_audio, times_fault
from steps.corpus.tables import read_table, write_table

T = TypeVar("T")

LEFT_OUT = "left_out"


@dataclass(frozen=True)
class Segment:
    """A part of a recording, in seconds; an end of -1 is the recording's end."""

    recording: str
    start: float
    end: float


@dataclass(frozen=True)
class DataDir:
    """A data directory's content.

    Attributes
    ----------
    path : Path
        The directory, which relative paths of audio may refer to.
    wav : dict
        Recording -> what wav.scp says of it (see `steps.corpus.audio.parse_wav_entry`).
    text, utt2spk : dict
        Utterance -> transcript; empty where there are none. Utterance -> speaker.
    segments : dict
        Utterance -> where it is; empty where an utterance is a recording.
    channels : dict
        Recording -> channel from 0, for recordings of several channels.
    """

    path: Path
    wav: dict[str, str]
    text: dict[str, str]
    utt2spk: dict[str, str]
    segments: dict[str, Segment] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)

    @cached_property
    def utterances(self) -> list[str]:
        """The utterances' ids, sorted by code point."""
        return sorted(self.segments or self.wav)

    @cached_property
    def spk2utt(self) -> dict[str, list[str]]:
        """Speaker -> sorted utterances, sorted by speaker."""
        return speakers(self.utt2spk)

    def recording(self, utterance: str) -> str:
        """Name the recording that holds an utterance."""
        return self.segments[utterance].recording if self.segments else utterance


def speakers(utt2spk: dict[str, str]) -> dict[str, list[str]]:
    """Speaker -> utterances from utterance -> speaker, both sorted by code point (spk2utt).

    Example
    -------
    >>> speakers({"b1": "b", "a2": "a", "a1": "a"})
    {'a': ['a1', 'a2'], 'b': ['b1']}
    """
    spk2utt: dict[str, list[str]] = {speaker: [] for speaker in sorted(set(utt2spk.values()))}
    for utterance in sorted(utt2spk):
        spk2utt[utt2spk[utterance]].append(utterance)
    return spk2utt


def invert(spk2utt: dict[str, str]) -> dict[str, str]:
    """Utterance -> speaker from speaker -> its utterances in one string; the last speaker of one that several have.

    Example
    -------
    >>> invert({"a": "a1 a2", "b": "b1"})
    {'a1': 'a', 'a2': 'a', 'b1': 'b'}
    """
    return {utterance: speaker for speaker, utterances in spk2utt.items() for utterance in split_fields(utterances)}


def parse_segment(entry: str) -> Segment:
    """Read ``recording start end``.

    Raises
    ------
    InputError
        When these are not three fields of which two are numbers.
    """
    fields = split_fields(entry)
    try:
        recording, start, end = fields[0], *map(float, fields[1:])
    except (ValueError, IndexError) as error:
        raise InputError(f"'{entry}' is not 'recording start end' with times in seconds") from error
    if not (math.isfinite(start) and math.isfinite(end)):
        raise InputError(f"'{entry}' holds a time that is not a finite number")
    return Segment(recording, start, end)


def parse_channel(entry: str) -> int:
    """Read ``file A`` or ``file B`` of reco2file_and_channel: 0 for A, 1 for B.

    Raises
    ------
    InputError
        When it is something else.
    """
    fields = split_fields(entry)
    if len(fields) != 2 or fields[1] not in ("A", "B"):
        raise InputError(f"'{entry}' is not 'file channel' with A or B for the channel")
    return "AB".index(fields[1])


def read_data_dir(path: str | Path) -> DataDir:
    """Read a data directory, refusing what would spoil training.

    Ids out of order are sorted and speakers made up (each utterance its own) where there is no utt2spk; a printed line
    says so. No audio is opened. An optional file may be missing: text (there is nothing to train on or to score then),
    segments, reco2file_and_channel; spk2utt follows from utt2spk.

    Raises
    ------
    InputError
        At the first inconsistency; ``python -m steps.validate_data`` lists all of them.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: there is no such directory")
    if not (path / "wav.scp").is_file():
        raise InputError(f"{path}: not a data directory, it has no wav.scp")
    try:
        return _read_strictly(path)
    except InputError as error:
        raise InputError(f"{error}; 'python -m steps.validate_data {path}' lists all problems") from error


def _read_strictly(path: Path) -> DataDir:
    def read(name: str, min_fields: int = 2, verbatim: bool = False) -> dict[str, str]:
        table = read_table(path / name, min_fields, verbatim) if (path / name).is_file() else {}
        if list(table) != sorted(table):
            unsorted.append(name)
        return dict(sorted(table.items()))

    unsorted: list[str] = []
    wav = read("wav.scp", verbatim=True)
    segments = _parsed(path / "segments", read("segments"), parse_segment)
    channels = _parsed(path / "reco2file_and_channel", read("reco2file_and_channel"), parse_channel)
    text = read("text")
    utt2spk = read("utt2spk")
    if not (path / "utt2spk").is_file():
        spk2utt = read("spk2utt")
        utt2spk = invert(spk2utt)
        for speaker, utterances in spk2utt.items():
            if other := next((utt for utt in utterances.split() if utt2spk[utt] != speaker), None):
                raise InputError(f"{path}/spk2utt: '{other}' has more than one speaker: {speaker}, {utt2spk[other]}")
        instead = "speakers are taken from spk2utt" if utt2spk else "each utterance counts as a speaker of its own"
        print(f"{path}: there is no utt2spk: {instead}")
        utt2spk = utt2spk or {utterance: utterance for utterance in segments or wav}
    if unsorted:
        print(f"{path}: not sorted by id, sorted on reading: {', '.join(unsorted)}")
    channels = {recording: channel for recording, channel in channels.items() if recording in wav}
    data = DataDir(path, wav, text, utt2spk, segments, channels)
    _check(data)
    return data


def _parsed(path: Path, table: dict[str, str], parse: Callable[[str], T]) -> dict[str, T]:
    result = {}
    for key, entry in table.items():
        try:
            result[key] = parse(entry)
        except InputError as error:
            raise InputError(f"{path}: '{key}': {error}") from error
    return result


def _check(data: DataDir) -> None:
    path = data.path
    if not data.utterances:
        raise InputError(f"{path}: holds no utterances")
    for utterance, segment in data.segments.items():
        if segment.recording not in data.wav:
            raise InputError(f"{path}/segments: '{utterance}' is in recording '{segment.recording}', not in wav.scp")
        if fault := times_fault(segment.start, segment.end):
            raise InputError(f"{path}/segments: '{utterance}': {fault}")
    source = "segments" if data.segments else "wav.scp"
    _same_ids(path, "utt2spk", data.utt2spk, data.utterances, source)
    for utterance, speaker in data.utt2spk.items():
        if " " in speaker:
            raise InputError(f"{path}/utt2spk: '{utterance}' has more than one speaker: '{speaker}'")
    if (path / "text").is_file():
        _same_ids(path, "text", data.text, data.utterances, source)


def _same_ids(path: Path, name: str, table: dict[str, str], utterances: list[str], source: str) -> None:
    for first, second, missing in (
        (source, name, sorted(set(utterances) - set(table))),
        (name, source, sorted(set(table) - set(utterances))),
    ):
        if missing:
            others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise InputError(f"{path}: utterance '{missing[0]}'{others} is in {first}, but not in {second}")


def write_data_dir(path: str | Path, data: DataDir) -> None:
    """Write a data directory: wav.scp text utt2spk spk2utt and, where there are any, segments reco2file_and_channel.

    Other files in the directory are kept. wav.scp is removed first and written last: a half-written directory has none.
    Paths of audio that are relative to `data.path` become absolute when the directory is another one.
    """
    path = Path(path)
    optional = {
        "text": data.text,
        "segments": {utt: f"{s.recording} {s.start:.10g} {s.end:.10g}" for utt, s in data.segments.items()},
        "reco2file_and_channel": {reco: f"{reco} {'AB'[channel]}" for reco, channel in data.channels.items()},
    }
    (path / "wav.scp").unlink(missing_ok=True)
    for name, table in optional.items():
        if table:
            write_table(path / name, table)
        else:
            (path / name).unlink(missing_ok=True)
    write_table(path / "utt2spk", data.utt2spk)
    write_table(path / "spk2utt", {speaker: " ".join(utts) for speaker, utts in data.spk2utt.items()})
    elsewhere = path.resolve() != data.path.resolve()
    write_table(
        path / "wav.scp",
        {reco: _portable(entry, data.path) if elsewhere else entry for reco, entry in data.wav.items()},
    )


def _portable(entry: str, base: Path) -> str:
    """Make the path of audio that is found from `base` only absolute."""
    file = parse_wav_entry(entry, base).path
    if file is None or file == parse_wav_entry(entry, Path()).path:
        return entry
    return str(file.absolute())


def left_out(path: str | Path) -> dict[str, str]:
    """Read the transcripts of utterances that a set had and that could not be used; none in most directories.

    A test set never shrinks: scoring counts their words as deleted.
    """
    file = Path(path) / LEFT_OUT
    return read_table(file, min_fields=2) if file.is_file() else {}


def write_left_out(path: str | Path, text: Mapping[str, str]) -> None:
    """Write what `left_out` reads, when there is any."""
    if text:
        write_table(Path(path) / LEFT_OUT, text)


def file_name(utterance: str, suffix: str = "wav") -> str:
    """Name an utterance's file; a slash, which no file name can hold, is written as in addresses of the web.

    Of a name that is too long, the end gives way to a hash (see `steps.base.output.fitting`).

    Example
    -------
    >>> file_name("anna-1"), file_name("../anna/1")
    ('anna-1.wav', '..%2Fanna%2F1.wav')
    """
    return fitting(utterance.replace("%", "%25").replace("/", "%2F"), f".{suffix}")


def read_utterance_audio(data: DataDir, utterance: str, allow_commands: bool = False) -> tuple[NDArray[Any], int]:
    """Read an utterance's samples, float32 in [-1, 1), and their rate in Hz.

    Raises
    ------
    InputError
        As `steps.corpus.audio.read_audio`, naming the utterance.
    """
    recording = data.recording(utterance)
    segment = data.segments.get(utterance)
    source = parse_wav_entry(data.wav[recording], data.path)
    start, end = (segment.start, segment.end) if segment else (None, None)
    try:
        return read_audio(source, data.channels.get(recording), start, end, allow_commands)
    except InputError as error:
        raise InputError(f"utterance '{utterance}': {error}") from error


def data_dirs(path: str | Path) -> dict[str, Path]:
    """Name -> directory: `path` itself when it holds wav.scp or feats.scp, otherwise its subdirectories that do.

    Raises
    ------
    InputError
        When there is none.
    """
    path = Path(path)
    if _is_data_dir(path):
        return {path.resolve().name: path}
    subdirectories = sorted(path.iterdir()) if path.is_dir() else []
    found = [p for p in subdirectories if _is_data_dir(p) and not is_unfinished(p) and p.name[0] != "."]
    if not found:
        raise InputError(f"{path}: neither a data directory nor a folder of them: no wav.scp or feats.scp is there")
    return {p.name: p for p in found}


def _is_data_dir(path: Path) -> bool:
    return any((path / name).is_file() for name in ("wav.scp", "feats.scp"))


def subset(data: DataDir, utterances: Iterable[str]) -> DataDir:
    """Keep some utterances, and the recordings that they are in.

    Raises
    ------
    InputError
        When an utterance is not in `data`.
    """
    kept = sorted(set(utterances))
    known = data.segments or data.wav
    if unknown := [utterance for utterance in kept if utterance not in known]:
        raise InputError(f"{data.path}: there is no utterance '{unknown[0]}'")
    recordings = sorted({data.recording(utterance) for utterance in kept})
    return replace(
        data,
        wav={reco: data.wav[reco] for reco in recordings},
        text={utt: data.text[utt] for utt in kept if utt in data.text},
        utt2spk={utt: data.utt2spk[utt] for utt in kept},
        segments={utt: data.segments[utt] for utt in kept if utt in data.segments},
        channels={reco: data.channels[reco] for reco in recordings if reco in data.channels},
    )
