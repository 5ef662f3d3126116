"""What a model and its training are made of: the keys of conf/nnet/*.yaml and conf/training.yaml."""

from dataclasses import dataclass, field
from typing import Literal

from nnet.augment import Masks
from nnet.errors import ModelError


@dataclass(frozen=True)
class ModelConfig:
    """A stack of recurrent layers with a softmax output.

    Parameters
    ----------
    layers : int
        Number of recurrent layers.
    cells : int
        Memory cells of each layer.
    projection : int
        Size of the recurrent projection of each layer; 0 for none.
    peepholes : bool
        Whether the gates see the cells.
    clip : float
        Cells are kept in [-clip, clip].
    delay : int
        Output delay in frames: the network has heard frame t + delay when it labels frame t.
    dropout : float
        Probability with which a value of a recurrent layer's output is dropped in training.
    init : str
        ``uniform``: every weight from (-init_range, init_range), biases too, as in the paper. ``fan_in``: every matrix
        from (-1/√n, 1/√n) with n its number of columns, peepholes and biases zero.
    init_range : float
        See `init`.
    forget_bias : float
        Added to the initial bias of the forget gates: a positive value lets a new network remember.
    """

    layers: int = 2
    cells: int = 256
    projection: int = 128
    peepholes: bool = True
    clip: float = 50.0
    delay: int = 5
    dropout: float = 0.0
    init: Literal["uniform", "fan_in"] = "fan_in"
    init_range: float = 0.02
    forget_bias: float = 0.0

    def check(self) -> None:
        """Raise a ModelError that names the first value that cannot be."""
        _check(
            self, at_least={"layers": 1, "cells": 1, "projection": 0, "delay": 0}, above={"clip": 0, "init_range": 0}
        )
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout is {self.dropout}; it has to be at least 0 and below 1")
        if self.init not in ("uniform", "fan_in"):
            raise ModelError(f"init is '{self.init}'; it has to be 'uniform' or 'fan_in'")


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained.

    Parameters
    ----------
    streams : int
        Utterances that are trained on side by side.
    frames : int
        Frames of a chunk, through which the gradient passes (truncated backpropagation through time).
    epochs : int
        Passes over the training data.
    optimizer : str
        ``adam`` or ``sgd`` (with momentum).
    momentum : float
        Of ``sgd``.
    initial_lr, final_lr : float
        The learning rate at the first and at the last frame.
    schedule : str
        ``exponential``: from initial_lr to final_lr by the number of frames seen. ``newbob``: initial_lr until an epoch
        raises the dev frame accuracy by less than 0.5 % absolute, then half of it after every epoch (final_lr at
        least), until a halved rate raises it by less than 0.1 %.
    max_grad_norm : float
        A longer gradient is scaled down to this norm; 0: never.
    averaging : float
        What is evaluated and kept is a running average of the weights (Polyak and Juditsky, 1992), of which an update
        replaces the share 1 - averaging; 0: the weights themselves.
    masks : Masks
        Masks of SpecAugment on the training data.
    checkpoint_seconds : float
        A checkpoint is written this often, and after every epoch.
    log_seconds : float
        train.jsonl gets a line this often, and after every epoch.
    """

    streams: int = 32
    frames: int = 20
    epochs: int = 20
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.9
    initial_lr: float = 0.002
    final_lr: float = 0.0001
    schedule: Literal["exponential", "newbob"] = "exponential"
    max_grad_norm: float = 0.0
    averaging: float = 0.0
    masks: Masks = field(default_factory=Masks)
    checkpoint_seconds: float = 60.0
    log_seconds: float = 10.0

    def check(self) -> None:
        """Raise a ModelError that names the first value that cannot be."""
        _check(
            self,
            at_least={
                "streams": 1, "frames": 1, "epochs": 1, "momentum": 0, "max_grad_norm": 0, "averaging": 0,
                "checkpoint_seconds": 0, "log_seconds": 0,
            },
            above={"initial_lr": 0, "final_lr": 0},
        )  # fmt: skip
        for name, known in (("optimizer", ("adam", "sgd")), ("schedule", ("exponential", "newbob"))):
            if getattr(self, name) not in known:
                raise ModelError(f"{name} is '{getattr(self, name)}'; it has to be one of {', '.join(known)}")
        for name in ("momentum", "averaging"):
            if getattr(self, name) >= 1:
                raise ModelError(f"{name} is {getattr(self, name)}; it has to be below 1")
        if self.final_lr > self.initial_lr:
            raise ModelError(f"final_lr is {self.final_lr}, above initial_lr, {self.initial_lr}")


def _check(config: ModelConfig | TrainConfig, at_least: dict[str, float], above: dict[str, float]) -> None:
    for name, limit in at_least.items():
        if not getattr(config, name) >= limit:
            raise ModelError(f"{name} is {getattr(config, name)}; it has to be {limit} or more")
    for name, limit in above.items():
        if not getattr(config, name) > limit:
            raise ModelError(f"{name} is {getattr(config, name)}; it has to be above {limit}")
