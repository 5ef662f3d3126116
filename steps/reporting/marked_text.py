"""Text between two lines of a Markdown file, which a command writes again while the rest of the file stays."""

import re
from pathlib import Path

from steps.base.errors import InputError


def markers(name: str) -> tuple[str, str]:
    """Give the lines around the results of a name.

    Raises
    ------
    InputError
        For a name that such a line cannot hold.

    Example
    -------
    >>> markers("an4 sat")
    ('<!-- results an4 sat -->', '<!-- end of results an4 sat -->')
    """
    if not re.fullmatch(r"\w+([ ._-]\w+)*", name):
        raise InputError(
            f"--name is '{name}'; it has to be words of letters and digits, joined by ' ', '.', '_' or '-'"
        )
    return f"<!-- results {name} -->", f"<!-- end of results {name} -->"


def put_between(text: str, name: str, content: str, file: Path) -> str:
    r"""Put content between the two lines of a name, in place of what is there; the text around them stays.

    Parameters
    ----------
    text : str
        Of the file.
    name : str
        As `markers` has it.
    content : str
        Its lines; an empty line is added before and after it.
    file : Path
        For messages.

    Raises
    ------
    InputError
        When the two lines are not there, once and in their order.

    Example
    -------
    >>> put_between("a\n<!-- results r -->\n<!-- end of results r -->\nb", "r", "42", Path("RESULTS.md"))
    'a\n<!-- results r -->\n\n42\n\n<!-- end of results r -->\nb'
    """
    lines = text.split("\n")
    begin, end = markers(name)
    places = {marker: [i for i, line in enumerate(lines) if line.strip() == marker] for marker in (begin, end)}
    if missing := [f"'{marker}'" for marker, found in places.items() if not found]:
        them = "these lines" if len(missing) == 2 else "it"
        raise InputError(
            f"{file}: there is no line {' and no line '.join(missing)}; add {them} where the table is to stand"
        )
    for marker, found in places.items():
        if len(found) > 1:
            numbers = ", ".join(str(i + 1) for i in found)
            raise InputError(f"{file}: '{marker}' stands in lines {numbers}; leave one of them")
    [first], [last] = places.values()
    if last < first:
        raise InputError(f"{file}: '{end}' (line {last + 1}) comes before '{begin}' (line {first + 1}); exchange them")
    ending = "\r" if lines[first].endswith("\r") else ""
    new = [line + ending for line in ("", *content.split("\n"), "")]
    return "\n".join([*lines[: first + 1], *new, *lines[last:]])
