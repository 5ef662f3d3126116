import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nnet.augment import Masks
from nnet.chunks import NO_TARGET, chunks
from nnet.config import ModelConfig, TrainConfig, check_pair
from nnet.errors import ModelError
from nnet.files import read_tensors
from nnet.gradient import Replicas, errors
from nnet.model import AcousticModel, initialise
from nnet.optimizer import flatten, initial_state, update_of
from nnet.train import count, evaluate, keep, learning_rate, pdf_weights, train, train_chunk
from tests.nnet import synthetic


def small_model(input_dim=2, num_pdfs=2, **changes):
    config = ModelConfig(**{"layers": 1, "cells": 12, "projection": 8, "delay": 2} | changes)
    model = AcousticModel(config, input_dim, num_pdfs)
    initialise(model, seed=1)
    return model


def lines(directory):
    return [json.loads(line) for line in (directory / "train.jsonl").read_text().splitlines()]


def weights(model):
    return torch.cat([w.flatten() for w in model.parameters()])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_learns_what_needs_a_memory(tmp_path, optimizer):
    # the bits are independent, so a network without memory cannot do better than log 2 and one half
    lr = {"adam": (0.02, 0.002), "sgd": (0.5, 0.1)}[optimizer]
    model = small_model(delay=0, forget_bias=1.0)
    config = TrainConfig(streams=4, epochs=12, optimizer=optimizer, initial_lr=lr[0], final_lr=lr[1], max_grad_norm=5)
    result = train(model, synthetic.bits(80, -2), synthetic.bits(10, -2, 1), config, tmp_path, threads=1)
    loss, accuracy = evaluate(model, synthetic.bits(10, -2, 1), streams=4)
    assert accuracy == result.accuracy > 0.9  # the first two frames of an utterance cannot be known
    assert loss < 0.3 < math.log(2)
    epochs = [line for line in lines(tmp_path) if "dev_accuracy" in line]
    assert [line["epoch"] for line in epochs] == list(range(1, 13))
    assert {"loss", "accuracy", "lr", "grad_norm", "frames_per_second", "clipped", "dev_loss"} < epochs[0].keys()


@pytest.mark.parametrize(
    ("shift", "model", "training"),
    [
        (-2, {"kind": "rnn", "delay": 0}, {}),
        (-2, {"kind": "dnn", "delay": 0, "left_context": 2}, {"streams": 40, "frames": 1}),
        (2, {"kind": "dnn", "delay": 0, "right_context": 2}, {"streams": 40, "frames": 1}),
        (2, {"direction": "both", "delay": 0}, {"frames": 0}),
        (-2, {"direction": "both", "delay": 0}, {"frames": 0}),
        (2, {"direction": "both", "delay": 0, "left_context": 3, "right_context": 3}, {}),
        (2, {"direction": "backward", "delay": 0}, {"frames": 0}),
    ],
)
def test_every_kind_learns_what_it_can_hear(tmp_path, shift, model, training):
    usual = {"streams": 4, "epochs": 12, "initial_lr": 0.02, "final_lr": 0.002, "max_grad_norm": 5}
    model = small_model(**{"projection": 0} | model)
    data, dev = synthetic.bits(80, shift), synthetic.bits(10, shift, 1)
    assert train(model, data, dev, TrainConfig(**usual | training), tmp_path, threads=1).accuracy > 0.9


def test_delay_lets_the_network_hear_ahead(tmp_path):
    config = TrainConfig(streams=4, epochs=10, initial_lr=0.02, final_lr=0.002, max_grad_norm=5)
    accuracy = {}
    for delay in (0, 3):
        data, dev = synthetic.bits(80, 2), synthetic.bits(10, 2, 1)
        (tmp_path / str(delay)).mkdir()
        model = small_model(delay=delay, forget_bias=1.0)
        accuracy[delay] = train(model, data, dev, config, tmp_path / str(delay), threads=1).accuracy
    assert accuracy[0] < 0.6
    assert accuracy[3] > 0.9


