"""Writing words and phones with their times, as CTM and as TextGrids."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from steps.ali.labels import Labeller, Labels
from steps.base.errors import os_error_text
from steps.corpus.ctm import RecordingPosition, Token, position_in_recording, write_ctm
from steps.corpus.data_dir import DataDir, file_name
from steps.corpus.textgrid import write_textgrid


def write_labels(
    folder: Path, labels: Mapping[str, Labels], labeller: Labeller, data: DataDir | None = None
) -> dict[str, str]:
    """Write words.ctm, phones.ctm and textgrid/ into a directory.

    Parameters
    ----------
    folder : Path
    labels : mapping
        Utterance id -> words and phones.
    labeller : Labeller
        That found them.
    data : DataDir, optional
        Says where the utterances are.

    Returns
    -------
    dict of str
        Utterance -> why its TextGrid could not be written; the others are.
    """
    for kind in Labels._fields:
        write_ctm(folder / f"{kind}.ctm", _with_positions(labels, kind, data))
    unwritten = {}
    for utterance, found in labels.items():
        try:
            write_textgrid(folder / "textgrid" / file_name(utterance, "TextGrid"), labeller.tiers(found), found.end)
        except OSError as error:
            unwritten[utterance] = os_error_text(error)
    return unwritten


def _with_positions(
    labels: Mapping[str, Labels], kind: str, data: DataDir | None
) -> Iterator[tuple[RecordingPosition, Token]]:
    """Give words or phones with their times in the recordings."""
    for utterance, found in labels.items():
        where = position_in_recording(utterance, data)
        yield from ((where, token) for token in where.shifted(getattr(found, kind)))
