"""MPEG audio (MP3): its frames, and the header frame with their number."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from steps.corpus.containers import Part

_BITRATES = {  # kbit/s by index; of layer III, for MPEG-1 and for MPEG-2 and 2.5
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by the version's two bits
_ROOM = 200  # bytes of a header frame of ours: mpg123 does not look into small ones


class _Frame(NamedTuple):
    """A frame of layer III: what stays the same in a stream, its place, and its length in bytes."""

    kind: tuple[int, int, bool]  # version, sample rate in Hz, whether it has one channel
    start: int
    length: int

    @property
    def samples(self) -> int:
        return 1152 if self.kind[0] == 3 else 576

    @property
    def tag(self) -> int:
        """Where the word Xing or Info stands in a header frame: behind 4 bytes and the empty side information."""
        version, _, mono = self.kind
        return self.start + 4 + ((17 if mono else 32) if version == 3 else (9 if mono else 17))


def mpeg_parts(content: bytes) -> list[Part] | None:
    """Cut an MP3 file into its streams, each behind a header frame that counts the frames that are there.

    libsndfile reads as many frames as a file's first Xing or Info frame says, and guesses their number from the first
    one's size where there is no such frame: of a variable bit rate, or of files joined by ``cat``, it loses a part.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    list of Part or None
        None where no frame of layer III is found.
    """
    streams: list[list[_Frame]] = []
    for frame in _frames(content):
        if not streams or frame.kind != streams[-1][0].kind or _is_header(content, frame):
            streams.append([])
        streams[-1].append(frame)
    return [_part(content, stream) for stream in streams if not _is_header(content, stream[-1])] or None


def _frames(content: bytes) -> Iterator[_Frame]:
    """Go through the whole frames, past tags and whatever else stands between them."""
    place, kind = 0, None
    while place + 4 <= len(content):
        frame = _frame(content, place)
        if frame and (_followed(content, frame) or (frame.kind == kind and not _is_cut(content, frame))):
            yield frame
            place, kind = place + frame.length, frame.kind
        elif content.startswith(b"ID3", place) and place + 10 <= len(content):
            size = content[place + 6 : place + 10]  # seven bits in each byte
            place += 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
        else:
            kind, place = None, content.find(b"\xff", place + 1)
            if place < 0:
                return


def _followed(content: bytes, frame: _Frame) -> bool:
    """Whether another frame, a tag or the end follows, as it does not after two bytes that only look like a frame."""
    end = frame.start + frame.length
    following = _frame(content, end)
    return end == len(content) or bool(following and following.kind == frame.kind) or content[end : end + 3] in _TAGS


def _is_cut(content: bytes, frame: _Frame) -> bool:
    """Whether a frame that nothing known follows ends early: the file ends, or another frame begins, within it."""
    end = frame.start + frame.length
    place = content.find(b"\xff", frame.start + 1, end)
    while place >= 0:
        inner = _frame(content, place)
        if inner and inner.kind == frame.kind and _followed(content, inner):
            return True
        place = content.find(b"\xff", place + 1, end)
    return end > len(content)


_TAGS = (b"ID3", b"TAG", b"APE")


def _frame(content: bytes, start: int) -> _Frame | None:
    """Read a frame's four bytes of header; None where there is none of layer III, or one of a free bit rate."""
    head = content[start : start + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return None
    hertz = _RATES[version][rate]
    slots = 144 if version == 3 else 72
    length = slots * 1000 * _BITRATES[version or 2][bitrate] // hertz + (head[2] >> 1 & 1)
    return _Frame((version, hertz, head[3] >> 6 == 3), start, length)


def _is_header(content: bytes, frame: _Frame) -> bool:
    tagged = content[frame.tag : frame.tag + 4] in (b"Xing", b"Info") and frame.tag + 16 <= frame.start + frame.length
    return tagged or content.startswith(b"VBRI", frame.start + 36)


def _part(content: bytes, stream: list[_Frame]) -> Part:
    """Put a stream's frames behind a header frame with their number.

    The encoder's own is kept if there is one, as it also says what to cut off at the beginning and the end.
    """
    head = stream[0]
    frames = stream[1:] if _is_header(content, head) else stream
    audio = b"".join(content[frame.start : frame.start + frame.length] for frame in frames)
    header = bytearray(content[head.start : head.start + head.length])
    tag = head.tag - head.start
    flags = struct.unpack_from(">I", header, tag + 4)[0] if bytes(header[tag : tag + 4]) in (b"Xing", b"Info") else 0
    if not flags & 1:
        return Part(_counting_header(content, head, len(frames)) + audio, 0)
    (announced,) = struct.unpack_from(">I", header, tag + 8)
    struct.pack_into(">I", header, tag + 8, len(frames))
    if flags & 2:
        struct.pack_into(">I", header, tag + 12, len(header) + len(audio))
    missing = announced - len(frames)  # some encoders count the header frame as well
    return Part(bytes(header) + audio, missing * head.samples / head.kind[1] if missing > 1 else 0)


def _counting_header(content: bytes, like: _Frame, count: int) -> bytes:
    """Make a header frame for a stream without one."""
    first = content[like.start : like.start + 4]
    # neither checksum nor padding
    heads = (bytes([0xFF, first[1] | 1, bitrate << 4 | first[2] & 0x0C, first[3]]) for bitrate in range(1, 15))
    possible = [(head, frame) for head in heads if (frame := _frame(head, 0))]
    head, frame = next((pair for pair in possible if pair[1].length >= _ROOM), possible[-1])
    return (head + bytes(frame.tag - 4) + b"Xing" + struct.pack(">II", 1, count)).ljust(frame.length, b"\0")
