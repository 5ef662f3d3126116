import numpy as np
import pytest

from nnet.config import TrainConfig
from nnet.errors import ModelError
from nnet.train import train
from tests.nnet import synthetic
from tests.nnet.synthetic import small_model


def test_data_that_does_not_fit_is_refused_before_training(tmp_path):
    data = synthetic.bits(3, 0)
    dev, config = data, TrainConfig(epochs=1)
    bad = {
        "utterance u000 has 2-dimensional features, the model wants 5": (small_model(input_dim=5), data),
        "utterance b has pdfs from 0 to 9, the model those from 0 to 1": (
            small_model(), {"b": (np.zeros((2, 2), np.float32), np.array([0, 9]))},
        ),
        "utterance d has features that are not finite": (
            small_model(), {"d": (np.array([[0, np.nan]], np.float32), np.array([0]))},
        ),
        "delay is 2 steps, the longest utterance of training has 1": (
            small_model(), {"e": (np.zeros((1, 2), np.float32), np.array([0]))},
        ),
        "there are no frames of training data": (small_model(), {}),
        "utterance c has 3 frames of features and 2 targets": (
            small_model(), {"c": (np.zeros((3, 2), np.float32), np.array([0, 1]))},
        ),
    }  # fmt: skip
    for message, (model, reader) in bad.items():
        with pytest.raises(ModelError, match=message):
            train(model, reader, dev, config, tmp_path, threads=1)
    assert not list(tmp_path.iterdir())
