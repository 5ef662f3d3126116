"""The training loop of one process."""

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from nnet.allocation import keep_memory
from nnet.checkpoint import CHECKPOINT, Progress, TrainingState, load_checkpoint, save_checkpoint
from nnet.chunks import Chunk, Epochs, Reader
from nnet.config import TrainConfig, check_pair
from nnet.data import check_data, epoch_ends, training_chunks
from nnet.epochs import Result, end_epoch, load_average
from nnet.evaluation import evaluate
from nnet.gradient import Replicas, train_chunk
from nnet.log import TrainingLog, write_log
from nnet.losses import Loss, loss_named
from nnet.losses.cross_entropy import pdf_weights
from nnet.model import Network
from nnet.optimizer import decay_mask, initial_state
from nnet.sums import Sums
from nnet.threads import set_threads
from nnet.update import apply_update


def train(
    model: Network,
    reader: Reader,
    dev_reader: Reader,
    config: TrainConfig,
    directory: str | Path,
    seed: int = 0,
    threads: int = 2,
    silence_pdfs: Sequence[int] = (),
) -> Result:
    """Train a model by backpropagation through time and leave the weights of its best epochs in it.

    If `directory` holds a checkpoint, training goes on from there: the weights in the end are the same, bit for bit, as
    those of a run that was never interrupted (with the same number of threads).

    Parameters
    ----------
    model : Network
        With its initial weights; it is trained on the device where they are.
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
    checkpoint = Path(directory) / CHECKPOINT
    keep_memory()
    set_threads(1)  # each of ours computes with one of torch's
    torch.manual_seed(seed)
    frames = check_data(model, reader, "training")
    check_data(model, dev_reader, "dev")

    replicas = Replicas(model, threads)
    state = TrainingState(replicas.params, optimizer=initial_state(config, replicas.params, decay_mask(model)))
    progress = Progress()
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, state)
        print(f"Resuming in epoch {progress.epoch + 1} after {progress.frames} frames")
    weights = pdf_weights(model.num_pdfs, silence_pdfs, config.silence_weight, model.device)
    loss = loss_named(config.loss, weights)
    order = Epochs(list(reader), seed, config.epochs)
    ends = epoch_ends(model.config.steps, order, frames, seed)
    chunks = training_chunks(model.config, config, reader, order, seed, progress.position)
    loop = _Loop(replicas, dev_reader, config, state, progress, checkpoint, ends, loss)
    loop.run(chunks if not progress.finished else ())
    return load_average(model, state, progress, dev_reader, config)


@dataclass
class _Loop:
    """Updates the weights chunk by chunk; evaluates, logs and saves when that is due."""

    replicas: Replicas
    dev_reader: Reader
    config: TrainConfig
    state: TrainingState
    progress: Progress
    checkpoint: Path
    epoch_ends: list[int]
    loss: Loss

    def run(self, chunks: Iterable[Chunk]) -> None:
        """Train on the chunks, until they end or the schedule says so."""
        config, progress, planned = self.config, self.progress, self.epoch_ends[-1]
        skip = self.replicas.models[0].config.skip
        log = TrainingLog(self.checkpoint.parent, progress.log_size, progress.frames, skip)
        bar = tqdm(total=planned, initial=progress.frames, unit="frame", unit_scale=True, disable=None)
        saved, clock = time.monotonic(), time.monotonic()
        with closing(log), closing(bar):
            for chunk in chunks:
                before, state = progress.frames, self.state
                sums, state.state = train_chunk(self.replicas, chunk, state.state, config, self.loss, before / planned)
                given = config, state.params, self.replicas.grad, state.optimizer
                lr = apply_update(*given, sums.frames, before, planned, progress.halvings)
                clock, sums.seconds = time.monotonic(), time.monotonic() - clock
                count(progress, chunk, sums)
                bar.update(sums.frames)
                if progress.since_log.seconds >= config.log_seconds:
                    write_log(log, progress, progress.since_log, lr)
                    bar.set_postfix(progress.since_log.averages())
                    progress.since_log = Sums()
                ended = self.end_epochs(log, lr)
                if ended:
                    clock = time.monotonic()
                if ended or time.monotonic() - saved >= config.checkpoint_seconds:
                    save_checkpoint(self.checkpoint, self.state, progress)
                    saved = time.monotonic()
                if progress.finished:
                    break

    def end_epochs(self, log: TrainingLog, lr: float) -> bool:
        """End the epochs whose last frame was seen; a chunk can hold more than a tiny corpus. Whether there are any."""
        ended, progress, ends = False, self.progress, self.epoch_ends
        while progress.epoch < len(ends) and progress.frames >= ends[progress.epoch] and not progress.finished:
            dev = evaluate(self.replicas.models[0], self.dev_reader, loss_named(self.config.loss))
            write_log(log, progress, progress.since_epoch, lr, dev)
            end_epoch(self.config, progress, self.state, self.state.params, progress.since_epoch, dev)
            progress.since_epoch, progress.since_log = Sums(), Sums()
            ended = True
        return ended


def count(progress: Progress, chunk: Chunk, sums: Sums) -> None:
    """Take a chunk that was trained on into account."""
    progress.position = chunk.position
    progress.frames += sums.frames
    progress.seconds += sums.seconds
    progress.since_epoch += sums
    progress.since_log += sums
