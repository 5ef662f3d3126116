import json
import math
from pathlib import Path

import pytest
import torch
import yaml

from nnet.config import ModelConfig, TrainConfig, check_pair
from nnet.errors import ModelError
from nnet.model import Network, carry_state, count_parameters, initialise, load_model, log_posteriors, save_model

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize(
    ("cells", "projection", "layers", "millions"),
    [
        (840, 0, 5, 37.52), (440, 0, 5, 13.32), (600, 0, 2, 12.97), (385, 0, 7, 13.26), (750, 0, 1, 13.06),
        (6000, 800, 1, 36.38), (2048, 512, 2, 22.31), (1024, 512, 3, 19.53), (1024, 512, 2, 14.80),
        (800, 512, 2, 13.16), (2048, 512, 1, 12.87), (700, 400, 2, 9.73), (600, 350, 2, 8.03),
    ],
)  # fmt: skip
def test_parameter_counts_of_the_paper(cells, projection, layers, millions):
    with torch.device("meta"):
        model = Network(ModelConfig(layers=layers, cells=cells, projection=projection), 40, 14247)
    assert f"{count_parameters(model, biases=False) / 1e6:.2f}" == f"{millions:.2f}"
    assert count_parameters(model) - count_parameters(model, biases=False) == layers * 4 * cells + 14247


def small_model(**changes):
    model = Network(ModelConfig(**{"layers": 2, "cells": 6, "projection": 4} | changes), input_dim=3, num_pdfs=5)
    initialise(model, seed=1)
    return model


def test_log_posteriors_follow_the_delay():
    model = small_model(delay=2, dropout=0.5)
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    extended = torch.cat([x, x[-1:], x[-1:]])[:, None]
    expected = model(extended, model.zero_state(1)).logits[2:, 0].log_softmax(-1)
    (found,) = log_posteriors(model, [x], chunk=7)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(30))


WITHOUT_STATE = [
    {"kind": "dnn", "left_context": 3, "right_context": 2},
    {"direction": "both"},
    {"direction": "both", "projection": 0, "left_context": 4, "right_context": 3},
    {"direction": "backward"},
]


@pytest.mark.parametrize("changes", [{}, {"kind": "rnn"}, *WITHOUT_STATE])
def test_log_posteriors_of_every_kind_have_the_utterances_lengths(changes):
    model = small_model(**{"projection": 0 if "kind" in changes else 4, "delay": 0} | changes)
    feats = [torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) for n in (30, 1, 17)]
    found = log_posteriors(model, feats, chunk=10)
    assert [tuple(x.shape) for x in found] == [(30, 5), (1, 5), (17, 5)]
    for together, x in zip(found, feats, strict=True):
        torch.testing.assert_close(together, log_posteriors(model, [x])[0])


def test_a_dnn_labels_the_middle_of_its_window():
    model = small_model(kind="dnn", projection=0, delay=0, left_context=2, right_context=1)
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    found = log_posteriors(model, [x])[0]
    for t in range(9):
        window = torch.cat([x[max(0, min(8, t + k))] for k in (-2, -1, 0, 1)])
        hidden = window
        for layer in model.layers:
            hidden = torch.relu(layer.linear.weight @ hidden + layer.linear.bias)
        torch.testing.assert_close(found[t], model.output(hidden).log_softmax(-1))


def test_a_bidirectional_model_labels_the_middle_of_its_window():
    model = small_model(direction="both", delay=0, left_context=4, right_context=3)
    everything = small_model(direction="both", delay=0)
    everything.load_state_dict(model.state_dict())
    x = torch.randn(4 + 5 + 3, 2, 3, generator=torch.Generator().manual_seed(0))
    logits = model(x, model.zero_state(2)).logits
    torch.testing.assert_close(logits, everything(x, model.zero_state(2)).logits[4:9])


def test_log_posteriors_of_several_utterances_are_those_of_each():
    model = small_model()
    feats = [torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) for n in (30, 1, 17)]
    for together, x in zip(log_posteriors(model, feats, chunk=10), feats, strict=True):
        torch.testing.assert_close(together, log_posteriors(model, [x])[0])


def test_log_posteriors_refuse_another_dimension():
    with pytest.raises(ModelError, match="the features have 4 dimensions, the model was trained on 3"):
        log_posteriors(small_model(), [torch.zeros(5, 4)])


def test_carried_state_follows_its_stream_or_starts_at_zero():
    state = [(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]]))]
    ((c, r),) = carry_state(state, torch.tensor([1, -1, 0]))
    assert c.flatten().tolist() == [2, 0, 1]
    assert r.flatten().tolist() == [4, 0, 3]


