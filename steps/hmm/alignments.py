"""Alignment directories: ali.scp and ali.ark with a transition-id a frame, beside the model files they belong to."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import kaldiio
import numpy as np

from steps.corpus.tables import read_table, write_table
from steps.errors import InputError
from steps.feats.ark import read_array
from steps.hmm.transitions import MODEL_FILES


@dataclass(frozen=True)
class Alignments(Mapping[str, np.ndarray]):
    """Utterance id -> transition-ids (T,), int32, read anew each time; can be sent to other processes."""

    folder: Path
    entries: dict[str, str]

    def __getitem__(self, utterance: str) -> np.ndarray:
        return read_array(self.entries[utterance], self.folder, ndim=1)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def read_alignments(folder: str | Path) -> Alignments:
    """Open an alignment directory.

    Raises
    ------
    InputError
        When there is no ali.scp, or it is empty.
    """
    scp = Path(folder, "ali.scp")
    if not scp.is_file():
        raise InputError(f"{folder}: not an alignment directory, it has no ali.scp; make one with steps.align")
    entries = read_table(scp, min_fields=2, verbatim=True)
    if not entries:
        raise InputError(f"{scp}: there is no alignment in it; make them again with steps.align")
    return Alignments(Path(folder), entries)


def write_alignments(folder: Path, final: Path, alignments: Mapping[str, np.ndarray]) -> None:
    """Write ali.ark and ali.scp into `folder`, with entries that hold once it is renamed to `final`."""
    entries = {}
    with (folder / "ali.ark").open("wb") as ark:
        for utterance in sorted(alignments):
            entries[utterance] = f"{final.absolute() / 'ali.ark'}:{ark.tell() + len(utterance.encode()) + 1}"
            kaldiio.save_ark(ark, {utterance: np.asarray(alignments[utterance], dtype=np.int32)})
    write_table(folder / "ali.scp", entries)


def copy_model_files(source: str | Path, folder: Path) -> None:
    """Copy the files that say what transition-ids mean."""
    for name in MODEL_FILES:
        shutil.copy(Path(source, name), folder / name)


def say_failed(failed: Mapping[str, str]) -> None:
    """Name the utterances that are left out, with the reasons."""
    for utterance, reason in failed.items():
        print(f"{utterance} not aligned: {reason}")


def check_failed(failed: Mapping[str, str], total: int, max_failed: float) -> None:
    """Stop when too many utterances could not be aligned.

    Raises
    ------
    InputError
        Names the first of them with the reason.
    """
    if len(failed) > max_failed * total or len(failed) == total:
        utterance, reason = next(iter(failed.items()))
        raise InputError(
            f"{len(failed)} of {total} utterances cannot be aligned, more than the share of {max_failed:g} allowed; "
            f"the first is {utterance}: {reason}"
        )
