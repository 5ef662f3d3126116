"""The length of an audio file as its header announces it, and headers that leave it open."""

import re
import struct
from itertools import pairwise
from typing import BinaryIO, NamedTuple

import soundfile

_FRAMES = r"(?m)^ *Frames +: (\d+)"
_BYTES = r"(?m)^ *(?:data|Data Size|BODY) *: (\d+) \(should be (\d+)\)"
_LOGGED_FRAMES = {  # how libsndfile's log of the header prints the number of samples
    "AIFF": _FRAMES,
    "AVR": _FRAMES,
    "MPC2K": _FRAMES,
    "MAT4": r"(?ms).*^ *Rows +: \d+\s+Cols +: (\d+)",
    "MAT5": r"(?ms).*^ *Rows +: \d+\s+Cols +: (\d+)",
}
_LOGGED_BYTES = {"RF64": (r"(?m)^ *Data size : (\d+)", 0), "W64": (r"(?m)^ *data : (\d+)", 24)}  # and bytes in front


_FLAC_BEGINS = re.compile(rb"fLaC[\0\x80]\0\0\x22.{34}", re.DOTALL)  # with a whole STREAMINFO


class Part(NamedTuple):
    """A stream of a file as a file of its own, and the seconds that it lacks at its end (infinity: nobody knows)."""

    content: bytes
    missing: float


def announced_frames(sound: soundfile.SoundFile, file: BinaryIO) -> int:
    """Give a channel's number of samples by the header, or as many as are there if it announces none."""
    log, announced = sound.extra_info, 0
    linear = sound.subtype.startswith(("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW"))
    if sound.format in _LOGGED_FRAMES:
        found = re.search(_LOGGED_FRAMES[sound.format], log)
        unknown = _is_unknown(re.search(r"(?m)^ *SSND : (\d+)", log))
        announced = int(found[1]) if found and not unknown else 0
    elif sound.format in _LOGGED_BYTES:
        pattern, extra = _LOGGED_BYTES[sound.format]
        found, block = re.search(pattern, log), re.search(r"(?m)^ *Block Align +: ([1-9]\d*)", log)
        announced = (int(found[1]) - extra) // int(block[1]) if found and block and linear else 0
    elif sound.format == "NIST":
        position = file.tell()
        file.seek(0)
        count = re.search(rb"sample_count -i (\d+)", file.read(1024))
        file.seek(position)
        announced = int(count[1]) if count else 0
    elif (found := re.search(_BYTES, log)) and not _is_unknown(found) and int(found[2]):
        promised, present = int(found[1]), int(found[2])
        size = present // max(sound.frames, 1) if linear else 0
        announced = promised // size if size else round(sound.frames * promised / present)
    return announced if sound.frames < announced < 2**40 else sound.frames


def _is_unknown(size: re.Match[str] | None) -> bool:
    """Whether a size of 32 bits is one that programs write into a pipe, when they do not know the length yet."""
    return size is not None and (0x7F000000 <= int(size[1]) <= 0x80000000 or int(size[1]) >= 0xFFFFF000)


def without_size(content: bytes) -> bytes | None:
    """Extend a wav, RF64 or AU file whose header announces no samples to the end of the file, as Kaldi reads wav.

    Programs that write into a pipe, or were killed, leave the size 0.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    bytes or None
        None where the header is right, and for other formats.
    """
    if content.startswith(b".snd"):
        return content[:8] + b"\xff\xff\xff\xff" + content[12:]
    if content[:4] not in (b"RIFF", b"RF64") or content[8:12] != b"WAVE":
        return None
    place, data = 12, 0
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        data = data or (place if name == b"data" else 0)
        place += 8 + size + size % 2
    if not data or place == len(content):  # the chunks end where the file does: it really holds no samples
        return None
    return b"RIFF" + content[4 : data + 4] + b"\xff\xff\xff\xff" + content[data + 8 :]


def flac_streams(content: bytes) -> list[bytes]:
    """Cut a flac file into the streams that follow one another in it, of which libsndfile reads the first only."""
    joined = [] if content.startswith(b"OggS") else [found.start() for found in _FLAC_BEGINS.finditer(content)][1:]
    return [content[start:end] for start, end in pairwise([0, *joined, len(content)])]


def flac_frames(content: bytes) -> int:
    """Read the number of samples of a channel in a flac file's header: 0 after a pipe, where nobody knew it yet."""
    return _flac_number(content)[1] % 2**36


def count_in_flac(content: bytes, frames: int) -> bytes:
    """Write the number of samples of a channel into a flac file's header."""
    place, number = _flac_number(content)
    return content[:place] + struct.pack(">Q", number >> 36 << 36 | frames)[3:] + content[place + 5 :]


def _flac_number(content: bytes) -> tuple[int, int]:
    """Find the place and the value of the 5 bytes that end in the 36 bits of the number of samples."""
    place = content.index(b"fLaC") + 21  # 4 + 4 bytes to STREAMINFO, 13 and a half in it
    return place, int.from_bytes(content[place : place + 5], "big")
