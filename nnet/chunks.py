"""Utterances cut into chunks of T steps for S streams, for truncated backpropagation through time.

What a chunk is trained towards, its supervision, is read and cut here and nowhere else; only a loss (`nnet.losses`)
looks at it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nnet.errors import ModelError
from nnet.steps import Steps

Reader = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]
"""Utterance → features (T, D) float32 and the pdf of every frame (T,)."""


class Order(Protocol):
    """Utterances in the order in which they are read, by their index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> str: ...


NO_TARGET = -100
"""The target of a step that yields no error."""


@dataclass(frozen=True)
class Position:
    """A position between two chunks: the next utterance to start and, of those under way, (utterance, next step).

    Utterances are indices into the epoch's order. Between two chunks of windows, `next` is the first utterance of the
    pool, and `done` counts the windows of the pool that were given. Of `shuffled_chunks`, `rows` are the streams of the
    chunk before, with the padded steps at the end of each.
    """

    next: int = 0
    rows: tuple[tuple[int, int], ...] = ()
    done: int = 0


@dataclass(frozen=True)
class Chunk:
    """T steps of S streams.

    Attributes
    ----------
    feats : Tensor, shape (T, S, stack · D)
        Zero after an utterance's end; with the model's context around the T steps, where it has one.
    targets : Tensor, shape (T, S)
        Pdfs, or `NO_TARGET` for padding and for the first outputs of an utterance or window, as many as the delay.
    lengths : Tensor, shape (S,)
        Steps of `feats` before the padding.
    carry : Tensor, shape (S,)
        The row of the chunk before that each stream goes on with, -1 where it starts from a zero state.
    utterances : tuple of str
        One for each stream.
    position : Position
        After this chunk.
    """

    feats: Tensor
    targets: Tensor
    lengths: Tensor
    carry: Tensor
    utterances: tuple[str, ...]
    position: Position

    def streams(self, some: slice) -> "Chunk":
        """Return some of the streams."""
        feats, targets = self.feats[:, some], self.targets[:, some]
        return replace(
            self,
            feats=feats,
            targets=targets,
            lengths=self.lengths[some],
            carry=self.carry[some],
            utterances=self.utterances[some],
        )

    def to(self, device: torch.device) -> "Chunk":
        """Return the chunk on a device; itself, where it is there."""
        if self.feats.device == device:
            return self
        feats, targets, lengths = self.feats.to(device), self.targets.to(device), self.lengths.to(device)
        return replace(self, feats=feats, targets=targets, lengths=lengths, carry=self.carry.to(device))


def shuffled(utterances: Sequence[str], seed: int, epoch: int) -> list[str]:
    """Return the utterances in the order of an epoch; it depends only on the ids, the seed and the epoch."""
    names = sorted(utterances)
    return [names[i] for i in np.random.default_rng([seed, epoch]).permutation(len(names))]


