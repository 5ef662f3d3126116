import pytest

from nnet.config import ModelConfig, TrainConfig
from nnet.errors import ModelError
from nnet.model import Network
from nnet.schedule import dropout_at, learning_rate
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


def test_dropout_follows_kaldis_schedule():
    model, config = ModelConfig(dropout=0.3), TrainConfig(dropout_schedule="0,0@0.20,0.5@0.50,0")
    found = [dropout_at(model, config, done) for done in (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.01)]
    assert found == pytest.approx([0, 0, 0, 0.25, 0.5, 0.25, 0, 0])
    assert dropout_at(model, TrainConfig(), 0.5) == 0.3
    assert dropout_at(model, TrainConfig(dropout_schedule="0.2,0.2@0.5,0@0.5,0"), 0.5) == pytest.approx(0.0)  # a step


@pytest.mark.parametrize("text", ["0", "0.5", "0,", ",", "0,x@0.5,0", "0,0.5,0", "0,0.5@x,0", "0,1@2@3,0", "0,0@x,0"])
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(ModelError, match=f"'{text}' is no schedule; it"):
        TrainConfig(dropout_schedule=text).check()


def test_schedules_that_cannot_be_are_refused():
    for text in ("0,0.5@0.6,0.2@0.4,0", "0,0.5@1.2,0", "0,0.5@-0.1,0"):
        with pytest.raises(ModelError, match="is no schedule; its fractions have to rise from 0 to 1"):
            TrainConfig(dropout_schedule=text).check()
    for text in ("0,1@0.5,0", "0,-0.1", "0,nan@0.5,0"):
        with pytest.raises(ModelError, match="its values have to be at least 0 and below 1"):
            TrainConfig(dropout_schedule=text).check()


def test_training_drops_by_the_schedule(tmp_path, monkeypatch):
    drawn, real = [], Network.draw_dropout
    monkeypatch.setattr(Network, "draw_dropout", lambda self, *given: drawn.append(given[2]) or real(self, *given))
    config = TrainConfig(streams=4, epochs=2, dropout_schedule="0,0.5@0.5,0")
    train(small_model(dropout=0.9), synthetic.bits(20, 0), synthetic.bits(5, 0, 1), config, tmp_path, threads=1)
    assert drawn[0] == 0
    assert 0.4 < max(drawn) <= 0.5
    assert 0 < drawn[-1] < 0.1
