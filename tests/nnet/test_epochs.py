"""Which epochs are kept and averaged."""

import pytest
import torch

from nnet.config import TrainConfig
from nnet.epochs import keep
from nnet.evaluation import evaluate
from nnet.losses import loss_named
from nnet.train import train
from nnet.update import apply_update
from tests.nnet import synthetic
from tests.nnet.synthetic import lines, small_model, weights

CE = loss_named("cross_entropy")


def test_best_epoch_is_kept(tmp_path):
    # a learning rate that wrecks the network after a good start
    model = small_model(delay=0, forget_bias=1.0)
    config = TrainConfig(streams=4, epochs=4, optimizer="sgd", initial_lr=1.0, final_lr=1.0, max_grad_norm=1)
    dev = synthetic.bits(10, 0, 1)
    result = train(model, synthetic.bits(40, 0), dev, config, tmp_path, threads=1)
    accuracies = [line["dev_accuracy"] for line in lines(tmp_path)]
    assert result.accuracy == max(accuracies)
    assert result.epochs == [1 + accuracies.index(max(accuracies))]
    assert evaluate(model, dev, CE, streams=4)[1] == max(accuracies)


@pytest.mark.parametrize("average", ["best", "last"])
def test_the_average_of_epochs_is_kept(tmp_path, monkeypatch, capsys, average):
    model, seen = small_model(), []
    monkeypatch.setattr("nnet.epochs.keep", lambda *given: (seen.append(weights(model)), keep(*given)))
    config = TrainConfig(streams=4, epochs=5, average=average, average_epochs=2, initial_lr=0.05, final_lr=0.04)
    dev = synthetic.bits(5, 0, 1)
    result = train(model, synthetic.bits(40, 0), dev, config, tmp_path, threads=1)
    accuracies = [line["dev_accuracy"] for line in lines(tmp_path)]
    best = sorted(sorted(range(5), key=lambda k: (-accuracies[k], k))[:2])
    expected = best if average == "best" else [3, 4]
    assert result.epochs == [k + 1 for k in expected]
    torch.testing.assert_close(weights(model), torch.stack([seen[k] for k in expected]).mean(0))
    assert evaluate(model, dev, CE, streams=4)[1] == result.accuracy  # dev is measured with it
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert [line.endswith("(best)") for line in printed] == [
        accuracies[k] > max(accuracies[:k], default=0) for k in range(5)
    ]


def test_the_moving_average_is_kept(tmp_path, monkeypatch):
    """A mean over the first frames, as many as the time constant, then exponential."""
    seen = []

    def recorded(config, params, grad, state, frames, before, planned, halvings):
        lr = apply_update(config, params, grad, state, frames, before, planned, halvings)
        seen.append((params.clone(), frames, before))
        return lr

    monkeypatch.setattr("nnet.train.apply_update", recorded)
    model, data, dev = small_model(), synthetic.bits(8, 0), synthetic.bits(5, 0, 1)
    config = TrainConfig(streams=4, frames=2, epochs=3, average="ema", initial_lr=0.05, final_lr=0.04)
    result = train(model, data, dev, config, tmp_path, threads=1)
    assert seen[0][1] == 0  # a chunk of the delay's frames alone
    span, average = sum(len(targets) for _, targets in data.values()), torch.zeros_like(seen[0][0])
    for params, frames, before in seen:
        share = frames / max(1, min(before + frames, span))
        average = (1 - share) * average + share * params
    unpadded = torch.cat([average[start : start + w.numel()] for start, w in places(model)])
    torch.testing.assert_close(weights(model), unpadded)
    assert result.epochs == [3]
    assert result.accuracy == evaluate(model, dev, CE)[1]


def places(model):
    """Where each of the parameters begins in the flat vector, whose beginning all of them are views of."""
    first = next(model.parameters()).data_ptr()
    return [((w.data_ptr() - first) // 4, w) for w in model.parameters()]
