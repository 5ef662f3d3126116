"""Reading and writing the JSON and npz files of the commands; a missing or damaged one is named."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steps.base.errors import InputError
from steps.base.output import writing


def read_json(path: Path, *names: str) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : Path
    *names
        Keys that it has to have.

    Raises
    ------
    InputError
        When it is missing or no JSON, or lacks a key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; make {path.parent} again") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); remove it and make it again") from error
    if names and not isinstance(content, dict):
        raise InputError(f"{path}: no JSON object with {', '.join(names)}; remove it and make {path.parent} again")
    if missing := [name for name in names if name not in content]:
        raise InputError(f"{path}: it lacks {', '.join(missing)}; remove it and make {path.parent} again")
    return content


def read_arrays(path: Path, *names: str) -> list[NDArray[Any]]:
    """Read arrays of an npz file; nothing in it is ever unpickled.

    Raises
    ------
    InputError
        When it is missing or damaged, or an array is not in it.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; make {path.parent} again") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); remove it and make it again") from error


def write_arrays(path: Path, **arrays: ArrayLike) -> None:
    """Write an npz file beside its place and then rename it; `read_arrays` reads it.

    Example
    -------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "sums.npz")
    >>> write_arrays(path, frames=[3, 2])
    >>> read_arrays(path, "frames")
    [array([3, 2])]
    """
    savez: Callable[..., None] = np.savez
    with writing(path) as part, part.open("wb") as file:
        savez(file, **arrays)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, a row to a line in a list, beside its place and then renamed."""
    if isinstance(value, list):
        text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in value) + "\n]\n"
    else:
        text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: Path, content: str) -> None:
    """Write a file in UTF-8 beside its place and then rename it."""
    with writing(path) as part:
        part.write_text(content, encoding="utf-8")
