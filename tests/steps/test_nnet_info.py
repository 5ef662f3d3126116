import json
from pathlib import Path

import pytest

from nnet.config import ModelConfig, TrainConfig
from steps.base.cli import command
from steps.base.nnet_file import read_nnet_file
from steps.nnet_info import nnet_info
from steps.reporting.network import describe

PAPER = Path(__file__).parents[2] / "conf" / "nnet" / "paper"

MILLIONS = {
    "lstm_5x840": "37.52",
    "lstm_5x440": "13.32",
    "lstm_2x600": "12.97",
    "lstm_7x385": "13.26",
    "lstm_1x750": "13.06",
    "lstmp_1x6000_800": "36.38",
    "lstmp_2x2048_512": "22.31",
    "lstmp_3x1024_512": "19.53",
    "lstmp_2x1024_512": "14.80",
    "lstmp_2x800_512": "13.16",
    "lstmp_1x2048_512": "12.87",
    "lstmp_2x700_400": "9.73",
    "lstmp_2x600_350": "8.03",
}


@pytest.fixture
def nnet(tmp_path):
    """Write a file as those of conf/nnet."""

    def write(content):
        file = tmp_path / "nnet.yaml"
        file.write_text(content)
        return file

    return write


@pytest.fixture
def info(capsys):
    """Give the JSON that the command prints."""

    def run(file, *arguments):
        command(nnet_info, [str(file), *arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    return run


def test_all_networks_of_the_paper_are_there():
    assert {path.stem for path in PAPER.glob("*.yaml")} == set(MILLIONS)


@pytest.mark.parametrize(("name", "millions"), MILLIONS.items())
def test_the_papers_parameters(info, name, millions):
    found = info(PAPER / f"{name}.yaml", "--input-dim", "40", "--output-dim", "14247")
    assert f"{found['parameters_without_biases'] / 1e6:.2f}" == millions
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"]
    assert found["latency_frames"] == 5


def test_json_of_a_small_network(info, nnet):
    file = nnet("model: {layers: 1, cells: 8, projection: 4, delay: 3}\ntraining: {epochs: 2}\n")
    assert info(file, "--input-dim", "5", "--output-dim", "10") == {
        "input_dim": 5,
        "stack": 1,
        "ahead": 0,
        "skip": 1,
        "phases": "first",
        "output_dim": 10,
        "layers": [
            {
                "name": "layers.0",
                "kind": "lstmp",
                "shapes": {
                    "directions.0.W_x": [32, 5],
                    "directions.0.W_r": [32, 4],
                    "directions.0.b": [32],
                    "directions.0.w_c": [3, 8],
                    "directions.0.W_m": [4, 8],
                },
                "parameters": 376,
                "parameters_without_biases": 344,
            },
            {
                "name": "output",
                "kind": "softmax",
                "shapes": {"weight": [10, 4], "bias": [10]},
                "parameters": 50,
                "parameters_without_biases": 40,
            },
        ],
        "parameters": 426,
        "parameters_without_biases": 384,
        "multiply_adds_per_frame": 384,
        "latency_frames": 3,
        "left_context": 0,
        "right_context": 0,
    }


@pytest.mark.parametrize(
    ("config", "frames"),
    [
        (ModelConfig(delay=7), 7),
        (ModelConfig(kind="rnn", delay=2), 2),
        (ModelConfig(delay=2, stack=8, ahead=4, skip=3), 10),
        (ModelConfig(kind="dnn", delay=0, left_context=10, right_context=4), 4),
        (ModelConfig(kind="dnn", delay=0, left_context=2, right_context=1, stack=3, ahead=1, skip=3), 4),
        (ModelConfig(direction="both", delay=0, left_context=10, right_context=4), None),
        (ModelConfig(direction="backward", delay=0), None),
    ],
)
def test_latency(config, frames):
    assert describe(config, 40, 10).latency_frames == frames


def test_a_dnn_reads_its_window_at_once():
    config = ModelConfig(kind="dnn", layers=2, cells=6, delay=0, left_context=2, right_context=1)
    info = describe(config, input_dim=5, output_dim=7)
    assert info.multiply_adds_per_frame == 6 * (4 * 5) + 6 * 6 + 7 * 6
    assert (info.left_context, info.right_context) == (2, 1)


def test_stacked_frames_and_steps(nnet, capsys):
    model = "model: {layers: 1, cells: 8, projection: 4, delay: 2, stack: 8, ahead: 4, skip: 3}"
    command(nnet_info, [str(nnet(model)), "--output-dim", "10"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    parameters = 32 * (8 * 40) + 32 * 4 + 3 * 8 + 4 * 8 + 10 * 4
    for expected in (
        "input 40 features of 8 frames, 4 of them ahead",
        "rate an output every 3 frames",
        f"multiply-adds per frame {round(parameters / 3):,} (every matrix and every peephole once a step)",
        "latency 10 frames",
    ):
        assert expected in lines


def test_table(nnet, capsys):
    command(nnet_info, [str(nnet("model: {layers: 1, cells: 8, direction: both, delay: 0}")), "--output-dim", "1000"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for expected in (
        "layers.0 bidirectional lstm W_x 32×40, W_r 32×8, b 32, w_c 3×8 3,184 3,120",
        "W_x 32×40, W_r 32×8, b 32, w_c 3×8",  # the other direction
        "output softmax weight 1000×16, bias 1000 17,000 16,000",
        "total 20,184 19,120",
        "without biases 19,120 (0.02M)",
        "multiply-adds per frame 19,120 (every matrix and every peephole once)",
        "latency the whole utterance",
    ):
        assert expected in lines


def test_file_of_all_groups_is_read(nnet):
    file = nnet("model: {cells: 9}\ntraining: {epochs: 3, masks: {bands: 2}}\nasgd: {push_every: 2}\n")
    model, training = read_nnet_file(file)
    assert model == ModelConfig(cells=9)
    assert (training.epochs, training.masks.bands) == (3, 2)
    assert read_nnet_file(nnet("# nothing yet\n")) == (ModelConfig(), TrainConfig())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model: {cels: 3}", "Group 'model' does not accept option 'cels'; did you mean 'model.cells'?"),
        ("training: {epoch: 3}", "does not accept option 'epoch'; did you mean 'training.epochs'?"),
        ("modl: {cells: 3}", "is not accepted; did you mean 'model"),
        ("model: {cells: 0}", "cells is 0; it has to be 1 or more"),
        ("training: {epochs: 0}", "epochs is 0; it has to be 1 or more"),
        ("model: {cells: 3, cells: 4}", "'cells' is given twice"),
        ("model: {kind: gru}", "model.kind is gru; it has to be one of 'lstm', 'rnn', 'dnn'"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(nnet, content, message):
    file = nnet(content)
    with pytest.raises(SystemExit) as stop:
        command(nnet_info, [str(file)])
    assert stop.value.code.startswith(f"error: {file}: ")
    assert message in stop.value.code
    assert "--help" not in stop.value.code  # its options are not this command's


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(SystemExit) as stop:
        command(nnet_info, [str(tmp_path / "none.yaml")])
    assert stop.value.code == f"error: {tmp_path / 'none.yaml'}: there is no such file"


def test_dimensions_that_cannot_be_are_refused(nnet):
    with pytest.raises(SystemExit, match=r"^error: output_dim is 0; it has to be 1 or more$"):
        command(nnet_info, [str(nnet("")), "--output-dim", "0"])
