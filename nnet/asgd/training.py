"""Training by asynchronous SGD as a whole: sets up shards, workers and the coordinator, and runs them."""

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from nnet.asgd.backend import Backend
from nnet.asgd.checkpoint import load_worker_states
from nnet.asgd.config import AsgdConfig, config_of_each
from nnet.asgd.coordinator import Coordinator
from nnet.asgd.local import LocalBackend
from nnet.asgd.messages import Job, WorkerState
from nnet.asgd.shard import NOBODY, Shard, parameter_slices, state_of_slice
from nnet.checkpoint import CHECKPOINT, Progress, TrainingState, load_checkpoint
from nnet.chunks import Epochs, Reader
from nnet.config import TrainConfig, check_pair
from nnet.data import check_data, epoch_ends
from nnet.epochs import Result, load_average
from nnet.errors import ModelError
from nnet.log import TrainingLog
from nnet.losses.cross_entropy import pdf_weights
from nnet.model import Network
from nnet.optimizer import decay_mask, flatten, initial_state
from nnet.threads import set_threads

LOCAL = "local"


def train_asgd(
    model: Network,
    reader: Reader,
    dev_reader: Reader,
    config: TrainConfig,
    asgd: AsgdConfig,
    directory: str | Path,
    seed: int = 0,
    workers: int = 2,
    threads: int = 1,
    silence_pdfs: Sequence[int] = (),
    cluster: str = LOCAL,
) -> Result:
    """Train a model by asynchronous SGD and leave the weights of its best epochs in it.

    With one worker, one shard, a push for every chunk, no overlap and a learning rate that no evaluation changes, the
    weights are those of `nnet.train.train`, bit for bit; otherwise no two runs are the same.

    Parameters
    ----------
    model, reader, dev_reader, config, directory, seed, silence_pdfs
        See `nnet.train.train`; the model is on the CPU, and the readers are sent to other processes.
    asgd : AsgdConfig
    workers : int
        Processes that compute gradients, each on its own part of the utterances.
    threads : int
        Of each worker.
    cluster : str
        Where workers and shards run: "local", on this machine, or see `nnet.asgd.cluster.connect`.

    Raises
    ------
    ModelError
        When the data does not fit the model or is too little for so many workers, when the cluster is not there or too
        small, when the loss is not finite, or no worker is left or a shard is lost; the last checkpoint stays.
    """
    check_pair(model.config, config)
    asgd.check()
    if model.device.type != "cpu":
        raise ModelError(f"device is {model.device}; asynchronous SGD computes on the CPU: use one worker, or cpu")
    config, checkpoint = config_of_each(config, asgd, workers), Path(directory) / CHECKPOINT
    set_threads(1)
    frames = check_data(model, reader, "training")
    check_data(model, dev_reader, "dev")
    ends = epoch_ends(model.config.steps, Epochs(list(reader), seed, config.epochs), frames, seed)
    state, progress, worker_states = initial_or_saved(model, config, checkpoint, deal_out(reader, workers))
    weights = pdf_weights(model.num_pdfs, silence_pdfs, config.silence_weight)
    jobs = [
        Job(
            worker=worker,
            state=worker_state,
            model=model.config,
            input_dim=model.input_dim,
            num_pdfs=model.num_pdfs,
            training=config,
            asgd=asgd,
            reader=reader,
            seed=seed,
            threads=threads,
            epoch_ends=tuple(ends),
            pdf_weights=weights,
        )
        for worker, worker_state in enumerate(worker_states)
    ]
    print(f"workers: {workers}, streams of each: {config.streams}, learning rate from {config.initial_lr:.2g}")
    backend = start_backend(
        cluster, make_shards(state, progress, asgd.shards, config, jobs[0].planned), workers, threads
    )
    run_workers(jobs, backend, state, progress, model, dev_reader, checkpoint)
    return load_average(model, state, progress, dev_reader, config)


def run_workers(
    jobs: Sequence[Job],
    backend: Backend,
    state: TrainingState,
    progress: Progress,
    model: Network,
    dev_reader: Reader,
    checkpoint: Path,
) -> None:
    """Run the workers to the end, with the log and a progress bar; for the parameters see `Coordinator`."""
    log = TrainingLog(checkpoint.parent, progress.log_size, progress.frames, model.config.skip)
    bar = tqdm(total=jobs[0].planned, initial=progress.frames, unit="frame", unit_scale=True, disable=None)
    with closing(backend), closing(log), closing(bar):
        Coordinator(jobs, backend, state, progress, log, bar, model, dev_reader, checkpoint).run()


def initial_or_saved(
    model: Network, config: TrainConfig, checkpoint: Path, worker_states: list[WorkerState]
) -> tuple[TrainingState, Progress, list[WorkerState]]:
    """The state at the start of a training, or that of its checkpoint; the model's parameters become views of it."""
    params, _ = flatten(model)
    state, progress = TrainingState(params, optimizer=initial_state(config, params, decay_mask(model))), Progress()
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, state)
        worker_states = resume(load_worker_states(checkpoint), worker_states)
        print(f"Resuming in epoch {progress.epoch + 1} after {progress.frames} frames")
    return state, progress, worker_states


def make_shards(state: TrainingState, progress: Progress, count: int, config: TrainConfig, planned: int) -> list[Shard]:
    """Cut the state of a training into shards, `count` of them at most."""
    shards = []
    for part in parameter_slices(len(state.params), count):
        counts = torch.tensor([0, progress.frames, progress.halvings, NOBODY])
        shards.append(Shard(state.params[part], state_of_slice(state.optimizer, part), counts, config, planned))
    return shards


def start_backend(cluster: str, shards: Sequence[Shard], workers: int, threads: int) -> Backend:
    """Start the shards where so many workers will run.

    Raises
    ------
    ModelError
        When there is no such cluster, it is too small, or Ray is missing.
    """
    if cluster == LOCAL:
        return LocalBackend(shards)
    if not re.fullmatch(r"ray|ray://.+:\d+", cluster):
        raise ModelError(f"cluster is '{cluster}'; there are local, ray and ray://HOST:PORT")
    try:
        from nnet.asgd.cluster import RayBackend  # Ray is no requirement of the rest
    except ModuleNotFoundError as error:
        raise ModelError("--cluster needs Ray: python -m pip install -r requirements-cluster.txt") from error
    return RayBackend(shards, cluster, workers, threads)


def deal_out(reader: Reader, workers: int) -> list[WorkerState]:
    """Deal the utterances out to workers that start.

    Raises
    ------
    ModelError
        When there are fewer utterances than workers.
    """
    names = sorted(reader)
    if len(names) < workers:
        raise ModelError(f"{len(names)} utterances are too few for {workers} workers")
    return [WorkerState(tuple(names[k::workers])) for k in range(workers)]


def resume(saved: list[WorkerState], new: list[WorkerState]) -> list[WorkerState]:
    """The saved states, where they are of the same utterances and as many workers; new ones otherwise."""
    if len(saved) == len(new) and _utterances(saved) == _utterances(new):
        return saved
    print(f"The checkpoint is of {len(saved)} workers: these {len(new)} begin their parts of the data anew")
    rounds = 1 + max((state.round for state in saved), default=-1)  # in another order than before
    return [replace(state, round=rounds) for state in new]


def _utterances(states: Sequence[WorkerState]) -> list[str]:
    return sorted(utterance for state in states for utterance in state.utterances)
