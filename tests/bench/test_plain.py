"""The networks that training is timed against compute what ours compute, without peepholes and clipping."""

import pytest
import torch

from nnet.chunks import Chunk, Position
from nnet.config import ModelConfig, TrainConfig
from nnet.gradient import Replicas, train_chunk
from nnet.losses import loss_named
from nnet.model import Network, carry_state, initialise
from nnet.optimizer import initial_state, update_of
from tests.bench.plain import Plain, Trainer, carry

BARE = {"layers": 2, "cells": 6, "peepholes": False, "clip": float("inf")}
MODELS = {
    "lstm": ModelConfig(**BARE),
    "lstmp": ModelConfig(**BARE, projection=3),
    "blstmp": ModelConfig(**BARE, projection=3, direction="both", delay=0, left_context=2, right_context=1),
    "lstmp_30ms": ModelConfig(**BARE, projection=3, stack=4, ahead=1, skip=3),
    "rnn": ModelConfig(**BARE, kind="rnn"),
    "dnn": ModelConfig(**BARE, kind="dnn", delay=0, left_context=2, right_context=1),
    "dnn_30ms": ModelConfig(**BARE, kind="dnn", delay=0, left_context=2, right_context=1, stack=2, skip=3),
}


@pytest.fixture(params=MODELS)
def pair(request):
    """One of our networks and its double with the same weights."""
    ours = Network(MODELS[request.param], input_dim=4, num_pdfs=5)
    initialise(ours, seed=1)
    plain = Plain(ours.config, 4, 5)
    with torch.no_grad():
        for layer, double in zip(ours.layers, plain.layers, strict=True):
            copy_weights(layer, double)
        plain.output.load_state_dict(ours.output.state_dict())
    return ours, plain


def copy_weights(layer, double):
    if hasattr(layer, "rnn"):
        double.load_state_dict(layer.rnn.state_dict())
    elif hasattr(layer, "linear"):
        double[0].load_state_dict(layer.linear.state_dict())
    else:
        for direction, suffix in zip(layer.directions, ("", "_reverse"), strict=False):
            names = {"weight_ih": direction.W_x, "weight_hh": direction.W_r, "weight_hr": direction.W_m}
            names |= {"bias_ih": direction.b, "bias_hh": torch.zeros_like(direction.b)}
            getattr(double, f"bias_hh_l0{suffix}").requires_grad_(False)  # both biases would learn, ours is one
            for name, weights in names.items():
                if weights is not None:
                    getattr(double, f"{name}_l0{suffix}").copy_(weights)


def chunk_of(config, rows, lengths):
    """Three streams of random steps; the streams go on with `rows` of the chunk before."""
    lengths = torch.tensor(lengths)
    T = int(lengths.max())
    feats = torch.randn(T, 3, 4 * config.stack)
    targets = torch.randint(5, (T - config.left_context - config.right_context, 3))
    return Chunk(feats, targets, lengths, torch.tensor(rows), ("a", "b", "c"), Position())


def test_logits_of_chunks_in_a_row_are_the_same(pair):
    ours, plain = pair
    before, state = ours.zero_state(0), []
    chunks = [chunk_of(ours.config, [-1] * 3, [7, 7, 7])]
    lengths = [8, 8, 8] if ours.config.direction == "both" else [6, 8, 5]  # torch's sees the padding
    chunks.append(chunk_of(ours.config, [2, 0, -1] if ours.config.carries_state else [-1] * 3, lengths))
    for chunk in chunks:
        output = ours(chunk.feats, carry_state(before, chunk.carry), chunk.lengths)
        logits, state = plain(chunk.feats, carry_plain(state, chunk.carry))
        before = output.state
        valid = torch.arange(len(logits))[:, None] < chunk.lengths - len(chunk.feats) + len(logits)
        torch.testing.assert_close(output.logits[valid], logits[valid])


def carry_plain(state, rows):
    return [tuple(carry(part, rows) for part in layer) for layer in state]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_steps_change_the_weights_alike(pair, optimizer):
    ours, plain = pair
    config = TrainConfig(optimizer=optimizer, streams=3, frames=7, initial_lr=0.01, max_grad_norm=0.1)
    replicas = Replicas(ours)
    trainer, state, slots = Trainer(plain, config), [], initial_state(config, replicas.params)
    for _ in range(3):
        chunk = chunk_of(ours.config, [-1] * 3, [7, 7, 7])
        _, state = train_chunk(replicas, chunk, state, config, loss_named(config.loss))
        update_of(config)(replicas.params, replicas.grad, slots, config.initial_lr)
        trainer.step(chunk)
    torch.testing.assert_close(plain.output.weight, ours.output.weight, rtol=1e-4, atol=1e-5)
