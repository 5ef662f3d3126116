"""Acoustic models of either kind, a GMM system or a network, behind one interface."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnet.model import Network, load_model, log_posteriors
from nnet.steps import nearest_steps
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.output import writing
from steps.gmm.gmm import DiagGmms, log_likelihoods, read_gmms, write_gmms
from steps.gmm.system import System
from steps.gmm.transforms import Transform, read_transform, write_transform
from steps.hmm.joins import Rate, states_of
from steps.hmm.transitions import TransitionModel, read_transition_model, write_transition_model

PRIOR_FLOOR = 1e-5

Scorer = Callable[[Sequence[NDArray[Any]]], list[NDArray[Any]]]
"""Features (T, D) of several utterances → their scores (T, num_pdfs); see `AcousticModel`."""


class Priors(NamedTuple):
    """What the priors of a network's pdfs are computed from: their frame counts, and which of them are silence."""

    counts: NDArray[Any]
    silence_pdfs: list[int]


@dataclass(frozen=True)
class ModelDescription:
    """What is known of an acoustic model without its Gaussians or weights.

    Attributes
    ----------
    folder : Path
        Its directory.
    features : dict
        The feature options, for `steps.feats.reader.load_features`.
    transform : Transform
        Of those features; without the speakers' own maps, which `steps.acoustic.inputs.model_features` adds.
    transitions : TransitionModel
    seed : int
        Of its training.
    is_network : bool
        Whether it gives posteriors, which are divided by priors; only there does `silence_deweight` matter.
    gmm : str, optional
        Of a network on features adapted to the speakers: the Gaussians that the speakers' transforms are for, see
        `steps.acoustic.inputs.adapted_to`.
    input_stats : Tensor (2, D + 1), optional
        Of a network on a GMM system's features: statistics with which they are normalised after the transform.
    loss : str, optional
        What a network was trained with (`nnet.losses`).
    """

    folder: Path
    features: dict[str, Any]
    transform: Transform
    transitions: TransitionModel
    seed: int
    is_network: bool
    gmm: str | None
    input_stats: Tensor | None
    loss: str | None

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.folder.name


@dataclass(frozen=True)
class AcousticModel(ModelDescription):
    """An acoustic model.

    Attributes
    ----------
    scores : callable
        A list of (T, D) features to a list of (N, num_pdfs) float32: log likelihoods of a GMM system, log posteriors
        of a network. The utterances of a list are computed side by side. Rows are at the rate of the states: where that
        is the features' (N is T) but the network skips frames, each frame has the output of the nearest step, or with
        ``phases: all`` its own.
    gmms : DiagGmms, optional
        Those of a GMM system.
    priors : Priors, optional
        Those of a network.
    """

    scores: Scorer
    gmms: DiagGmms | None = None
    priors: Priors | None = None

    def log_likelihoods(self, features: Sequence[NDArray[Any]], silence_deweight: float = 1.0) -> list[NDArray[Any]]:
        """Log likelihoods log p(x | s) of features; see `to_log_likelihoods`. A network's lack a constant per frame."""
        return self.to_log_likelihoods(self.scores(features), silence_deweight)

    def to_log_likelihoods(self, scores: Sequence[NDArray[Any]], silence_deweight: float = 1.0) -> list[NDArray[Any]]:
        """Divide a network's posteriors by the priors; the scores of a GMM system are log likelihoods already.

        Parameters
        ----------
        scores : sequence of (N, num_pdfs) float32
            From ``scores``.
        silence_deweight : float
            The count of silence frames is divided by this in the priors.
        """
        if self.priors is None:
            return list(scores)
        priors = log_priors(self.priors.counts, self.priors.silence_pdfs, silence_deweight)
        return [matrix - priors for matrix in scores]  # log p(x|s) = log p(s|x) - log p(s) + constant


def describe_model(folder: str | Path) -> ModelDescription:
    """Read what a model directory says of its model.

    Raises
    ------
    InputError
        When the directory holds no model, or one of another tree or rate than the states beside it.
    """
    folder = Path(folder)
    description = folder / "model.json"
    if not description.is_file():
        raise InputError(f"{folder}: not a model directory, it has no model.json; train one first")
    about = read_json(description, "features", "num_pdfs", "tree", "seed")
    transitions = read_transition_model(folder)
    states = states_of(folder)
    wanted = {name: about[name] for name in ("tree", "phones") if name in about}
    if wanted != {name: value for name, value in states.items() if name in wanted}:
        raise InputError(
            f"{description}: the model is of another tree than {folder / 'tree.json'} or of other phones (hashes "
            f"{' '.join(wanted.values())}, {' '.join(states.values())}); train it again"
        )
    if about["num_pdfs"] != transitions.num_pdfs:
        raise InputError(f"{folder}: the model has {about['num_pdfs']} pdfs, but its tree has {transitions.num_pdfs}")
    stats = about.get("input_stats")
    check_rate(folder, transitions.rate, about.get("model", {}).get("skip", 1))
    is_network = about.get("kind") != "gmm"
    return ModelDescription(
        folder=folder,
        features=about["features"],
        transform=read_transform(folder).without_speakers(),
        transitions=transitions,
        seed=about["seed"],
        is_network=is_network,
        loss=about.get("loss", "cross_entropy") if is_network else None,  # earlier networks do not say
        gmm=about.get("gmm"),
        input_stats=None if stats is None else torch.tensor(stats, dtype=torch.float64),
    )


