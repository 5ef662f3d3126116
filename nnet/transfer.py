"""Weights of one network as the start of another."""

from nnet.errors import ModelError
from nnet.model import Network


def take_weights(model: Network, source: Network, output: bool) -> None:
    """Give a network the weights of another one with the same layers.

    Parameters
    ----------
    model : Network
        It keeps its own output weights where `output` is false.
    source : Network
    output : bool
        Whether the output weights are taken too: both have the same pdfs.

    Raises
    ------
    ModelError
        Names the first weights that one of them lacks or that differ in shape.

    Example
    -------
    >>> import torch
    >>> from nnet.config import ModelConfig
    >>> old, new = (Network(ModelConfig(cells=4), input_dim=3, num_pdfs=pdfs) for pdfs in (10, 12))
    >>> _ = torch.nn.init.ones_(old.layers[0].directions[0].b)
    >>> take_weights(new, old, output=False)
    >>> new.layers[0].directions[0].b.sum()
    tensor(16., grad_fn=<SumBackward0>)
    """
    for option in ("kind", "direction"):  # the weights of both directions have the same names and shapes
        theirs, ours = getattr(source.config, option), getattr(model.config, option)
        if theirs != ours:
            raise ModelError(f"{option} is {theirs} in the network to start from, {ours} in this one")
    taken = {name: w for name, w in source.state_dict().items() if output or not name.startswith("output.")}
    wanted = {name: w for name, w in model.state_dict().items() if output or not name.startswith("output.")}
    for name in [*wanted, *taken]:
        theirs, ours = ("missing" if w is None else tuple(w.shape) for w in (taken.get(name), wanted.get(name)))
        if theirs != ours:
            raise ModelError(f"'{name}' is {theirs} in the network to start from, {ours} in this one")
    model.load_state_dict(taken, strict=False)
