"""The recurrent layer of Sak, Senior and Beaufays (Interspeech 2014), with a backward pass derived by hand.

For frame t, with input x_t and the state (c_{t-1}, r_{t-1})::

    i_t = σ(W_ix x_t + W_ir r_{t-1} + w_ic ∘ c_{t-1} + b_i)
    f_t = σ(W_fx x_t + W_fr r_{t-1} + w_fc ∘ c_{t-1} + b_f)
    g_t = tanh(W_cx x_t + W_cr r_{t-1} + b_c)
    c_t = clip(f_t ∘ c_{t-1} + i_t ∘ g_t)
    o_t = σ(W_ox x_t + W_or r_{t-1} + w_oc ∘ c_t + b_o)
    m_t = o_t ∘ tanh(c_t)
    r_t = W_rm m_t                      (without a projection r_t = m_t)

The gates are in the order i, f, g, o, as in `torch.nn.LSTM`. What does not depend on the frame before is computed for
all frames of a chunk at once: the products with x and every weight's gradient. The loops over time hold only the two
recurrent products (`nnet.layers.products`) and, between them, the elementwise part of a frame (`nnet.layers.cell`).
`nnet.layers.reference` is the same in forty lines, slower.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nnet.device import takes_compiled
from nnet.layers import cell, cell_compiled
from nnet.layers.products import DTYPES, Weight, product, weight_gradient

State = tuple[Tensor, Tensor]
"""Cells (S, C) and recurrent outputs (S, R) that one chunk hands to the next."""


def _cell(*tensors: Tensor) -> tuple[ModuleType, list[Tensor] | list[NDArray[Any]]]:
    """The elementwise part of a frame for such tensors, and these as it takes them."""
    if takes_compiled(*tensors):
        return cell_compiled, [x.detach().numpy() for x in tensors]
    return cell, list(tensors)


class _Recurrence(torch.autograd.Function):
    """The layer over one chunk; see `lstm` for the arguments."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        c_0: Tensor,
        r_0: Tensor,
        W_x: Tensor,
        W_r: Tensor,
        b: Tensor,
        w_c: Tensor,
        W_m: Tensor | None,
        clip: float,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        (T, S, D), C, R = x.shape, c_0.shape[1], r_0.shape[1]
        W_x, W_r, W_m = W_x.to(dtype), W_r.to(dtype), None if W_m is None else W_m.to(dtype)
        sums = product(x.reshape(T * S, D), W_x, b)  # W_x x_t + b
        gates = sums.view(T, S, 4, C)
        c, r = x.new_empty(T + 1, S, C), x.new_empty(T + 1, S, R)  # c[t + 1], r[t + 1] belong to frame t
        c[0], r[0] = c_0, r_0
        h = x.new_empty(T, S, C)  # tanh(c_t)
        m = r[1:] if W_m is None else x.new_empty(T, S, C)
        step, arrays = _cell(gates, c, h, m, w_c)
        sums_t, r_t, m_t = torch.split(sums, S), r.unbind(0), m.unbind(0)
        recurrent, projection = Weight(W_r, S), None if W_m is None else Weight(W_m, S)
        clipped = 0
        for t in range(T):
            recurrent.add(sums_t[t], r_t[t])  # + W_r r_{t-1}
            clipped += step.forward(t, *arrays, clip)
            if projection is not None:
                projection.write(r_t[t + 1], m_t[t])  # r_t = W_rm m_t
        ctx.clip = clip
        ctx.save_for_backward(x, W_x, W_r, w_c, W_m, gates, c, h, m, r)
        fraction = torch.as_tensor(clipped / (T * S * C), dtype=x.dtype, device=x.device)
        ctx.mark_non_differentiable(fraction)
        return r[1:], c[T].clone(), r[T].clone(), fraction

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dr_out: Tensor, dc_T: Tensor, dr_T: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x, W_x, W_r, w_c, W_m, gates, c, h, m, r = ctx.saved_tensors
        (T, S, C), R = h.shape, r.shape[2]
        dr = torch.empty_like(r)  # dr[t + 1] belongs to frame t
        dr[0] = 0
        dr[1:] = dr_out
        dr[T] += dr_T
        dc = dc_T.clone()
        dm = torch.empty_like(dc)
        dgates, dw_c = torch.empty_like(gates), torch.zeros_like(w_c)
        step, (dm_array, *arrays) = _cell(dm, dc, gates, c, h, w_c, dgates, dw_c)
        dsums = dgates.view(T * S, 4 * C)
        dsums_t, dr_t = torch.split(dsums, S), dr.unbind(0)
        recurrent, projection = Weight(W_r.t(), S), None if W_m is None else Weight(W_m.t(), S)
        for t in reversed(range(T)):
            if projection is None:
                dm.copy_(dr_t[t + 1])
            else:
                projection.write(dm, dr_t[t + 1])  # dm_t = W_rmᵀ dr_t
            step.backward(t, dm_array, *arrays, ctx.clip)
            recurrent.add(dr_t[t], dsums_t[t])  # dr_{t-1} += W_rᵀ dsums_t

        # what no frame waits for, for all frames at once
        dx = product(dsums, W_x.t()).view(x.shape) if ctx.needs_input_grad[0] else None
        dW_x = weight_gradient(dsums, x.reshape(T * S, -1), W_x.dtype)
        dW_r = weight_gradient(dsums, r[:-1].reshape(T * S, R), W_x.dtype)
        dW_m = None if W_m is None else weight_gradient(dr[1:].reshape(T * S, R), m.view(T * S, C), W_x.dtype)
        return dx, dc, dr[0], dW_x, dW_r, dsums.sum(0), dw_c, dW_m, None, None


