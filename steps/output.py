"""Outputs that are whole or not there: written beside their place, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steps.errors import InputError


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` and rename it to `path` when the block ends well.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with writing(folder / "words.txt") as part:
    ...     _ = part.write_text("<eps> 0")
    >>> [p.name for p in folder.iterdir()]
    ['words.txt']
    """
    path = Path(path)
    make_dir(path.parent)
    part = path.with_name(f".{path.name}.partial")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def output_dir(path: str | Path, key: str | None = None, mark: str | None = None) -> Iterator[Path]:
    """Give the directory ``PATH.partial`` and rename it to `path`, replacing what was there, when the block ends well.

    Parameters
    ----------
    path : path
        The directory to make.
    key : str, optional
        What the result depends on (see `fingerprint`). A partial directory that an earlier, killed run left behind
        under the same key is given again, so that the step can go on from what is in it; any other is removed first.
    mark : str, optional
        A file by which a directory of this kind is known.

    Raises
    ------
    InputError
        When there is a file at `path`, or a directory that holds other things and not that file: it is not replaced.
    """
    path = Path(path)
    if path.is_file() or (mark and path.is_dir() and any(path.iterdir()) and not (path / mark).exists()):
        raise InputError(f"{path}: is there already, with other things in it; give the name of a new directory")
    part = path.with_name(path.name + ".partial")
    key_file = part / ".key"
    if part.exists() and (key is None or not key_file.exists() or key_file.read_text() != key):
        if key is not None:
            print(f"{part}: left by a run that was killed, of other settings or inputs; this one starts anew")
        shutil.rmtree(part)
    make_dir(part)
    if key is not None:
        key_file.write_text(key)
    yield part
    key_file.unlink(missing_ok=True)
    old = path.with_name(path.name + ".old")
    shutil.rmtree(old, ignore_errors=True)  # of a run that was killed between the lines below
    if path.exists():
        os.replace(path, old)
    os.replace(part, path)
    shutil.rmtree(old, ignore_errors=True)


def make_dir(path: Path) -> None:
    """Make a directory and those above it, as far as they are not there.

    Raises
    ------
    InputError
        When that cannot be done, as where a file has that name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: this directory cannot be made ({error.strerror})") from error


def fingerprint(*parts: Any) -> str:
    """Hash what a result depends on.

    Parameters
    ----------
    *parts
        A `Path` counts by the name, size and time of modification of its files (see `state`); anything else by its
        value as JSON.

    Returns
    -------
    str
        16 hexadecimal digits.

    Example
    -------
    >>> fingerprint({"beam": 10}) == fingerprint({"beam": 10})
    True
    >>> fingerprint({"beam": 10}) == fingerprint({"beam": 11})
    False
    """
    values = [state(part) if isinstance(part, Path) else part for part in parts]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def state(path: Path) -> list[list[Any]]:
    """Name, size and modification time of a file, or of every file below a directory, sorted; hidden files left out."""
    if path.is_file():
        return [_stat(path, path.name)]
    files = []
    for folder, subfolders, names in os.walk(path, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            file = Path(folder, name)
            if not name.startswith(".") and file.exists():
                files.append(_stat(file, str(file.relative_to(path))))
    return sorted(files)


def _stat(path: Path, name: str) -> list[Any]:
    info = path.stat()
    return [name, info.st_size, info.st_mtime_ns]
