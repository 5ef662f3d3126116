"""The workers' places in a checkpoint, beside what plain training keeps there."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from nnet.asgd.worker import Place
from nnet.checkpoint import position_of, read_checkpoint

WORKERS = "workers"


def of_places(places: Sequence[Place]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata that tell the workers' places."""
    tensors, known = {}, []
    for worker, place in enumerate(places):
        known.append({"utterances": place.utterances, "round": place.round, "position": asdict(place.position)})
        if place.random is not None:
            tensors[f"{WORKERS}.{worker}.random"] = place.random
        for layer, (c, r) in enumerate(place.state):
            tensors |= {f"{WORKERS}.{worker}.{layer}.c": c, f"{WORKERS}.{worker}.{layer}.r": r}
    return tensors, {WORKERS: json.dumps(known)}


def load_places(path: Path) -> list[Place]:
    """Read the workers' places; none where plain training has written the checkpoint.

    Raises
    ------
    ModelError
        When the file is damaged.
    """
    tensors, metadata = read_checkpoint(path)
    places = []
    for worker, known in enumerate(json.loads(metadata.get(WORKERS, "[]"))):
        own = {
            name.removeprefix(f"{WORKERS}.{worker}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{WORKERS}.{worker}.")
        }
        state = [(own[f"{layer}.c"], own[f"{layer}.r"]) for layer in range(len(own) // 2)]
        position = position_of(known["position"])
        places.append(Place(tuple(known["utterances"]), known["round"], position, state, own.get("random")))
    return places
