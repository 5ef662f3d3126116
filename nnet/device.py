"""Where a network computes: any device of torch's, the CPU with kernels of its own."""

import torch
from torch import Tensor

from nnet.errors import ModelError

CPU = torch.device("cpu")


def device_named(name: str) -> torch.device:
    """Return a device that this torch can compute on.

    Raises
    ------
    ModelError
        When there is no such device here.

    Example
    -------
    >>> device_named("cpu")
    device(type='cpu')
    >>> device_named("gpu")
    Traceback (most recent call last):
    nnet.errors.ModelError: device is 'gpu'; here torch computes on: cpu
    """
    try:
        device = torch.device(name)
        torch.ones(1, device=device).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # as torch says that it lacks a device
        raise ModelError(f"device is '{name}'; here torch computes on: {', '.join(available())}") from error
    return device


def available() -> list[str]:
    """The devices that torch can compute on here.

    Example
    -------
    >>> available()[0]
    'cpu'
    """
    found = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    return found + ["mps"] * torch.backends.mps.is_available()


def takes_compiled(*tensors: Tensor) -> bool:
    """Whether the compiled kernels can compute with tensors: float32 on the CPU."""
    return all(x.dtype == torch.float32 and x.device.type == "cpu" for x in tensors)
