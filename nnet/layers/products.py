"""Products with weights, in the precision of the weights.

oneDNN, which is a part of torch, multiplies faster by a weight that was laid out for its kernels in advance: with few
rows it takes half of the time of torch.mm. That pays where frame after frame is multiplied by the same weight. Its
results are new tensors, which the time loop adds or copies; that costs less than a tenth of the gain
(tests/bench/lstm.py). The operators are those of torch's compiler (inductor) and have no public name. Where they are
missing, in precisions that the processor lacks, in double precision and on other devices, torch.mm is used, in place.
"""

import torch
from torch import Tensor

AVAILABLE: bool = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no types there
    and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
)


def product(x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """Return ``x Wᵀ + b``.

    Parameters
    ----------
    x : Tensor, shape (M, K)
    W : Tensor, shape (N, K)
    b : Tensor, shape (N,), optional

    Returns
    -------
    Tensor, shape (M, N)
    """
    if x.dtype != W.dtype:
        rounded = product(x.to(W.dtype), W).to(x.dtype)
        return rounded if b is None else rounded.add_(b)
    if _takes(W):
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, W, b, "none", [], "")
        return y
    return x @ W.t() if b is None else torch.addmm(b, x, W.t())


def weight_gradient(dy: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return ``dyᵀ x``, the gradient of the W of ``y = x Wᵀ``, multiplied in a precision."""
    return (dy.to(dtype).t() @ x.to(dtype)).to(dy.dtype)


class Weight:
    """A weight W (N, K) laid out for products with `rows` rows.

    Example
    -------
    >>> out = torch.ones(2, 1)
    >>> Weight(torch.tensor([[1.0, 2.0, 3.0]]), rows=2).add(out, torch.ones(2, 3))
    >>> out
    tensor([[7.],
            [7.]])
    """

    def __init__(self, W: Tensor, rows: int) -> None:
        self.W = torch.ops.mkldnn._reorder_linear_weight(W, rows) if _takes(W) else W

    def write(self, out: Tensor, x: Tensor) -> None:
        """Compute ``out = x Wᵀ``."""
        if self.W.is_mkldnn or out.dtype != self.W.dtype:
            out.copy_(product(x, self.W))
        else:
            torch.mm(x, self.W.t(), out=out)

    def add(self, out: Tensor, x: Tensor) -> None:
        """Compute ``out += x Wᵀ``."""
        if self.W.is_mkldnn or out.dtype != self.W.dtype:
            out.add_(product(x, self.W))
        else:
            out.addmm_(x, self.W.t())


def _takes(W: Tensor) -> bool:
    """Whether oneDNN multiplies by it."""
    if not AVAILABLE or W.device.type != "cpu":
        return False
    return W.dtype == torch.float32 or (
        W.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # AVX-512 at least
    )
