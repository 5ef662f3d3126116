from dataclasses import replace

import torch

from nnet.chunks import NO_TARGET, stream_chunks
from nnet.config import TrainConfig
from nnet.gradient import Replicas, train_chunk
from nnet.losses.cross_entropy import CrossEntropy, pdf_weights
from tests.nnet import synthetic
from tests.nnet.synthetic import small_model


def test_padding_and_first_outputs_yield_no_gradient():
    model = small_model(delay=5)
    data = synthetic.bits(3, 0)
    data = {name: (feats[: 7 + i], bits[: 7 + i]) for i, (name, (feats, bits)) in enumerate(data.items())}
    (chunk,) = stream_chunks(data, list(data), streams=3, frames=20, delay=5)
    replicas = Replicas(model)
    train_chunk(replicas, chunk, [], TrainConfig(), CrossEntropy())
    expected = replicas.grad.clone()
    padded = torch.cat([chunk.feats, torch.full((4, 3, 2), 100.0)])  # whatever stands there
    padded[12:, 0], padded[13:, 1] = -100.0, 33.0
    longer = replace(chunk, feats=padded, targets=torch.nn.functional.pad(chunk.targets, (0, 0, 0, 4), value=-100))
    train_chunk(replicas, longer, [], TrainConfig(), CrossEntropy())
    torch.testing.assert_close(replicas.grad, expected)
    # the outputs of the first five frames: their logits' gradient is zero
    logits = model(chunk.feats, model.zero_state(3)).logits.detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), chunk.targets.flatten(), ignore_index=-100)
    (dlogits,) = torch.autograd.grad(loss, logits)
    silent = dlogits.abs().sum(2) == 0
    assert silent[:5].all()
    assert silent.sum(0).tolist() == [5 + 2, 5 + 1, 5]  # and the padding


def test_silence_frames_weigh_less():
    model, data = small_model(), synthetic.bits(4, 0)
    chunk = next(stream_chunks(data, list(data), streams=4, frames=20, delay=2))
    replicas = Replicas(model)

    def gradient(targets, weights=None):
        train_chunk(replicas, replace(chunk, targets=targets), [], TrainConfig(), CrossEntropy(weights))
        return replicas.grad.clone()

    silence, speech = (torch.where(chunk.targets == pdf, chunk.targets, NO_TARGET) for pdf in (0, 1))
    weighted = gradient(chunk.targets, pdf_weights(2, [0], 0.25))
    torch.testing.assert_close(weighted, 0.25 * gradient(silence) + gradient(speech))
    assert pdf_weights(2, [0], 1.0) is None
