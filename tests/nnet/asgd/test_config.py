"""How streams and learning rates are shared among workers."""

import pytest

from nnet.asgd.config import AsgdConfig, config_of_each
from nnet.asgd.training import train_asgd
from nnet.config import TrainConfig
from nnet.errors import ModelError
from nnet.model import Network, initialise
from tests.nnet import synthetic

RATES = {"initial_lr": 0.01, "final_lr": 0.001}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_one_worker_trains_as_the_config_says(optimizer):
    training = TrainConfig(streams=5, optimizer=optimizer, **RATES)
    assert config_of_each(training, AsgdConfig(), 1) == training


def test_adams_rates_fall_with_the_root_of_the_streams_and_those_of_sgd_with_their_number():
    adam = config_of_each(TrainConfig(streams=18, **RATES), AsgdConfig(), 2)
    assert (adam.streams, adam.initial_lr, adam.final_lr) == pytest.approx((9, 0.01 / 2**0.5, 0.001 / 2**0.5))
    sgd = config_of_each(TrainConfig(streams=18, optimizer="sgd", **RATES), AsgdConfig(), 2)
    assert (sgd.streams, sgd.initial_lr, sgd.final_lr) == pytest.approx((9, 0.005, 0.0005))


def test_what_the_streams_do_not_divide_into_counts_as_it_is():
    each = config_of_each(TrainConfig(streams=16, optimizer="sgd", **RATES), AsgdConfig(), 3)
    assert (each.streams, each.initial_lr) == pytest.approx((5, 0.01 * 5 / 16))
    each = config_of_each(TrainConfig(streams=4, **RATES), AsgdConfig(), 64)  # a stream at least
    assert (each.streams, each.initial_lr) == pytest.approx((1, 0.005))


def test_streams_of_their_own():
    training = TrainConfig(streams=16, **RATES)
    assert config_of_each(training, AsgdConfig(share_streams=False), 4) == training


def test_training_shares_them(tmp_path, capsys):
    model = Network(synthetic.RECURRENT, input_dim=2, num_pdfs=2)
    initialise(model, seed=1)
    data, training = synthetic.bits(2, -2), TrainConfig(streams=8, **RATES)
    with pytest.raises(ModelError, match="there are local, ray and"):  # said before anything is started
        train_asgd(model, data, data, training, AsgdConfig(), tmp_path, workers=2, cluster="nowhere")
    assert "workers: 2, streams of each: 4, learning rate from 0.0071" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_weights_decay_as_much_in_an_epoch(optimizer):
    training = TrainConfig(streams=16, optimizer=optimizer, weight_decay=0.1, **RATES)
    each = config_of_each(training, AsgdConfig(), 4)
    assert 4 * each.initial_lr * each.weight_decay == pytest.approx(0.01 * 0.1)  # four times as many updates
