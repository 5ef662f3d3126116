"""Decode directories: hypotheses and how they came about."""

import json
from pathlib import Path

import numpy as np

from steps.ali.directory import copy_model_files, write_alignments
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.parallel import SharedJobs
from steps.corpus.tables import write_table
from steps.scoring.decodings import Role
from steps.search.beam import DecodingScales
from steps.search.decoding import Decoded, Task, decode_all
from steps.search.inputs import DecodingInputs


def decode_into(
    out: Path, inputs: DecodingInputs, task: Task, role: Role, run: SharedJobs[DecodingInputs], desc: str
) -> Decoded:
    """Decode with one setting of the scales and write a decode directory into the task's folder.

    Its files are ``text`` (the hypotheses), ``ali.scp`` (the transition-id of each frame, as in an alignment directory)
    and ``decode.json``, which scoring reads.

    Parameters
    ----------
    out : Path
        Where the task's folder will be in the end.
    inputs : DecodingInputs
    task : Task
        With one setting of the scales and with alignments.
    role : {'tune', 'test', 'pass'}
        What it is for: scoring takes the sets of role tune for the choice of the model, and leaves out those of role
        pass.
    run : SharedJobs
        From `steps.base.parallel.jobs`, which shares `inputs`.
    desc : str
        What the progress bar says.
    """
    [scales], [decoded] = task.scales, decode_all(inputs, task, run, desc)
    folder, model = task.folder, inputs.description
    write_alignments(folder, out, {utterance: np.array(path) for utterance, path in decoded.alignments.items()})
    copy_model_files(inputs.model_dir, folder)
    write_table(folder / "text", decoded.text)
    about = {
        "model": inputs.name,
        "set": inputs.data.name,
        "role": role,
        "lm": inputs.about["lm"],
        "data": str(inputs.data),
        "graph": str(inputs.graph_dir),
        **({"also": [str(folder) for folder in inputs.also]} if inputs.also else {}),
        **vars(scales),
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


def read_scales(tuned: Path) -> DecodingScales:
    """Read the scales that ``steps.tune`` chose.

    Raises
    ------
    InputError
        When it has not chosen any there.
    """
    if not (tuned / "tune.json").is_file():
        raise InputError(f"{tuned}: it has no tune.json; choose scales with steps.tune first")
    best = read_json(tuned / "tune.json", "best")["best"]
    return DecodingScales(**{name: best[name] for name in DecodingScales.__dataclass_fields__})
