"""The elementwise part of one frame of the recurrent layer, in plain torch operations: any device, any precision.

`nnet.layers.cell_compiled` does the same in one pass over memory. The products with W_x, W_r and W_rm and all arrays
are the caller's; both functions write in place.
"""

from torch import Tensor, mul, ops, tanh

sigmoid_backward = ops.aten.sigmoid_backward.grad_input
tanh_backward = ops.aten.tanh_backward.grad_input


def forward(t: int, gates: Tensor, c: Tensor, h: Tensor, m: Tensor, w_c: Tensor, clip: float) -> Tensor:
    """Finish frame t: from the gates' sums to m_t.

    Parameters
    ----------
    t : int
    gates : Tensor, shape (T, S, 4, C)
        In frame t the sums ``W_x x_t + W_r r_{t-1} + b`` of i, f, g, o; afterwards their values.
    c : Tensor, shape (T + 1, S, C)
        ``c[t]`` holds c_{t-1}; ``c[t + 1]`` gets c_t.
    h, m : Tensor, shape (T, S, C)
        Get tanh(c_t) and m_t.
    w_c : Tensor, shape (3, C)
        Peephole weights of i, f, o; zeros for none.
    clip : float

    Returns
    -------
    Tensor, scalar
        The number of cells at the limit.
    """
    i, f, g, o = gates[t].unbind(1)
    before, now = c[t], c[t + 1]
    i.addcmul_(before, w_c[0]).sigmoid_()
    f.addcmul_(before, w_c[1]).sigmoid_()
    g.tanh_()
    mul(f, before, out=now)
    now.addcmul_(i, g).clamp_(-clip, clip)  # c_t = clip(f_t ∘ c_{t-1} + i_t ∘ g_t)
    o.addcmul_(now, w_c[2]).sigmoid_()
    tanh(now, out=h[t])
    mul(o, h[t], out=m[t])  # m_t = o_t ∘ tanh(c_t)
    return (now.abs() >= clip).sum()


def backward(
    t: int,
    dm: Tensor,
    dc: Tensor,
    gates: Tensor,
    c: Tensor,
    h: Tensor,
    w_c: Tensor,
    dgates: Tensor,
    dw_c: Tensor,
    clip: float,
) -> None:
    """Pass the gradient through frame t: from dm_t and dc_t to the gates' sums and dc_{t-1}.

    Parameters
    ----------
    t : int
    dm : Tensor, shape (S, C)
        The gradient of m_t.
    dc : Tensor, shape (S, C)
        That of c_t by way of frame t + 1; afterwards that of c_{t-1} by way of frame t.
    gates, c, h, w_c, clip
        As `forward` left them.
    dgates : Tensor, shape (T, S, 4, C)
        Gets the gradients of frame t's sums.
    dw_c : Tensor, shape (3, C)
        Those of the peepholes are added to it.
    """
    i, f, g, o = gates[t].unbind(1)
    di, df, dg, do = dgates[t].unbind(1)
    before, now = c[t], c[t + 1]
    mul(dm, h[t], out=do)
    sigmoid_backward(do, o, grad_input=do)  # dm h o (1 - o)
    mul(dm, o, out=dg)
    tanh_backward(dg, h[t], grad_input=dg)  # dm o (1 - h²)
    dc.add_(dg).addcmul_(do, w_c[2])  # c_t reaches m_t and, through the peephole, o_t
    dc.mul_(now.abs() < clip)  # no gradient passes a clipped cell
    mul(dc, g, out=di)
    sigmoid_backward(di, i, grad_input=di)  # dc g i (1 - i)
    mul(dc, before, out=df)
    sigmoid_backward(df, f, grad_input=df)  # dc c_{t-1} f (1 - f)
    mul(dc, i, out=dg)
    tanh_backward(dg, g, grad_input=dg)  # dc i (1 - g²)
    dc.mul_(f).addcmul_(di, w_c[0]).addcmul_(df, w_c[1])
    for row, d, cell in ((0, di, before), (1, df, before), (2, do, now)):
        dw_c[row] += (d * cell).sum(0)
