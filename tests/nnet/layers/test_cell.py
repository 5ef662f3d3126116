import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnet.layers import cell, cell_compiled
from nnet.layers.lstm import LSTM

T = 3


def arrays(S, C, scale, seed):
    random = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return scale * torch.randn(*shape, generator=random)

    return {
        "gates": draw(T, S, 4, C), "c": draw(T + 1, S, C), "h": draw(T, S, C), "m": draw(T, S, C), "w_c": draw(3, C),
        "dm": draw(S, C), "dc": draw(S, C), "dgates": draw(T, S, 4, C), "dw_c": draw(3, C),
    }  # fmt: skip


def run(step, given, convert, clip):
    x = {name: tensor.clone() for name, tensor in given.items()}
    y = {name: convert(tensor) for name, tensor in x.items()}
    clipped = [int(step.forward(t, *(y[n] for n in ("gates", "c", "h", "m", "w_c")), clip)) for t in range(T)]
    names = ("dm", "dc", "gates", "c", "h", "w_c", "dgates", "dw_c")
    for t in reversed(range(T)):
        step.backward(t, *(y[n] for n in names), clip)
    return x, clipped


@settings(deadline=None, max_examples=50)
@given(
    S=st.integers(1, 4), C=st.integers(1, 70), scale=st.floats(0.1, 1.5), clip=st.sampled_from([0.5, 50.0]),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_compiled_and_plain_steps_agree(S, C, scale, clip, seed):
    given = arrays(S, C, scale, seed)
    ours, clipped = run(cell_compiled, given, lambda x: x.numpy(), clip)
    plain, plain_clipped = run(cell, given, lambda x: x, clip)
    assert clipped == plain_clipped
    for name, tensor in plain.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_tanh_and_sigmoid_are_within_a_few_units_of_the_last_place():
    x = np.linspace(-30, 30, 20001, dtype=np.float32)
    tanh = np.array([cell_compiled.tanh(v) for v in x])
    sigmoid = np.array([cell_compiled.sigmoid(v) for v in x])
    assert np.abs(tanh - np.tanh(x.astype(np.float64))).max() < 5e-7
    assert np.abs(sigmoid - 1 / (1 + np.exp(-x.astype(np.float64)))).max() < 5e-7


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(value):
    layer = LSTM(2, 4, projection=3)
    for w in layer.parameters():
        torch.nn.init.uniform_(w, 0.1, 0.2)
    x = torch.zeros(2, 1, 2)
    x[0] = value
    r, *_ = layer(x, layer.zero_state(1))
    expected, *_ = layer.double()(x.double(), layer.zero_state(1))
    assert torch.equal(r.isnan(), expected.isnan())


def test_plain_steps_serve_other_precisions_and_devices():
    layer = LSTM(3, 5, projection=2)
    for w in layer.parameters():
        torch.nn.init.uniform_(w, -0.5, 0.5)
    x = torch.randn(6, 2, 3)
    r, *_ = layer(x, layer.zero_state(2))
    expected, *_ = layer.double()(x.double(), layer.zero_state(2))
    torch.testing.assert_close(r.double(), expected, rtol=1e-5, atol=1e-6)
