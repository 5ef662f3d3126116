"""How fast the recurrent layer is, beside torch.nn.LSTM and the bare matrix products: ``python -m tests.bench.lstm``.

Forward and backward of one LSTMP layer (512 inputs, 1024 cells, projected to 512) over 20 frames of 4, 16 and 64
streams, with the gradients of the input and of all weights, in one thread and in turns:

- ours, with peepholes;
- torch.nn.LSTM with ``proj_size``, which has no peepholes (and for which torch does not use oneDNN's LSTM);
- bare: only the products that ours needs, by torch.mm into arrays that are there already. A layer that multiplies with
  torch.mm can't be faster; below 1 in ``to_bare`` is oneDNN's gain (`nnet.layers.products`), above it gates and calls.

NNET_PRODUCTS=mm gives the times with torch.mm on a processor where ours uses oneDNN.

The last line is JSON: for each number of streams the time of ours over that of the bare products (``to_bare``) and the
time of torch.nn.LSTM over that of ours (``over_torch``); both are medians of the rounds' ratios. ``bf16_over_fp32`` is
the time in float32 over that in bfloat16 at 64 streams, null on a processor without AMX and AVX512-BF16.
"""

import json
import warnings
from collections.abc import Callable
from statistics import median

import torch

from nnet.allocation import keep_memory
from nnet.layers.lstm import LSTM
from nnet.layers.products import DTYPES, products_of
from nnet.processor import has_bf16, this_processor
from nnet.threads import set_threads
from tests.bench.turns import in_turns, ratio

INPUT, CELLS, PROJECTION, FRAMES = 512, 1024, 512, 20
ROUNDS = {4: 41, 16: 31, 64: 15}  # by streams: what is over sooner is disturbed more


def main() -> None:
    keep_memory()
    set_threads(1)
    products = products_of(DTYPES["fp32"], torch.device("cpu"))
    print(f"{INPUT} inputs, {CELLS} cells, projection {PROJECTION}, {FRAMES} frames, one thread; milliseconds")
    print(f"products of ours: {products}")
    print("streams    bare    ours   torch  to_bare  over_torch")
    summary: dict[str, object] = {}
    for streams in ROUNDS:
        torch.manual_seed(0)
        contestants = {"bare": bare(streams), "ours": ours(streams), "torch": theirs(streams)}
        times = in_turns(contestants, ROUNDS[streams])
        to_bare, over_torch = ratio(times, "ours", "bare"), ratio(times, "torch", "ours")
        columns = "".join(f"{1e3 * median(times[name]):8.1f}" for name in contestants)
        print(f"{streams:7}{columns}{to_bare:9.3f}{over_torch:12.2f}")
        summary[str(streams)] = {"to_bare": round(to_bare, 3), "over_torch": round(over_torch, 3)}
    print(json.dumps(summary | {"bf16_over_fp32": bf16_over_fp32(streams=64), "products": products}))


def ours(streams: int, **options: str) -> Callable[[], None]:
    layer = LSTM(INPUT, CELLS, PROJECTION, **options)
    for weights in layer.parameters():
        torch.nn.init.uniform_(weights, -0.02, 0.02)
    state = layer.zero_state(streams)
    return forward_and_backward(layer, lambda x: layer(x, state)[0], streams)


def theirs(streams: int) -> Callable[[], None]:
    warnings.filterwarnings("ignore", "LSTM with projections")  # are computed without oneDNN
    layer = torch.nn.LSTM(INPUT, CELLS, proj_size=PROJECTION)
    return forward_and_backward(layer, lambda x: layer(x)[0], streams)


def forward_and_backward(
    layer: torch.nn.Module, forward: Callable[[torch.Tensor], torch.Tensor], streams: int
) -> Callable[[], None]:
    x = torch.randn(FRAMES, streams, INPUT, requires_grad=True)
    dr = torch.randn(FRAMES, streams, PROJECTION)
    inputs = [x, *layer.parameters()]

    def run() -> None:
        torch.autograd.grad(forward(x), inputs, dr)

    return run


def bare(streams: int) -> Callable[[], None]:
    """Give the products of `nnet.layers.lstm` in their order, by the names there, with frames and streams in a row."""
    rows, sums = FRAMES * streams, 4 * CELLS
    W_x, W_r, W_m = (torch.randn(shape) / 50 for shape in ((sums, INPUT), (sums, PROJECTION), (PROJECTION, CELLS)))
    x, m, dsums = torch.randn(rows, INPUT), torch.randn(rows, CELLS), torch.randn(rows, sums)
    r, dr = torch.randn(rows + streams, PROJECTION), torch.zeros(rows + streams, PROJECTION)
    gates, dm, dx = torch.empty(rows, sums), torch.empty(streams, CELLS), torch.empty(rows, INPUT)
    dW_x, dW_r, dW_m = torch.empty_like(W_x), torch.empty_like(W_r), torch.empty_like(W_m)
    gates_t, m_t, dsums_t, r_t, dr_t = (y.split(streams) for y in (gates, m, dsums, r, dr))

    def run() -> None:
        torch.mm(x, W_x.t(), out=gates)
        for t in range(FRAMES):
            gates_t[t].addmm_(r_t[t], W_r.t())
            torch.mm(m_t[t], W_m.t(), out=r_t[t + 1])
        for t in reversed(range(FRAMES)):
            torch.mm(dr_t[t + 1], W_m, out=dm)
            dr_t[t].addmm_(dsums_t[t], W_r)
        torch.mm(dsums, W_x, out=dx)
        torch.mm(dsums.t(), x, out=dW_x)
        torch.mm(dsums.t(), r[:-streams], out=dW_r)
        torch.mm(dr[streams:].t(), m, out=dW_m)

    return run


def bf16_over_fp32(streams: int) -> float | None:
    if not has_bf16(this_processor()):
        return None
    times = in_turns({"fp32": ours(streams), "bf16": ours(streams, precision="bf16")}, ROUNDS[streams])
    return round(ratio(times, "fp32", "bf16"), 3)


if __name__ == "__main__":
    main()
