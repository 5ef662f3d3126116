"""The training loop of one process."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from nnet.augment import Masks, masked
from nnet.checkpoint import Progress, Run, Sums, load_checkpoint, save_checkpoint
from nnet.chunks import Chunk, Epochs, Position, Reader, chunks, read_delayed, windows
from nnet.config import ModelConfig, TrainConfig, check_pair
from nnet.errors import ModelError
from nnet.gradient import Replicas, chunk_gradient, errors
from nnet.layers.lstm import State
from nnet.log import TrainingLog
from nnet.model import MOST_FRAMES, AcousticModel, carry_state
from nnet.optimizer import initial_state, update_of
from nnet.threads import set_threads

CHECKPOINT = "checkpoint.safetensors"

EVALUATED_SIDE_BY_SIDE = 16  # utterances of dev

NEWBOB_START, NEWBOB_STOP = 0.005, 0.001  # gains in dev frame accuracy below which halving starts, and training ends


@dataclass(frozen=True)
class Result:
    """What training came to: the epochs whose weights were averaged (the first is 1), and the dev frame accuracy."""

    epochs: list[int]
    accuracy: float


def train(
    model: AcousticModel,
    reader: Reader,
    dev_reader: Reader,
    config: TrainConfig,
    directory: str | Path,
    seed: int = 0,
    threads: int = 2,
    silence_pdfs: Sequence[int] = (),
) -> Result:
    """Train a model by backpropagation through time and leave the weights of its best epochs in it.

    A checkpoint in `directory` is taken up: the weights in the end are the same, bit for bit, as those of a run that
    was never interrupted (with the same number of threads).

    Parameters
    ----------
    model : AcousticModel
        With its initial weights.
    reader, dev_reader : Reader
        Utterance → (features (T, D), pdfs (T,)).
    config : TrainConfig
    directory : path
        Gets train.jsonl and the checkpoint.
    seed : int
        Of the utterances' order, their masks and dropout.
    threads : int
        That compute at once, each on a part of the streams.
    silence_pdfs : sequence of int
        The pdfs to which ``config.silence_weight`` applies.

    Raises
    ------
    ModelError
        When the data does not fit the model, or the loss is not finite; the last checkpoint stays.
    """
    check_pair(model.config, config)
    directory = Path(directory)
    set_threads(1)  # each of ours computes with one of torch's
    torch.manual_seed(seed)
    frames_per_epoch = check_data(model, reader, "training")
    check_data(model, dev_reader, "dev")

    replicas = Replicas(model, threads)
    run, progress = Run(replicas.params, optimizer=initial_state(config, replicas.params)), Progress()
    if (directory / CHECKPOINT).exists():
        progress = load_checkpoint(directory / CHECKPOINT, run)
        print(f"Resuming in epoch {progress.epoch + 1} after {progress.frames} frames")
    log = TrainingLog(directory, progress.log_size, progress.frames)
    weights = pdf_weights(model.num_pdfs, silence_pdfs, config.silence_weight)
    update = update_of(config)

    planned = config.epochs * frames_per_epoch
    saved = time.monotonic()
    with (
        closing(log),
        tqdm(total=planned, initial=progress.frames, unit="frame", unit_scale=True, disable=None) as bar,
    ):
        order, clock = Epochs(list(reader), seed, config.epochs), time.monotonic()
        todo = training_chunks(model.config, config, reader, order, seed, progress.position)
        for chunk in todo if not progress.finished else ():
            lr = learning_rate(config, progress.frames, planned, progress.halvings)
            sums, run.state = train_chunk(replicas, chunk, run.state, config, weights)
            update(replicas.params, replicas.grad, run.optimizer, lr)
            clock, sums.seconds = time.monotonic(), time.monotonic() - clock
            count(progress, chunk, sums)
            bar.update(sums.frames)
            if progress.since_log.seconds >= config.log_seconds:
                write_log(log, progress, progress.since_log, lr)
                bar.set_postfix(averages(progress.since_log))
                progress.since_log = Sums()
            ended = False
            while progress.frames >= (progress.epoch + 1) * frames_per_epoch and not progress.finished:
                dev = evaluate(model, dev_reader, EVALUATED_SIDE_BY_SIDE)
                write_log(log, progress, progress.since_epoch, lr, dev)
                end_epoch(config, progress, run, run.params, progress.since_epoch, dev)
                progress.since_epoch, progress.since_log = Sums(), Sums()
                clock, ended = time.monotonic(), True  # a chunk can hold more than a tiny corpus
            if ended or time.monotonic() - saved >= config.checkpoint_seconds:
                save_checkpoint(directory / CHECKPOINT, run, progress)
                saved = time.monotonic()
            if progress.finished:
                break
    return take_kept(model, run, progress, dev_reader, config)


def training_chunks(
    model: ModelConfig, config: TrainConfig, reader: Reader, order: Epochs, seed: int, position: Position
) -> Iterator[Chunk]:
    """Cut the utterances as such a model is trained: chunks that follow one another, or windows in random order."""
    alter = partial(mask, config.masks, seed)
    if model.carries_state:
        return chunks(reader, order, config.streams, config.frames, model.delay, position, alter)
    context, pool = (model.left_context, model.right_context), min(config.shuffle, order.per_epoch)
    return windows(reader, order, config.streams, config.frames, context, seed, pool, position, alter)


def pdf_weights(num_pdfs: int, silence_pdfs: Sequence[int], silence_weight: float) -> torch.Tensor | None:
    """The weight of each pdf's frames in the loss, (P,); None where all are 1."""
    if silence_weight == 1:
        return None
    weights = torch.ones(num_pdfs)
    weights[list(silence_pdfs)] = silence_weight
    return weights


