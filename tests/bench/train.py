"""How fast training is, beside torch.nn modules: ``python -m tests.bench.train [CONF...]``.

Frames per second of whole training steps (forward, backward, update) of each network of conf/nnet, trained as
conf/train_nnet.yaml and its own file say, and of the same network made of torch.nn modules (tests/bench/plain.py:
without peepholes, and without the figures that the log gets of each chunk). Both train on the same chunks of synthetic
features, in one thread and in turns; reading and cutting utterances is not measured. Frames are those of the features:
a network that skips some has as many for each output with a target.

The last line is JSON: for each network the frames per second of ours, the median of the rounds, and how many times
those of torch.nn that is, the median of the rounds' ratios.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch

from nnet.chunks import NO_TARGET, Chunk, Epochs, Position
from nnet.config import ModelConfig, TrainConfig
from nnet.data import training_chunks
from nnet.gradient import Replicas, train_chunk
from nnet.losses import loss_named
from nnet.model import Network, count_parameters, initialise
from nnet.optimizer import initial_state, update_of
from nnet.threads import set_threads
from steps.base.nnet_file import read_nnet_file
from tests.bench.plain import Plain, Trainer
from tests.bench.turns import in_turns, ratio

CONF = Path(__file__).parents[2] / "conf"
FEATURES, PDFS, UTTERANCES = 40, 124, 256
ROUNDS, WARM_UP = 11, 2
FRAMES_A_ROUND = 1500  # about; whole steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    usual = sorted((CONF / "nnet").glob("*.yaml"))
    parser.add_argument("conf", nargs="*", type=Path, default=usual, help="networks; default: all of conf/nnet")
    set_threads(1)
    data = synthetic_data()
    print(f"Training steps in one thread; {FEATURES} features, {PDFS} pdfs")
    print("network        parameters  frames/s   torch.nn  over_torch")
    summary = {}
    for file in parser.parse_args().conf:
        model, training = read_nnet_file(CONF / "train_nnet.yaml", file)
        parameters, ours, theirs, over_torch = measure(model, training, data)
        print(f"{file.stem:14}{parameters:11,}{ours:10.0f}{theirs:11.0f}{over_torch:12.2f}", flush=True)
        summary[file.stem] = {"frames_per_second": round(ours), "over_torch": round(over_torch, 3)}
    print(json.dumps(summary))


def synthetic_data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Utterances of 1 to 20 seconds, most of 2 to 6."""
    random = np.random.default_rng(0)
    lengths = (100 * random.lognormal(1.3, 0.6, size=UTTERANCES).clip(1, 20)).astype(int)
    return {
        f"u{i:03}": (random.normal(size=(n, FEATURES)).astype(np.float32), random.integers(0, PDFS, n))
        for i, n in enumerate(lengths)
    }


def measure(
    model: ModelConfig, training: TrainConfig, data: dict[str, tuple[np.ndarray, np.ndarray]]
) -> tuple[int, float, float, float]:
    """Give the network's parameters, frames per second of ours and of torch.nn, and the ratio."""
    order = Epochs(list(data), seed=0, epochs=1000)
    rounds = cut_into_rounds(training_chunks(model, training, data, order, 0, Position()))
    counts = [model.skip * sum(int((chunk.targets != NO_TARGET).sum()) for chunk in chunks) for chunks in rounds]
    network = Network(model, FEATURES, PDFS)
    initialise(network, seed=0)
    torch.manual_seed(0)
    contestants = {
        "ours": train_rounds(rounds, our_step(network, training)),
        "torch": train_rounds(rounds, Trainer(Plain(model, FEATURES * model.stack, PDFS), training).step),
    }
    times = in_turns(contestants, ROUNDS, WARM_UP)
    speeds = (
        median(frames / seconds for frames, seconds in zip(counts[WARM_UP:], times[name], strict=True))
        for name in contestants
    )
    return count_parameters(network), *speeds, ratio(times, "torch", "ours")


def cut_into_rounds(chunks: Iterable[Chunk]) -> list[list[Chunk]]:
    """Chunks in the order of training, as many for each round as have enough frames."""
    rounds, following = [], iter(chunks)
    for _ in range(WARM_UP + ROUNDS):
        rounds.append([next(following)])
        per_chunk = int((rounds[-1][0].targets != NO_TARGET).sum())
        rounds[-1] += islice(following, FRAMES_A_ROUND // max(per_chunk, 1))
    return rounds


def train_rounds(rounds: list[list[Chunk]], step: Callable[[Chunk], object]) -> Callable[[], None]:
    """Give a function that trains on the chunks of the following round each time that it is called."""
    following = iter(rounds)

    def run() -> None:
        for chunk in next(following):
            step(chunk)

    return run


def our_step(model: Network, config: TrainConfig) -> Callable[[Chunk], None]:
    replicas = Replicas(model)
    update = update_of(config)
    state, optimizer = [], initial_state(config, replicas.params)

    def step(chunk: Chunk) -> None:
        nonlocal state
        _, state = train_chunk(replicas, chunk, state, config, loss_named(config.loss))
        update(replicas.params, replicas.grad, optimizer, config.initial_lr)

    return step


if __name__ == "__main__":
    main()
