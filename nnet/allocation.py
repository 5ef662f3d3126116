"""Memory that a process keeps for its next arrays."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MOST_KEPT = 1 << 30  # bytes
LARGEST_ARRAY = 32 << 20  # the most that every glibc takes; larger arrays are given back


def keep_memory() -> None:
    """Let the process keep the memory of arrays that it frees, where the C library is glibc.

    Every training step makes arrays of some megabytes and frees them. By default glibc gives such memory back to the
    system, and the next step gets it page by page, each with an interrupt and filled with zeros: with 4 streams, 6500
    pages a step of one layer (`tests.bench.lstm`). The values of the arrays are the same either way.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None:  # other C libraries may lack it
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
        mallopt(M_MMAP_THRESHOLD, LARGEST_ARRAY)
