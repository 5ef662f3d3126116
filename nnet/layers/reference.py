"""The recurrent layer by its equations, one frame at a time, to read and to test `nnet.layers.lstm` against.

The equations are those of Sak, Senior and Beaufays, "Long short-term memory recurrent neural network architectures for
large scale acoustic modeling" (Interspeech 2014), section 2, with the recurrent projection and without the paper's
second, non-recurrent one. Cells are kept in [-clip, clip], as in the paper's training. Autograd differentiates them.
"""

import torch
from torch import Tensor, sigmoid, tanh

State = tuple[Tensor, Tensor]


def lstm(
    x: Tensor,
    state: State,
    W_x: Tensor,
    W_r: Tensor,
    b: Tensor,
    w_c: Tensor | None = None,
    W_m: Tensor | None = None,
    clip: float = 50.0,
) -> tuple[Tensor, State]:
    """Run the layer over the frames of x (T, S, D); arguments and results are those of `nnet.layers.lstm.lstm`.

    Example
    -------
    >>> W_x, W_r, W_m = torch.ones(4 * 3, 2), torch.ones(4 * 3, 1), torch.ones(1, 3)  # 2 features, 3 cells, projected
    >>> r, (c_T, r_T) = lstm(torch.ones(5, 1, 2), (torch.zeros(1, 3), torch.zeros(1, 1)), W_x, W_r, torch.zeros(12),
    ...     w_c=torch.zeros(3, 3), W_m=W_m)
    >>> r.shape, c_T.shape
    (torch.Size([5, 1, 1]), torch.Size([1, 3]))
    """
    c, r = state
    W_ix, W_fx, W_cx, W_ox = W_x.chunk(4)
    W_ir, W_fr, W_cr, W_or = W_r.chunk(4)
    b_i, b_f, b_c, b_o = b.chunk(4)
    w_ic, w_fc, w_oc = torch.zeros_like(c[:1]).expand(3, -1) if w_c is None else w_c
    outputs = []
    for x_t in x:
        # i_t = σ(W_ix x_t + W_ir r_{t-1} + w_ic ∘ c_{t-1} + b_i)
        i = sigmoid(x_t @ W_ix.T + r @ W_ir.T + w_ic * c + b_i)
        # f_t = σ(W_fx x_t + W_fr r_{t-1} + w_fc ∘ c_{t-1} + b_f)
        f = sigmoid(x_t @ W_fx.T + r @ W_fr.T + w_fc * c + b_f)
        # g_t = tanh(W_cx x_t + W_cr r_{t-1} + b_c)
        g = tanh(x_t @ W_cx.T + r @ W_cr.T + b_c)
        # c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
        c = (f * c + i * g).clamp(-clip, clip)
        # o_t = σ(W_ox x_t + W_or r_{t-1} + w_oc ∘ c_t + b_o)
        o = sigmoid(x_t @ W_ox.T + r @ W_or.T + w_oc * c + b_o)
        # m_t = o_t ∘ tanh(c_t)
        m = o * tanh(c)
        # r_t = W_rm m_t
        r = m if W_m is None else m @ W_m.T
        outputs.append(r)
    return torch.stack(outputs), (c, r)
