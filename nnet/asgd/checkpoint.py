"""The workers' states in a checkpoint, beside what plain training keeps there."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from nnet.asgd.messages import WorkerState
from nnet.checkpoint import position_of, read_checkpoint

WORKERS = "workers"


def worker_states_to_save(states: Sequence[WorkerState]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata that `load_worker_states` needs."""
    tensors, known = {}, []
    for worker, own in enumerate(states):
        known.append({"utterances": own.utterances, "round": own.round, "position": asdict(own.position)})
        if own.random is not None:
            tensors[f"{WORKERS}.{worker}.random"] = own.random
        for layer, (c, r) in enumerate(own.state):
            tensors |= {f"{WORKERS}.{worker}.{layer}.c": c, f"{WORKERS}.{worker}.{layer}.r": r}
    return tensors, {WORKERS: json.dumps(known)}


def load_worker_states(path: Path) -> list[WorkerState]:
    """Read the workers' states; none where plain training has written the checkpoint.

    Raises
    ------
    ModelError
        When the file is damaged.
    """
    tensors, metadata = read_checkpoint(path)
    states = []
    for worker, known in enumerate(json.loads(metadata.get(WORKERS, "[]"))):
        own = {
            name.removeprefix(f"{WORKERS}.{worker}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{WORKERS}.{worker}.")
        }
        state = [(own[f"{layer}.c"], own[f"{layer}.r"]) for layer in range(len(own) // 2)]
        position = position_of(known["position"])
        states.append(WorkerState(tuple(known["utterances"]), known["round"], position, state, own.get("random")))
    return states
