import pytest

from nnet.evaluation import evaluate
from nnet.losses import loss_named
from tests.nnet import synthetic
from tests.nnet.synthetic import small_model

CE = loss_named("cross_entropy")


def test_evaluation_of_whole_utterances_bounds_its_memory(monkeypatch):
    model, dev, sizes = small_model(direction="both", delay=0), synthetic.bits(9, 0), []
    expected = evaluate(model, dev, CE, streams=16)
    monkeypatch.setattr("nnet.evaluation.MOST_FRAMES", 200)
    model.register_forward_pre_hook(lambda _, given: sizes.append(given[0]))
    assert evaluate(model, dev, CE, streams=16) == pytest.approx(expected)
    assert max(feats.shape[0] * feats.shape[1] for feats in sizes) <= 200
    assert any(feats.shape[1] > 1 for feats in sizes)
