"""`nnet.layers.cell` in one pass over memory for float32 on the CPU, compiled by numba (which comes with librosa).

The compiler turns each loop into vector instructions, provided that the rows are arguments of a function; tanh is a
ratio of polynomials, so that no function of a library is called. The first call on a machine compiles for a second; the
result is kept in ``__pycache__``.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = np.float32
Array = NDArray[np.float32]
ONE, HALF, ZERO = F(1), F(0.5), F(0)
compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})

# tanh on [-SATURATED, SATURATED] as x p(x²) / q(x²): Eigen's ratio of polynomials, within 4e-7 of tanh
SATURATED = F(7.90531110763549805)
P = tuple(
    F(value)
    for value in (
        4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08,
        -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16,
    )
)  # fmt: skip
Q = tuple(
    F(value) for value in (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)
)


@compiled
def clamp(x: F, limit: F) -> F:
    """Keep x in [-limit, limit]; what is not a number stays so, and is seen in the loss."""
    x = -limit if x < -limit else x
    return limit if x > limit else x


@compiled
def tanh(x: F) -> F:
    """The hyperbolic tangent, within 4e-7."""
    x = clamp(x, SATURATED)
    y = x * x
    p = P[0] + y * (P[1] + y * (P[2] + y * (P[3] + y * (P[4] + y * (P[5] + y * P[6])))))
    q = Q[0] + y * (Q[1] + y * (Q[2] + y * Q[3]))
    return x * p / q


@compiled
def sigmoid(x: F) -> F:
    """The logistic function: σ(x) = (1 + tanh(x / 2)) / 2."""
    return HALF + HALF * tanh(HALF * x)


@compiled
def _forward_row(
    i: Array, f: Array, g: Array, o: Array, before: Array, now: Array, h: Array, m: Array,
    w_i: Array, w_f: Array, w_o: Array, clip: F,
) -> int:  # fmt: skip
    clipped = 0
    for k in range(len(now)):
        i_t = sigmoid(i[k] + w_i[k] * before[k])
        f_t = sigmoid(f[k] + w_f[k] * before[k])
        g_t = tanh(g[k])
        c_t = clamp(f_t * before[k] + i_t * g_t, clip)
        o_t = sigmoid(o[k] + w_o[k] * c_t)
        h_t = tanh(c_t)
        i[k], f[k], g[k], o[k] = i_t, f_t, g_t, o_t
        now[k], h[k], m[k] = c_t, h_t, o_t * h_t
        clipped += int(abs(c_t) >= clip)
    return clipped


@compiled
def forward(t: int, gates: Array, c: Array, h: Array, m: Array, w_c: Array, clip: float) -> int:
    """See `nnet.layers.cell.forward`; the arrays are float32 in numpy."""
    limit, clipped = F(clip), 0
    for s in range(c.shape[1]):
        a = gates[t, s]
        clipped += _forward_row(
            a[0], a[1], a[2], a[3], c[t, s], c[t + 1, s], h[t, s], m[t, s], w_c[0], w_c[1], w_c[2], limit
        )
    return clipped


@compiled
def _backward_row(
    dm: Array, dc: Array, i: Array, f: Array, g: Array, o: Array, before: Array, now: Array, h: Array,
    w_i: Array, w_f: Array, w_o: Array, di: Array, df: Array, dg: Array, do: Array,
    dw_i: Array, dw_f: Array, dw_o: Array, clip: F,
) -> None:  # fmt: skip
    for k in range(len(now)):
        do_t = dm[k] * h[k] * o[k] * (ONE - o[k])
        dc_t = dc[k] + dm[k] * o[k] * (ONE - h[k] * h[k]) + do_t * w_o[k]
        if abs(now[k]) >= clip:
            dc_t = ZERO
        di_t = dc_t * g[k] * i[k] * (ONE - i[k])
        df_t = dc_t * before[k] * f[k] * (ONE - f[k])
        di[k], df[k], dg[k], do[k] = di_t, df_t, dc_t * i[k] * (ONE - g[k] * g[k]), do_t
        dc[k] = dc_t * f[k] + di_t * w_i[k] + df_t * w_f[k]
        dw_i[k] += di_t * before[k]
        dw_f[k] += df_t * before[k]
        dw_o[k] += do_t * now[k]


@compiled
def backward(
    t: int, dm: Array, dc: Array, gates: Array, c: Array, h: Array, w_c: Array, dgates: Array, dw_c: Array, clip: float
) -> None:
    """See `nnet.layers.cell.backward`; the arrays are float32 in numpy."""
    limit = F(clip)
    for s in range(c.shape[1]):
        a, d = gates[t, s], dgates[t, s]
        _backward_row(
            dm[s], dc[s], a[0], a[1], a[2], a[3], c[t, s], c[t + 1, s], h[t, s], w_c[0], w_c[1], w_c[2],
            d[0], d[1], d[2], d[3], dw_c[0], dw_c[1], dw_c[2], limit,
        )  # fmt: skip
