"""Alignment directories, with all that they say of an utterance, beside the model files that they belong to.

ali.scp and ali.ark hold a transition-id a frame, scores.scp and scores.ark the log posterior of the frame's phone, text
the transcript, utt2loglike the mean log likelihood of a frame, ali.json how frames and scores were made, doubtful.json
which utterances are likely to be aligned wrongly and why.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import kaldiio
import numpy as np
from numpy.typing import DTypeLike, NDArray

from steps.ali.word_times import FrameTimes
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.output import writing
from steps.corpus.tables import read_table, write_table
from steps.feats.ark import read_array
from steps.hmm.transitions import MODEL_FILES

DOUBTFUL_FILE = "doubtful.json"
MOST_PRINTED = 20  # doubtful utterances that are printed


@dataclass(frozen=True)
class Aligned:
    """An utterance's alignment and how well it fits.

    Attributes
    ----------
    tids : (T,) int
        Transition-ids.
    log_posteriors : (T,) float32
        See `steps.ali.confidence.phone_log_posteriors`.
    log_likelihood : float
        Of a frame's pdf, unscaled, the mean over the utterance.
    doubt : str, optional
        Why the alignment is likely to be wrong.
    """

    tids: NDArray[Any]
    log_posteriors: NDArray[Any]
    log_likelihood: float
    doubt: str | None = None


@dataclass(frozen=True)
class Alignments(Mapping[str, NDArray[Any]]):
    """Utterance id -> a value a frame, (T,), read at each access.

    The values are transition-ids in int32, or log posteriors in float32.
    """

    folder: Path
    entries: dict[str, str]

    def __getitem__(self, utterance: str) -> NDArray[Any]:
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


@dataclass(frozen=True)
class AlignedSet(Mapping[str, Aligned]):
    """All that an alignment directory says: utterance id -> alignment, in the order of the ids.

    Attributes
    ----------
    folder : Path
    times : FrameTimes
        Where frames lie.
    text : dict
        Utterance id -> transcript.
    tids, log_posteriors : Alignments
    log_likelihoods : dict
        Utterance id -> mean log likelihood of a frame.
    doubts : dict
        Utterance id -> why its alignment is likely to be wrong.
    """

    folder: Path
    times: FrameTimes
    text: dict[str, str]
    tids: Alignments
    log_posteriors: Alignments
    log_likelihoods: dict[str, float]
    doubts: dict[str, str]

    def __getitem__(self, utterance: str) -> Aligned:
        tids, scores = self.tids[utterance], self.log_posteriors[utterance]
        if len(tids) != len(scores):
            raise InputError(
                f"{self.folder}: utterance {utterance} has {len(tids)} frames in ali.scp, but {len(scores)} in "
                "scores.scp; align again"
            )
        return Aligned(tids, scores, self.log_likelihoods[utterance], self.doubts.get(utterance))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.tids))

    def __len__(self) -> int:
        return len(self.tids)


def read_aligned(folder: str | Path) -> AlignedSet:
    """Open an alignment directory with all that steps.align says of the utterances.

    Raises
    ------
    InputError
        When a file is missing, or lacks an utterance of ali.scp.
    """
    folder = Path(folder)
    tids = read_alignments(folder)

    def table(name: str, verbatim: bool = False) -> dict[str, str]:
        entries = read_table(_present(folder / name), verbatim=verbatim)
        if missing := sorted(set(tids) - set(entries)):
            raise InputError(f"{folder}: utterance '{missing[0]}' is in ali.scp, but not in {name}; align again")
        return entries

    about = read_json(_present(folder / "ali.json"), "frame_shift", "frame_length")
    times = FrameTimes(about["frame_shift"], about["frame_length"])
    log_posteriors = Alignments(folder, table("scores.scp", verbatim=True))
    log_likelihoods = {utterance: float(value) for utterance, value in table("utt2loglike").items()}
    doubts = read_json(folder / DOUBTFUL_FILE) if (folder / DOUBTFUL_FILE).is_file() else {}  # older ones have none
    return AlignedSet(folder, times, table("text"), tids, log_posteriors, log_likelihoods, doubts)


def _present(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path.parent}: it has no {path.name}; make it again with steps.align")
    return path


def write_alignments(folder: Path, final: Path, alignments: Mapping[str, NDArray[Any]]) -> None:
    """Write ali.ark and ali.scp into `folder`, with entries that hold once it is renamed to `final`."""
    _write_vectors(folder, final, "ali", alignments, np.int32)


def write_aligned(
    folder: Path, final: Path, aligned: Mapping[str, Aligned], text: Mapping[str, str], times: FrameTimes, scale: float
) -> None:
    """Write all files of an alignment directory but the model's.

    Parameters
    ----------
    folder, final : Path
        Where to write, and where it will be in the end.
    aligned : mapping
        Utterance id -> alignment.
    text : mapping
        Utterance id -> transcript; those of other utterances are left out.
    times : FrameTimes
        Where frames lie.
    scale : float
        Of the log likelihoods in the log posteriors.
    """
    write_alignments(folder, final, {utterance: found.tids for utterance, found in aligned.items()})
    scores = {utterance: found.log_posteriors for utterance, found in aligned.items()}
    _write_vectors(folder, final, "scores", scores, np.float32)
    write_table(folder / "text", {utterance: text[utterance] for utterance in aligned})
    write_table(folder / "utt2loglike", {u: f"{found.log_likelihood:.4f}" for u, found in aligned.items()})
    about = {f"frame_{name}": value for name, value in asdict(times).items()} | {"posterior_scale": scale}
    for name, content in (("ali.json", about), (DOUBTFUL_FILE, doubts_of(aligned))):
        with writing(folder / name) as part:
            part.write_text(json.dumps(content, indent=1) + "\n")


def doubts_of(aligned: Mapping[str, Aligned]) -> dict[str, str]:
    """Give the utterances whose alignment is likely to be wrong, with the reasons."""
    return {utterance: found.doubt for utterance, found in sorted(aligned.items()) if found.doubt}


def _write_vectors(folder: Path, final: Path, name: str, vectors: Mapping[str, NDArray[Any]], dtype: DTypeLike) -> None:
    entries = {}
    ark_name = f"{name}.ark"
    with (folder / ark_name).open("wb") as ark:
        for utterance in sorted(vectors):
            entries[utterance] = f"{final.absolute() / ark_name}:{ark.tell() + len(utterance.encode()) + 1}"
            kaldiio.save_ark(ark, {utterance: np.asarray(vectors[utterance], dtype=dtype)})
    write_table(folder / f"{name}.scp", entries)


def copy_model_files(source: str | Path, folder: Path) -> None:
    """Copy the files that say what transition-ids mean."""
    for name in MODEL_FILES:
        shutil.copy(Path(source, name), folder / name)


def say_failed(failed: Mapping[str, str]) -> None:
    """Name the utterances that are left out, with the reasons."""
    for utterance, reason in failed.items():
        print(f"{utterance} not aligned: {reason}")


def say_doubtful(aligned: Mapping[str, Aligned]) -> None:
    """Name the first utterances whose alignment is likely to be wrong, with the reasons."""
    doubts = doubts_of(aligned)
    for utterance, reason in list(doubts.items())[:MOST_PRINTED]:
        print(f"{utterance} aligned, but doubtful: {reason}")
    if len(doubts) > MOST_PRINTED:
        print(f"{len(doubts) - MOST_PRINTED} more doubtful utterances: {DOUBTFUL_FILE} lists all")


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
