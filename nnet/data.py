"""The training data as the network wants it: checked, masked, in chunks."""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor

from nnet.augment import Masks, masked
from nnet.chunks import (
    Chunk,
    Epochs,
    Position,
    Reader,
    Reading,
    read_utterance,
    shuffled_chunks,
    stream_chunks,
    window_chunks,
)
from nnet.config import ModelConfig, TrainConfig
from nnet.errors import ModelError
from nnet.model import Network
from nnet.steps import Steps, phase_of


def check_data(model: Network, reader: Reader, name: str) -> dict[str, int]:
    """Read all data once, compare it with the model, and return the frames of each utterance.

    Parameters
    ----------
    model : Network
    reader : Reader
    name : str
        Of the data set, for the messages.

    Raises
    ------
    ModelError
        When there is none, or an utterance's dimension, pdfs, length or values do not fit.
    """
    frames: dict[str, int] = {}
    for utterance in reader:
        feats, targets = read_utterance(reader, utterance)
        if feats.shape[1] != model.input_dim:
            raise ModelError(
                f"utterance {utterance} has {feats.shape[1]}-dimensional features, the model wants {model.input_dim}"
            )
        if not 0 <= targets.min() <= targets.max() < model.num_pdfs:
            raise ModelError(
                f"utterance {utterance} has pdfs from {targets.min()} to {targets.max()}, the model those from 0 to "
                f"{model.num_pdfs - 1}"
            )
        if not torch.isfinite(feats).all():
            raise ModelError(f"utterance {utterance} has features that are not finite")
        frames[utterance] = len(feats)
    if not frames:
        raise ModelError(f"there are no frames of {name} data")
    longest = model.config.steps.count(max(frames.values()))
    if longest <= model.config.delay:
        raise ModelError(f"delay is {model.config.delay} steps, the longest utterance of {name} has {longest}")
    return frames


def epoch_ends(steps: Steps, order: Epochs, frames: Mapping[str, int], seed: int) -> list[int]:
    """Count the outputs that are trained on until the end of each epoch.

    Epochs differ by a few, as an utterance has a step more or less at another phase.

    Parameters
    ----------
    steps : Steps
    order : Epochs
    frames : mapping
        Of each utterance.
    seed : int
        Of the phases.

    Example
    -------
    >>> epoch_ends(Steps(skip=3), Epochs(["a"], seed=1, epochs=4), {"a": 10}, seed=1)  # all its frames in three epochs
    [3, 6, 10, 13]
    """
    phases = range(min(steps.skip, order.epochs))  # the epochs after them repeat their phases
    sums = [sum(steps.count(n, phase_of(steps.skip, seed, u, epoch)) for u, n in frames.items()) for epoch in phases]
    return list(accumulate(sums[epoch % steps.skip] for epoch in range(order.epochs)))


def training_chunks(
    model: ModelConfig, config: TrainConfig, reader: Reader, order: Epochs, seed: int, position: Position
) -> Iterator[Chunk]:
    """Cut the utterances as such a model is trained: chunks that follow one another, or windows in random order."""
    reading = Reading(model.steps, partial(phase_at, model.skip, seed, order), partial(mask, config.masks, seed))
    pool = min(config.shuffle, order.per_epoch)
    if model.carries_state and config.chunks == "shuffled":
        given = config.streams, config.frames, model.delay, seed, pool, position, reading
        return shuffled_chunks(reader, order, *given)
    if model.carries_state:
        return stream_chunks(reader, order, config.streams, config.frames, model.delay, position, reading)
    context = model.left_context, model.right_context
    return window_chunks(reader, order, config.streams, config.frames, context, seed, pool, position, reading)


def phase_at(skip: int, seed: int, order: Epochs, index: int) -> int:
    """The phase of the utterance at an index of all epochs' order."""
    return phase_of(skip, seed, order[index], index // order.per_epoch)


def mask(masks: Masks, seed: int, feats: Tensor, index: int) -> Tensor:
    """Mask the utterance at an index of all epochs' order."""
    return masked(feats, masks, (seed, index))
