"""The rows of `tests.bench.accuracy`: what each configuration did on each corpus, with its errors word by word."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steps.base.files import write_text
from steps.scoring.comparison import Comparison, compare_letters

ROWS = Path(__file__).parent / "accuracy.jsonl"
LETTERS = Path(__file__).parent / "accuracy_letters.jsonl"
SETS = ("dev", "held")
NAMES = ("config", "system", "key", "corpus", "seed")

Identity = tuple[str, str, str, str, int]
"""Configuration, system, key, corpus and seed of a row."""


@dataclass(frozen=True)
class Row:
    """What one system did on one corpus.

    Attributes
    ----------
    config : str
        Name of the configuration in accuracy.yaml; of a GMM system ``gmm``.
    system : str
        The network's name, or that of the GMM system.
    key : str
        Hash of everything that the configuration says.
    corpus : str
    seed : int
    commit, date : str
        With what and when it was made.
    why : str
        What the configuration is for.
    words, errors : dict
        Of each set.
    scales : dict
        Of each set, those that were chosen on the other one.
    seconds : dict
        ``train``: of the network's training; ``decode``: of both sets' decoding, with one process of one thread.
    """

    config: str
    system: str
    key: str
    corpus: str
    seed: int
    commit: str | None
    date: str
    why: str
    words: dict[str, int]
    errors: dict[str, int]
    scales: dict[str, dict[str, float]]
    seconds: dict[str, float]

    @property
    def identity(self) -> Identity:
        """What tells rows apart: a second row of the same identity takes the place of the first."""
        return self.config, self.system, self.key, self.corpus, self.seed

    @property
    def total(self) -> int:
        """Errors in both sets."""
        return sum(self.errors.values())


Letters = dict[str, str]
"""Of each set: the letters of the alignments, C S I D, of the utterances in the order of their ids, a space between."""


def read_rows() -> dict[Identity, Row]:
    """All rows of accuracy.jsonl, by their identity."""
    rows = [Row(**record) for record in _records(ROWS)]
    return {row.identity: row for row in rows}


def read_letters() -> dict[Identity, Letters]:
    """The errors of each row, by (config, system, key, corpus, seed)."""
    return {_identity(record): record["letters"] for record in _records(LETTERS)}


def add(rows: Iterable[tuple[Row, Letters]]) -> None:
    """Write rows and their errors, in the order of their identity; a row takes the place of one like it."""
    kept, letters = read_rows(), read_letters()
    for row, errors in rows:
        kept[row.identity], letters[row.identity] = row, errors
    listed = [dict(zip(NAMES, identity, strict=True)) | {"letters": letters[identity]} for identity in sorted(letters)]
    _write(LETTERS, listed)
    _write(ROWS, [asdict(kept[identity]) for identity in sorted(kept)])


def pooled(rows: Iterable[Row], letters: Mapping[Identity, Letters]) -> dict[str, str]:
    """The errors of several rows side by side: CORPUS/SEED/SET/NUMBER -> letters."""
    return {
        f"{row.corpus}/{row.seed}/{name}/{number}": errors
        for row in rows
        for name, found in letters[row.identity].items()
        for number, errors in enumerate(found.split(" "))
    }


def compare_rows(first: list[Row], second: list[Row], letters: Mapping[Identity, Letters]) -> Comparison | None:
    """The paired test of `steps.compare` on what both have recognised; None where that is nothing."""
    one, other = pooled(first, letters), pooled(second, letters)
    common = sorted(one.keys() & other.keys())
    if not common:
        return None
    return compare_letters({name: one[name] for name in common}, {name: other[name] for name in common})


def _identity(record: Mapping[str, Any]) -> Identity:
    config, system, key, corpus, seed = (record[name] for name in NAMES)
    return config, system, key, corpus, seed


def _records(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def _write(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
