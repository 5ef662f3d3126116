"""The training data as the network wants it: checked, masked, in chunks."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from nnet.augment import Masks, masked
from nnet.chunks import Chunk, Epochs, Position, Reader, read_delayed, stream_chunks, window_chunks
from nnet.config import ModelConfig, TrainConfig
from nnet.errors import ModelError
from nnet.model import Network


def check_data(model: Network, reader: Reader, name: str) -> int:
    """Read all data once, compare it with the model, and return the number of frames.

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
    total = longest = 0
    for utterance in reader:
        feats, targets = read_delayed(reader, utterance, delay=0)
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
        total, longest = total + len(feats), max(longest, len(feats))
    if not total:
        raise ModelError(f"there are no frames of {name} data")
    if longest <= model.config.delay:
        raise ModelError(f"delay is {model.config.delay} frames, the longest utterance of {name} has {longest}")
    return total


def training_chunks(
    model: ModelConfig, config: TrainConfig, reader: Reader, order: Epochs, seed: int, position: Position
) -> Iterator[Chunk]:
    """Cut the utterances as such a model is trained: chunks that follow one another, or windows in random order."""
    augment = partial(mask, config.masks, seed)
    if model.carries_state:
        return stream_chunks(reader, order, config.streams, config.frames, model.delay, position, augment)
    context, pool = (model.left_context, model.right_context), min(config.shuffle, order.per_epoch)
    return window_chunks(reader, order, config.streams, config.frames, context, seed, pool, position, augment)


def mask(masks: Masks, seed: int, feats: Tensor, index: int) -> Tensor:
    """Mask the utterance at an index of all epochs' order."""
    return masked(feats, masks, (seed, index))
