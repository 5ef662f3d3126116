"""Outputs that are whole or not there: written beside their place, then renamed, by one process at a time."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nnet.errors import naming
from steps.base.errors import InputError

KEY = ".key"  # in a partial directory: what its content depends on
PARTIAL, OLD = ".partial", ".old"  # ends of the names of a directory in the making, and of one about to be replaced
LONGEST_NAME = 255  # bytes of a file's name
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


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
    part = path.with_name(beside(path.name, "partial"))
    try:
        with naming(path, instead_of=part):
            yield part
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def beside(name: str, what: str) -> str:
    """Name a temporary hidden file beside another one; a name that would be too long is replaced by its hash.

    Example
    -------
    >>> beside("words.txt", "partial")
    '.words.txt.partial'
    """
    hidden = f".{name}.{what}"
    return hidden if len(os.fsencode(hidden)) <= LONGEST_NAME else f".{_short_hash(os.fsencode(name))}.{what}"


def fitting(stem: str, suffix: str) -> str:
    """Name a file; of a name that the file system would refuse for its length, the end is replaced by a hash of it all.

    Example
    -------
    >>> fitting("anna-1", ".wav")
    'anna-1.wav'
    >>> len(fitting("x" * 300, ".TextGrid"))
    255
    """
    longest = LONGEST_NAME - len(suffix.encode())
    if len(os.fsencode(stem)) > longest:
        end = "~" + _short_hash(os.fsencode(stem))
        stem = os.fsencode(stem)[: longest - len(end)].decode(errors="ignore") + end
    return stem + suffix


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@contextmanager
def output_dir(path: str | Path, key: str | None = None, mark: str | None = None) -> Iterator[Path]:
    """Give the directory ``PATH.partial`` and rename it to `path`, replacing what was there, when the block ends well.

    Parameters
    ----------
    path : path
        The directory to make.
    key : str, optional
        What the result depends on (see `fingerprint`). A partial directory that a failed or stopped run left behind
        under the same key is given again, so that the step can continue from what is in it; any other is removed first.
    mark : str, optional
        A file by which a directory of this kind is known.

    Raises
    ------
    InputError
        When there is a file at `path`, or a directory that holds other things and not that file: it is not replaced.
        When another process is writing it.
    """
    path = Path(path)
    if path.is_file() or (mark and path.is_dir() and any(path.iterdir()) and not (path / mark).exists()):
        raise InputError(f"{path}: is there already, with other things in it; give the name of a new directory")
    with only_writer(path):
        part = path.with_name(path.name + PARTIAL)
        with naming(part):
            _begin(part, key)
            yield part
        (part / KEY).unlink(missing_ok=True)
        old = path.with_name(path.name + OLD)
        shutil.rmtree(old, ignore_errors=True)  # of a run that was stopped between the lines below
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
        shutil.rmtree(old, ignore_errors=True)


def is_unfinished(directory: Path) -> bool:
    """Whether a directory is one that `output_dir` has not finished, or has not removed yet, by its name.

    Example
    -------
    >>> [is_unfinished(Path("exp", name)) for name in ("mono", "mono.partial", "mono.old")]
    [False, True, True]
    """
    return directory.name.endswith((PARTIAL, OLD))


def _begin(part: Path, key: str | None) -> None:
    """Make the partial directory, or take up the one that is there under the same key."""
    key_file = part / KEY
    if part.exists() and (key is None or not key_file.exists() or key_file.read_text() != key):
        if key is not None:
            print(f"{part}: left by a failed or stopped run with other settings or inputs; starting from the beginning")
        shutil.rmtree(part)
    make_dir(part)
    if key is not None:
        key_file.write_text(key)


@contextmanager
def only_writer(path: str | Path) -> Iterator[None]:
    """Let this process alone write a file or directory, as far as other processes ask as well (see `locked`).

    The lock is beside what the path leads to, over links; it is in the directory itself (``.lock``) where nothing can
    be written beside it, as with a directory that is mounted into a container.

    Raises
    ------
    InputError
        When another one is at it.

    Example
    -------
    >>> import tempfile
    >>> with only_writer(Path(tempfile.mkdtemp(), "mono")):
    ...     pass
    """
    path = Path(path)
    real = Path(os.path.realpath(path))
    lock = real.with_name(beside(real.name, "lock"))
    busy, instead = f"{path}: another command is writing it", "give another place to write to"
    with ExitStack() as held:
        try:
            held.enter_context(locked(lock, busy, instead))
        except OSError as error:
            # a lock that is there may be held by another user
            if error.errno not in _NOT_WRITABLE or not real.is_dir() or lock.exists():
                raise
            held.enter_context(locked(real / ".lock", busy, instead))
        yield


@contextmanager
def locked(lock: Path, busy: str, instead: str) -> Iterator[None]:
    """Hold a lock file, which names the process; the lock ends with the process, however that ends.

    Parameters
    ----------
    lock : Path
        The file; it is removed in the end. That a file is there does not mean that anybody holds it.
    busy : str
        What it means that another process holds it, for the message.
    instead : str
        What to do instead of waiting, for the message.

    Raises
    ------
    InputError
        When another process holds it.
    """
    make_dir(lock.parent)
    while True:
        with naming(lock), lock.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip()
                process = f" (process {holder})" if holder else ""
                raise InputError(f"{busy}{process}; wait for it, or {instead}") from error
            if not _is_at(file.fileno(), lock):
                continue  # another process has removed it between the two lines above
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def make_dir(path: Path) -> None:
    """Make a directory and those above it where they are missing.

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
    return _short_hash(json.dumps(values, sort_keys=True).encode())


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
