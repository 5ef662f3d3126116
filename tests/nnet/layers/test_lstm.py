import pytest
import torch

from nnet.layers import reference
from nnet.layers.lstm import LSTM, lstm

T, S, D, C, P = 4, 3, 2, 5, 3


def random_layer(projection=0, peepholes=True, clip=50.0, seed=0, dtype=torch.float64, scale=0.8, direction="forward"):
    layer = LSTM(D, C, projection, peepholes, clip, direction).to(dtype)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for w in layer.parameters():
            w.uniform_(-scale, scale, generator=random)
    return layer


def random_input(layer, frames=T, seed=1):
    random = torch.Generator().manual_seed(seed)
    shapes = ((frames, S, D), (S, layer.cells), (S, layer.output_dim))
    x, c, r = (torch.randn(shape, generator=random, dtype=layer.directions[0].b.dtype) for shape in shapes)
    return x, (c, r)


def weights(layer):
    """W_x, W_r, b, w_c and W_m, in the order of `lstm`."""
    (w,) = layer.directions
    return [w.W_x, w.W_r, w.b, w.w_c, w.W_m]


@pytest.mark.parametrize("clip", [50.0, 0.4])
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("projection", [0, P])
def test_gradcheck(projection, peepholes, clip):
    layer = random_layer(projection, peepholes, clip)
    x, state = random_input(layer)
    given = [x, *state, *(w for w in weights(layer) if w is not None)]

    def run(x, c, r, *rest):
        rest = iter(rest)
        r, state, clipped = lstm(x, (c, r), *(None if w is None else next(rest) for w in weights(layer)), clip=clip)
        assert 0 < clipped < 1 if clip < 1 else clipped == 0
        return r, *state

    assert torch.autograd.gradcheck(run, [value.detach().requires_grad_() for value in given])


@pytest.mark.parametrize("clip", [50.0, 0.5])
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("projection", [0, P])
def test_equals_the_equations_of_the_paper(projection, peepholes, clip):
    layer = random_layer(projection, peepholes, scale=2.0)
    x, state = random_input(layer, frames=20)
    values = [x, *state, *weights(layer)]
    grads = []
    for function in (lstm, reference.lstm):
        x, c, r, *given = [None if value is None else value.detach().clone().requires_grad_() for value in values]
        output, (c_T, r_T), *_ = function(x, (c, r), *given, clip)
        assert (c_T.abs() == clip).any() == (clip < 1)
        loss = (output**2).sum() + c_T.sum() + (3 * r_T).sum()
        wanted = [value for value in (x, c, r, *given) if value is not None]
        grads.append([output, c_T, *torch.autograd.grad(loss, wanted)])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)


def copy_to_torch(layer, theirs):
    """Give a torch.nn.LSTM a layer's weights: the order of the gates is the same, torch has two biases."""
    with torch.no_grad():
        for w, suffix in zip(layer.directions, ("", "_reverse"), strict=False):
            getattr(theirs, f"weight_ih_l0{suffix}").copy_(w.W_x)
            getattr(theirs, f"weight_hh_l0{suffix}").copy_(w.W_r)
            getattr(theirs, f"bias_ih_l0{suffix}").copy_(w.b)
            getattr(theirs, f"bias_hh_l0{suffix}").zero_()
            if w.W_m is not None:
                getattr(theirs, f"weight_hr_l0{suffix}").copy_(w.W_m)


@pytest.mark.parametrize("projection", [0, P])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_equals_torch_without_peepholes(projection, dtype):
    layer = random_layer(projection, peepholes=False, dtype=dtype)
    theirs = torch.nn.LSTM(D, C, proj_size=projection).to(dtype)
    copy_to_torch(layer, theirs)
    x, (c, r) = random_input(layer, frames=20)
    x.requires_grad_()
    output, state, clipped = layer(x, (c, r))
    expected, (r_T, c_T) = theirs(x, (r[None], c[None]))
    for a, b in ((output, expected), (state[0], c_T[0]), (state[1], r_T[0])):
        torch.testing.assert_close(a, b)
    assert clipped == 0
    W_x, W_r, b, _, W_m = weights(layer)
    pairs = [(W_x, theirs.weight_ih_l0), (W_r, theirs.weight_hh_l0), (b, theirs.bias_ih_l0), (x, x)]
    if projection:
        pairs.append((W_m, theirs.weight_hr_l0))
    ours = torch.autograd.grad((output**2).sum(), [pair[0] for pair in pairs])
    expected = torch.autograd.grad((expected**2).sum(), [pair[1] for pair in pairs])
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("projection", [0, P])
def test_chunks_with_carried_state_equal_the_whole(projection):
    layer = random_layer(projection)
    x, state = random_input(layer, frames=23)
    whole, whole_state, _ = layer(x, state)
    parts = []
    for part in x.split(5):
        output, state, _ = layer(part, state)
        parts.append(output)
    torch.testing.assert_close(torch.cat(parts), whole)
    for a, b in zip(state, whole_state, strict=True):
        torch.testing.assert_close(a, b)


