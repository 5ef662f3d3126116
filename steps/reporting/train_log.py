"""train.jsonl of a model directory, as far as reports need it."""

import json
from pathlib import Path
from typing import Any

from steps.base.errors import InputError

Line = dict[str, Any]
"""The figures of one line of train.jsonl."""

KEYS = ("frames", "epoch", "seconds", "accuracy")


def read_log(exp: Path) -> list[Line]:
    """Read the lines of EXP/train.jsonl, whose frames are then those of the features, skipped ones included.

    A last line that is only half written is left out.

    Raises
    ------
    InputError
        When there is no such file, or another line is damaged.
    """
    path, partial = exp / "train.jsonl", exp.with_name(exp.name + ".partial")
    if not path.is_file():
        missing = f"{path} is missing" if exp.is_dir() else f"{exp}: there is no such directory"
        raise InputError(missing + (f"; a run under way is in {partial}" if partial.is_dir() else ""))
    texts, lines = path.read_bytes().splitlines(), []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except ValueError as error:
            if number == len(texts):
                break
            raise InputError(f"{path}:{number}: not JSON ({error}); train again") from error
        lacking = [key for key in KEYS if key not in line] if isinstance(line, dict) else KEYS
        if lacking:
            raise InputError(f"{path}:{number}: lacks {', '.join(lacking)}; train again")
        # a network that skips frames has counted its outputs: beside another one, those of the features are of interest
        lines.append(line | {"frames": line["frames"] * line.get("skip", 1)})
    return lines