def test_padding_and_first_outputs_yield_no_gradient():
    model = small_model(delay=5)
    data = synthetic.bits(3, 0)
    data = {name: (feats[: 7 + i], bits[: 7 + i]) for i, (name, (feats, bits)) in enumerate(data.items())}
    (chunk,) = chunks(data, list(data), streams=3, frames=20, delay=5)
    replicas = Replicas(model)
    train_chunk(replicas, chunk, [], TrainConfig())
    expected = replicas.grad.clone()
    padded = torch.cat([chunk.feats, torch.full((4, 3, 2), 100.0)])  # whatever stands there
    padded[12:, 0], padded[13:, 1] = -100.0, 33.0
    longer = replace(chunk, feats=padded, targets=torch.nn.functional.pad(chunk.targets, (0, 0, 0, 4), value=-100))
    train_chunk(replicas, longer, [], TrainConfig())
    torch.testing.assert_close(replicas.grad, expected)
    # the outputs of the first five frames: their logits' gradient is zero
    logits = model(chunk.feats, model.zero_state(3)).logits.detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), chunk.targets.flatten(), ignore_index=-100)
    (dlogits,) = torch.autograd.grad(loss, logits)
    silent = dlogits.abs().sum(2) == 0
    assert silent[:5].all()
    assert silent.sum(0).tolist() == [5 + 2, 5 + 1, 5]  # and the padding


def test_gradient_norm_is_limited():
    model, data = small_model(), synthetic.bits(4, 0)
    chunk = next(chunks(data, list(data), streams=4, frames=20, delay=2))
    replicas = Replicas(model)
    sums, _ = train_chunk(replicas, chunk, [], TrainConfig())
    assert replicas.grad.norm().item() == pytest.approx(sums.grad_norm)
    train_chunk(replicas, chunk, [], TrainConfig(max_grad_norm=sums.grad_norm / 4))
    assert replicas.grad.norm().item() == pytest.approx(sums.grad_norm / 4, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_killed_run_ends_with_the_same_bits(tmp_path, optimizer):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, result = synthetic.run(tmp_path / "whole", optimizer=optimizer)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    command = [sys.executable, "-m", "tests.nnet.synthetic", str(tmp_path / "killed"), optimizer]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    while (
        process.poll() is None and progress(checkpoint).get("frames", 0) < 1.3 * lines(tmp_path / "whole")[0]["frames"]
    ):
        time.sleep(0.005)
    process.kill()  # by SIGKILL, in the middle of the second epoch
    assert process.wait() < 0
    assert progress(checkpoint)["epoch"] == 1
    assert progress(checkpoint)["position"]["rows"]
    assert_goes_on(tmp_path, whole, result, optimizer=optimizer)


@pytest.mark.parametrize(
    ("config", "training"),
    [
        (synthetic.RECURRENT, {}),
        (synthetic.BOTH_WAYS, {}),
        (synthetic.BOTH_WAYS, {"frames": 0}),
        (synthetic.FEED_FORWARD, {"frames": 1, "streams": 16}),
        (ModelConfig(kind="rnn", cells=8, dropout=0.2), {"optimizer": "sgd"}),
    ],
)
def test_a_run_stopped_anywhere_ends_with_the_same_bits(tmp_path, monkeypatch, config, training):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, result = synthetic.run(tmp_path / "whole", config=config, **training)
    chunks_left = 3 * sum(line["frames"] for line in lines(tmp_path / "whole")[:1]) // (2 * 4 * 20) // 2

    def full_disk(*arguments):
        nonlocal chunks_left
        chunks_left -= 1
        if not chunks_left:
            raise OSError("full")
        return count(*arguments)

    monkeypatch.setattr("nnet.train.count", full_disk)
    with pytest.raises(OSError, match="full"):
        synthetic.run(tmp_path / "killed", config=config, checkpoint_seconds=0.0, **training)
    monkeypatch.undo()
    position = progress(tmp_path / "killed/checkpoint.safetensors")["position"]
    assert position["rows"] or position["done"]
    assert_goes_on(tmp_path, whole, result, config=config, **training)


def assert_goes_on(folder, whole, result, **given):
    resumed, again = synthetic.run(folder / "killed", **given)
    assert torch.equal(weights(resumed), weights(whole))
    assert again == result
    for a, b in zip(lines(folder / "killed"), lines(folder / "whole"), strict=True):
        assert (a["loss"], a["dev_loss"], a["lr"]) == (b["loss"], b["dev_loss"], b["lr"])


@pytest.mark.parametrize(
    ("config", "training"), [(synthetic.RECURRENT, {}), (synthetic.BOTH_WAYS, {"frames": 0, "shuffle": 128})]
)
def test_epochs_are_as_long_as_the_corpus(tmp_path, config, training):
    synthetic.run(tmp_path, config=config, **training)
    frames = sum(len(bit) for _, bit in synthetic.bits(40, 0).values())
    longest = 4 * (20 if config.carries_state else 80)  # a chunk
    ends = [line["frames"] for line in lines(tmp_path)]
    assert len(ends) == 3
    assert ends[-1] == 3 * frames
    assert all(0 <= end - k * frames < longest for k, end in enumerate(ends, 1))


def test_a_chunk_that_holds_several_epochs_ends_them_all(tmp_path):
    data = {name: (feats[:5], bit[:5]) for name, (feats, bit) in synthetic.bits(2, 0).items()}
    result = train(small_model(), data, data, TrainConfig(streams=8, epochs=3), tmp_path, threads=1)
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2, 3]
    assert result.epochs == [1]