def test_clipped_cell_is_what_follows_sees():
    layer = LSTM(1, 1, peepholes=False, clip=1.9)
    with torch.no_grad():
        layer.directions[0].b.copy_(torch.tensor([100.0, 100.0, 100.0, 100.0]))  # c grows by one a frame
    r, (c, _), clipped = layer(torch.zeros(4, 1, 1), layer.zero_state(1))
    torch.testing.assert_close(r.flatten(), torch.tanh(torch.tensor([1.0, 1.9, 1.9, 1.9])))
    assert c.item() == pytest.approx(1.9)
    assert clipped.item() == 0.75


def test_nothing_is_changed_in_place():
    layer = random_layer(P)
    x, state = random_input(layer)
    before = [value.clone() for value in (x, *state)]
    r, (c_T, r_T), _ = layer(x.requires_grad_(), state)
    outputs = [r, c_T, r_T]
    grads = [torch.ones_like(value) for value in outputs]
    torch.autograd.backward(outputs, grads)
    for a, b in zip((x, *state), before, strict=True):
        assert torch.equal(a, b)
    assert all((grad == 1).all() for grad in grads)


@pytest.mark.parametrize("projection", [0, P])
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_both_directions_equal_torch_on_utterances_of_unequal_length(projection):
    layer = random_layer(projection, peepholes=False, direction="both")
    theirs = torch.nn.LSTM(D, C, proj_size=projection, bidirectional=True).double()
    copy_to_torch(layer, theirs)
    lengths = torch.tensor([20, 7, 13])
    x, _ = random_input(layer, frames=20)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0])
    output, *_ = layer(x, layer.zero_state(3), lengths)
    for s, n in enumerate(lengths):
        torch.testing.assert_close(output[:n, s], expected[:n, s])


@pytest.mark.parametrize("direction", ["backward", "both"])
@pytest.mark.parametrize("projection", [0, P])
def test_gradcheck_of_the_other_directions(projection, direction):
    layer = random_layer(projection, direction=direction)
    x, state = random_input(layer)
    lengths = torch.tensor([4, 2, 3])

    def run(x, c, r, *_):
        r, state, _ = layer(x, (c, r), lengths)
        return r, *state

    given = [value.requires_grad_() for value in (x, *state)]
    assert torch.autograd.gradcheck(run, [*given, *layer.parameters()])


def test_backward_is_forward_on_what_is_turned_around():
    layer, other = random_layer(P), random_layer(P, direction="backward")
    other.load_state_dict(layer.state_dict())
    x, state = random_input(layer)
    for a, b in zip(other(x, state)[0], reversed(layer(x.flip(0), state)[0]), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("projection", [0, 24])
def test_products_in_bf16_give_almost_the_same_gradients(projection):
    random = torch.Generator().manual_seed(1)
    layer = LSTM(40, 64, projection)
    for w in layer.parameters():
        torch.nn.init.uniform_(w, -0.3, 0.3, generator=random)
    x = torch.randn(20, 4, 40, generator=random, requires_grad=True)
    grads = {}
    for layer.precision in ("fp32", "bf16"):
        r, (c, _), _ = layer(x, layer.zero_state(4))
        assert r.dtype == c.dtype == torch.float32
        grads[layer.precision] = torch.autograd.grad((r**2).sum() + c.sum(), [x, *layer.parameters()])
    for ours, exact in zip(grads["bf16"], grads["fp32"], strict=True):
        assert ours.dtype == torch.float32
        assert not torch.equal(ours, exact)
        assert torch.cosine_similarity(ours.flatten(), exact.flatten(), 0) > 0.99
