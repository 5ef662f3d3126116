"""What a network is made of: its layers, parameters, cost and latency, counted and laid out for reading."""

from dataclasses import dataclass

import torch
from tabulate import tabulate
from torch import nn

from nnet.config import ModelConfig
from nnet.model import Network, count_parameters


@dataclass(frozen=True)
class LayerInfo:
    """A layer: its name in the model, its kind, the shapes of its weights by name, and their number."""

    name: str
    kind: str
    shapes: dict[str, list[int]]
    parameters: int
    parameters_without_biases: int


@dataclass(frozen=True)
class NetworkInfo:
    """A network; its latency is None where the first output waits for the whole utterance.

    What it costs is said for a frame of the features, of which it may read several at a step (`nnet.steps.Steps`);
    contexts are in steps.
    """

    input_dim: int
    stack: int
    ahead: int
    skip: int
    phases: str
    output_dim: int
    layers: list[LayerInfo]
    parameters: int
    parameters_without_biases: int
    multiply_adds_per_frame: int
    latency_frames: int | None
    left_context: int
    right_context: int


def describe(config: ModelConfig, input_dim: int, output_dim: int) -> NetworkInfo:
    """Count what a network is made of.

    Example
    -------
    >>> info = describe(ModelConfig(layers=1, cells=8, projection=4, delay=5), input_dim=3, output_dim=10)
    >>> info.parameters, info.parameters_without_biases, info.latency_frames
    (362, 320, 5)
    """
    with torch.device("meta"):  # shapes only
        model = Network(config, input_dim, output_dim)
    layers = [layer_info(f"layers.{i}", layer_kind(config), layer) for i, layer in enumerate(model.layers)]
    norms = [layer_info(f"norms.{i}", "layer norm", norm) for i, norm in enumerate(model.norms)]
    return NetworkInfo(
        input_dim,
        config.stack,
        config.ahead,
        config.skip,
        config.phases,
        output_dim,
        [*layers, *norms, layer_info("output", "softmax", model.output)],
        count_parameters(model),
        count_parameters(model, biases=False),
        # a step meets every matrix and every peephole once: one multiplication and addition for each of their numbers
        multiply_adds_per_frame=round(count_parameters(model, biases=False) / config.skip),  # in training
        latency_frames=latency(config),
        left_context=config.left_context,
        right_context=config.right_context,
    )


def layer_info(name: str, kind: str, layer: nn.Module) -> LayerInfo:
    """Describe one layer."""
    shapes = {weights: list(w.shape) for weights, w in layer.named_parameters()}
    return LayerInfo(name, kind, shapes, count_parameters(layer), count_parameters(layer, biases=False))


def layer_kind(config: ModelConfig) -> str:
    """Name the layers of a network.

    Example
    -------
    >>> [layer_kind(c) for c in (ModelConfig(projection=4), ModelConfig(direction="both"), ModelConfig(kind="rnn"))]
    ['lstmp', 'bidirectional lstm', 'rnn']
    """
    kind = config.kind + ("p" if config.projection else "")
    return {"forward": "", "backward": "backward ", "both": "bidirectional "}[config.direction] + kind


def latency(config: ModelConfig) -> int | None:
    """Frames that a network has to see after the one that it labels; None: all that follow."""
    if config.direction != "forward":
        return None
    return (config.delay + config.right_context) * config.skip + config.ahead


def layer_table(info: NetworkInfo) -> str:
    """Lay out the layers for reading."""
    header = ["layer", "kind", "weights", "parameters", "without biases"]
    rows = [
        [layer.name, layer.kind, shapes_text(layer.shapes), *map(_with_commas, _counts(layer))] for layer in info.layers
    ]
    align = ("left", "left", "left", "right", "right")
    return tabulate([*rows, ["total", "", "", *map(_with_commas, _counts(info))]], header, colalign=align)


def shapes_text(shapes: dict[str, list[int]]) -> str:
    """Write shapes beside the weights' own names, the directions of a layer below one another.

    Example
    -------
    >>> shapes_text({"directions.0.W_x": [32, 3], "directions.0.b": [32]})
    'W_x 32×3, b 32'
    """
    lines: dict[str, list[str]] = {}
    for name, shape in shapes.items():
        module, _, weights = name.rpartition(".")
        lines.setdefault(module, []).append(f"{weights} {'×'.join(map(str, shape))}")
    return "\n".join(map(", ".join, lines.values()))


def totals(info: NetworkInfo) -> str:
    """Lay out the figures of the whole network for reading."""
    frames = "the whole utterance" if info.latency_frames is None else f"{info.latency_frames} frames"
    stacked = f" of {info.stack} frames, {info.ahead} of them ahead" if info.stack > 1 else ""
    every, unit, a_step = ("frame", "frames", "") if info.skip == 1 else (f"{info.skip} frames", "steps", " a step")
    rows = [
        ["input", f"{info.input_dim} features{stacked}"],
        ["rate", f"an output every {every}{', for each in decoding' if info.phases == 'all' else ''}"],
        ["output", f"{info.output_dim:,} pdfs"],
        ["parameters", f"{info.parameters:,} ({info.parameters / 1e6:.2f}M)"],
        ["  without biases", f"{info.parameters_without_biases:,} ({info.parameters_without_biases / 1e6:.2f}M)"],
        ["multiply-adds per frame", f"{info.multiply_adds_per_frame:,} (every matrix and every peephole once{a_step})"],
        ["latency", frames],
        ["context (left, right)", f"{info.left_context}, {info.right_context} {unit}"],
    ]
    return tabulate(rows, tablefmt="plain", disable_numparse=True, preserve_whitespace=True)


def _counts(info: LayerInfo | NetworkInfo) -> tuple[int, int]:
    return info.parameters, info.parameters_without_biases


def _with_commas(number: int) -> str:
    return f"{number:,}"
