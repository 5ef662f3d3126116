import pytest
import torch

from nnet.config import ModelConfig
from nnet.errors import ModelError
from nnet.layers import products
from nnet.layers.products import Weight, product, products_of, weight_gradient
from nnet.model import Network
from nnet.processor import Processor

PRECISIONS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}


CPU = torch.device("cpu")


@pytest.fixture(params=["onednn", "mm"])
def way(request, monkeypatch):
    if request.param == "onednn" and not products.AVAILABLE:
        pytest.skip("torch has no oneDNN here")
    monkeypatch.setenv(products.VARIABLE, request.param)


@pytest.fixture(params=[("AuthenticAMD", "onednn"), ("GenuineIntel", "mm"), ("", "mm")])
def expected(request, monkeypatch):
    """The way on a processor of some vendor."""
    vendor, way = request.param
    monkeypatch.setattr(products, "this_processor", lambda: Processor(vendor, frozenset({"avx2", "avx512f"})))
    monkeypatch.delenv(products.VARIABLE, raising=False)
    return way if products.AVAILABLE else "mm"


def test_the_processor_decides(expected):
    assert torch.backends.mkldnn.is_available() == products.AVAILABLE
    assert products_of(torch.float32, CPU) == expected
    assert products_of(torch.bfloat16, CPU) == "mm"
    assert Weight(torch.ones(3, 2), 1).W.is_mkldnn == (expected == "onednn")
    assert Network(ModelConfig(layers=1, cells=2), 2, 2).products == expected
    assert Network(ModelConfig(kind="rnn", cells=2), 2, 2).products is None


def test_a_user_overrides_the_processor(expected, monkeypatch):
    for way in ("onednn", "mm"):
        monkeypatch.setenv(products.VARIABLE, way)
        assert products_of(torch.float32, CPU) == (way if products.AVAILABLE else "mm")
    monkeypatch.setenv(products.VARIABLE, "mkl")
    with pytest.raises(ModelError, match="NNET_PRODUCTS is 'mkl'; it has to be onednn or mm, or not set"):
        products_of(torch.float32, CPU)


def test_torch_mm_where_onednn_cannot_multiply(monkeypatch):
    monkeypatch.setenv(products.VARIABLE, "onednn")
    assert not Weight(torch.ones(3, 2, dtype=torch.float64), 1).W.is_mkldnn
    assert products_of(torch.float32, torch.device("meta")) == "mm"
    monkeypatch.setattr(products, "AVAILABLE", False)
    assert products_of(torch.float32, CPU) == "mm"


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
