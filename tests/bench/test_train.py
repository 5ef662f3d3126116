"""What the speed of training is measured in."""

import numpy as np
import pytest

from nnet.config import ModelConfig, TrainConfig
from tests.bench import train
from tests.bench.turns import in_turns

DATA = {f"u{i}": (np.zeros((60, 40), np.float32), np.zeros(60, int)) for i in range(8)}


@pytest.mark.parametrize("skip", [1, 3])
def test_audio_is_counted_by_frames_and_not_by_steps(skip, monkeypatch):
    """Four utterances of 0.6 seconds a round; each round counts as one second of training."""

    def in_a_second(contestants, rounds, warm_up):
        times = in_turns(contestants, rounds, warm_up)
        return {name: [1.0] * len(seconds) for name, seconds in times.items()}

    monkeypatch.setattr(train, "in_turns", in_a_second)
    monkeypatch.setattr(train, "STEPS_A_ROUND", 0)
    model = ModelConfig(layers=1, cells=2, delay=0, stack=skip, skip=skip)
    training = TrainConfig(streams=4, frames=100)
    _, ours, theirs, over_torch = train.measure(model, training, DATA)
    assert ours == theirs == pytest.approx(4 * 0.6)
    assert over_torch == 1
