"""The number of threads that a process computes with, in a way that gives the same results each time."""

import torch


def set_threads(threads: int) -> None:
    """Let torch compute with a number of threads; the same program run twice gives the same bits.

    The vector library behind torch.tanh picks its kernel at the first call of a process. When several threads make
    that call at once, one of them may still use another kernel: in about one process of ten the last bits of the first
    tanh then differ, and after some hundred updates the whole network does. So one thread makes the first call alone.
    """
    torch.set_num_threads(threads)
    torch.zeros(1).tanh()