def check_rate(folder: Path, rate: Rate, skip: int) -> None:
    """Check that the states of a directory fit a model with an output every `skip` frames.

    Raises
    ------
    InputError
        When the states are slower than the features, and the model has another rate.
    """
    wanted = rate.skip
    if wanted not in (1, skip):
        raise InputError(
            f"{folder}: its states are for a network with an output every {wanted} frames, but this model has skip "
            f"{skip}; train a network with model.skip {wanted}, as conf/nnet/lstmp_30ms.yaml has it, or take the "
            "states of a GMM system"
        )


def load_acoustic_model(folder: str | Path) -> AcousticModel:
    """Load what steps.train_mono or steps.train_nnet wrote.

    Raises
    ------
    InputError
        See `describe_model`.
    ModelError
        See `nnet.model.load_model`.
    """
    description = describe_model(folder)
    if not description.is_network:
        gmms = read_gmms(description.folder / "gmm.npz")
        return AcousticModel(**vars(description), scores=partial(_gmm_scores, gmms), gmms=gmms)
    network, about = load_model(description.folder)
    priors = Priors(np.array(about["prior_counts"]), about["silence_pdfs"])
    repeats = network.config.skip // description.transitions.rate.skip
    return AcousticModel(**vars(description), scores=partial(_network_scores, network, repeats), priors=priors)


def write_gmm_model(folder: Path, system: System, features: dict[str, Any], lang: str, seed: int) -> None:
    """Write a GMM system beside its ``topo`` and ``tree.json``; ``model.json`` is the last of its files.

    Parameters
    ----------
    folder : Path
        The model directory.
    system : System
    features : dict
        From `steps.feats.reader.training_options`.
    lang : str
        From `lang_entry`.
    seed : int
        Of its training.
    """
    write_gmms(folder / "gmm.npz", system.gmms)
    write_transition_model(folder / "transitions.npz", system.transitions)
    if not system.transform.does_nothing:
        write_transform(folder, system.transform)
    about = {
        "kind": "gmm",
        "features": features,
        "num_pdfs": system.transitions.num_pdfs,
        **states_of(folder),
        "lang": lang,
        "seed": seed,
    }
    with writing(folder / "model.json") as part:
        part.write_text(json.dumps(about, indent=1))


def alignment_model(model: Path) -> Path | None:
    """Find the alignment model of a speaker-adapted (SAT) one; None for any other model.

    It has the same states and Gaussians, estimated from features without fMLLR (Kaldi's ``final.alimdl``): it aligns
    and decodes speakers who have no transform yet. It lies in ``NAME_si`` in the model's directory.
    """
    return next((file.parent for file in sorted(model.glob("*_si/model.json"))), None)


def lang_entry(lang: Path, model: Path) -> str:
    """What a model.json says of the lang directory of its training: the way there from the model directory.

    Example
    -------
    >>> lang_entry(Path("data/lang"), Path("exp/mono"))
    '../../data/lang'
    """
    return os.path.relpath(lang.resolve(), model.resolve())


def training_lang(model: Path) -> Path:
    """Find the lang directory that a model was trained with.

    Raises
    ------
    InputError
        When its model.json does not name one, or it is not there any more.
    """
    entry = read_json(model / "model.json").get("lang")
    if entry is None:
        raise InputError(
            f"{model}/model.json does not say which lang directory it was trained with; give it with --lang"
        )
    lang = Path(os.path.relpath(model.resolve() / entry))
    if not (lang / "L.fst").is_file():
        raise InputError(
            f"{model}: the lang directory that it was trained with is not at {lang} any more; give it with --lang"
        )
    return lang


def _gmm_scores(gmms: DiagGmms, features: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    return [log_likelihoods(gmms, matrix) for matrix in features]


def _network_scores(network: Network, repeats: int, features: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    feats = [torch.from_numpy(matrix) for matrix in features]
    if repeats == 1:
        return [matrix.numpy() for matrix in log_posteriors(network, feats)]
    if network.config.phases == "first":
        found = log_posteriors(network, feats)
        return [m.numpy()[nearest_steps(len(x), repeats)] for m, x in zip(found, features, strict=True)]
    scores: list[NDArray[Any]] = [np.empty((len(x), network.num_pdfs), np.float32) for x in features]
    for phase in range(repeats):
        for matrix, outputs in zip(scores, log_posteriors(network, feats, phase=phase), strict=True):
            own = matrix[phase::repeats]  # empty where the utterance is too short for this phase
            own[:] = outputs.numpy()[: len(own)]
    return scores


def log_priors(counts: NDArray[Any], silence_pdfs: Sequence[int], silence_deweight: float) -> NDArray[Any]:
    """Log priors of the pdfs from their frame counts, those of silence divided by a factor.

    A pdf that was hardly seen gets a floor, so that dividing by its prior does not make it win everywhere.

    Parameters
    ----------
    counts : (P,) float64
    silence_pdfs : sequence of int
    silence_deweight : float

    Returns
    -------
    (P,) float32

    Example
    -------
    >>> np.exp(log_priors(np.array([90.0, 10.0]), [0], 9.0)).round(3)
    array([0.5, 0.5], dtype=float32)
    """
    counts = counts.astype(np.float64)
    counts[list(silence_pdfs)] /= silence_deweight
    share: NDArray[np.float64] = np.maximum(counts / counts.sum(), PRIOR_FLOOR)
    log_share: NDArray[np.float64] = np.log(share / share.sum())
    return log_share.astype(np.float32)
