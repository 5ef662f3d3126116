"""The error of a wrong model file, config or training data; and file names for errors of the operating system."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ModelError(Exception):
    """A network does not fit what it is given; the message names both values and what to do."""


@contextmanager
def naming(path: Path, instead_of: Path | None = None) -> Iterator[None]:
    """Give an error of the operating system the name of the file, where it has none: as that of a full disk.

    Parameters
    ----------
    path : Path
        The file or directory that is written.
    instead_of : Path, optional
        A temporary name of `path`, which the message does not show.

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
