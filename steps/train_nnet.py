"""Train a network on aligned features."""

import importlib.metadata
import json
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from nnet.asgd.config import AsgdConfig
from nnet.asgd.training import LOCAL, train_asgd
from nnet.config import ModelConfig, TrainConfig, check_pair
from nnet.device import device_named
from nnet.model import Network, count_parameters, initialise, save_model
from nnet.ranges import Count, Seed
from nnet.train import train
from steps.acoustic.model import check_rate, lang_entry
from steps.acoustic.network_features import FeatureChoice, NetworkFeatures, network_features
from steps.acoustic.start import Start, read_start
from steps.ali.directory import Alignments, copy_model_files, read_alignments
from steps.base.cli import command
from steps.base.environment import git_hash
from steps.base.errors import InputError
from steps.base.output import fingerprint, output_dir
from steps.feats.options import Cmvn
from steps.gmm.transforms import TransformedFeatures, write_transform
from steps.hmm.joins import check_lang, check_states, states_of
from steps.hmm.topology import silence_phones
from steps.hmm.transitions import read_transition_model

NEWER = ("loss", "stack", "ahead", "skip", "layer_norm", "weight_decay", "dropout_schedule", "chunks", "phases")


def train_nnet(
    feats: Path,
    dev_feats: Path,
    lang: Path,
    ali: Path,
    dev_ali: Path,
    exp: Path,
    model: ModelConfig = ModelConfig(),
    training: TrainConfig = TrainConfig(),
    seed: Seed = 1,
    threads: Count = 2,
    workers: Count = 1,
    asgd: AsgdConfig = AsgdConfig(),
    cluster: str = LOCAL,
    device: str = "cpu",
    cmvn: Cmvn | None = None,
    features_of: Path | None = None,
    speakers: Path | None = None,
    dev_speakers: Path | None = None,
    init: Path | None = None,
) -> None:
    """Train a network on features and the pdfs of an alignment.

    Writes EXP/model.safetensors and model.json (all that decoding needs), train.jsonl, tensorboard/, config.yaml, cmd
    and environment.json. The weights of the best epoch by dev frame accuracy are kept, or the average of several.
    A killed run goes on from its last checkpoint: plain training to the same weights, asynchronous SGD with any number
    of workers from two on. Neither goes on from a checkpoint of the other.

    Several workers train by asynchronous SGD: each is a process that computes gradients on its part of the utterances
    and pushes them to a parameter server in shards, without waiting for the others (Sak, Senior and Beaufays, 2014). No
    two such runs are the same.

    Parameters
    ----------
    feats : Path
        Features of the training set, from steps.make_feats: its filterbanks, or, of FEATS/TYPE, those of that type.
    dev_feats : Path
        Features of the dev set.
    lang : Path
        Language directory; says which phones are silence.
    ali : Path
        Alignment of the training set, from steps.align or steps.convert_ali.
    dev_ali : Path
        Alignment of the dev set, in the same states.
    exp : Path
        Model directory to write.
    model : ModelConfig
        The network.
    training : TrainConfig
        How it is trained.
    seed : int
        Seed of the weights, the order of the utterances, and dropout.
    threads : int
        Processor cores of each worker.
    workers : int
        Processes of asynchronous SGD; 1 for plain training (on a cluster, for one worker there).
    asgd : AsgdConfig
        How several workers exchange gradients.
    cluster : str
        Where workers and shards run. local: on this machine. ray: on the Ray cluster that this machine is a node of,
        else on the one that RAY_ADDRESS names, else on a new one of this machine alone. ray://HOST:PORT: on the cluster
        of that Ray client server.
    device : str
        Device that one worker computes on: cpu, or another one of torch, such as cuda.
    cmvn : str
        What the filterbanks are normalised with, instead of what they were made with; see steps.make_feats.
    features_of : Path
        A GMM system: train on its features (MFCC and its transform), and not on the filterbanks. They are normalised
        with the training set's mean and variance.
    speakers : Path
        Speakers' transforms of the training set for that system, from steps.adapt. The network then needs such ones in
        decoding too.
    dev_speakers : Path
        Those of the dev set.
    init : Path
        Start from the weights of this network (a model directory) instead of random ones. It has the same layers and
        the same kind of features; where its states are not those of ALI, the output starts from random weights.
    """
    choice = FeatureChoice(cmvn, features_of, speakers, dev_speakers)
    asynchronous = workers > 1 or cluster != LOCAL
    check_pair(model, training)
    asgd.check()
    where = device_named(device)
    if asynchronous and where.type != "cpu":
        raise InputError(f"--device is {device}; workers of asynchronous SGD compute on the CPU: use --device cpu")
    data = open_data(feats, dev_feats, lang, ali, dev_ali, choice, model.skip)
    network = Network(model, data.train.feats.dim, data.num_pdfs)
    start = read_start(init, data.features, ali) if init else None
    defined = what_defines(network.config, training, seed, asgd if asynchronous else None, start)
    key = fingerprint(defined, feats, dev_feats, lang, ali, dev_ali, *choice.given)
    described = {"model": asdict(model), "training": asdict(training), "seed": seed}
    described |= ({"asgd": asdict(asgd)} if asynchronous else {}) | {"workers": workers, "threads": threads}
    described |= {"init": {"model": str(start.folder), "weights": start.weights}} if start else {}
    initialise(network, seed)
    if start:
        start.give_weights(network)
    network.to(where)
    print(f"{len(network.layers)} layers, {count_parameters(network):,} parameters, {data.num_pdfs} pdfs")
    with output_dir(exp, key, mark="model.json") as folder:
        copy_model_files(ali, folder)
        describe_run(folder, described | {"device": device}, network)
        given = (network, data.train, data.dev, training)
        if asynchronous:
            result = train_asgd(*given, asgd, folder, seed, workers, threads, data.silence, cluster)
        else:
            result = train(*given, folder, seed, threads, data.silence)
        counts = count_pdfs(data.train, data.num_pdfs)
        counts[data.silence] *= training.silence_weight  # as the loss counts them
        if not data.features.transform.does_nothing:
            write_transform(folder, data.features.transform)
        about: dict[str, Any] = {**data.features.about, **states_of(ali), "lang": lang_entry(lang, exp)}
        about |= {"prior_counts": counts.tolist(), "silence_pdfs": data.silence, "seed": seed, "epochs": result.epochs}
        about["loss"] = training.loss
        save_model(folder, network, kind="nnet", **about)
    taken = f"epochs {' '.join(map(str, result.epochs))}" if result.epochs[1:] else f"epoch {result.epochs[0]}"
    print(f"{exp}: weights of {taken}, dev frame accuracy {result.accuracy:.2%}")


