"""The recurrent layer of Sak, Senior and Beaufays (Interspeech 2014), with a backward pass derived by hand.

For frame t, with input x_t and the state (c_{t-1}, r_{t-1})::

    i_t = σ(W_ix x_t + W_ir r_{t-1} + w_ic ∘ c_{t-1} + b_i)
    f_t = σ(W_fx x_t + W_fr r_{t-1} + w_fc ∘ c_{t-1} + b_f)
    g_t = tanh(W_cx x_t + W_cr r_{t-1} + b_c)
    c_t = clip(f_t ∘ c_{t-1} + i_t ∘ g_t)
    o_t = σ(W_ox x_t + W_or r_{t-1} + w_oc ∘ c_t + b_o)
    m_t = o_t ∘ tanh(c_t)
    r_t = W_rm m_t                      (without a projection r_t = m_t)

The gates stand in the order i, f, g, o, as in `torch.nn.LSTM`. What does not depend on the frame before is computed for
all frames of a chunk at once: the products with x, every weight's gradient, and the local derivatives of the gates. The
loops over time hold only the two recurrent products and the elementwise steps between them, and allocate nothing.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Cells (S, C) and recurrent outputs (S, R) that one chunk hands to the next."""


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
        w_c: Tensor | None,
        W_m: Tensor | None,
        clip: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        (T, S, D), C, R = x.shape, c_0.shape[1], r_0.shape[1]
        gates = torch.addmm(b, x.reshape(T * S, D), W_x.t()).view(T, S, 4, C)  # W_x x_t + b of all frames
        c, r = x.new_empty(T + 1, S, C), x.new_empty(T + 1, S, R)  # c[t + 1], r[t + 1] belong to frame t
        c[0], r[0] = c_0, r_0
        h = x.new_empty(T, S, C)  # tanh(c_t)
        m = r[1:] if W_m is None else x.new_empty(T, S, C)
        # the matrix library is fastest when both factors lie row by row
        W_r_t = W_r.t().contiguous()
        W_m_t = None if W_m is None else W_m.t().contiguous()

        all_gates, ifs = gates.view(T, S, 4 * C).unbind(0), gates[:, :, :2].unbind(0)
        i, f, g, o = (gates[:, :, k].unbind(0) for k in range(4))
        c_t, r_t, h_t, m_t, c_row = c.unbind(0), r.unbind(0), h.unbind(0), m.unbind(0), c.unsqueeze(2).unbind(0)
        w_ifc, w_oc = (None, None) if w_c is None else (w_c[:2], w_c[2])
        for t in range(T):
            all_gates[t].addmm_(r_t[t], W_r_t)  # + W_r r_{t-1}
            if w_ifc is not None:
                ifs[t].addcmul_(c_row[t], w_ifc)  # + w_ic ∘ c_{t-1}, + w_fc ∘ c_{t-1}
            ifs[t].sigmoid_()  # i_t, f_t
            g[t].tanh_()  # g_t
            torch.mul(f[t], c_t[t], out=c_t[t + 1])
            c_t[t + 1].addcmul_(i[t], g[t]).clamp_(-clip, clip)  # c_t
            if w_oc is not None:
                o[t].addcmul_(c_t[t + 1], w_oc)  # + w_oc ∘ c_t
            o[t].sigmoid_()  # o_t
            torch.tanh(c_t[t + 1], out=h_t[t])
            torch.mul(o[t], h_t[t], out=m_t[t])  # m_t
            if W_m_t is not None:
                torch.mm(m_t[t], W_m_t, out=r_t[t + 1])  # r_t

        lowest, highest = c[1:].aminmax()
        ctx.clip = clip if max(-lowest.item(), highest.item()) >= clip else math.inf  # inf: this chunk clipped nothing
        clipped = (c[1:].abs() >= ctx.clip).to(x.dtype).mean() if ctx.clip < math.inf else x.new_zeros(())
        ctx.save_for_backward(x, W_x, W_r, w_c, W_m, gates, c, h, None if W_m is None else m, r)
        ctx.mark_non_differentiable(clipped)
        return r[1:].clone() if W_m is None else r[1:], c[T].clone(), r[T].clone(), clipped

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dr_out: Tensor, dc_T: Tensor, dr_T: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x, W_x, W_r, w_c, W_m, gates, c, h, m, r = ctx.saved_tensors
        (T, S, C), R = h.shape, r.shape[2]
        i, f, g, o = gates.unbind(2)

        # The loop below is linear in dm_t and dc_t; these are its coefficients, for all frames at once. `by_dm` leads
        # from dm_t to dc_t, `to_ifg` from dc_t to the gates, `to_before` from dc_t to dc_{t-1}.
        to_o = torch.ops.aten.sigmoid_backward(h, o)  # h o (1 - o)
        by_dm = torch.ops.aten.tanh_backward(o, h)  # o (1 - h²)
        to_ifg = torch.empty_like(gates[:, :, :3])
        torch.ops.aten.sigmoid_backward.grad_input(g, i, grad_input=to_ifg[:, :, 0])  # g i (1 - i)
        torch.ops.aten.sigmoid_backward.grad_input(c[:-1], f, grad_input=to_ifg[:, :, 1])  # c_{t-1} f (1 - f)
        torch.ops.aten.tanh_backward.grad_input(i, g, grad_input=to_ifg[:, :, 2])  # i (1 - g²)
        to_before = f
        if w_c is not None:
            by_dm.addcmul_(to_o, w_c[2])  # c_t also reaches o_t
            to_before = torch.addcmul(f, to_ifg[:, :, 0], w_c[0]).addcmul_(to_ifg[:, :, 1], w_c[1])  # and i, f of t+1
        if ctx.clip < math.inf:
            passes = c[1:].abs() < ctx.clip
            to_ifg *= passes.unsqueeze(2)
            to_before = to_before * passes

        dr = torch.empty_like(r)  # dr[t + 1] belongs to frame t
        dr[0] = 0
        dr[1:] = dr_out
        dr[T] += dr_T
        dc = dc_T.clone()
        dm = torch.empty_like(dc)
        dgates = torch.empty_like(gates)
        dc_row = dc.unsqueeze(1)
        dall, difg, do = dgates.view(T, S, 4 * C).unbind(0), dgates[:, :, :3].unbind(0), dgates[:, :, 3].unbind(0)
        steps = list(zip(dr, dr[1:], to_o, by_dm, to_ifg, to_before, dall, difg, do, strict=False))
        for dr_before, dr_t, to_o_t, by_dm_t, to_ifg_t, to_before_t, dall_t, difg_t, do_t in reversed(steps):
            dm_t = dr_t if W_m is None else torch.mm(dr_t, W_m, out=dm)  # dm = W_rmᵀ dr
            torch.mul(dm_t, to_o_t, out=do_t)
            dc.addcmul_(dm_t, by_dm_t)
            torch.mul(dc_row, to_ifg_t, out=difg_t)
            dc.mul_(to_before_t)
            dr_before.addmm_(dall_t, W_r)  # dr_{t-1} += W_rᵀ dgates_t

        rows = dgates.view(T * S, 4 * C)
        dx = (rows @ W_x).view(x.shape) if ctx.needs_input_grad[0] else None
        dW_x = rows.t() @ x.reshape(T * S, -1)
        dW_r = rows.t() @ r[:-1].reshape(T * S, R)
        dW_m = None if W_m is None else dr[1:].reshape(T * S, R).t() @ m.view(T * S, C)
        dw_c = None
        if w_c is not None:
            dw_if = torch.mul(dgates[:, :, :2], c[:-1].unsqueeze(2), out=to_ifg[:, :, :2]).sum((0, 1))
            dw_o = torch.mul(dgates[:, :, 3], c[1:], out=to_o).sum((0, 1))
            dw_c = torch.cat([dw_if, dw_o.unsqueeze(0)])
        return dx, dc, dr[0], dW_x, dW_r, rows.sum(0), dw_c, dW_m, None


