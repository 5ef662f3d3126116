"""Values and pairs of values that a config cannot have."""

import math

import pytest

from nnet.augment import Masks
from nnet.config import ModelConfig, TrainConfig, check_pair
from nnet.errors import ModelError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streams": 0}, "streams is 0; it has to be 1 or more"),
        ({"initial_lr": 0.0}, "initial_lr is 0.0; it has to be above 0"),
        ({"final_lr": 1.0}, "final_lr is 1.0, above initial_lr, 0.002"),
        ({"beta1": 1.0}, "beta1 is 1.0; it has to be at least 0 and below 1"),
        ({"momentum": 1.0}, "momentum is 1.0; it has to be at least 0 and below 1"),
        ({"average": "all"}, "average is 'all'; it has to be one of best, last, ema"),
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
