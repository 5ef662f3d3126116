"""Decode directories: hypotheses and how they came about."""

import json
from pathlib import Path

from steps.corpus.tables import write_table
from steps.errors import InputError
from steps.files import read_json
from steps.hmm.acoustic_model import AcousticModel
from steps.search.beam import Weights
from steps.search.decoding import Decoded


def write_decode_dir(
    folder: Path, decoded: Decoded, weights: Weights, model: AcousticModel, set_name: str, lm: str
) -> None:
    """Write ``text``, the hypotheses, and ``decode.json``, which scoring reads."""
    write_table(folder / "text", decoded.text)
    about = {
        "model": model.name,
        "set": set_name,
        "lm": lm,
        **vars(weights),
        "seed": model.seed,
        "utts": len(decoded.text),
        "seconds": round(decoded.seconds, 3),
        "audio_seconds": round(decoded.audio_seconds, 3),
        "unfinished": decoded.unfinished,
    }
    (folder / "decode.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    for block in folder.glob("block.*.json"):
        block.unlink()


def read_weights(tuned: Path) -> Weights:
    """The weights that ``steps.tune`` chose.

    Raises
    ------
    InputError
        When it has not chosen any there.
    """
    if not (tuned / "tune.json").is_file():
        raise InputError(f"{tuned}: it has no tune.json; choose weights with steps.tune first")
    best = read_json(tuned / "tune.json")["best"]
    return Weights(**{name: best[name] for name in Weights.__dataclass_fields__})