def what_defines(
    model: ModelConfig, training: TrainConfig, seed: int, asgd: AsgdConfig | None, start: Start | None = None
) -> dict[str, object]:
    """What a checkpoint has to be of, so that training may go on from it.

    Options that are newer than the first checkpoints are left out at their default, which is what those were trained
    with.
    """
    defined = {"model": _without_newer(model), "training": _without_newer(training), "seed": seed}
    return defined | ({"asgd": asgd.training()} if asgd else {}) | ({"init": start.weights} if start else {})


def _without_newer(config: ModelConfig | TrainConfig) -> dict[str, object]:
    """The options of a config, without those of `NEWER` that have their default."""
    default = asdict(type(config)())
    return {name: value for name, value in asdict(config).items() if name not in NEWER or value != default[name]}


@dataclass(frozen=True)
class AlignedFeatures(Mapping[str, tuple[NDArray[Any], NDArray[Any]]]):
    """Utterance -> features (T, D) and pdf-ids (T,), of the utterances that have both; fit for other processes too."""

    feats: TransformedFeatures
    ali: Alignments
    tid_to_pdf: NDArray[Any]

    def __getitem__(self, utterance: str) -> tuple[NDArray[Any], NDArray[Any]]:
        tids = self.ali[utterance]
        if len(tids) and not 0 < tids.min() <= tids.max() < len(self.tid_to_pdf):
            raise InputError(
                f"{self.ali.folder}: utterance {utterance} has transition-ids from {tids.min()} to {tids.max()}, the "
                f"model those from 1 to {len(self.tid_to_pdf) - 1}; align again"
            )
        return self.feats[utterance], self.tid_to_pdf[tids]

    def __iter__(self) -> Iterator[str]:
        return (utterance for utterance in self.feats if utterance in self.ali)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class TrainingData(NamedTuple):
    """What a network is trained on: both sets, their features, the number of pdfs, and those of silence."""

    train: AlignedFeatures
    dev: AlignedFeatures
    features: NetworkFeatures
    num_pdfs: int
    silence: list[int]


def open_data(
    feats: Path, dev_feats: Path, lang: Path, ali: Path, dev_ali: Path, choice: FeatureChoice, skip: int
) -> TrainingData:
    """Open the features and alignments of both sets, for a network with an output every `skip` frames.

    Raises
    ------
    InputError
        When they do not fit together, or none of a set's utterances is aligned.
    """
    transitions = read_transition_model(ali)
    check_rate(ali, transitions.rate, skip)
    features = network_features(feats, dev_feats, choice)
    check_states(dev_ali, ali, "align both sets with the same model")
    check_lang(lang, ali)
    opened = []
    for folder, of_set, alignment in ((feats, features.train, ali), (dev_feats, features.dev, dev_ali)):
        aligned = AlignedFeatures(of_set, read_alignments(alignment), transitions.tid_to_pdf)
        if not len(aligned):
            raise InputError(f"{folder}: none of its {len(of_set)} utterances is aligned")
        print(f"{folder}: {len(aligned)} of {len(of_set)} utterances are aligned")
        opened.append(aligned)
    silence = transitions.pdfs_of(silence_phones(lang)).tolist()
    train_set, dev_set = opened
    return TrainingData(train_set, dev_set, features, transitions.num_pdfs, silence)


def count_pdfs(reader: AlignedFeatures, num_pdfs: int) -> NDArray[Any]:
    """Count the frames of each pdf in the training alignment: the prior, before silence is deweighted.

    Returns
    -------
    (num_pdfs,) float64
    """
    counts = np.zeros(num_pdfs)
    for utterance in reader:
        counts += np.bincount(reader.tid_to_pdf[reader.ali[utterance]], minlength=num_pdfs)
    return counts


def describe_run(folder: Path, config: Mapping[str, object], network: Network) -> None:
    """Write config.yaml, cmd and environment.json, which says what was chosen by the processor, too."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "cmd").write_text(shlex.join(sys.argv) + "\n")
    versions = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "safetensors")}
    environment = {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "precision": network.config.precision,
        "products": network.products,
        **versions,
        "git": git_hash(),
        "seed": config["seed"],
    }
    (folder / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")


if __name__ == "__main__":
    command(train_nnet)
