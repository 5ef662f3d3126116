"""Ogg: its pages, and the streams that follow one another in a file."""

import math
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from steps.corpus.containers import Part

_BEGINS, _ENDS = 2, 4  # flags of a stream's first and last page


class _Page(NamedTuple):
    """A page: its place, its flags, the time at its end in samples (-1 for none), and whether it is whole."""

    start: int
    flags: int
    time: int
    whole: bool


def ogg_parts(content: bytes) -> list[Part] | None:
    """Cut an Ogg file into the streams that follow one another in it, of which libsndfile reads the first only.

    The head of a page has the time at the page's end, and the last page is marked as the last. If the last page is cut
    off, it is known how much is missing; if another one is, it is not.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    list of Part or None
        None where no page is found.
    """
    streams: list[list[_Page]] = []
    for page in _pages(content):
        if not streams or (page.flags & _BEGINS and not streams[-1][-1].flags & _BEGINS):
            streams.append([])
        streams[-1].append(page)
    limits = pairwise([*(stream[0].start for stream in streams), len(content)])
    found = zip(streams, limits, strict=True)
    return [Part(content[start:end], _missing(content, stream)) for stream, (start, end) in found] or None


def _pages(content: bytes) -> Iterator[_Page]:
    """Go through the pages (RFC 3533, section 6); one whose end is not where it should be is cut off."""
    place = content.find(b"OggS")
    while place >= 0:
        segments = content[place + 26] if place + 26 < len(content) else 0
        end = place + 27 + segments + sum(content[place + 27 : place + 27 + segments])
        header = place + 27 + segments <= len(content)
        flags, time = struct.unpack_from("<Bq", content, place + 5) if header else (0, -1)
        following = content.find(b"OggS", end if content.startswith(b"OggS", end) else place + 4)
        whole = header and (end <= len(content) if following < 0 else end <= following)
        yield _Page(place, flags, time, whole)
        place = following


def _missing(content: bytes, stream: list[_Page]) -> float:
    """Seconds that a stream lacks at its end."""
    if any(page.whole and page.flags & _ENDS for page in stream) or stream[-1].whole:
        return 0
    rate = _time_rate(content, stream[0])
    if not rate or not stream[-1].flags & _ENDS:
        return math.inf
    return max(0, stream[-1].time - max((page.time for page in stream[:-1]), default=0)) / rate


def _time_rate(content: bytes, first: _Page) -> int | None:
    """Samples a second that a stream's pages count in; None for a codec that is not known here."""
    packet = first.start + 28  # a first page holds one packet, of less than 255 bytes
    if content.startswith(b"OpusHead", packet):
        return 48000
    vorbis = content.startswith(b"\x01vorbis", packet) and packet + 16 <= len(content)
    return struct.unpack_from("<I", content, packet + 12)[0] if vorbis else None