def progress(checkpoint):
    return json.loads(read_tensors(checkpoint)[1]["progress"]) if checkpoint.exists() else {}


def test_finished_run_is_not_trained_again(tmp_path):
    model, result = synthetic.run(tmp_path)
    log = (tmp_path / "train.jsonl").read_bytes()
    again, same = synthetic.run(tmp_path)
    assert same == result
    assert torch.equal(weights(model), weights(again))
    assert (tmp_path / "train.jsonl").read_bytes() == log


def test_best_epoch_is_kept(tmp_path):
    # a learning rate that wrecks the network after a good start
    model = small_model(delay=0, forget_bias=1.0)
    config = TrainConfig(streams=4, epochs=4, optimizer="sgd", initial_lr=1.0, final_lr=1.0, max_grad_norm=1)
    dev = synthetic.bits(10, 0, 1)
    result = train(model, synthetic.bits(40, 0), dev, config, tmp_path, threads=1)
    accuracies = [line["dev_accuracy"] for line in lines(tmp_path)]
    assert result.accuracy == max(accuracies)
    assert result.epochs == [1 + accuracies.index(max(accuracies))]
    assert evaluate(model, dev, streams=4)[1] == max(accuracies)


@pytest.mark.parametrize("average", ["best", "last"])
def test_the_average_of_epochs_is_kept(tmp_path, monkeypatch, capsys, average):
    model, seen = small_model(), []
    monkeypatch.setattr("nnet.train.keep", lambda *given: (seen.append(weights(model)), keep(*given)))
    config = TrainConfig(streams=4, epochs=5, average=average, average_epochs=2, initial_lr=0.05, final_lr=0.04)
    dev = synthetic.bits(5, 0, 1)
    result = train(model, synthetic.bits(40, 0), dev, config, tmp_path, threads=1)
    accuracies = [line["dev_accuracy"] for line in lines(tmp_path)]
    best = sorted(sorted(range(5), key=lambda k: (-accuracies[k], k))[:2])
    expected = best if average == "best" else [3, 4]
    assert result.epochs == [k + 1 for k in expected]
    torch.testing.assert_close(weights(model), torch.stack([seen[k] for k in expected]).mean(0))
    assert evaluate(model, dev, streams=4)[1] == result.accuracy  # dev is measured with it
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert [line.endswith("(best)") for line in printed] == [
        accuracies[k] > max(accuracies[:k], default=0) for k in range(5)
    ]


