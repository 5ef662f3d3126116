"""The networks of conf/nnet made of torch.nn modules, to hold the speed of `nnet` against."""

import warnings

import torch
from torch import Tensor, nn

from nnet.chunks import NO_TARGET, Chunk
from nnet.config import ModelConfig, TrainConfig

State = list[tuple[Tensor, ...]]


class Plain(nn.Module):
    """A stack of nn.LSTM (without peepholes and clipping, which it lacks), nn.RNN, or nn.Linear and nn.ReLU.

    A bidirectional layer sees the padding too, where ours begins at each stream's end: torch would have to pack the
    streams for that, and without oneDNN, which it then cannot use, it takes several times as long.
    """

    def __init__(self, config: ModelConfig, input_dim: int, num_pdfs: int) -> None:
        super().__init__()
        if config.direction == "backward":
            raise SystemExit("error: torch.nn.LSTM reads forward or both ways, not backward alone")
        self.config, self.layers = config, nn.ModuleList()
        width = input_dim * config.stack
        if config.kind == "dnn":
            width *= 1 + config.left_context + config.right_context
        for _ in range(config.layers):
            self.layers.append(_layer(config, width))
            width = (config.projection or config.cells) * (1 + (config.direction == "both"))
        self.dropout, self.output = nn.Dropout(config.dropout), nn.Linear(width, num_pdfs)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits and, of a network that carries it, the state: a tuple of (1, S, .) for each layer."""
        config, after = self.config, []
        if config.kind == "dnn":
            x = x.unfold(0, 1 + config.left_context + config.right_context, 1).transpose(2, 3).flatten(2)
        for k, layer in enumerate(self.layers):
            if config.kind == "dnn":
                x = layer(x)
            elif not config.carries_state:
                x, _ = layer(x)
            elif config.kind == "rnn":
                x, h = layer(x, state[k][0] if state else None)
                after.append((h,))
            else:
                x, layer_state = layer(x, state[k] if state else None)
                after.append(layer_state)
            x = self.dropout(x)
        if config.kind != "dnn":
            x = x[config.left_context : len(x) - config.right_context]
        return self.output(x), after


def _layer(config: ModelConfig, width: int) -> nn.Module:
    if config.kind == "dnn":
        return nn.Sequential(nn.Linear(width, config.cells), nn.ReLU())
    if config.kind == "rnn":
        return nn.RNN(width, config.cells)
    warnings.filterwarnings("ignore", "LSTM with projections")  # are computed without oneDNN
    return nn.LSTM(width, config.cells, proj_size=config.projection, bidirectional=config.direction == "both")


class Trainer:
    """A usual training loop: torch's loss and optimizer, and its clipping where the config clips the gradient."""

    def __init__(self, model: Plain, config: TrainConfig) -> None:
        self.model, self.config, self.state = model.train(), config, []
        if config.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(model.parameters(), config.initial_lr, config.momentum)
        else:
            self.optimizer = torch.optim.Adam(model.parameters(), config.initial_lr)

    def step(self, chunk: Chunk) -> float:
        """Train on a chunk; return the loss."""
        state = [tuple(carry(part, chunk.carry) for part in layer) for layer in self.state]
        logits, self.state = self.model(chunk.feats, state)
        targets = chunk.targets.flatten()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=NO_TARGET, reduction="sum")
        loss = loss / (self.config.streams * self.config.frames or (targets != NO_TARGET).sum())
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.max_grad_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        return loss.item()


def carry(part: Tensor, rows: Tensor) -> Tensor:
    """The state (1, S, .) of the streams that go on, zero for those that start anew."""
    return part.detach()[:, rows.clamp(min=0)] * (rows >= 0)[:, None]
