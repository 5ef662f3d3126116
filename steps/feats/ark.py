"""Matrices in Kaldi's archives."""

import shutil
import struct
from pathlib import Path

import kaldiio
import numpy as np
from kaldiio.matio import read_matrix_or_vector

from steps.errors import InputError


def append_matrix(ark: Path, key: str, matrix: np.ndarray) -> int:
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


def read_matrix(entry: str, folder: Path) -> np.ndarray:
    """Read the matrix that a line of an scp file points at.

    Parameters
    ----------
    entry : str
        ``FILE:OFFSET`` as in the scp; commands and ranges are not read.
    folder : Path
        Where the scp lies: a file that is not there (its path is absolute and the work directory was moved, or
        relative to another current directory) is looked for in this folder.

    Returns
    -------
    numpy.ndarray (T, D)
        float32 or float64; compressed matrices are unpacked.

    Raises
    ------
    InputError
        When there is no such file or it holds no matrix there.
    """
    name, _, offset = entry.rpartition(":")
    if not name or not offset.isdecimal():
        raise InputError(f"{folder}: the entry '{entry}' is not of the form FILE:OFFSET")
    path = next((p for p in (Path(name), folder / name, folder / Path(name).name) if p.is_file()), None)
    if path is None:
        raise InputError(f"{name}: there is no such archive, neither in {folder}; make the features again")
    try:
        with open(path, "rb") as file:
            file.seek(int(offset))
            # read_matrix_or_vector and not load_mat: that one runs commands and unpickles what an archive says
            matrix = read_matrix_or_vector(file)
    except (AssertionError, ValueError, OverflowError, struct.error) as error:
        raise InputError(f"{path}: no matrix at byte {offset}: damaged; make the features again") from error
    if matrix.ndim != 2:
        raise InputError(f"{path}: a vector and not a matrix at byte {offset}")
    return matrix