class Epochs:
    """All epochs' utterances in one row, each epoch `shuffled` anew: a sequence, as far as chunks need one.

    Streams go on from one epoch into the next, so that none waits for the longest utterance of an epoch.

    Parameters
    ----------
    utterances : sequence of str
    seed : int
    epochs : int
        How many.
    """

    def __init__(self, utterances: Sequence[str], seed: int, epochs: int) -> None:
        self.per_epoch, self.epochs = len(utterances), epochs
        self._order = lru_cache(maxsize=2)(lambda epoch: shuffled(utterances, seed, epoch))

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._order(index // self.per_epoch)[index % self.per_epoch]


@dataclass(frozen=True)
class Reading:
    """How the utterances of an order are read.

    Attributes
    ----------
    steps : Steps
        Of the network.
    phase : callable
        The phase of its steps over the utterance at an index of the order.
    augment : callable
        Changes the features of an utterance, given its index in the order as well; always in the same way.
    """

    steps: Steps = field(default_factory=Steps)
    phase: Callable[[int], int] = lambda index: 0
    augment: Callable[[Tensor, int], Tensor] = lambda feats, index: feats


def read_utterance(reader: Reader, utterance: str) -> tuple[Tensor, Tensor]:
    """Read an utterance, frame by frame: features (T, D) and targets (T,).

    Raises
    ------
    ModelError
        When features and targets differ in length, or there are none.
    """
    feats, targets = reader[utterance]
    if len(feats) != len(targets):
        raise ModelError(f"utterance {utterance} has {len(feats)} frames of features and {len(targets)} targets")
    if not len(feats):
        raise ModelError(f"utterance {utterance} has no frames")
    return torch.from_numpy(feats), torch.from_numpy(targets.astype(np.int64))


def stream_chunks(
    reader: Reader,
    order: Order,
    streams: int,
    frames: int,
    delay: int,
    position: Position = Position(),
    reading: Reading = Reading(),
) -> Iterator[Chunk]:
    """Cut utterances into chunks; a stream that has finished an utterance takes the next one.

    Only the utterances under way are in memory. Streams for which no utterance is left drop out, and chunks in which
    every utterance ends early are shorter.

    Parameters
    ----------
    reader : Reader
    order : Order
        The utterances.
    streams : int
        S, at most.
    frames : int
        T, steps at most.
    delay : int
        The target of step u stands at u + delay; the last frame is repeated for the steps after the utterance's end.
    position : Position
        Where to start, from a chunk of the same order.
    reading : Reading
    """
    read = partial(_read_steps, reader, order, reading, delay=delay)
    rows = [(i, start, *read(i)) for i, start in position.rows]
    following = position.next
    while True:
        unfinished = [(s, row) for s, row in enumerate(rows) if row[1] < len(row[2])]
        carry, rows = [s for s, _ in unfinished], [row for _, row in unfinished]
        while len(rows) < streams and following < len(order):
            rows.append((following, 0, *read(following)))
            carry.append(-1)
            following += 1
        if not rows:
            return
        T = min(frames, max(len(x) - start for _, start, x, _ in rows))
        parts = [(x[start : start + T], y[start : start + T]) for _, start, x, y in rows]
        rows = [(i, start + T, x, y) for i, start, x, y in rows]
        names = tuple(order[i] for i, *_ in rows)
        # a row that has ended is kept in the position: the next chunk's `carry` counts it
        after = Position(following, tuple((i, start) for i, start, *_ in rows))
        yield Chunk(*_side_by_side(parts), torch.tensor(carry), names, after)


def window_chunks(
    reader: Reader,
    order: Order,
    streams: int,
    frames: int,
    context: tuple[int, int],
    seed: int,
    pool: int,
    position: Position = Position(),
    reading: Reading = Reading(),
) -> Iterator[Chunk]:
    """Cut utterances into windows for networks that carry no state, in random order, `streams` of them in a chunk.

    Parameters
    ----------
    reader : Reader
    order : Order
        The utterances.
    streams : int
        S, at most.
    frames : int
        T, steps at most; 0: whole utterances, grouped by length.
    context : (int, int)
        Steps before and after that the network sees; an utterance's first and last frames are repeated for it.
    seed : int
        Of the order.
    pool : int
        Utterances that are mixed at a time; more are never in memory.
    position, reading
        See `stream_chunks`.
    """
    around = sum(context)
    for group in _groups(reader, order, streams, frames, context, seed, pool, position, reading):
        parts = [(x[start : end + around], y[start:end]) for x, y, start, end in group.windows]
        carry = torch.full((len(parts),), -1)
        yield Chunk(*_side_by_side(parts), carry, group.names, group.position)


def shuffled_chunks(
    reader: Reader,
    order: Order,
    streams: int,
    frames: int,
    delay: int,
    seed: int,
    pool: int,
    position: Position = Position(),
    reading: Reading = Reading(),
) -> Iterator[Chunk]:
    """Cut utterances into windows in random order for networks that carry their state from one to the next.

    The window before in a stream is of other speech, mostly of another utterance: what the network remembers of it
    tells nothing of the sentence. So it can hardly learn the sentences by heart, and it learns when the past is of no
    use.

    A window has `delay` steps more than it labels, as the target of step u stands at u + delay; its first outputs, of
    steps before it, yield no error. The last window of an utterance starts as early as its length allows, and the steps
    that another window labels yield no error either. Where an utterance is shorter than a window, the next window of
    the stream starts from a zero state, and not from one after padding.

    Parameters
    ----------
    reader, order, streams, seed, pool
        See `window_chunks`.
    frames : int
        T, steps that a window labels, at most.
    delay : int
        Of the network's output, in steps.
    position, reading
        See `stream_chunks`.
    """
    rows = position.rows
    for group in _groups(reader, order, streams, frames, (0, delay), seed, pool, position, reading):
        parts = []
        for x, y, start, end in group.windows:
            begin = max(0, end - frames)
            unlabelled = y.new_full((delay + start - begin,), NO_TARGET)
            parts.append((x[begin : end + delay], torch.cat([unlabelled, y[start:end]])))
        carry = torch.tensor([s if s < len(rows) and not rows[s][1] else -1 for s in range(len(parts))])
        feats, targets, lengths = _side_by_side(parts)
        rows = tuple((s, len(feats) - n) for s, n in enumerate(lengths.tolist()))
        yield Chunk(feats, targets, lengths, carry, group.names, replace(group.position, rows=rows))


@dataclass(frozen=True)
class _Group:
    """Windows that are side by side in a chunk: steps, targets, first step and end of each; the position after them."""

    windows: list[tuple[Tensor, Tensor, int, int]]
    names: tuple[str, ...]
    position: Position


def _groups(
    reader: Reader,
    order: Order,
    streams: int,
    frames: int,
    context: tuple[int, int],
    seed: int,
    pool: int,
    position: Position,
    reading: Reading,
) -> Iterator[_Group]:
    """Windows of the utterances of a pool in random order, `streams` at a time, then of the next pool."""
    first, done = position.next, position.done
    while first < len(order):
        indices = range(first, min(first + pool, len(order)))
        utterances = {i: _read_steps(reader, order, reading, i, context=context) for i in indices}
        places = _shuffled_windows({i: len(y) for i, (_, y) in utterances.items()}, frames, streams, seed)
        while done < len(places):
            some = places[done : done + streams]
            done += len(some)
            after = Position(first, done=done) if done < len(places) else Position(indices.stop)
            windows = []
            for i, start in some:
                x, y = utterances[i]
                windows.append((x, y, start, min(start + (frames or len(y)), len(y))))
            yield _Group(windows, tuple(order[i] for i, _ in some), after)
        first, done = indices.stop, 0


def _read_steps(
    reader: Reader, order: Order, reading: Reading, index: int, delay: int = 0, context: tuple[int, int] = (0, 0)
) -> tuple[Tensor, Tensor]:
    """Read an utterance step by step, with its output delayed or a context around it.

    Returns
    -------
    feats : Tensor, shape (left + N + delay + right, stack · D)
        Of N steps.
    targets : Tensor, shape (N + delay,)
    """
    feats, targets = read_utterance(reader, order[index])
    steps, first = reading.steps, reading.steps.first(len(feats), reading.phase(index))
    feats = torch.cat([feats, feats[-1:].expand(delay * steps.skip, -1)])
    targets = torch.cat([targets.new_full((delay,), NO_TARGET), targets[first :: steps.skip]])
    return steps.inputs(reading.augment(feats, index), first, *context), targets


def _shuffled_windows(lengths: dict[int, int], frames: int, streams: int, seed: int) -> list[tuple[int, int]]:
    """(utterance, first step) of each window; whole utterances are grouped by length."""
    random = np.random.default_rng([seed, min(lengths)])
    if frames:
        places = [(i, start) for i, n in lengths.items() for start in range(0, n, frames)]
        return [places[k] for k in random.permutation(len(places))]
    by_length = sorted(lengths, key=lambda i: lengths[i])
    groups = [by_length[k : k + streams] for k in range(0, len(by_length), streams)]
    last = [groups.pop()] if len(groups[-1]) < streams else []  # groups are taken from the row again, so it comes last
    return [(i, 0) for group in [groups[k] for k in random.permutation(len(groups))] + last for i in group]


def _side_by_side(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Features, targets and lengths of a chunk from each stream's part, padded to the longest."""
    feats = pad_sequence([x for x, _ in parts])
    targets = pad_sequence([y for _, y in parts], padding_value=NO_TARGET)
    return feats, targets, torch.tensor([len(x) for x, _ in parts])
