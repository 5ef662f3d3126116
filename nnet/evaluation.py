"""The loss and the frame accuracy of a network on a data set."""

import torch

from nnet.chunks import Reader, Reading, stream_chunks, window_chunks
from nnet.layers.lstm import State
from nnet.losses import Loss
from nnet.model import MOST_FRAMES, Network, carry_state
from nnet.sums import Sums

SIDE_BY_SIDE = 16  # utterances of dev


def evaluate(
    model: Network, reader: Reader, loss: Loss, streams: int = SIDE_BY_SIDE, frames: int = 100
) -> tuple[float, float]:
    """Return the mean loss and the frame accuracy over all utterances, of every output where the network skips frames.

    Parameters
    ----------
    model : Network
    reader : Reader
    loss : Loss
    streams : int
        Utterances that are computed side by side, at most.
    frames : int
        Steps of a chunk, where the network does not need whole utterances.
    """
    config, names, reading = model.config, sorted(reader), Reading(model.config.steps)
    if config.carries_state:
        chunks = stream_chunks(reader, names, streams, frames, config.delay, reading=reading)
    else:
        context, whole = (config.left_context, config.right_context), config.direction != "forward"
        if whole:
            longest = max(config.steps.count(len(targets)) for _, targets in reader.values())
            streams = max(1, min(streams, MOST_FRAMES // longest))
        length = 0 if whole else frames
        chunks = window_chunks(reader, names, streams, length, context, seed=0, pool=streams, reading=reading)
    total, state = Sums(), list[State]()
    with torch.no_grad():
        for chunk in chunks:
            chunk = chunk.to(model.device)
            output = model(chunk.feats, carry_state(state or model.zero_state(0), chunk.carry), chunk.lengths)
            sums, state = loss(output.logits, chunk), output.state
            summed, correct, counted = sums.stacked().tolist()
            total += Sums(summed, int(correct), int(counted))
    return total.loss / total.frames, total.correct / total.frames
