import pytest

from nnet.config import TrainConfig
from nnet.schedule import learning_rate
from nnet.train import train
from tests.nnet import synthetic
from tests.nnet.synthetic import lines, small_model


def test_learning_rate_decays_exponentially():
    config = TrainConfig(initial_lr=0.1, final_lr=0.001)
    rates = [learning_rate(config, frames, 1000) for frames in (0, 250, 500, 1000)]
    assert rates == pytest.approx([0.1, 0.1 * 10**-0.5, 0.01, 0.001])


def test_newbob_halves_and_stops(tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.6, 0.602, 0.61, 0.6105, 0.9])  # too small a gain, then half the rate until the next one
    monkeypatch.setattr("nnet.train.evaluate", lambda *_: (1.0, next(accuracies)))
    config = TrainConfig(streams=4, epochs=50, schedule="newbob", initial_lr=0.01, final_lr=0.004)
    result = train(small_model(delay=0), synthetic.bits(20, 0), synthetic.bits(5, 0, 1), config, tmp_path, threads=1)
    assert [line["lr"] for line in lines(tmp_path)] == [0.01, 0.01, 0.01, 0.005, 0.004]
    assert result.epochs == [5]
