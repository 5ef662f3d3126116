"""Text files read line by line, so that an error can name the line."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from steps.base.errors import InputError
from steps.base.fields import BLANK, visible

_GZIP = b"\x1f\x8b"


def open_plain(path: Path) -> BinaryIO:
    """Open a file that may be gzipped; its first bytes tell, not its name."""
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    return cast(BinaryIO, gzip.open(path)) if compressed else path.open("rb")


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Give each line of a UTF-8 file, gzipped or not, with its number from 1, without the blanks at both ends.

    A byte order mark and CRLF are accepted.

    Raises
    ------
    InputError
        When there is no such file, a line is not UTF-8, or the compressed data are damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    number = 0
    try:
        with open_plain(path) as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").strip(BLANK)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}:{number}: not UTF-8 (byte 0x{error.object[error.start]:02x})") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip file after line {number} ({error}); copy it again") from error


def listing(items: Sequence[str], most: int = 100) -> str:
    """Join items for a message, the first `most` of them; spaces other than ASCII's are shown by their numbers.

    Example
    -------
    >>> listing(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = ", ".join(map(visible, items[:most])) or "nothing"
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
