"""Files of tensors, written beside and renamed: a file is complete or not there."""

import json
import os
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from nnet.errors import ModelError, naming


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside `path`, then rename."""
    part = path.with_name(f".{path.name}.partial")
    with naming(path), part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file; `metadata` stands in its header."""
    tensors = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()
    }  # views share memory
    write_bytes(path, safetensors.torch.save(tensors, metadata))


def read_tensors(path: Path, remedy: str = "train the model again") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file and the metadata of its header.

    Parameters
    ----------
    path : Path
    remedy : str
        What to do about a damaged one, for the message.

    Raises
    ------
    ModelError
        When the file is missing or damaged.
    """
    try:
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return safetensors.torch.load(content), header.get("__metadata__", {})
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing") from error
    except (safetensors.SafetensorError, ValueError) as error:
        raise ModelError(f"{path} is not a whole safetensors file ({error}); {remedy}") from error
