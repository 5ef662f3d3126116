"""A task that only a memory can solve, and a training run of it for a process that gets killed."""

import json
import sys
import time

import numpy as np
import torch

from nnet.config import ModelConfig, TrainConfig
from nnet.model import Network, initialise
from nnet.train import train


def bits(utterances, shift, seed=0):
    """Random bits with noise; the target of frame t is the bit of frame t + shift, cyclic within an utterance."""
    random = np.random.default_rng(seed)
    data = {}
    for i in range(utterances):
        bit = random.integers(0, 2, random.integers(30, 80))
        feats = np.stack([bit - 0.5, random.normal(size=len(bit))], 1).astype(np.float32)
        data[f"u{i:03}"] = (feats, np.roll(bit, -shift))
    return data


class Slow(dict):
    """Gives a killer the time to strike."""

    def __getitem__(self, name):
        time.sleep(0.01)
        return super().__getitem__(name)


def small_model(input_dim=2, num_pdfs=2, **changes):
    config = ModelConfig(**{"layers": 1, "cells": 12, "projection": 8, "delay": 2} | changes)
    model = Network(config, input_dim, num_pdfs)
    initialise(model, seed=1)
    return model


def lines(directory):
    return [json.loads(line) for line in (directory / "train.jsonl").read_text().splitlines()]


def weights(model):
    return torch.cat([w.flatten() for w in model.parameters()])


RECURRENT = ModelConfig(layers=2, cells=8, projection=6, dropout=0.2)
BOTH_WAYS = ModelConfig(layers=2, cells=8, direction="both", dropout=0.2, delay=0, left_context=2, right_context=3)
FEED_FORWARD = ModelConfig(kind="dnn", layers=2, cells=8, dropout=0.2, delay=0, left_context=2)


def run(directory, slow=False, config=RECURRENT, **changes):
    """Train a small network with everything random that there is."""
    model = Network(config, input_dim=2, num_pdfs=2)
    initialise(model, seed=1)
    data = bits(40, shift=-2)
    usual = {
        "streams": 4,
        "shuffle": 16,
        "epochs": 3,
        "initial_lr": 0.01,
        "final_lr": 0.001,
        "average_epochs": 2,
        "reset_probability": 0.2,
    }
    training = TrainConfig(**usual | changes)
    dev = bits(5, shift=-2, seed=1)
    result = train(model, Slow(data) if slow else data, dev, training, directory, seed=1, threads=1)
    return model, result


if __name__ == "__main__":
    run(sys.argv[1], slow=True, checkpoint_seconds=0.0, optimizer=sys.argv[2])
