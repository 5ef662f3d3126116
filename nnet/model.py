"""The network: a stack of layers with a softmax output over the pdfs."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from nnet.config import ModelConfig
from nnet.errors import ModelError
from nnet.files import read_tensors, write_bytes, write_tensors
from nnet.layers.lstm import LSTM, Direction, State
from nnet.layers.products import DTYPES, products_of
from nnet.layers.simple_layers import RNN, Dense, stack_frames
from nnet.processor import this_processor

MOST_FRAMES = 10_000  # of whole utterances side by side, where no gradient is wanted

Layer = LSTM | RNN | Dense


class Output(NamedTuple):
    """What a model gives for a chunk: logits (T, S, P), the state of every layer, the fraction of clipped cells."""

    logits: Tensor
    state: list[State]
    clipped: Tensor


class Network(nn.Module):
    """Logits of P pdfs for chunks of D-dimensional features.

    Parameters
    ----------
    config : ModelConfig
        Its precision ``auto`` becomes that for this processor.
    input_dim : int
        D.
    num_pdfs : int
        P.

    Raises
    ------
    ModelError
        When the config holds a value that cannot be.

    Example
    -------
    >>> model = Network(ModelConfig(layers=2, cells=8, projection=4), input_dim=40, num_pdfs=10)
    >>> output = model(torch.zeros(20, 3, 40), model.zero_state(3))
    >>> output.logits.shape
    torch.Size([20, 3, 10])
    """

    def __init__(self, config: ModelConfig, input_dim: int, num_pdfs: int) -> None:
        super().__init__()
        config.check()
        config = config.on(this_processor())
        self.config, self.input_dim, self.num_pdfs = config, input_dim, num_pdfs
        self.window = 1 + config.left_context + config.right_context if config.kind == "dnn" else 1
        width = input_dim * config.stack * self.window
        layers: list[Layer] = []
        for _ in range(config.layers):
            layers.append(_layer(config, width))
            width = layers[-1].output_dim
        self.layers = cast("Sequence[Layer]", nn.ModuleList(layers))  # which does not tell the type of its items
        norms = [nn.LayerNorm(layer.output_dim) for layer in layers] if config.layer_norm else []
        self.norms = cast("Sequence[nn.LayerNorm]", nn.ModuleList(norms))
        self.output = nn.Linear(width, num_pdfs)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.output.weight.device

    @property
    def products(self) -> str | None:
        """How an LSTM's weights are multiplied here (`products_of`); None for the kinds made of torch's own layers."""
        return products_of(DTYPES[self.config.precision], self.device) if self.config.kind == "lstm" else None

    def zero_state(self, streams: int) -> list[State]:
        """Return the state at the start of an utterance, for `streams` of them."""
        return [layer.zero_state(streams) for layer in self.layers]

    def draw_dropout(self, frames: int, streams: int, probability: float) -> list[Tensor]:
        """Draw the dropout masks of a chunk: the factors of each layer's output, 0 for what is dropped; none without.

        `frames` are those of x, its context included. The CPU draws them, so that the random state of a checkpoint is
        enough on any device.
        """
        if not probability:
            return []
        kept = 1 - probability
        frames -= self.window - 1
        shapes = [(frames, streams, layer.output_dim) for layer in self.layers]
        return [torch.empty(shape).bernoulli_(kept).div_(kept).to(self.device) for shape in shapes]

    def forward(
        self, x: Tensor, state: list[State], lengths: Tensor | None = None, dropout: Sequence[Tensor] = ()
    ) -> Output:
        """Run over a chunk.

        Parameters
        ----------
        x : Tensor, shape (left_context + T + right_context, S, stack · D)
            Steps, from `nnet.steps.Steps.inputs`.
        state : list of (c, r)
            After the previous chunk.
        lengths : Tensor, shape (S,), optional
            The steps that each stream has in x, where fewer than all.
        dropout : sequence of Tensor
            From `draw_dropout`; empty: nothing is dropped.
        """
        config, after, clipped = self.config, [], []
        if config.kind == "dnn":
            x = stack_frames(x, self.window)
        for i, (layer, before) in enumerate(zip(self.layers, state, strict=True)):
            x, layer_state, fraction = layer(x, before, lengths)
            if config.layer_norm:
                x = self.norms[i](x)
            if dropout:
                x = x * dropout[i]
            after.append(layer_state)
            clipped.append(fraction)
        if config.kind != "dnn":
            x = x[config.left_context : len(x) - config.right_context]
        return Output(self.output(x), after, torch.stack(clipped).mean())


def _layer(config: ModelConfig, width: int) -> Layer:
    if config.kind == "dnn":
        return Dense(width, config.cells)
    if config.kind == "rnn":
        return RNN(width, config.cells)
    return LSTM(
        width, config.cells, config.projection, config.peepholes, config.clip, config.direction, config.precision
    )


def carry_state(state: list[State], rows: Tensor) -> list[State]:
    """Hand the state on to the next chunk: stream s goes on with row ``rows[s]``, or starts anew where that is -1."""

    def carried(x: Tensor) -> Tensor:
        return torch.cat([x.new_zeros(1, x.shape[1]), x.detach()])[rows + 1]

    return [(carried(c), carried(r)) for c, r in state]


def initialise(model: Network, seed: int) -> None:
    """Draw the weights as ``model.config.init`` says."""
    random = torch.Generator().manual_seed(seed)
    config = model.config
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if config.init == "uniform":
                weights.uniform_(-config.init_range, config.init_range, generator=random)
            elif not is_matrix(name, weights):  # biases and peepholes
                weights.zero_()
            else:
                weights.uniform_(-1, 1, generator=random).div_(math.sqrt(weights.shape[1]))
        for layer in model.modules():
            if isinstance(layer, Direction):
                layer.b[config.cells : 2 * config.cells] += config.forget_bias
        for norm in model.norms:
            norm.reset_parameters()  # ones and zeros


def count_parameters(model: nn.Module, biases: bool = True) -> int:
    """Count the weights of a model, with or without its biases.

    Example
    -------
    >>> with torch.device("meta"):  # shapes only
    ...     model = Network(ModelConfig(layers=2, cells=800, projection=512), input_dim=40, num_pdfs=14247)
    >>> count_parameters(model, biases=False)  # 13.16M in the paper's table
    13161664
    """
    weights = dict(model.named_parameters())
    return sum(w.numel() for name, w in weights.items() if biases or not is_bias(name))


def is_bias(name: str) -> bool:
    """Whether a parameter of this name is a bias.

    Example
    -------
    >>> [is_bias(name) for name in ("layers.0.directions.0.b", "layers.0.rnn.bias_hh_l0", "output.weight")]
    [True, True, False]
    """
    last = name.rsplit(".", 1)[-1]
    return last == "b" or last.startswith("bias")


def is_matrix(name: str, weights: Tensor) -> bool:
    """Whether a parameter is a matrix, and not a layer's biases, peepholes or normalisation.

    Example
    -------
    >>> [is_matrix(name, torch.zeros(3, 8)) for name in ("layers.0.directions.0.W_r", "layers.0.directions.0.w_c")]
    [True, False]
    """
    return weights.dim() > 1 and not name.endswith("w_c")


def log_posteriors(model: Network, feats: Sequence[Tensor], chunk: int = 100, phase: int = 0) -> list[Tensor]:
    """Log posterior probabilities of the pdfs at every step over several utterances.

    The steps are at the frames 0, skip, 2 skip, ...: row u belongs to frame u · skip, or, at another phase, to frame
    phase + u · skip. The last frame is repeated for `delay` more steps, and the first `delay` outputs are dropped; a
    context is the first and the last frame repeated.

    Parameters
    ----------
    model : Network
    feats : sequence of Tensor, shape (T, D)
        The utterances; they are computed side by side, each until the chunk in which it ends.
    chunk : int
        Steps computed at a time, which bounds the memory. Networks of direction ``both`` and ``backward`` need whole
        utterances; of long ones, fewer are computed side by side.
    phase : int
        From 0 to `skip` - 1; see `nnet.steps.Steps.first`.

    Returns
    -------
    list of Tensor, shape (N, P)
        With N = ⌈T / skip⌉ steps, at phase 0; on the CPU.

    Raises
    ------
    ModelError
        When the features' dimension is not the model's.
    """
    for x in feats:
        if x.shape[1] != model.input_dim:
            raise ModelError(f"the features have {x.shape[1]} dimensions, the model was trained on {model.input_dim}")
    config, whole = model.config, model.config.direction != "forward"
    steps, counts = config.steps, [config.steps.count(len(x), phase) for x in feats]
    if whole and len(feats) > 1 and len(feats) * max(counts) > MOST_FRAMES:
        half = len(feats) // 2
        return log_posteriors(model, feats[:half], phase=phase) + log_posteriors(model, feats[half:], phase=phase)
    delay, left, right = config.delay, config.left_context, config.right_context
    extended = [steps.inputs(x, steps.first(len(x), phase), before=left, after=delay + right) for x in feats]
    lengths = torch.tensor([len(x) for x in extended], device=model.device)
    longest = nn.utils.rnn.pad_sequence(extended).to(model.device)
    state, going = model.zero_state(len(feats)), torch.arange(len(feats), device=model.device)
    results = longest.new_empty(len(longest) - left - right, len(feats), model.num_pdfs)
    with torch.no_grad():
        step = len(longest) if whole else chunk
        around = 0 if config.carries_state else left + right
        for start in range(0, len(longest) - around, step):
            more = lengths[going] > start + around
            going, state = going[more], [(c[more], r[more]) for c, r in state]
            x = longest[start : start + step + around, going]
            logits, state, _ = model(x, state, lengths[going])
            results[start : start + len(logits), going] = logits.log_softmax(-1)
    results = results.cpu()
    return [results[delay : delay + count, s] for s, count in enumerate(counts)]


def save_model(directory: str | Path, model: Network, **about: Any) -> None:
    """Write model.safetensors and, with all that decoding needs to know, model.json.

    Parameters
    ----------
    directory : path
    model : Network
    **about
        Further entries of model.json: prior counts, feature options, ...
    """
    directory = Path(directory)
    write_tensors(directory / "model.safetensors", dict(model.named_parameters()))
    known = {"model": asdict(model.config), "input_dim": model.input_dim, "num_pdfs": model.num_pdfs}
    known["delay"] = model.config.delay
    write_bytes(directory / "model.json", (json.dumps(known | about, indent=1) + "\n").encode())


def load_model(directory: str | Path) -> tuple[Network, dict[str, Any]]:
    """Read a model, on the CPU, and its model.json.

    Raises
    ------
    ModelError
        When a file is missing or damaged, or the two do not belong together.
    """
    directory = Path(directory)
    try:
        about = json.loads((directory / "model.json").read_text())
        model = Network(ModelConfig(**about["model"]), about["input_dim"], about["num_pdfs"])
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename} is missing; {directory} holds no trained network") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{directory / 'model.json'} is not a model of this program: {error!r}") from error
    weights, _ = read_tensors(directory / "model.safetensors")
    shapes = {name: tuple(w.shape) for name, w in model.named_parameters()}
    found = {name: tuple(w.shape) for name, w in weights.items()}
    if shapes != found:
        name = min(name for name in shapes | found if shapes.get(name) != found.get(name))
        raise ModelError(
            f"{directory}: '{name}' is {found.get(name)} in model.safetensors, {shapes.get(name)} by model.json"
        )
    model.load_state_dict(weights)
    return model, about
