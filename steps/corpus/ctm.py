"""Words and phones with their times, and the CTM files of NIST and Kaldi that hold them."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.base.files import write_text
from steps.corpus.data_dir import DataDir


class Token(NamedTuple):
    """A word or phone: from `start` to `end` in seconds, and how sure it is, from 0 to 1."""

    text: str
    start: float
    end: float
    confidence: float = 1.0


class RecordingPosition(NamedTuple):
    """Where an utterance is: in which recording, in which of its channels, and from which second on."""

    recording: str
    channel: str
    start: float

    def shifted(self, tokens: Iterable[Token]) -> list[Token]:
        """Tokens of the utterance with their times in the recording."""
        return [token._replace(start=token.start + self.start, end=token.end + self.start) for token in tokens]


def position_in_recording(utterance: str, data: DataDir | None = None) -> RecordingPosition:
    """Where an utterance is; a recording of its own without a data directory.

    Raises
    ------
    InputError
        When the data directory has no such utterance.

    Example
    -------
    >>> position_in_recording("anna-1")
    RecordingPosition(recording='anna-1', channel='1', start=0.0)
    """
    if data is None:
        return RecordingPosition(utterance, "1", 0.0)
    if utterance not in data.utt2spk:
        raise InputError(f"{data.path}: there is no utterance '{utterance}', which is aligned; is it another set's?")
    recording = data.recording(utterance)
    channel = "AB"[data.channels[recording]] if recording in data.channels else "1"
    segment = data.segments.get(utterance)
    return RecordingPosition(recording, channel, segment.start if segment else 0.0)


def write_ctm(path: Path, tokens: Iterable[tuple[RecordingPosition, Token]]) -> None:
    """Write lines of ``recording channel start duration token confidence``, by recording, channel and time.

    Times have four decimals: with Kaldi's usual two, frames' boundaries would be rounded.

    Parameters
    ----------
    path : Path
    tokens : iterable of (RecordingPosition, Token)
        With times in the recording.
    """
    rows = sorted(tokens, key=lambda row: (row[0].recording, row[0].channel, row[1].start, row[1].end))
    write_text(path, "".join(_line(place, token) for place, token in rows))


def _line(place: RecordingPosition, token: Token) -> str:
    start, end = round(token.start, 4), round(token.end, 4)  # so that what touches does so in the file as well
    return f"{place.recording} {place.channel} {start:.4f} {end - start:.4f} {token.text} {token.confidence:.4f}\n"


def read_ctm(path: Path) -> dict[tuple[str, str], list[Token]]:
    """Read a CTM file: (recording, channel) -> tokens in the order of the file.

    Comments, ``;;``, are left out; the confidence may be missing.

    Raises
    ------
    InputError
        With file and line, when it is missing, not UTF-8, or a line is not of that form.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from error
    tokens: dict[tuple[str, str], list[Token]] = {}
    for number, line in enumerate(lines, start=1):
        fields = split_fields(line)
        if fields and not line.startswith(";;"):
            recording, channel, token = _parse(fields, f"{path}:{number}")
            tokens.setdefault((recording, channel), []).append(token)
    return tokens


def _parse(fields: list[str], where: str) -> tuple[str, str, Token]:
    try:
        recording, channel, start, duration, text, *rest = fields
        times = float(start), float(duration)
        confidence = float(rest[0]) if rest else 1.0
    except ValueError as error:
        raise InputError(
            f"{where}: '{' '.join(fields)}' is not 'recording channel start duration token' with times in seconds"
        ) from error
    if not all(map(math.isfinite, times)) or min(times) < 0:
        raise InputError(f"{where}: it starts at {start} s and lasts {duration} s; neither can be below 0")
    return recording, channel, Token(text, times[0], sum(times), confidence)