def test_silence_frames_weigh_less():
    model, data = small_model(), synthetic.bits(4, 0)
    chunk = next(chunks(data, list(data), streams=4, frames=20, delay=2))
    replicas = Replicas(model)

    def gradient(targets, weights=None):
        train_chunk(replicas, replace(chunk, targets=targets), [], TrainConfig(), weights)
        return replicas.grad.clone()

    silence, speech = (torch.where(chunk.targets == pdf, chunk.targets, NO_TARGET) for pdf in (0, 1))
    weighted = gradient(chunk.targets, pdf_weights(2, [0], 0.25))
    torch.testing.assert_close(weighted, 0.25 * gradient(silence) + gradient(speech))
    assert pdf_weights(2, [0], 1.0) is None


def test_newbob_halves_and_stops(tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.6, 0.602, 0.61, 0.6105, 0.9])  # too small a gain, then half the rate until the next one
    monkeypatch.setattr("nnet.train.evaluate", lambda *_: (1.0, next(accuracies)))
    config = TrainConfig(streams=4, epochs=50, schedule="newbob", initial_lr=0.01, final_lr=0.004)
    result = train(small_model(delay=0), synthetic.bits(20, 0), synthetic.bits(5, 0, 1), config, tmp_path, threads=1)
    assert [line["lr"] for line in lines(tmp_path)] == [0.01, 0.01, 0.01, 0.005, 0.004]
    assert result.epochs == [5]


def test_learning_rate_decays_exponentially():
    config = TrainConfig(initial_lr=0.1, final_lr=0.001)
    rates = [learning_rate(config, frames, 1000) for frames in (0, 250, 500, 1000)]
    assert rates == pytest.approx([0.1, 0.1 * 10**-0.5, 0.01, 0.001])


def test_updates_equal_torch():
    for config, theirs in (
        (TrainConfig(optimizer="sgd"), lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9)),
        (TrainConfig(optimizer="adam"), lambda w: torch.optim.Adam(w, lr=0.1)),
        (TrainConfig(optimizer="adam", beta1=0.4), lambda w: torch.optim.Adam(w, lr=0.1, betas=(0.4, 0.999))),
    ):
        update = update_of(config)
        random = torch.Generator().manual_seed(0)
        params = torch.randn(10, generator=random)
        expected = params.clone().requires_grad_()
        optimizer, state = theirs([expected]), initial_state(config, params)
        halves = [initial_state(config, params[:4]), initial_state(config, params[4:])]
        sliced = params.clone()
        for _ in range(5):
            grad = torch.randn(10, generator=random)
            expected.grad = grad.clone()
            optimizer.step()
            update(params, grad, state, 0.1)
            for part, half in zip((slice(0, 4), slice(4, 10)), halves, strict=True):  # slices give the same
                update(sliced[part], grad[part], half, 0.1)
        torch.testing.assert_close(params, expected.detach())
        torch.testing.assert_close(sliced, params)


def test_flat_parameters_are_views():
    model = small_model()
    before = weights(model)
    params, grad = flatten(model)
    assert torch.equal(weights(model), before)
    model(torch.ones(3, 1, 2), model.zero_state(1)).logits.sum().backward()
    assert grad.norm().item() == pytest.approx(math.sqrt(sum(w.grad.norm().item() ** 2 for w in model.parameters())))
    params.zero_()
    assert not weights(model).any()
    assert all(w.data_ptr() % 64 == 0 for w in model.parameters() if w.numel() > 16)


def test_data_that_does_not_fit_is_refused_before_training(tmp_path):
    data = synthetic.bits(3, 0)
    dev, config = data, TrainConfig(epochs=1)
    bad = {
        "utterance u000 has 2-dimensional features, the model wants 5": (small_model(input_dim=5), data),
        "utterance b has pdfs from 0 to 9, the model those from 0 to 1": (
            small_model(), {"b": (np.zeros((2, 2), np.float32), np.array([0, 9]))},
        ),
        "utterance d has features that are not finite": (
            small_model(), {"d": (np.array([[0, np.nan]], np.float32), np.array([0]))},
        ),
        "delay is 2 frames, the longest utterance of training has 1": (
            small_model(), {"e": (np.zeros((1, 2), np.float32), np.array([0]))},
        ),
        "there are no frames of training data": (small_model(), {}),
        "utterance c has 3 frames of features and 2 targets": (
            small_model(), {"c": (np.zeros((3, 2), np.float32), np.array([0, 1]))},
        ),
    }  # fmt: skip
    for message, (model, reader) in bad.items():
        with pytest.raises(ModelError, match=message):
            train(model, reader, dev, config, tmp_path, threads=1)
    assert not list(tmp_path.iterdir())