def lstm(
    x: Tensor,
    state: State,
    W_x: Tensor,
    W_r: Tensor,
    b: Tensor,
    w_c: Tensor | None = None,
    W_m: Tensor | None = None,
    clip: float = 50.0,
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

    Returns
    -------
    r : Tensor, shape (T, S, R)
    state : (Tensor (S, C), Tensor (S, R))
        c and r of the last frame.
    clipped : Tensor, scalar
        The share of cells at the limit.
    """
    r, c_T, r_T, clipped = _Recurrence.apply(x, *state, W_x, W_r, b, w_c, W_m, clip)
    return r, (c_T, r_T), clipped


class LSTM(nn.Module):
    """The layer with its weights, named as in `lstm`.

    Parameters
    ----------
    input_dim : int
    cells : int
    projection : int
        Size of the recurrent projection, 0 for none.
    peepholes : bool
    clip : float

    Example
    -------
    >>> layer = LSTM(input_dim=3, cells=8, projection=4)
    >>> r, state, clipped = layer(torch.zeros(20, 2, 3), layer.zero_state(2))
    >>> r.shape
    torch.Size([20, 2, 4])
    """

    def __init__(
        self, input_dim: int, cells: int, projection: int = 0, peepholes: bool = True, clip: float = 50.0
    ) -> None:
        super().__init__()
        self.cells, self.output_dim, self.clip = cells, projection or cells, clip
        self.W_x = nn.Parameter(torch.zeros(4 * cells, input_dim))
        self.W_r = nn.Parameter(torch.zeros(4 * cells, self.output_dim))
        self.b = nn.Parameter(torch.zeros(4 * cells))
        self.w_c = nn.Parameter(torch.zeros(3, cells)) if peepholes else None
        self.W_m = nn.Parameter(torch.zeros(projection, cells)) if projection else None

    def zero_state(self, streams: int) -> State:
        """Return the state at the start of an utterance, for `streams` of them."""
        return self.b.new_zeros(streams, self.cells), self.b.new_zeros(streams, self.output_dim)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        """Run over a chunk; see `lstm`."""
        return lstm(x, state, self.W_x, self.W_r, self.b, self.w_c, self.W_m, self.clip)
