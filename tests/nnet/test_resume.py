"""A run that was killed or stopped ends with the bits of one that was not."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nnet.augment import Masks
from nnet.config import ModelConfig
from nnet.files import read_tensors
from nnet.train import count
from tests.nnet import synthetic
from tests.nnet.synthetic import lines, weights

THIRD = {"stack": 4, "ahead": 1, "skip": 3}


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
        (replace(synthetic.RECURRENT, **THIRD), {"epochs": 4}),
        (replace(synthetic.RECURRENT, **THIRD), {"epochs": 4, "chunks": "shuffled", "shuffle": 5}),
        (replace(synthetic.BOTH_WAYS, **THIRD), {"epochs": 4, "frames": 5}),
        (
            replace(synthetic.RECURRENT, layer_norm=True),
            {
                "dropout_schedule": "0,0.5@0.5,0",
                "weight_decay": 0.1,
                "average": "ema",
                "masks": Masks(bands=1, band_width=1, gaps=5),
            },
        ),
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


def progress(checkpoint):
    return json.loads(read_tensors(checkpoint)[1]["progress"]) if checkpoint.exists() else {}


def test_finished_run_is_not_trained_again(tmp_path):
    model, result = synthetic.run(tmp_path)
    log = (tmp_path / "train.jsonl").read_bytes()
    again, same = synthetic.run(tmp_path)
    assert same == result
    assert torch.equal(weights(model), weights(again))
    assert (tmp_path / "train.jsonl").read_bytes() == log