def test_non_finite_loss_names_the_utterances_and_keeps_the_checkpoint(tmp_path):
    data = synthetic.bits(20, 0)
    data["u007"][0][10, 0] = 3e38  # a number, but its square is none
    config = TrainConfig(streams=1, epochs=2, checkpoint_seconds=0)
    with pytest.raises(
        ModelError, match=r"the gradient's norm (inf|nan) on a chunk of the utterances u007: look for bad features"
    ):
        train(small_model(), data, synthetic.bits(2, 0, 1), config, tmp_path, threads=1)
    params = read_tensors(tmp_path / "checkpoint.safetensors")[0]["params"]
    assert params.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streams": 0}, "streams is 0; it has to be 1 or more"),
        ({"initial_lr": 0.0}, "initial_lr is 0.0; it has to be above 0"),
        ({"final_lr": 1.0}, "final_lr is 1.0, above initial_lr, 0.002"),
        ({"beta1": 1.0}, "beta1 is 1.0; it has to be at least 0 and below 1"),
        ({"momentum": 1.0}, "momentum is 1.0; it has to be at least 0 and below 1"),
        ({"average": "all"}, "average is 'all'; it has to be one of best, last"),
        ({"reset_probability": 1.0}, "reset_probability is 1.0; it has to be at least 0 and below 1"),
        ({"silence_weight": 0.0}, "silence_weight is 0.0; it has to be above 0"),
        ({"initial_lr": math.inf}, "initial_lr is inf; it has to be a finite number"),
        ({"max_grad_norm": math.nan}, "max_grad_norm is nan; it has to be a finite number"),
        ({"masks": Masks(band_width=-1)}, "masks.band_width is -1; it has to be 0 or more"),
        ({"optimizer": "adamw"}, "optimizer is 'adamw'; it has to be one of adam, sgd"),
    ],
)
def test_values_that_cannot_be(changes, message):
    with pytest.raises(ModelError, match=message):
        TrainConfig(**changes).check()


@pytest.mark.parametrize(
    ("model", "training", "message"),
    [
        ({}, {"frames": 0}, "frames is 0, whole utterances, but a lstm of direction forward is trained on chunks"),
        ({"kind": "rnn"}, {"frames": 0}, "frames is 0, whole utterances, but a rnn"),
        ({"direction": "both", "delay": 0}, {}, "frames is 20, but a network of direction both without left_context"),
        ({"layers": 0}, {}, "layers is 0"),
        ({}, {"epochs": 0}, "epochs is 0"),
    ],
)
def test_configs_that_do_not_go_together(model, training, message):
    with pytest.raises(ModelError, match=message):
        check_pair(ModelConfig(**model), TrainConfig(**training))


def test_evaluation_of_whole_utterances_bounds_its_memory(monkeypatch):
    model, dev, sizes = small_model(direction="both", delay=0), synthetic.bits(9, 0), []
    expected = evaluate(model, dev, streams=16)
    monkeypatch.setattr("nnet.train.MOST_FRAMES", 200)
    monkeypatch.setattr(
        "nnet.train.errors", lambda model, chunk, *given: (sizes.append(chunk.feats), errors(model, chunk, *given))[1]
    )
    assert evaluate(model, dev, streams=16) == pytest.approx(expected)
    assert max(feats.shape[0] * feats.shape[1] for feats in sizes) <= 200
    assert any(feats.shape[1] > 1 for feats in sizes)
