"""Layers to compare the LSTM with, with its interface: a plain recurrent one and a feed-forward one."""

import torch
from torch import Tensor, nn

from nnet.layers.lstm import State


class RNN(nn.Module):
    """A recurrent layer without gates: r_t = tanh(W_x x_t + b_x + W_r r_{t-1} + b_r), as in `torch.nn.RNN`.

    Parameters
    ----------
    input_dim : int
    units : int
        R.
    """

    def __init__(self, input_dim: int, units: int) -> None:
        super().__init__()
        self.output_dim = units
        self.rnn = nn.RNN(input_dim, units)

    def zero_state(self, streams: int) -> State:
        """Return the state at the start of an utterance: no cells, and r."""
        weights = next(self.rnn.parameters())
        return weights.new_zeros(streams, 0), weights.new_zeros(streams, self.output_dim)

    def forward(self, x: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State, Tensor]:
        """Run over a chunk x (T, S, D); nothing is ever clipped."""
        r, last = self.rnn(x, state[1][None])
        return r, (state[0], last[0]), x.new_zeros(())


class Dense(nn.Module):
    """A layer of rectified linear units, max(0, W x_t + b), frame by frame.

    Parameters
    ----------
    input_dim : int
    units : int
    """

    def __init__(self, input_dim: int, units: int) -> None:
        super().__init__()
        self.output_dim = units
        self.linear = nn.Linear(input_dim, units)

    def zero_state(self, streams: int) -> State:
        """Return an empty state: the layer remembers nothing."""
        return (self.linear.weight.new_zeros(streams, 0),) * 2

    def forward(self, x: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State, Tensor]:
        """Run over a chunk x (T, S, D)."""
        return torch.relu(self.linear(x)), state, x.new_zeros(())


def stack_frames(x: Tensor, width: int) -> Tensor:
    """Put each frame's window of frames side by side.

    Parameters
    ----------
    x : Tensor, shape (T + width - 1, S, D)
    width : int

    Returns
    -------
    Tensor, shape (T, S, width · D)
        Frame t holds x[t], ..., x[t + width - 1].

    Example
    -------
    >>> stack_frames(torch.arange(4.0).view(4, 1, 1), 3).squeeze(1)
    tensor([[0., 1., 2.],
            [1., 2., 3.]])
    """
    return x.unfold(0, width, 1).transpose(2, 3).flatten(2)
