"""The gradient of a chunk, computed by one thread or by several at once.

Each thread takes a part of the streams, as in the paper. The parts' gradients are added in a fixed order, and random
numbers are drawn before. So the same number of threads gives the same bits; another number only rounds differently.
"""

import copy
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch
from torch import Tensor

from nnet.chunks import Chunk
from nnet.config import TrainConfig
from nnet.errors import ModelError
from nnet.layers.lstm import State
from nnet.losses import Loss
from nnet.model import Network, carry_state
from nnet.optimizer import flatten, share_parameters
from nnet.schedule import dropout_at
from nnet.sums import Sums

PartResult = tuple[Tensor, list[State]]
"""Loss, correct frames, frames and the clipped share of the cells of a thread's streams, (4,); the state after them."""


class Replicas:
    """A model, with a copy on the same weights for every further thread.

    Parameters
    ----------
    model : Network
    threads : int

    Attributes
    ----------
    params, grad : Tensor, shape (N,)
        The flat weights of all copies, and the model's flat gradient.
    """

    def __init__(self, model: Network, threads: int = 1) -> None:
        self.params, self.grad = flatten(model)
        self.models, self.grads = [model], [self.grad]
        for _ in range(threads - 1):
            self.models.append(copy.deepcopy(model))
            self.grads.append(share_parameters(self.models[-1], self.params))
        self._pool = ThreadPoolExecutor(threads)

    def run(self, function: Callable[..., PartResult], parts: Sequence[tuple[object, ...]]) -> list[PartResult]:
        """Call ``function(model, grad, *part)`` for each part, with a copy and in a thread of its own."""
        calls = [(model, grad, *part) for model, grad, part in zip(self.models, self.grads, parts, strict=False)]
        return [function(*calls[0])] if len(calls) == 1 else list(self._pool.map(lambda call: function(*call), calls))


def chunk_gradient(
    replicas: Replicas,
    chunk: Chunk,
    state: list[State],
    loss: Loss,
    per: float | None = None,
    reset_probability: float = 0.0,
    dropout: float | None = None,
) -> tuple[Sums, list[State]]:
    """Compute the gradient of a chunk's loss into ``replicas.grad``.

    Parameters
    ----------
    replicas : Replicas
    chunk : Chunk
    state : list of (c, r)
        After the previous chunk; empty at the start.
    loss : Loss
    per : float, optional
        Divisor of the sum over the frames; by default their number.
    reset_probability : float
        See `nnet.config.TrainConfig`.
    dropout : float, optional
        The dropout probability; by default the model's.

    Returns
    -------
    sums : Sums
        Of this chunk, with the norm of the gradient.
    state : list of (c, r)
        After it.
    """
    model, streams = replicas.models[0], chunk.feats.shape[1]
    carry = chunk.carry
    if reset_probability:
        carry = carry.masked_fill(torch.rand(streams) < reset_probability, -1)
    carried = carry_state(state or model.zero_state(0), carry.to(model.device))
    probability = model.config.dropout if dropout is None else dropout
    masks = model.draw_dropout(len(chunk.feats), streams, probability)
    per = per or loss.frames(chunk)
    chunk = chunk.to(model.device)
    cuts = slices(streams, len(replicas.models))
    parts = [
        (
            chunk.streams(some),
            [(c[some], r[some]) for c, r in carried],
            [mask[:, some] for mask in masks],
            loss,
            per,
        )
        for some in cuts
    ]
    results = replicas.run(_part_gradient, parts)
    for grad in replicas.grads[1 : len(parts)]:
        replicas.grad += grad
    sums, states = zip(*results, strict=True)
    # one copy from the device for all numbers, then sums in double precision
    *numbers, norm = torch.cat([*sums, replicas.grad.norm().reshape(1)]).tolist()
    losses, correct, frames, shares = (numbers[i::4] for i in range(4))
    clipped = sum(share * (some.stop - some.start) for share, some in zip(shares, cuts, strict=True)) / streams
    return (
        Sums(sum(losses), int(sum(correct)), int(sum(frames)), chunks=1, grad_norm=norm, clipped=clipped),
        [_joined(layer) for layer in zip(*states, strict=True)],
    )


def _joined(parts: Sequence[State]) -> State:
    """The state of a layer from that of each thread's streams."""
    return torch.cat([c for c, _ in parts]), torch.cat([r for _, r in parts])


def train_chunk(
    replicas: Replicas,
    chunk: Chunk,
    state: list[State],
    config: TrainConfig,
    loss: Loss,
    done: float = 0.0,
) -> tuple[Sums, list[State]]:
    """Compute the gradient of a chunk as a training config says, limited in its norm, into ``replicas.grad``.

    The sum over the frames is divided by the size of a full chunk and not by the frames that this one has, so that
    every frame of the corpus weighs the same. Of whole utterances, it is divided by their frames.

    `done` is the fraction of the planned frames that were trained on before this chunk.

    Returns
    -------
    sums : Sums
        Of this chunk.
    state : list of (c, r)
        After it.

    Raises
    ------
    ModelError
        When the loss or the gradient is not finite.
    """
    per = config.streams * config.frames or None
    dropout = dropout_at(replicas.models[0].config, config, done)
    sums, state = chunk_gradient(replicas, chunk, state, loss, per, config.reset_probability, dropout)
    if not math.isfinite(sums.loss) or not math.isfinite(sums.grad_norm):
        raise ModelError(
            f"the loss is {sums.loss / max(sums.frames, 1):g}, the gradient's norm {sums.grad_norm:g} on a chunk of "
            f"the utterances {' '.join(sorted(set(chunk.utterances)))}: look for bad features there, or lower "
            "initial_lr or set max_grad_norm; changing either restarts training. The last checkpoint is kept"
        )
    if 0 < config.max_grad_norm < sums.grad_norm:
        replicas.grad.mul_(config.max_grad_norm / sums.grad_norm)
    return sums, state


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
    model: Network,
    grad: Tensor,
    part: Chunk,
    state: list[State],
    dropout: list[Tensor],
    loss: Loss,
    per: float,
) -> PartResult:
    output = model(part.feats, state, part.lengths, dropout)
    sums = loss(output.logits, part)
    grad.zero_()
    torch.autograd.backward(sums.loss / per)
    return torch.cat([sums.stacked(), output.clipped.to(sums.loss).detach().reshape(1)]), output.state
