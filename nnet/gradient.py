"""The gradient of a chunk, computed by one thread or by several at once.

Each thread takes a part of the streams, as the paper's do; the parts' gradients are added in a fixed order, and what is
random is drawn before. So the same number of threads gives the same bits, and another one only rounds otherwise.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nnet.checkpoint import Sums
from nnet.chunks import NO_TARGET, Chunk
from nnet.layers.lstm import State
from nnet.model import AcousticModel, Output, carry_state
from nnet.optimizer import flatten, share


class Replicas:
    """A model, with a copy on the same weights for every further thread.

    Parameters
    ----------
    model : AcousticModel
    threads : int

    Attributes
    ----------
    params, grad : Tensor, shape (N,)
        The flat weights of all copies, and the model's flat gradient.
    """

    def __init__(self, model: AcousticModel, threads: int = 1) -> None:
        self.params, self.grad = flatten(model)
        self.models, self.grads = [model], [self.grad]
        for _ in range(threads - 1):
            self.models.append(copy.deepcopy(model))
            self.grads.append(share(self.models[-1], self.params))
        self._pool = ThreadPoolExecutor(threads)

    def run(self, function: Callable, parts: Sequence[tuple]) -> list:
        """Call ``function(model, grad, *part)`` for each part, with a copy and in a thread of its own."""
        calls = [(model, grad, *part) for model, grad, part in zip(self.models, self.grads, parts, strict=False)]
        return [function(*calls[0])] if len(calls) == 1 else list(self._pool.map(lambda call: function(*call), calls))


def chunk_gradient(
    replicas: Replicas,
    chunk: Chunk,
    state: list[State],
    per: float | None = None,
    weights: Tensor | None = None,
    reset_probability: float = 0.0,
) -> tuple[Sums, list[State]]:
    """Compute the gradient of a chunk's cross entropy into ``replicas.grad``.

    Parameters
    ----------
    replicas : Replicas
    chunk : Chunk
    state : list of (c, r)
        That the chunk before left; empty at the start.
    per : float, optional
        What the sum over the frames is divided by; their number, where nothing is given.
    weights : Tensor, shape (P,), optional
        Of the pdfs.
    reset_probability : float
        See `nnet.config.TrainConfig`.

    Returns
    -------
    sums : Sums
        Of this chunk.
    state : list of (c, r)
        After it.
    """
    model, streams = replicas.models[0], chunk.feats.shape[1]
    carry = chunk.carry
    if reset_probability:
        carry = carry.masked_fill(torch.rand(streams) < reset_probability, -1)
    carried = carry_state(state or model.zero_state(0), carry)
    dropout = model.draw_dropout(*chunk.feats.shape[:2])
    per = per or (chunk.targets != NO_TARGET).sum().item()
    parts = [
        (
            part_of(chunk, some),
            [(c[some], r[some]) for c, r in carried],
            [kept[:, some] for kept in dropout],
            per,
            weights,
        )
        for some in slices(streams, len(replicas.models))
    ]
    results = replicas.run(_part_gradient, parts)
    for grad in replicas.grads[1 : len(parts)]:
        replicas.grad += grad
    sums, states = zip(*results, strict=True)
    after = [tuple(map(torch.cat, zip(*layer, strict=True))) for layer in zip(*states, strict=True)]
    loss, correct, frames, clipped = map(sum, zip(*sums, strict=True))
    return Sums(loss, correct, frames, chunks=1, clipped=clipped / streams), after


def part_of(chunk: Chunk, streams: slice) -> Chunk:
    """Take some streams of a chunk."""
    feats, targets, lengths = chunk.feats[:, streams], chunk.targets[:, streams], chunk.lengths[streams]
    return replace(chunk, feats=feats, targets=targets, lengths=lengths)


def slices(streams: int, threads: int) -> list[slice]:
    """Cut a number of streams into parts for threads, as equal as can be and none of them empty.

    Example
    -------
    >>> slices(5, 2), slices(1, 2)
    ([slice(0, 2, None), slice(2, 5, None)], [slice(0, 1, None)])
    """
    bounds = [streams * k // min(threads, streams) for k in range(min(threads, streams) + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]


def _part_gradient(
    model: AcousticModel,
    grad: Tensor,
    part: Chunk,
    state: list[State],
    dropout: list[Tensor],
    per: float,
    weights: Tensor | None,
) -> tuple[tuple[float, int, int, float], list[State]]:
    output, loss, correct, frames = errors(model, part, state, dropout, weights)
    grad.zero_()
    (loss / per).backward()
    return (loss.item(), correct, frames, output.clipped.item() * part.feats.shape[1]), output.state


def errors(
    model: AcousticModel,
    chunk: Chunk,
    state: list[State],
    dropout: Sequence[Tensor] = (),
    weights: Tensor | None = None,
) -> tuple[Output, Tensor, int, int]:
    """Run a chunk from a state that belongs to its streams.

    Returns
    -------
    output : Output
    loss : Tensor, scalar
        The summed cross entropy, with the `weights` (P,) of the pdfs.
    correct, frames : int
        Of the frames with a target.
    """
    output = model(chunk.feats, state, chunk.lengths, dropout)
    logits, targets = output.logits.flatten(0, 1), chunk.targets.flatten()
    loss = cross_entropy(logits, targets, weights, ignore_index=NO_TARGET, reduction="sum")
    correct = (logits.detach().argmax(1) == targets).sum().item()
    return output, loss, correct, (targets != NO_TARGET).sum().item()
