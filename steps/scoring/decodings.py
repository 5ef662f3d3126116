"""Finding what was decoded: the decode directories below exp/."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.output import is_unfinished
from steps.scoring.report import DECODED, Key, key

FILE = "decode.json"

Role = Literal["tune", "test", "pass"]
"""What a decoding is for: the choice of the scales, a result, or a pass that only leads to speakers' transforms."""


class Decoding(NamedTuple):
    """A decode directory, what its decode.json says, and its role: tune or test."""

    directory: Path
    about: Mapping[str, Any]
    role: Role


def find_decodings(data: Path, exp: Path) -> dict[Key, Decoding]:
    """Find the finished decode directories below `exp` whose set has reference transcripts, but for role pass.

    Raises
    ------
    InputError
        When there are none, when two hold the same set of one model and language model, and when decode.json lacks
        what a result needs or has an unknown role.
    """
    decodings: dict[Key, Decoding] = {}
    for file in sorted(exp.glob(f"*/*/{FILE}")):
        directory = file.parent
        if is_unfinished(directory) or is_unfinished(directory.parent):
            continue
        about = read_json(file)
        role = role_of(directory, about)
        if role == "pass":
            continue
        if lacking := [name for name in DECODED if name not in about]:
            raise InputError(f"{file}: lacks {', '.join(lacking)}; decode the set again")
        k = key(about)
        text = data / k.set / "text"
        if not text.exists():
            print(f"{directory}: not scored, there is no {text}")
        elif k in decodings:
            raise InputError(
                f"{decodings[k].directory} and {directory} both hold set {k.set} of model {k.model} with language "
                f"model {k.lm}; remove one of them"
            )
        else:
            decodings[k] = Decoding(directory, about, role)
    if not decodings:
        raise InputError(f"{exp}: no model has decoded a set of {data} (MODEL/DIRECTORY/{FILE}); decode first")
    return decodings


def role_of(directory: Path, about: Mapping[str, Any]) -> Role:
    """Say what a decoding is for.

    Where decode.json has no role, the beginning of the directory's name says it.

    Raises
    ------
    InputError
        When decode.json has another role than these.

    Example
    -------
    >>> role_of(Path("exp/mono/decode_test"), {"role": "pass"})
    'pass'
    >>> [role_of(Path("exp/mono", name), {}) for name in ("tune_bigram_dev", "decode_bigram_test", "second_bigram_dev")]
    ['tune', 'test', 'pass']
    """
    by_name: dict[str, Role] = {"tune": "tune", "decode": "test"}
    role = about.get("role", by_name.get(directory.name.partition("_")[0], "pass"))
    if role not in get_args(Role):
        raise InputError(f"{directory / FILE}: its role is '{role}'; there are {', '.join(get_args(Role))}")
    return cast(Role, role)
