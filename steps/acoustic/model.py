"""One way to load and to ask any acoustic model: a GMM system or a network."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nnet.model import load_model, log_posteriors
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.output import writing
from steps.feats.reader import load_features
from steps.gmm.gmm import DiagGmms, log_likelihoods, read_gmms, write_gmms
from steps.gmm.system import System
from steps.gmm.transforms import (
    FILE,
    Transform,
    TransformedFeatures,
    check_speakers,
    read_transform,
    write_transform,
)
from steps.hmm.joins import states_of
from steps.hmm.transitions import TransitionModel, read_transition_model, write_transition_model
from steps.lang.table_hash import check_same

PRIOR_FLOOR = 1e-5
ADAPTED = "adapt.json"  # beside speakers' transforms: the model that they are for


@dataclass(frozen=True)
class AcousticModel:
    """An acoustic model and what it was trained on.

    Attributes
    ----------
    folder : Path
        Its directory.
    is_network : bool
        A network gives posteriors, which are divided by priors; only there does `silence_deweight` matter.
    features : dict
        The feature options, for `steps.feats.reader.load_features`.
    transform : Transform
        Of those features; each speaker's own map, if any, is not the model's, see `model_features`.
    transitions : TransitionModel
    seed : int
        Of its training.
    log_likelihoods : callable
        ``log_likelihoods(features, silence_deweight=1.0)``: a list of (T, D) to a list of (T, num_pdfs) float32; the
        utterances of a list are computed side by side.
    """

    folder: Path
    is_network: bool
    features: dict[str, Any]
    transform: Transform
    transitions: TransitionModel
    seed: int
    log_likelihoods: Callable[..., list[NDArray[Any]]]

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.folder.name


def load_acoustic_model(folder: str | Path) -> AcousticModel:
    """Load what steps.train_mono or steps.train_nnet wrote.

    Raises
    ------
    InputError
        When the directory holds no model, or one of another tree than the one beside it.
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
    is_network = about.get("kind") != "gmm"
    score = _network_scorer(folder) if is_network else partial(_gmm_scores, read_gmms(folder / "gmm.npz"))
    transform = read_transform(folder).without_speakers()
    return AcousticModel(folder, is_network, about["features"], transform, transitions, about["seed"], score)


def model_features(
    data: Path, model: AcousticModel, allow_commands: bool = False, speakers: Path | None = None
) -> TransformedFeatures:
    """Open the features of a data directory as a model wants them.

    Parameters
    ----------
    data : Path
        See `steps.feats.reader.load_features`.
    model : AcousticModel
    allow_commands : bool
        Run commands in wav.scp.
    speakers : Path, optional
        A directory of `steps.adapt` with the speakers' transforms; a speaker without keeps the features as they are.

    Raises
    ------
    InputError
        Also when those transforms are none, for another model or for other speakers.
    """
    features = load_features(data, model.features, allow_commands)
    if speakers is None:
        return TransformedFeatures(features, model.transform)
    if not (speakers / FILE).is_file():
        raise InputError(f"{speakers}: it has no {FILE}; estimate the speakers' transforms with steps.adapt first")
    transform = read_transform(speakers)
    if model.is_network:
        raise InputError(f"{model.folder}: a network, which speakers' transforms as those of {speakers} are not for")
    _check_adapted(speakers, model.folder)
    check_speakers(speakers, transform, data, features.utt2spk.values())
    common, wanted = transform.without_speakers(), model.transform
    if common.context != wanted.context or not np.array_equal(_matrix(common), _matrix(wanted)):
        raise InputError(f"{speakers}: its transforms are for another model than {model.name}; estimate them with it")
    return TransformedFeatures(features, transform)


def adapted_to(model: Path) -> dict[str, str]:
    """What `ADAPTED` says of the GMM system that speakers' transforms were estimated for."""
    return {"gmm": hashlib.sha256((model / "gmm.npz").read_bytes()).hexdigest()[:16]}


def _check_adapted(speakers: Path, model: Path) -> None:
    """Check that speakers' transforms were estimated for a GMM system; say so where that is not known."""
    known = (speakers / ADAPTED).is_file()
    check_same(
        "Gaussians",
        speakers / (ADAPTED if known else FILE),
        read_json(speakers / ADAPTED, "gmm")["gmm"] if known else None,
        model / "gmm.npz",
        adapted_to(model)["gmm"],
        "estimate the transforms with this model",
    )


def _matrix(transform: Transform) -> NDArray[Any]:
    return np.zeros(0) if transform.matrix is None else transform.matrix


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


def independent_model(model: Path) -> Path | None:
    """The model of the same states for speakers who are not known yet, where a model is one of adapted speakers."""
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


def _gmm_scores(gmms: DiagGmms, features: Sequence[NDArray[Any]], silence_deweight: float = 1.0) -> list[NDArray[Any]]:
    return [log_likelihoods(gmms, matrix) for matrix in features]


def _network_scorer(folder: Path) -> Callable[..., list[NDArray[Any]]]:
    network, about = load_model(folder)
    counts, silence = np.array(about["prior_counts"]), about["silence_pdfs"]

    def score(features: Sequence[NDArray[Any]], silence_deweight: float = 1.0) -> list[NDArray[Any]]:
        posteriors = log_posteriors(network, [torch.from_numpy(matrix) for matrix in features])
        priors = log_priors(counts, silence, silence_deweight)
        return [matrix.numpy() - priors for matrix in posteriors]  # log p(x|s) = log p(s|x) - log p(s) + constant

    return score


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
    share = np.maximum(counts / counts.sum(), PRIOR_FLOOR)
    return np.log(share / share.sum()).astype(np.float32)
