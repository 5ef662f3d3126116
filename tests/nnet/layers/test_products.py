import pytest
import torch

from nnet.layers import products
from nnet.layers.products import Weight, product, weight_gradient

PRECISIONS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(params=[True, False], ids=["oneDNN", "torch.mm"])
def way(request, monkeypatch):
    if request.param and not products.AVAILABLE:
        pytest.skip("torch has no oneDNN here")
    monkeypatch.setattr(products, "AVAILABLE", request.param)


def test_onednn_is_used_where_it_can_be():
    assert torch.backends.mkldnn.is_available() == products.AVAILABLE
    assert Weight(torch.ones(3, 2), 1).W.is_mkldnn == products.AVAILABLE
    assert not Weight(torch.ones(3, 2, dtype=torch.float64), 1).W.is_mkldnn


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_those_of_float64(way, precision, transposed):
    torch.manual_seed(0)
    kept = torch.float64 if precision == torch.float64 else torch.float32
    x, start = torch.randn(5, 24, dtype=kept), torch.randn(5, 40, dtype=kept)
    W, b = (torch.randn(24, 40).t() if transposed else torch.randn(40, 24)), torch.randn(40, dtype=kept)
    W = W.to(precision)
    exact = x.double() @ W.double().t()
    tolerance = {"rtol": 0, "atol": PRECISIONS[precision] * exact.abs().max().item()}

    def equal(y, expected):
        assert y.dtype == kept
        torch.testing.assert_close(y.double(), expected, **tolerance)

    weight, written, added = Weight(W, 5), torch.full_like(start, torch.nan), start.clone()
    weight.write(written, x)
    weight.add(added, x)
    equal(written, exact)
    equal(added, start.double() + exact)
    equal(product(x, W), exact)
    equal(product(x, W, b), exact + b.double())
    exact = start.double().t() @ x.double()
    torch.testing.assert_close(weight_gradient(start, x, precision).double(), exact, rtol=0, atol=tolerance["atol"])


def test_a_weight_multiplies_any_number_of_rows(way):
    torch.manual_seed(0)
    W = torch.randn(12, 8)
    weight = Weight(W, rows=4)
    for rows in (1, 4, 9):
        x, out = torch.randn(rows, 8), torch.empty(rows, 12)
        weight.write(out, x)
        torch.testing.assert_close(out, x @ W.t())
