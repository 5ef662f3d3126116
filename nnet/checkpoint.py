"""The whole state of a training run in one file, with which a killed run goes on to the same weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnet.chunks import Position
from nnet.errors import ModelError
from nnet.files import read_tensors, write_tensors
from nnet.layers.lstm import State
from nnet.optimizer import OptimizerState
from nnet.sums import Sums

CHECKPOINT = "checkpoint.safetensors"
REMEDY = "remove this file: the same command then starts the training anew"


@dataclass
class Progress:
    """Where a training run is.

    Attributes
    ----------
    epoch : int
        Finished epochs.
    position : Position
        In the row of all epochs' utterances (`nnet.chunks.Epochs`).
    frames : int
        Outputs trained on so far (frames, where the network skips none).
    halvings : int
        How often ``newbob`` has halved the learning rate.
    halving : bool
        Whether it has begun to.
    finished : bool
    seconds : float
        Spent training so far.
    kept : list of (int, float)
        The epochs whose weights are averaged in the end, with their dev frame accuracy; the first epoch is 1.
    best_accuracy, last_accuracy : float
        On dev.
    since_epoch, since_log : Sums
    log_size : int
        Bytes of train.jsonl that belong to this state.
    """

    epoch: int = 0
    position: Position = field(default_factory=Position)
    frames: int = 0
    halvings: int = 0
    halving: bool = False
    finished: bool = False
    seconds: float = 0.0
    kept: list[tuple[int, float]] = field(default_factory=list)
    best_accuracy: float = -1.0
    last_accuracy: float = -1.0
    since_epoch: Sums = field(default_factory=Sums)
    since_log: Sums = field(default_factory=Sums)
    log_size: int = 0


@dataclass
class TrainingState:
    """The tensors of a training state.

    Attributes
    ----------
    params : Tensor, shape (N,)
        The flat parameters now.
    kept : list of Tensor, shape (N,)
        Those after the epochs of `Progress.kept`.
    optimizer : dict of Tensor
    state : list of (c, r)
        Of the recurrent layers after the last chunk; empty at the start.
    """

    params: Tensor
    kept: list[Tensor] = field(default_factory=list)
    optimizer: OptimizerState = field(default_factory=dict)
    state: list[State] = field(default_factory=list)


def save_checkpoint(
    path: Path,
    state: TrainingState,
    progress: Progress,
    more: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write parameters, optimizer, carried state, random state and progress into one safetensors file."""
    tensors = {"params": state.params, "random": torch.get_rng_state()}
    tensors |= {f"kept.{i}": params for i, params in enumerate(state.kept)}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.items()}
    for i, (c, r) in enumerate(state.state):
        tensors |= {f"state.{i}.c": c, f"state.{i}.r": r}
    write_tensors(path, tensors | dict(more or {}), {"progress": json.dumps(asdict(progress)), **(metadata or {})})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata that `save_checkpoint` wrote.

    Raises
    ------
    ModelError
        When the file is missing or damaged: says to remove it, without which the run would not get past it.
    """
    return read_tensors(path, REMEDY)


def position_of(known: dict[str, Any]) -> Position:
    """Read a position from its JSON."""
    return Position(**known | {"rows": tuple(map(tuple, known["rows"]))})


def load_checkpoint(path: Path, state: TrainingState) -> Progress:
    """Put a checkpoint's tensors into `state`, on its device, set the random state, and return the progress.

    Raises
    ------
    ModelError
        When the file is damaged or belongs to another model.
    """
    tensors, metadata = read_checkpoint(path)
    try:
        known = json.loads(metadata["progress"])
        position = position_of(known["position"])
        sums = {name: Sums(**known[name]) for name in ("since_epoch", "since_log")}
        kept = [(epoch, accuracy) for epoch, accuracy in known["kept"]]
        progress = Progress(**known | {"position": position, "kept": kept} | sums)
        state.params.copy_(tensors["params"])
        device = state.params.device
        state.kept = [tensors[f"kept.{i}"].to(device) for i in range(len(kept))]
        torch.set_rng_state(tensors["random"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} is not a checkpoint of this training run: {error}; {REMEDY}") from error
    state.optimizer.clear()
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):  # what is one number stays on the CPU, see `nnet.optimizer`
            state.optimizer[name.split(".")[1]] = tensor.to(device) if tensor.ndim else tensor
    layers = sum(name.startswith("state.") for name in tensors) // 2
    state.state = [(tensors[f"state.{i}.c"].to(device), tensors[f"state.{i}.r"].to(device)) for i in range(layers)]
    return progress
