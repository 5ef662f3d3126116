"""Text files read line by line, so that an error can name the line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from steps.errors import InputError


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Give each line of a UTF-8 file with its number, from 1, stripped of white space at both ends.

    A byte order mark and CRLF are accepted; a name in ``.gz`` is decompressed.

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
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}:{number}: not UTF-8 (byte 0x{error.object[error.start]:02x})") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip file after line {number} ({error}); copy it again") from error