def lstm(
    x: Tensor,
    state: State,
    W_x: Tensor,
    W_r: Tensor,
    b: Tensor,
    w_c: Tensor | None = None,
    W_m: Tensor | None = None,
    clip: float = 50.0,
    precision: str = "fp32",
) -> tuple[Tensor, State, Tensor]:
    """Run the layer over one chunk of T frames of S streams.

    Parameters
    ----------
    x : Tensor, shape (T, S, D)
        The input.
    state : (Tensor (S, C), Tensor (S, R))
        c and r of the frame before the chunk.
    W_x : Tensor, shape (4 C, D)
        Input weights of the gates i, f, g, o.
    W_r : Tensor, shape (4 C, R)
        Recurrent weights of the gates.
    b : Tensor, shape (4 C,)
        Biases of the gates.
    w_c : Tensor, shape (3, C), optional
        Peephole weights of i, f, o.
    W_m : Tensor, shape (R, C), optional
        The recurrent projection; without it R is C.
    clip : float
        Cells are kept in [-clip, clip]. The clipped cell is what o_t, m_t and the next frame see; no gradient passes
        where a cell is at the limit.
    precision : str
        Of the matrix products: ``fp32``, which leaves all as it is given, or ``bf16``; gates and cells are not rounded.

    Returns
    -------
    r : Tensor, shape (T, S, R)
    state : (Tensor (S, C), Tensor (S, R))
        c and r of the last frame.
    clipped : Tensor, scalar
        The fraction of cells at the limit.
    """
    peepholes = b.new_zeros(3, len(b) // 4) if w_c is None else w_c
    dtype = x.dtype if precision == "fp32" else DTYPES[precision]
    arguments = (x, *state, W_x, W_r, b, peepholes, W_m, clip, dtype)
    r, c_T, r_T, clipped = _Recurrence.apply(*arguments)  # type: ignore[no-untyped-call]  # torch has no types there
    return r, (c_T, r_T), clipped


class Direction(nn.Module):
    """The weights of one direction, named as in `lstm`."""

    def __init__(self, input_dim: int, cells: int, projection: int, peepholes: bool) -> None:
        super().__init__()
        self.W_x = nn.Parameter(torch.zeros(4 * cells, input_dim))
        self.W_r = nn.Parameter(torch.zeros(4 * cells, projection or cells))
        self.b = nn.Parameter(torch.zeros(4 * cells))
        self.w_c = nn.Parameter(torch.zeros(3, cells)) if peepholes else None
        self.W_m = nn.Parameter(torch.zeros(projection, cells)) if projection else None


class LSTM(nn.Module):
    """The layer in one or both directions.

    Parameters
    ----------
    input_dim : int
    cells : int
        C, of each direction.
    projection : int
        R, the size of the recurrent projection of each direction; 0 for none, which makes it C.
    peepholes : bool
    clip, precision
        See `lstm`.
    direction : str
        ``forward``; ``backward``, from an utterance's last frame to its first; or ``both``, side by side (Graves and
        Schmidhuber, 2005).

    Example
    -------
    >>> layer = LSTM(input_dim=3, cells=8, projection=4, direction="both")
    >>> r, state, clipped = layer(torch.zeros(20, 2, 3), layer.zero_state(2))
    >>> r.shape
    torch.Size([20, 2, 8])
    """

    def __init__(
        self,
        input_dim: int,
        cells: int,
        projection: int = 0,
        peepholes: bool = True,
        clip: float = 50.0,
        direction: str = "forward",
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        self.backwards = {"forward": [False], "backward": [True], "both": [False, True]}[direction]
        directions = [Direction(input_dim, cells, projection, peepholes) for _ in self.backwards]
        self.directions = cast("Sequence[Direction]", nn.ModuleList(directions))
        self.clip, self.precision = clip, precision
        self.cells, self.output_dim = cells * len(self.backwards), (projection or cells) * len(self.backwards)

    def zero_state(self, streams: int) -> State:
        """Return the state at the start of an utterance, for `streams` of them; both directions' side by side."""
        b = self.directions[0].b
        return b.new_zeros(streams, self.cells), b.new_zeros(streams, self.output_dim)

    def forward(self, x: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State, Tensor]:
        """Run over a chunk x (T, S, D); see `lstm`.

        `lengths` (S,) are the frames that each stream has, where fewer than T: there the backward direction begins.
        """
        results = []
        for w, back, *before in zip(
            self.directions, self.backwards, *(part.chunk(len(self.backwards), 1) for part in state), strict=True
        ):
            r, after, clipped = lstm(
                reverse_time(x, lengths) if back else x,
                tuple(before),
                w.W_x,
                w.W_r,
                w.b,
                w.w_c,
                w.W_m,
                self.clip,
                self.precision,
            )
            results.append((reverse_time(r, lengths) if back else r, *after, clipped))
        if len(results) == 1:
            r, c_T, r_T, clipped = results[0]
            return r, (c_T, r_T), clipped
        r, c_T, r_T = (torch.cat(part, -1) for part in list(zip(*results, strict=True))[:3])
        return r, (c_T, r_T), torch.stack([clipped for *_, clipped in results]).mean()


def reverse_time(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Reverse each stream in time; the padding after its length stays.

    Example
    -------
    >>> reverse_time(torch.tensor([[1, 1], [2, 2], [3, 0]])[..., None], torch.tensor([3, 2])).squeeze(2)
    tensor([[3, 2],
            [2, 1],
            [1, 0]])
    """
    if lengths is None or bool((lengths == len(x)).all()):
        return x.flip(0)
    t = torch.arange(len(x), device=x.device)[:, None]
    source = torch.where(t < lengths, lengths - 1 - t, t)
    return x.gather(0, source[..., None].expand_as(x))