def count(progress: Progress, chunk: Chunk, sums: Sums) -> None:
    """Take a chunk that was trained on into account."""
    progress.position = chunk.position
    progress.frames += sums.frames
    progress.seconds += sums.seconds
    progress.since_epoch = add(progress.since_epoch, sums)
    progress.since_log = add(progress.since_log, sums)


def mask(masks: Masks, seed: int, feats: torch.Tensor, index: int) -> torch.Tensor:
    """Mask the utterance at an index of all epochs' order."""
    return masked(feats, masks, (seed, index))


def train_chunk(
    replicas: Replicas,
    chunk: Chunk,
    state: list[State],
    config: TrainConfig,
    weights: torch.Tensor | None = None,
) -> tuple[Sums, list[State]]:
    """Compute the gradient of a chunk's cross entropy, no longer than the config allows, into ``replicas.grad``.

    The sum over the frames is divided by the size of a full chunk and not by the frames that this one has, so that
    every frame of the corpus weighs the same; `weights` (P,) are those of the pdfs. Of whole utterances, it is divided
    by their frames.

    Returns
    -------
    sums : Sums
        Of this chunk.
    state : list of (c, r)
        After it.

    Raises
    ------
    ModelError
        When the loss or the gradient is not finite.
    """
    per = config.streams * config.frames or None
    sums, state = chunk_gradient(replicas, chunk, state, per, weights, config.reset_probability)
    sums.grad_norm = replicas.grad.norm().item()
    if not math.isfinite(sums.loss) or not math.isfinite(sums.grad_norm):
        raise ModelError(
            f"the loss is {sums.loss / max(sums.frames, 1):g}, the gradient's norm {sums.grad_norm:g} on a chunk of "
            f"the utterances {' '.join(sorted(set(chunk.utterances)))}: look for bad features there, or lower "
            "initial_lr or set max_grad_norm, with which training starts anew; until then the last checkpoint is kept"
        )
    if 0 < config.max_grad_norm < sums.grad_norm:
        replicas.grad.mul_(config.max_grad_norm / sums.grad_norm)
    return sums, state


