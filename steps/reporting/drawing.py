"""Pictures as files."""

from pathlib import Path

from matplotlib.figure import Figure

from steps.base.errors import InputError
from steps.base.output import writing


def check_format(out: Path) -> None:
    """Check that a picture can be written under this name.

    Raises
    ------
    InputError
        Lists the suffixes that a name can have.
    """
    formats = Figure().canvas.get_supported_filetypes()
    if out.suffix[1:] not in formats:
        raise InputError(f"{out}: its name has to end in one of {', '.join(f'.{name}' for name in sorted(formats))}")


def save_figure(figure: Figure, out: Path, dpi: int) -> None:
    """Write a picture in the format that its name says; it is whole or not there."""
    with writing(out) as part:
        figure.savefig(part, format=out.suffix[1:], dpi=dpi)
