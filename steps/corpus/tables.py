"""Kaldi's tables: text files of one entry a line, an id and the rest."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from steps.base.errors import InputError
from steps.base.fields import BLANK, split_fields, split_id
from steps.base.output import writing


class Row(NamedTuple):
    """One line of a table."""

    line: int
    id: str
    rest: str


class Fault(NamedTuple):
    """Something wrong with a table's text.

    Attributes
    ----------
    line : int
    message : str
    lost : bool
        Whether the line cannot be used.
    choice : bool
        Whether it contradicts an earlier line, so that only the user can know which is right.
    """

    line: int
    message: str
    lost: bool
    choice: bool = False


def scan_table(path: str | Path, min_fields: int = 1, verbatim: bool = False) -> tuple[list[Row], list[Fault]]:
    """Read whatever can be read of a table, and say all that is wrong with it.

    Parameters
    ----------
    path : path
        The table.
    min_fields : int
        How many fields a line has at least, its id included.
    verbatim : bool
        Keep the white space within the rest of a line (a file name may have two spaces in a row) instead of making it
        single spaces.

    Returns
    -------
    list of Row
        The usable lines in the order of the file; of a repeated id the first.
    list of Fault
        By line.

    Raises
    ------
    InputError
        When there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    content = path.read_bytes()
    rows: dict[str, Row] = {}
    faults = []
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
        faults.append(Fault(1, "begins with a byte order mark (BOM)", lost=False))
    if crlf := content.count(b"\r\n"):
        faults.append(
            Fault(content[: content.index(b"\r\n")].count(b"\n") + 1, f"{crlf} lines end with CRLF", lost=False)
        )
    lines = content.split(b"\n")
    if lines[-1] == b"":
        del lines[-1]
    for number, raw in enumerate(lines, start=1):
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            faults.append(Fault(number, f"line {number} is not UTF-8 (byte 0x{raw[error.start]:02x})", lost=True))
            continue
        fields = split_fields(text)
        rest = split_id(text)[1] if verbatim else " ".join(fields[1:])
        if not fields:
            faults.append(Fault(number, "the line is blank", lost=False))
        elif fields[0] in rows:
            first = rows[fields[0]]
            other = first.rest != rest
            message = f"duplicate id '{fields[0]}', first in line {first.line}{' with another entry' if other else ''}"
            faults.append(Fault(number, message, lost=True, choice=other))
        elif len(fields) < min_fields:
            fault = f"'{fields[0]}' has {len(fields)} field(s) where at least {min_fields} are needed"
            faults.append(Fault(number, fault, lost=True))
        else:
            rows[fields[0]] = Row(number, fields[0], rest)
    return list(rows.values()), sorted(faults)


def read_table(path: str | Path, min_fields: int = 1, verbatim: bool = False) -> dict[str, str]:
    """Read a table: id -> rest of its line, in the order of the file.

    A byte order mark, CRLF and blank lines are accepted (`steps.validate_data` reports them).

    Parameters
    ----------
    path, min_fields, verbatim
        As in `scan_table`.

    Raises
    ------
    InputError
        With file and line, when there is no such file, an id comes twice, a line has too few fields or is not UTF-8.

    Example
    -------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "text")
    >>> write_table(path, {"utt2": "no", "utt1": "yes yes"})
    >>> read_table(path)
    {'utt1': 'yes yes', 'utt2': 'no'}
    """
    rows, faults = scan_table(path, min_fields, verbatim)
    for fault in faults:
        if fault.lost:
            raise InputError(f"{path}:{fault.line}: {fault.message}")
    return {row.id: row.rest for row in rows}


def write_table(path: str | Path, table: Mapping[str, str]) -> None:
    """Write a table sorted by code point, a line an id, a space and the rest; whole or not at all.

    Raises
    ------
    InputError
        When an id holds a space, tab or line break or is empty, or an entry a line break.
    """
    for key, rest in table.items():
        if not key or set(BLANK) & set(key):
            raise InputError(f"{path}: the id '{key}' is empty or holds white space, which no table can hold")
        if "\n" in rest or "\r" in rest:
            raise InputError(f"{path}: the entry of '{key}' holds a line break, which no table can hold")
    with writing(path) as part:
        text = "".join(f"{key} {rest}".rstrip(BLANK) + "\n" for key, rest in sorted(table.items()))
        part.write_bytes(text.encode("utf-8"))