def evaluate(model: AcousticModel, reader: Reader, streams: int, frames: int = 100) -> tuple[float, float]:
    """Return the mean cross entropy and the frame accuracy over all utterances."""
    config, names = model.config, sorted(reader)
    if config.carries_state:
        todo = chunks(reader, names, streams, frames, config.delay)
    else:
        context, whole = (config.left_context, config.right_context), config.direction != "forward"
        if whole:
            longest = max(len(targets) for _, targets in reader.values())
            streams = max(1, min(streams, MOST_FRAMES // longest))
        todo = windows(reader, names, streams, 0 if whole else frames, context, seed=0, pool=streams)
    total, state = Sums(), []
    with torch.no_grad():
        for chunk in todo:
            carried = carry_state(state or model.zero_state(0), chunk.carry)
            output, loss, correct, count = errors(model, chunk, carried)
            state = output.state
            total = add(total, Sums(loss.item(), correct, count))
    return total.loss / total.frames, total.correct / total.frames


def learning_rate(config: TrainConfig, frames: int, planned: int, halvings: int = 0) -> float:
    """Return the learning rate after `frames` of `planned` frames, and after so many halvings by ``newbob``.

    Example
    -------
    >>> config = TrainConfig(initial_lr=0.01, final_lr=0.0001)
    >>> round(learning_rate(config, frames=500, planned=1000), 6)
    0.001
    """
    if config.schedule == "newbob":
        return max(config.initial_lr / 2**halvings, config.final_lr)
    return config.initial_lr * (config.final_lr / config.initial_lr) ** (frames / planned)


def end_epoch(
    config: TrainConfig, progress: Progress, run: Run, params: torch.Tensor, sums: Sums, dev: tuple[float, float]
) -> None:
    """Keep the weights at an epoch's end if they are to be averaged, and let newbob have its say.

    Parameters
    ----------
    config : TrainConfig
    progress : Progress
    run : Run
    params : Tensor, shape (N,)
        The weights.
    sums : Sums
        Of the epoch.
    dev : (float, float)
        Their mean cross entropy and frame accuracy on dev.
    """
    (dev_loss, accuracy), means = dev, averages(sums)
    progress.epoch += 1
    best = accuracy > progress.best_accuracy
    progress.best_accuracy = max(progress.best_accuracy, accuracy)
    keep(config, progress, run, params, accuracy)
    tqdm.write(
        f"Epoch {progress.epoch}: loss {means['loss']:.3f}, frame accuracy {means['accuracy']:.2%}; "
        f"dev loss {dev_loss:.3f}, frame accuracy {accuracy:.2%}{' (best)' if best else ''}"
    )
    if config.schedule == "newbob" and progress.epoch > 1:
        gain = accuracy - progress.last_accuracy
        progress.finished = progress.halving and gain < NEWBOB_STOP
        progress.halving |= gain < NEWBOB_START
        progress.halvings += progress.halving
    progress.last_accuracy = accuracy


def keep(config: TrainConfig, progress: Progress, run: Run, params: torch.Tensor, accuracy: float) -> None:
    """Keep the weights of the epoch that has just ended, and no more than are averaged in the end."""
    progress.kept.append((progress.epoch, accuracy))
    run.kept.append(params.clone())
    if len(run.kept) > config.average_epochs:
        # of equally good epochs, the first is kept
        worst = (
            0
            if config.average == "last"
            else min(range(len(run.kept)), key=lambda k: (progress.kept[k][1], -progress.kept[k][0]))
        )
        del progress.kept[worst], run.kept[worst]


def take_kept(model: AcousticModel, run: Run, progress: Progress, dev_reader: Reader, config: TrainConfig) -> Result:
    """Leave the mean of the kept epochs' weights in the model."""
    run.params.copy_(torch.stack(run.kept).mean(0) if len(run.kept) > 1 else run.kept[0])
    accuracy = progress.kept[0][1]
    if len(run.kept) > 1:
        _, accuracy = evaluate(model, dev_reader, EVALUATED_SIDE_BY_SIDE)
    return Result([epoch for epoch, _ in progress.kept], accuracy)


def add(a: Sums, b: Sums) -> Sums:
    """Add field by field."""
    return Sums(**{name: value + getattr(b, name) for name, value in asdict(a).items()})


def averages(sums: Sums) -> dict[str, float]:
    """Return what is reported of sums."""
    return {
        "loss": sums.loss / max(sums.frames, 1),
        "accuracy": sums.correct / max(sums.frames, 1),
        "grad_norm": sums.grad_norm / max(sums.chunks, 1),
        "clipped": sums.clipped / max(sums.chunks, 1),
        "frames_per_second": sums.frames / max(sums.seconds, 1e-9),
    }


def write_log(
    log: TrainingLog,
    progress: Progress,
    sums: Sums,
    lr: float,
    dev: tuple[float, float] | None = None,
    **more: float | list[float],
) -> None:
    """Append a line to train.jsonl: an epoch's with its loss and accuracy on `dev`, one within an epoch without."""
    figures = averages(sums) | (dict(zip(("dev_loss", "dev_accuracy"), dev, strict=True)) if dev else {}) | more
    progress.log_size = log.write(progress.frames, epoch=progress.epoch + 1, seconds=progress.seconds, lr=lr, **figures)


def check_data(model: AcousticModel, reader: Reader, name: str) -> int:
    """Read all data once, compare it with the model, and return the number of frames.

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
