"""Networks that start from the weights of another one."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import yaml

from nnet.files import read_tensors
from nnet.model import Network, initialise, load_model
from nnet.train import count
from steps.base.errors import InputError
from steps.gmm.transforms import Transform, write_transform
from tests.steps.test_train_nnet import SHORT, SMALL, Data

STILL = replace(SHORT, epochs=1, initial_lr=1e-30, final_lr=1e-30)  # the weights stay where they start


@pytest.fixture
def other(tmp_path):
    """A network on other states, of the phones 1 and 2 to 4."""
    data = Data(tmp_path / "other", phones=((1,), (2, 3, 4)))
    data.train()
    return data.exp


def tensors(folder):
    return read_tensors(folder / "model.safetensors")[0]


def test_on_the_same_states_all_weights_are_taken(tmp_path, capsys):
    data = Data(tmp_path)
    data.train()
    before, data.exp = data.exp, tmp_path / "more"
    data.train(training=STILL, seed=2, init=before)
    assert f"starting from the weights of {before}, with its output" in capsys.readouterr().out
    for name, w in tensors(before).items():
        assert torch.equal(w, tensors(data.exp)[name])
    known = yaml.safe_load((data.exp / "config.yaml").read_text())["init"]
    assert known["model"] == str(before)
    assert len(known["weights"]) == 16


@pytest.mark.parametrize("workers", [1, 2])
def test_on_other_states_the_output_is_new(tmp_path, other, capsys, workers):
    data = Data(tmp_path / "mine")
    data.train(training=STILL, seed=2, init=other, workers=workers)
    assert f"starting from the weights of {other}, with a new output" in capsys.readouterr().out
    fresh = Network(SMALL, input_dim=40, num_pdfs=data.model.num_pdfs)
    initialise(fresh, seed=2)
    for name, w in tensors(data.exp).items():
        start = fresh.state_dict()[name] if name.startswith("output.") else tensors(other)[name]
        torch.testing.assert_close(w, start, rtol=0, atol=1e-20)


def kill_after(monkeypatch, chunks):
    """Let a training end after so many chunks; the list that is returned gets the progress after each."""
    seen = []

    def counting(progress, *more):
        count(progress, *more)
        seen.append(progress.frames)
        if len(seen) == chunks:
            raise KeyboardInterrupt

    monkeypatch.setattr("nnet.train.count", counting)
    return seen


def test_a_killed_run_ends_with_the_same_bits(tmp_path, other, monkeypatch):
    data, training = Data(tmp_path / "mine"), replace(SHORT, checkpoint_seconds=0.0)
    data.train(training=training, init=other)
    whole, data.exp = tensors(data.exp), tmp_path / "killed"
    frames = kill_after(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        data.train(training=training, init=other)
    again = kill_after(monkeypatch, 0)
    data.train(training=training, init=other)
    assert again[0] == frames[2]  # it went on after the second chunk
    for name, w in tensors(data.exp).items():
        assert torch.equal(w, whole[name])


def test_another_start_is_another_run(tmp_path, other, monkeypatch):
    data, keys = Data(tmp_path / "mine"), []
    data.train()
    mine, data.exp = data.exp, tmp_path / "started"
    for init in (other, mine, None, other):
        kill_after(monkeypatch, 1)
        with pytest.raises(KeyboardInterrupt):
            data.train(init=init)
        keys.append((tmp_path / "started.partial/.key").read_text())
    assert len(set(keys)) == 3
    assert keys[0] == keys[3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": 5}, r"'layers.0.directions.0.W_x' is \(16, 40\) in the network to start from, \(20, 40\) in this"),
        ({"layers": 2}, r"'layers.1.directions.0.W_x' is missing in the network to start from, \(16, 3\) in this one"),
        ({"peepholes": False}, r"'layers.0.directions.0.w_c' is \(3, 4\) in the .* start from, missing in this one"),
        ({"layer_norm": True}, r"'norms.0.weight' is missing in the network to start from, \(3,\) in this one"),
        ({"kind": "rnn", "projection": 0}, "kind is lstm in the network to start from, rnn in this one"),
    ],
)
def test_other_layers_are_refused(tmp_path, other, changes, message):
    data = Data(tmp_path / "mine")
    with pytest.raises(InputError, match=f"^{other}: {message}.*; --init needs a network with the same layers"):
        data.train(model=replace(SMALL, **changes), init=other)
    assert not data.exp.exists()


def test_another_direction_is_refused(tmp_path, other):
    backward, whole = replace(SMALL, direction="backward", delay=0), replace(SHORT, frames=0)
    with pytest.raises(InputError, match="direction is forward in the network to start from, backward in this one"):
        Data(tmp_path / "mine").train(model=backward, training=whole, init=other)


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("sample_rate", 8000, True),
        ("num_mel_bins", 80, True),
        ("type", "mfcc", True),
        ("cmvn", "global", False),
        ("cmn_window", None, False),
    ],
)
def test_other_features_are_refused(tmp_path, other, name, value, refused):
    about = json.loads((other / "model.json").read_text())
    theirs = about["features"].pop(name)  # None: as before there was this option
    about["features"] |= {} if value is None else {name: value}
    (other / "model.json").write_text(json.dumps(about))
    data = Data(tmp_path / "mine")
    if refused:
        with pytest.raises(InputError, match=f"^{other}: its features have {name} {value}, those to train on {theirs}"):
            data.train(init=other)
    else:
        data.train(training=STILL, init=other)


def test_a_gmm_system_is_no_start(tmp_path, other):
    about = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps(about | {"kind": "gmm"}))
    with pytest.raises(InputError, match=f"^{other}: a GMM system; --init needs a network$"):
        Data(tmp_path / "mine").train(init=other)


def test_what_was_trained_says_so(tmp_path, other):
    data = Data(tmp_path / "mine")
    data.train(init=other)
    model, about = load_model(data.exp)
    assert (asdict(model.config), about["num_pdfs"]) == (asdict(SMALL), data.model.num_pdfs)


def test_another_transform_of_the_features_is_refused(tmp_path, other):
    write_transform(other, Transform(matrix=np.eye(40)))
    with pytest.raises(InputError, match=f"^{other}: its transform.npz is not that of the features to train on;"):
        Data(tmp_path / "mine").train(init=other)
