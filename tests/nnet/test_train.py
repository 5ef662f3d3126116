import math

import pytest

from nnet.config import TrainConfig
from nnet.errors import ModelError
from nnet.evaluation import evaluate
from nnet.files import read_tensors
from nnet.losses import loss_named
from nnet.train import train
from tests.nnet import synthetic
from tests.nnet.synthetic import lines, small_model

CE = loss_named("cross_entropy")


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_learns_what_needs_a_memory(tmp_path, optimizer):
    # the bits are independent, so a network without memory cannot do better than log 2 and one half
    lr = {"adam": (0.02, 0.002), "sgd": (0.5, 0.1)}[optimizer]
    model = small_model(delay=0, forget_bias=1.0)
    config = TrainConfig(streams=4, epochs=12, optimizer=optimizer, initial_lr=lr[0], final_lr=lr[1], max_grad_norm=5)
    result = train(model, synthetic.bits(80, -2), synthetic.bits(10, -2, 1), config, tmp_path, threads=1)
    loss, accuracy = evaluate(model, synthetic.bits(10, -2, 1), CE, streams=4)
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
def test_every_kind_learns_what_it_can_see(tmp_path, shift, model, training):
    usual = {"streams": 4, "epochs": 12, "initial_lr": 0.02, "final_lr": 0.002, "max_grad_norm": 5}
    model = small_model(**{"projection": 0} | model)
    data, dev = synthetic.bits(80, shift), synthetic.bits(10, shift, 1)
    assert train(model, data, dev, TrainConfig(**usual | training), tmp_path, threads=1).accuracy > 0.9


def test_delay_lets_the_network_see_ahead(tmp_path):
    config = TrainConfig(streams=4, epochs=10, initial_lr=0.02, final_lr=0.002, max_grad_norm=5)
    accuracy = {}
    for delay in (0, 3):
        data, dev = synthetic.bits(80, 2), synthetic.bits(10, 2, 1)
        (tmp_path / str(delay)).mkdir()
        model = small_model(delay=delay, forget_bias=1.0)
        accuracy[delay] = train(model, data, dev, config, tmp_path / str(delay), threads=1).accuracy
    assert accuracy[0] < 0.6
    assert accuracy[3] > 0.9


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
