"""Tensors in memory that several processes share. It has no name, so it is freed when the last of them ends."""

import math
import mmap
import os
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64  # bytes


def create_memory(tensors: Mapping[str, Tensor]) -> str:
    """Copy tensors into new memory.

    Returns
    -------
    str
        The path by which `open_memory` finds it, as long as this process lives.
    """
    descriptor = os.memfd_create("shard")
    os.ftruncate(descriptor, max(1, sum(map(_room, tensors.values()))))
    path = f"/proc/{os.getpid()}/fd/{descriptor}"
    file, copies = open_memory(path, tensors)
    for name, tensor in copies.items():
        tensor.copy_(tensors[name])
    os.close(file)
    return path


def create_file(content: bytes) -> str:
    """Put bytes into a new file in memory, which another process can read at this path as long as this one lives."""
    descriptor = os.memfd_create("message")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def open_memory(path: str, like: Mapping[str, Tensor]) -> tuple[int, dict[str, Tensor]]:
    """Open memory that another process, or this one, has made.

    Parameters
    ----------
    path : str
        From `create_memory`.
    like : mapping of Tensor
        Of the types and shapes of the tensors there.

    Returns
    -------
    file : int
        A file descriptor of this process's own, for locks.
    tensors : dict of Tensor
    """
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    memory, start, tensors = mmap.mmap(file, 0), 0, {}
    for name, tensor in sorted(like.items()):  # the layout does not depend on the order of the mapping
        dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
        values = np.frombuffer(memory, dtype, tensor.numel(), start)
        tensors[name] = torch.from_numpy(values).view(tensor.shape)
        start += _room(tensor)
    return file, tensors


def close_memory(path: str) -> None:
    """Close memory that this process has made; it is freed when no process has it open."""
    os.close(int(path.rsplit("/", 1)[1]))


def _room(tensor: Tensor) -> int:
    return math.ceil(tensor.numel() * tensor.element_size() / ALIGNMENT) * ALIGNMENT
