"""The error that a model file, a config or the training data can cause; and the file's name for the system's errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ModelError(Exception):
    """A network and what it is given do not fit; the message names both values and what to do."""


@contextmanager
def naming(path: Path, instead_of: Path | None = None) -> Iterator[None]:
    """Give an error of the operating system the name of the file, where it has none: as that of a full disk.

    Parameters
    ----------
    path : Path
        The file or directory that is written.
    instead_of : Path, optional
        A name that says nothing to the user: that of the file that `path` is for a while.

    Example
    -------
    >>> with naming(Path("words.txt")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'words.txt'
    """
    try:
        yield
    except OSError as error:
        nameless = error.errno is not None and error.filename is None and not isinstance(error, ConnectionError)
        if nameless or (instead_of and error.filename == str(instead_of)):
            error.filename = str(path)
        raise
