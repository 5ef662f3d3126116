"""Decode directories: hypotheses and how they came about."""

import json
from pathlib import Path

from steps.acoustic.model import load_acoustic_model
from steps.ali.directory import copy_model_files, write_alignments
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.parallel import Run
from steps.corpus.tables import write_table
from steps.search.beam import SearchOptions, Weights
from steps.search.decoding import Decoded, Source, decode_all, read_graph_json


def decode_into(
    folder: Path, out: Path, source: Source, weights: Weights, search: SearchOptions, run: Run, desc: str
) -> Decoded:
    """Decode and write a decode directory.

    Its files are ``text`` (the hypotheses), ``ali.scp`` (the transition-id of each frame, as in an alignment directory)
    and ``decode.json``, which scoring reads.

    Parameters
    ----------
    folder, out : Path
        Where to write, and where it will be in the end.
    source : Source
        What is decoded with what.
    weights : Weights
        Of the scores.
    search : SearchOptions
        How wide to search.
    run : Run
        Distributes the blocks over processes.
    desc : str
        What the progress bar says.
    """
    model = load_acoustic_model(source.model)
    [decoded] = decode_all(source, [weights], search, folder, run, desc, alignments=True)
    write_alignments(folder, out, decoded.alignments)
    copy_model_files(source.model, folder)
    write_table(folder / "text", decoded.text)
    about = {
        "model": model.name,
        "set": source.data.name,
        "lm": read_graph_json(source.graph)["lm"],
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
    return decoded


def read_weights(tuned: Path) -> Weights:
    """The weights that ``steps.tune`` chose.

    Raises
    ------
    InputError
        When it has not chosen any there.
    """
    if not (tuned / "tune.json").is_file():
        raise InputError(f"{tuned}: it has no tune.json; choose weights with steps.tune first")
    best = read_json(tuned / "tune.json", "best")["best"]
    return Weights(**{name: best[name] for name in Weights.__dataclass_fields__})
