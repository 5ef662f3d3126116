"""What scoring knows of a set besides its transcripts: speakers, groups, durations, noise, words of training."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.base.errors import InputError
from steps.corpus.data_dir import left_out
from steps.corpus.tables import read_table
from steps.scoring.normalisation import Normaliser

OF_UTTERANCES, OF_SPEAKERS = "utt2", "spk2"
GROUPS = re.compile(r"(utt|spk)2\w+")
# tables that are no groups, and those whose per_X is another file's
NO_GROUPS = {"utt2spk", "spk2utt", "utt2dur", "utt2num_frames", "utt2snr", "utt2utt", "spk2spk"}


@dataclass(frozen=True)
class ReferenceSet:
    """A set's transcripts and what its data directory says of its utterances.

    Attributes
    ----------
    path : Path
        Its text.
    text : dict of str
        Utterance -> transcript, as the decoder was given them.
    left_out : dict of str
        The same of utterances that could not be used; their words count as deleted.
    utt2spk : dict of str
        Utterance -> speaker; empty where that is not known.
    groups : dict of dict of str
        X of each file utt2X or spk2X, such as gender -> utterance -> its group.
    """

    path: Path
    text: dict[str, str]
    left_out: dict[str, str]
    utt2spk: dict[str, str]
    groups: dict[str, dict[str, str]]

    @property
    def all_texts(self) -> dict[str, str]:
        """The transcripts of all utterances."""
        return {**self.text, **self.left_out}


def read_reference_set(directory: Path) -> ReferenceSet:
    """Read a data directory's transcripts and groups.

    Raises
    ------
    InputError
        When a table is damaged.
    """
    text = read_table(directory / "text")
    utt2spk = read_table(directory / "utt2spk", min_fields=2) if (directory / "utt2spk").is_file() else {}
    return ReferenceSet(directory / "text", text, left_out(directory), utt2spk, dict(_groups(directory, utt2spk)))


def _groups(directory: Path, utt2spk: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    for path in sorted(path for path in directory.iterdir() if GROUPS.fullmatch(path.name) and path.is_file()):
        if path.name in NO_GROUPS:
            continue
        values = read_table(path, min_fields=2)
        if path.name.startswith(OF_SPEAKERS):
            values = {utterance: values[speaker] for utterance, speaker in utt2spk.items() if speaker in values}
        yield path.name[len(OF_UTTERANCES) :], values


def numbers_of(about: Mapping[str, Any], directory: Path, name: str) -> dict[str, float]:
    """Read a number of each utterance, such as its duration: from the features that were decoded, or the set's folder.

    Parameters
    ----------
    about : mapping
        What decode.json says; ``data`` is what was decoded.
    directory : Path
        The set's data directory.
    name : str
        utt2dur or utt2snr.

    Raises
    ------
    InputError
        Names the line whose value is no number.
    """
    file = table_of(about, name, directory)
    values: dict[str, float] = {}
    for utterance, value in (read_table(file, min_fields=2) if file else {}).items():
        try:
            values[utterance] = float(value)
        except ValueError as error:
            raise InputError(f"{file}: '{value}' of {utterance} is no number") from error
    return values


def table_of(about: Mapping[str, Any], name: str, *directories: Path) -> Path | None:
    """Find a table of the utterances beside the features that decode.json names, otherwise in other directories."""
    places = [*([Path(about["data"])] if "data" in about else []), *directories]
    files = (file for place in places for file in (place / name, *sorted(place.glob(f"*/{name}"))))
    return next((file for file in files if file.is_file()), None)


def words_of_training(data: Path, normaliser: Normaliser) -> set[str] | None:
    """The words of DATA/train/text as they are compared; None where there is no such file."""
    path = data / "train/text"
    if not path.is_file():
        return None
    return {word.text for text in read_table(path).values() for word in normaliser.hypothesis(text)}


def words_of_graph(about: Mapping[str, Any], normaliser: Normaliser) -> set[str] | None:
    """The words that can be recognised, as they are compared; None where the graph is not known any more."""
    path = Path(about.get("graph", "")) / "words.txt"
    if "graph" not in about or not path.is_file():
        return None
    return {word.text for name in read_table(path) if name[0] not in "<#" for word in normaliser.hypothesis(name)}
