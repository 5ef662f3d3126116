"""Products with weights, in the precision of the weights.

oneDNN, which is a part of torch, can lay out a weight for its kernels in advance. Where frame after frame is multiplied
by the same weight with few rows, this takes half of the time of torch.mm on some processors, and more than torch.mm on
others: `nnet.processor` says which way a processor takes. Its results are new tensors, which the time loop adds or
copies; that costs less than a tenth of the gain (tests/bench/lstm.py). The operators are those of torch's compiler
(inductor) and have no public name. torch.mm, in place, is also used where they are missing, in double precision and on
other devices.

The environment variable NNET_PRODUCTS, ``onednn`` or ``mm``, overrides the choice.
"""

import os

import torch
from torch import Tensor

from nnet.errors import ModelError
from nnet.processor import faster_products, this_processor

VARIABLE = "NNET_PRODUCTS"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
AVAILABLE: bool = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no types there
    and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
)


def products_of(dtype: torch.dtype, device: torch.device) -> str:
    """How weights of a precision are multiplied on a device: ``onednn`` or ``mm``.

    Raises
    ------
    ModelError
        When NNET_PRODUCTS is neither of them.

    Example
    -------
    >>> products_of(torch.float64, torch.device("cpu"))
    'mm'
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "onednn", "mm"):
        raise ModelError(f"{VARIABLE} is '{wanted}'; it has to be onednn or mm, or not set")
    if not AVAILABLE or device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16):
        return "mm"
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # AVX-512 at least
        return "mm"
    return wanted or faster_products(this_processor(), "bf16" if dtype == torch.bfloat16 else "fp32")


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
    return _product(x, W, b, products_of(W.dtype, W.device) == "onednn")


def _product(x: Tensor, W: Tensor, b: Tensor | None, onednn: bool) -> Tensor:
    if x.dtype != W.dtype:
        rounded = _product(x.to(W.dtype), W, None, onednn).to(x.dtype)
        return rounded if b is None else rounded.add_(b)
    if onednn:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, W, b, "none", [], "")
        return y
    return x @ W.t() if b is None else torch.addmm(b, x, W.t())


def weight_gradient(dy: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return ``dyᵀ x``, the gradient of the W of ``y = x Wᵀ``, multiplied in a precision."""
    return (dy.to(dtype).t() @ x.to(dtype)).to(dy.dtype)


class Weight:
    """A weight W (N, K) for products with `rows` rows, laid out for them where oneDNN multiplies.

    Example
    -------
    >>> out = torch.ones(2, 1)
    >>> Weight(torch.tensor([[1.0, 2.0, 3.0]]), rows=2).add(out, torch.ones(2, 3))
    >>> out
    tensor([[7.],
            [7.]])
    """

    def __init__(self, W: Tensor, rows: int) -> None:
        self.onednn = products_of(W.dtype, W.device) == "onednn"
        self.W = torch.ops.mkldnn._reorder_linear_weight(W, rows) if self.onednn else W

    def write(self, out: Tensor, x: Tensor) -> None:
        """Compute ``out = x Wᵀ``."""
        if self.onednn or out.dtype != self.W.dtype:
            out.copy_(_product(x, self.W, None, self.onednn))
        else:
            torch.mm(x, self.W.t(), out=out)

    def add(self, out: Tensor, x: Tensor) -> None:
        """Compute ``out += x Wᵀ``."""
        if self.onednn or out.dtype != self.W.dtype:
            out.add_(_product(x, self.W, None, self.onednn))
        else:
            out.addmm_(x, self.W.t())
