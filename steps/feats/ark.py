"""Matrices and vectors in Kaldi's archives."""

import shutil
import struct
from pathlib import Path
from typing import Any, BinaryIO

import kaldiio
import numpy as np
from kaldiio.matio import read_int32vector, read_matrix_or_vector
from numpy.typing import NDArray

from steps.base.errors import InputError


def append_matrix(ark: Path, key: str, matrix: NDArray[Any]) -> int:
    """Append a matrix to a binary archive and give the offset that its scp line holds."""
    with open(ark, "ab") as file:
        offset = file.tell() + len(key.encode()) + 1
        kaldiio.save_ark(file, {key: matrix})
    return offset


def append_file(ark: Path, more: Path) -> int:
    """Move the archive `more` to the end of `ark` and give the offset at which it begins now."""
    with open(ark, "ab") as file, open(more, "rb") as source:
        begin = file.tell()
        shutil.copyfileobj(source, file, 1 << 20)
    more.unlink()
    return begin


def read_array(entry: str, folder: Path, ndim: int = 2) -> NDArray[Any]:
    """Read the matrix or vector that a line of an scp file points at.

    Parameters
    ----------
    entry : str
        ``FILE:OFFSET`` as in the scp; commands and ranges are not read.
    folder : Path
        Where the scp lies: a file that is not there (its path is absolute and the work directory was moved, or
        relative to another current directory) is looked for in this folder.
    ndim : int
        2 for a matrix, 1 for a vector.

    Returns
    -------
    numpy.ndarray (T, D) or (T,)
        float32, float64 or int32; compressed matrices are unpacked. Of an archive in text form (``ark,t``) float64, or
        int32 where it has no brackets.

    Raises
    ------
    InputError
        When there is no such file or it holds nothing of that kind there.
    """
    name, _, offset = entry.rpartition(":")
    if not name or not offset.isdecimal():
        raise InputError(f"{folder}: the entry '{entry}' is not of the form FILE:OFFSET")
    path = next((p for p in (Path(name), folder / name, folder / Path(name).name) if p.is_file()), None)
    if path is None:
        raise InputError(f"{name}: there is no such archive, neither in {folder}; make it again")
    try:
        with open(path, "rb") as file:
            file.seek(int(offset))
            # not kaldiio.load_mat, which runs commands and unpickles what an archive says
            begin = file.read(3)
            file.seek(int(offset))
            if begin[:2] != b"\0B":
                array = _read_text(file)
            else:
                array = read_int32vector(file) if begin == b"\0B\4" else read_matrix_or_vector(file)
    except (AssertionError, ValueError, OverflowError, struct.error) as error:
        raise InputError(f"{path}: no matrix or vector at byte {offset}: damaged; make it again") from error
    if array.ndim != ndim:
        raise InputError(f"{path}: {array.ndim} dimensions and not {ndim} at byte {offset}")
    return array


def _read_text(file: BinaryIO) -> NDArray[Any]:
    """Read what ``copy-feats``, ``copy-vector`` or ``copy-int-vector`` writes with ``ark,t``.

    A vector is ``[ 1.5 2 ]`` on one line, a matrix has a line a row between brackets, a vector of integers no brackets.

    Raises
    ------
    ValueError
        When it is none of these.
    """
    bracket, *first = file.readline().split() or [b""]
    if bracket != b"[":
        return np.array([int(value) for value in (bracket, *first)], dtype=np.int32)
    lines = [first]
    while lines[-1][-1:] != [b"]"]:
        line = file.readline()
        if not line:
            raise ValueError("no ] after [")
        lines.append(line.split())
    lines[-1].pop()
    rows = [[float(value) for value in row] for row in lines if row]
    return np.array(rows[0] if first and rows else rows, dtype=np.float64)