def test_initial_weights():
    model = small_model(init="uniform", init_range=0.02, cells=50)
    assert all(0.015 < w.abs().max() <= 0.02 for w in model.parameters() if w.numel() > 20)
    model = small_model(init="fan_in", forget_bias=1.0, cells=64)
    (layer,) = model.layers[0].directions
    assert 0.9 / math.sqrt(3) < layer.W_x.abs().max() <= 1 / math.sqrt(3)
    assert layer.b.view(4, 64).sum(1).tolist() == [0, 64, 0, 0]
    assert not layer.w_c.any()
    same, other = small_model(), small_model()
    initialise(other, seed=2)
    assert torch.equal(same.output.weight, small_model().output.weight)
    assert not torch.equal(same.output.weight, other.output.weight)


def test_save_and_load(tmp_path):
    model = small_model(peepholes=False, delay=3)
    save_model(tmp_path, model, prior_counts=[1.0, 2.0], tree="abc")
    loaded, about = load_model(tmp_path)
    assert loaded.config == model.config
    assert (about["input_dim"], about["num_pdfs"], about["delay"], about["tree"]) == (3, 5, 3, "abc")
    for a, b in zip(loaded.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_damaged_models_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"model.json is missing; .* holds no trained network"):
        load_model(tmp_path)
    save_model(tmp_path, small_model())
    about = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(about | {"num_pdfs": 7}))
    with pytest.raises(ModelError, match=r"'output.bias' is \(5,\) in model.safetensors, \(7,\) by model.json"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ModelError, match="not a model of this program"):
        load_model(tmp_path)
    save_model(tmp_path, small_model())
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:-10])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers is 0; it has to be 1 or more"),
        ({"delay": -1}, "delay is -1; it has to be 0 or more"),
        ({"clip": 0.0}, "clip is 0.0; it has to be above 0"),
        ({"dropout": 1.0}, "dropout is 1.0; it has to be at least 0 and below 1"),
        ({"kind": "gru"}, "kind is 'gru'; it has to be one of lstm, rnn, dnn"),
        ({"kind": "dnn"}, "delay is 5; a dnn sees the following frames without it: it has to be 0"),
        ({"direction": "both"}, "delay is 5; a network of direction both sees the following frames without it"),
        ({"kind": "rnn", "projection": 8}, "kind is rnn; only lstm has a projection"),
        ({"kind": "dnn", "delay": 0, "precision": "bf16"}, "kind is dnn; only lstm has .* another precision"),
        ({"left_context": 3}, "left_context and right_context are 3 and 0; a network that sees .* have to be 0"),
        ({"init": "zero"}, "init is 'zero'; it has to be one of uniform, fan_in"),
    ],
)
def test_values_that_cannot_be(changes, message):
    with pytest.raises(ModelError, match=message):
        Network(ModelConfig(**changes), 40, 10)


def test_shipped_configs_hold_known_keys():
    files = sorted((CONF / "nnet").rglob("*.yaml"))
    assert len(files) > 8
    for file in [CONF / "train_nnet.yaml", *files]:
        given = yaml.safe_load(file.read_text())
        assert given.keys() <= {"model", "training"}
        check_pair(ModelConfig(**given.get("model", {})), TrainConfig(**given.get("training", {})))


def test_the_networks_are_about_equally_large():
    sizes = {}
    for file in (CONF / "nnet").glob("*.yaml"):
        with torch.device("meta"):
            model = Network(ModelConfig(**yaml.safe_load(file.read_text())["model"]), 40, 124)
        sizes[file.stem] = count_parameters(model)
    names = {"dnn", "rnn", "lstm", "lstm_deep", "lstmp_10ms", "lstmp_30ms", "lstmp_deep", "blstm", "blstmp"}
    assert sizes.keys() == names | {"lstmp"}
    assert sizes["lstmp"] < sizes["lstmp_10ms"]
    assert all(abs(sizes[name] / sizes["lstmp_10ms"] - 1) < 0.02 for name in names)


def test_long_utterances_are_computed_in_smaller_groups(monkeypatch):
    model = small_model(direction="both", delay=0)
    feats = [torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) for n in (30, 20, 17)]
    expected, sizes = log_posteriors(model, feats), []
    monkeypatch.setattr("nnet.model.MOST_FRAMES", 45)
    model.register_forward_pre_hook(lambda _, given: sizes.append(tuple(given[0].shape[:2])))
    for found, x in zip(log_posteriors(model, feats), expected, strict=True):
        torch.testing.assert_close(found, x)
    assert sizes == [(30, 1), (20, 2)]


def test_an_utterance_that_has_ended_is_computed_no_longer():
    model, sizes = small_model(delay=2), []
    model.register_forward_pre_hook(lambda _, given: sizes.append(tuple(given[0].shape[:2])))
    log_posteriors(model, [torch.zeros(n, 3) for n in (8, 30, 17, 9)], chunk=10)
    assert sizes == [(10, 4), (10, 3), (10, 1), (2, 1)]  # two frames more than each has


def test_a_dnn_is_computed_in_pieces():
    model, sizes = small_model(kind="dnn", projection=0, delay=0, left_context=3, right_context=2), []
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    log_posteriors(model, [torch.zeros(25, 3)], chunk=10)
    assert sizes == [15, 15, 10]
