"""exp/results.json and the table printed from it: one row per model, set and language model."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from steps.base.errors import InputError
from steps.base.files import read_json
from steps.scoring.significance import SIGNIFICANT, Interval, p_text
from steps.scoring.wer import Counts, Score

Row = dict[str, Any]

DECODED = ("model", "set", "lm", "seconds", "acoustic_scale", "insertion_penalty", "seed")  # taken from decode.json


class Key(NamedTuple):
    """What tells rows apart, and their order."""

    lm: str
    set: str
    model: str


def key(row: Mapping[str, Any]) -> Key:
    """Give the key of a row, or of what decode.json says."""
    return Key(row["lm"], row["set"], row["model"])


def make_row(result: Score, characters: Counts, decode: Mapping[str, Any], interval: Interval) -> Row:
    """Join a set's errors with how it was decoded.

    Parameters
    ----------
    result : Score
        Of words.
    characters : Counts
        Of `count_characters`, of the same set.
    decode : mapping
        What decode.json says; all names of `DECODED`.
    interval : Interval
        Of the word error rate.

    Returns
    -------
    Row
        ``model, set, lm, wer, wer_low, wer_high, errors, words, sub, ins, del, cer, utts, missing, seconds,
        acoustic_scale, insertion_penalty, seed``: ``wer`` and ``cer`` in percent, ``wer_low`` and ``wer_high`` the 95 %
        interval of ``wer``, ``errors`` = ``sub + ins + del``, ``missing`` the ids of the utterances without a
        hypothesis, whose words count as deleted, ``seconds`` of decoding. `merge` adds ``chosen`` and ``p_chosen``.
    """
    total = result.total
    return {
        **{name: decode[name] for name in DECODED[:3]},
        "wer": total.wer,
        "wer_low": interval.low,
        "wer_high": interval.high,
        "errors": total.errors,
        "words": total.words,
        "sub": total.substitutions,
        "ins": total.insertions,
        "del": total.deletions,
        "cer": characters.wer,
        "utts": len(result.alignments),
        "missing": result.missing,
        **{name: decode[name] for name in DECODED[3:]},
    }


def merge(
    old: Sequence[Row], new: Sequence[Row], dev: Collection[str], compare: Callable[[Key, Key], float | None]
) -> list[Row]:
    """Put new rows in the place of old ones of the same key, mark the chosen model, and compare the others with it.

    For each language model, the acoustic model with the lowest word error rate on the sets of `dev` is chosen (of equal
    ones, the first by name), and all its rows are marked.

    Parameters
    ----------
    old, new : sequence of Row
        Earlier rows and those that take precedence.
    dev : collection of str
        Names of the sets that options were tuned on.
    compare : callable
        Gives the p of the test whether two of the new rows' systems differ; None where there is too little to test.

    Returns
    -------
    list of Row
        Sorted by language model, set and model. ``p_chosen`` is None for the chosen model, where `compare` gives none,
        and where either row is an old one, whose hypotheses may be gone.

    Example
    -------
    >>> def row(model, name, wer):
    ...     return {"model": model, "set": name, "lm": "bigram", "wer": wer}
    >>> rows = [row("mono", "dev", 9.0), row("mono", "test", 7.0), row("lstmp", "dev", 8.0), row("lstmp", "test", 7.5)]
    >>> [(row["set"], row["model"]) for row in merge([], rows, {"dev"}, lambda a, b: 1.0) if row["chosen"]]
    [('dev', 'lstmp'), ('test', 'lstmp')]
    """
    merged = {key(row): row for row in [*old, *new]}
    preferred: dict[str, str] = {}  # language model to acoustic model
    for k in sorted(merged, key=lambda k: (merged[k]["wer"], k)):
        if k.set in dev:
            preferred.setdefault(k.lm, k.model)
    fresh = set(map(key, new))

    def p_chosen(k: Key) -> float | None:
        chosen = k._replace(model=preferred.get(k.lm, k.model))
        return compare(k, chosen) if k != chosen and {k, chosen} <= fresh else None

    return [{**merged[k], "chosen": preferred.get(k.lm) == k.model, "p_chosen": p_chosen(k)} for k in sorted(merged)]


def table(rows: Sequence[Row]) -> str:
    """Lay out rows for reading; what rows of other versions lack is left blank."""
    counts = ["errors / words", "sub", "ins", "del", "CER %", "utts"]
    header = ["LM", "set", "model", "WER %", "95 % interval", *counts, "differs from *"]
    lines = [
        [
            row["lm"],
            row["set"],
            row["model"] + (" *" if row["chosen"] else ""),
            f"{row['wer']:.2f}",
            f"{row['wer_low']:.2f} - {row['wer_high']:.2f}" if "wer_low" in row else "",
            f"{row['errors']} / {row['words']}",
            *(row[name] for name in ("sub", "ins", "del")),
            f"{row['cer']:.2f}" if "cer" in row else "",
            _utts(row),
            "" if row.get("p_chosen") is None else difference_text(row["p_chosen"]),
        ]
        for row in rows
    ]
    align = ("left", "left", "left", *["right"] * 8, "left")
    text = tabulate(lines, header, disable_numparse=True, colalign=align)
    if any(row["chosen"] for row in rows):
        text += "\n* chosen: the lowest WER on dev"
        if any(row.get("p_chosen") is not None for row in rows):
            text += f"; differs: p < {SIGNIFICANT:g} in the matched-pairs test on the same utterances"
    return text


def _utts(row: Row) -> str:
    lost = len(row.get("missing", ()))
    return f"{row['utts'] - lost} of {row['utts']}" if lost else str(row["utts"])


def difference_text(p: float) -> str:
    """Say whether two models differ, with p.

    Example
    -------
    >>> difference_text(0.0242), difference_text(1e-5), difference_text(0.5)
    ('yes, p 0.024', 'yes, p < 0.001', 'no, p 0.500')
    """
    return f"{'yes' if p < SIGNIFICANT else 'no'}, {p_text(p)}"


def read_results(path: Path) -> list[Row]:
    """Read results.json; no rows where it does not exist."""
    if not path.exists():
        return []
    rows: list[Row] = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {*DECODED, "wer"} <= row.keys() for row in rows):
        raise InputError(f"{path}: not a list of results; remove it and score again")
    return rows
