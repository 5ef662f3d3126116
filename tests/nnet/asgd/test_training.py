from dataclasses import replace

import pytest
import torch

from nnet.asgd.config import AsgdConfig
from nnet.asgd.training import train_asgd
from nnet.config import TrainConfig
from nnet.model import Network, initialise
from nnet.train import train
from tests.nnet import synthetic


def model_of(config=synthetic.RECURRENT):
    model = Network(config, input_dim=2, num_pdfs=2)
    initialise(model, seed=1)
    return model


def weights(model):
    return torch.cat([w.detach().flatten() for w in model.parameters()])


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (synthetic.RECURRENT, {"reset_probability": 0.2, "max_grad_norm": 1.0, "average_epochs": 2}),
        (synthetic.RECURRENT, {"optimizer": "sgd", "schedule": "newbob", "initial_lr": 0.1}),
        (synthetic.RECURRENT, {"chunks": "shuffled", "shuffle": 16}),
        (synthetic.BOTH_WAYS, {"shuffle": 16}),
        (replace(synthetic.RECURRENT, stack=4, ahead=1, skip=3), {}),  # the epochs end where those of plain training do
    ],
)
def test_one_worker_gives_the_bits_of_plain_training(tmp_path, config, changes):
    training = TrainConfig(**{"streams": 4, "epochs": 3, "initial_lr": 0.01, "final_lr": 0.001} | changes)
    data, dev = synthetic.bits(40, -2), synthetic.bits(5, -2, 1)
    plain, alone = model_of(config), model_of(config)
    (tmp_path / "plain").mkdir()
    (tmp_path / "asgd").mkdir()
    expected = train(plain, data, dev, training, tmp_path / "plain", seed=3, threads=1)
    result = train_asgd(alone, data, dev, training, AsgdConfig(shards=1), tmp_path / "asgd", seed=3, workers=1)
    assert result == expected
    assert torch.equal(weights(plain), weights(alone))
