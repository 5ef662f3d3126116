"""Whether the numbers of two directories mean the same: the phone-ids, pdf-ids and transition-ids of models.

What they mean is in ``topo`` and ``tree.json``, of which every model, alignment and decode directory has a copy, and in
the phones.txt whose hash tree.json carries.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from steps.base.errors import InputError
from steps.base.files import read_json
from steps.lang.table_hash import PHONES, check_same, phones_hash


class Rate(NamedTuple):
    """At which rate states follow one another, and what their self-loops count in a graph.

    Attributes
    ----------
    skip : int
        A state lasts a multiple of so many feature frames.
    self_loop_scale : float
        Weight of the probabilities of staying in a state and of leaving it (`TransitionModel.costs`).
    """

    skip: int = 1
    self_loop_scale: float = 0.1


FEATURE_RATE = Rate()
"""The rate of the states of GMM systems: a state lasts any number of feature frames."""


def rate_of(folder: str | Path) -> Rate:
    """The rate of the states of a directory with ``tree.json``."""
    return rate_in(read_json(Path(folder, "tree.json"), "pdfs"))


def rate_in(content: dict[str, Any]) -> Rate:
    """The rate that a JSON file gives; where it gives none, that of states at the rate of the features.

    Example
    -------
    >>> rate_in({"skip": 3, "self_loop_scale": 1.0}), rate_in({})
    (Rate(skip=3, self_loop_scale=1.0), Rate(skip=1, self_loop_scale=0.1))
    """
    return Rate(**{name: content[name] for name in Rate._fields if name in content})


def tree_hash(folder: str | Path) -> str:
    """Identify a model's pdf-ids and transition-ids by its phone-ids; `tree_phones` says which phones these are."""
    tree = read_json(Path(folder, "tree.json"), "pdfs")
    tree.pop("phones", None)
    return hashlib.sha256(Path(folder, "topo").read_bytes() + json.dumps(tree).encode()).hexdigest()[:16]


def tree_phones(folder: str | Path) -> str | None:
    """The hash of the phones.txt that the phone-ids of a directory with ``tree.json`` are of, where it says so."""
    phones: str | None = read_json(Path(folder, "tree.json"), "pdfs").get("phones")
    return phones


def states_of(folder: str | Path) -> dict[str, str]:
    """What a JSON file says of the states that its directory belongs to: the hashes ``tree`` and ``phones``."""
    phones = tree_phones(folder)
    return {"tree": tree_hash(folder)} | ({} if phones is None else {"phones": phones})


def check_states(one: Path, other: Path, advice: str) -> None:
    """Check that two directories have the same states.

    Parameters
    ----------
    one, other : Path
        Model, alignment or decode directories.
    advice : str
        What to do when they differ.

    Raises
    ------
    InputError
        When their trees differ, or the phones that these are of.
    """
    if tree_hash(one) != tree_hash(other):
        raise InputError(f"{one}: its states are not those of {other}; {advice}")
    check_same(PHONES, one / "tree.json", tree_phones(one), other / "tree.json", tree_phones(other), advice)


def check_lang(lang: Path, model: Path) -> None:
    """Check that a lang directory numbers the phones as a model does.

    Parameters
    ----------
    lang : Path
        Language directory.
    model : Path
        Model, alignment or decode directory. Where its tree.json does not say which phones it has, its phones.txt
        counts, as in Kaldi's directories, or that of the lang directory of its training.

    Raises
    ------
    InputError
        When they differ.
    """
    table, phones = model / "tree.json", tree_phones(model)
    if phones is None:
        table = next((path for path in _tables(model) if path.is_file()), table)
        phones = phones_hash(table) if table.name == "phones.txt" else None
    path = lang / "phones.txt"
    advice = (
        f"take the lang directory of the training of {model}, or one made with the same silence_phones.txt and "
        "nonsilence_phones.txt"
    )
    check_same(PHONES, path, phones and phones_hash(path), table, phones, advice)


def _tables(model: Path) -> list[Path]:
    """Where a phones.txt of a model may be."""
    about = read_json(model / "model.json") if (model / "model.json").is_file() else {}
    training = [Path(os.path.relpath(model.resolve() / about["lang"]), "phones.txt")] if "lang" in about else []
    return [model / "phones.txt", *training]
