"""The features that a network is trained on: filterbanks, or those of a GMM system, adapted to the speakers or not."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from steps.acoustic.inputs import adapted_to, model_features
from steps.acoustic.model import describe_model
from steps.base.errors import InputError
from steps.feats.cmvn import add_stats, cmvn_stats
from steps.feats.options import NETWORK_TYPE, Cmvn
from steps.feats.reader import load_features, training_options
from steps.gmm.transforms import Transform, TransformedFeatures


@dataclass(frozen=True)
class FeatureChoice:
    """Which features of the data a network is trained on; by default the filterbanks as they were made.

    Attributes
    ----------
    cmvn : str, optional
        Instead of the kind of normalisation that the filterbanks were made with.
    features_of : Path, optional
        A GMM system: the network gets its features, such as MFCC projected by LDA and MLLT.
    speakers, dev_speakers : Path, optional
        Speakers' transforms for this system, from steps.adapt, of the training and the dev set.

    Raises
    ------
    InputError
        When they do not go together.
    """

    cmvn: Cmvn | None = None
    features_of: Path | None = None
    speakers: Path | None = None
    dev_speakers: Path | None = None

    def __post_init__(self) -> None:
        if self.cmvn and self.features_of:
            raise InputError(
                f"--cmvn is {self.cmvn}; the features of {self.features_of} have the system's own: omit it"
            )
        if bool(self.speakers) != bool(self.dev_speakers):
            raise InputError("--speakers and --dev-speakers go together: give the transforms of both sets")
        if self.speakers and not self.features_of:
            raise InputError(f"--speakers is {self.speakers}; name the GMM system of its transforms with --features-of")

    @property
    def given(self) -> list[str | Path]:
        """What was chosen; empty for the default."""
        system = self.features_of and self.features_of / "model.json"
        return [value for value in (self.cmvn, system, self.speakers, self.dev_speakers) if value is not None]


class NetworkFeatures(NamedTuple):
    """The features of both sets, and what a network's directory has to say of them.

    Attributes
    ----------
    train, dev : TransformedFeatures
    transform : Transform
        What all speakers have in common, for transform.npz.
    about : dict
        For model.json: ``features``, the feature options; of a GMM system's features, ``input_stats``, the statistics
        of the training set with which they are normalised, as they do not have the same variance in all dimensions as
        filterbanks do; and, where they are adapted to the speakers, ``gmm``, see `steps.acoustic.inputs.adapted_to`.
    """

    train: TransformedFeatures
    dev: TransformedFeatures
    transform: Transform
    about: dict[str, Any]


def network_features(feats: Path, dev_feats: Path, choice: FeatureChoice) -> NetworkFeatures:
    """Open the features that a network is trained on.

    Raises
    ------
    InputError
        When there are no such features, or the transforms are for other speakers or another system.
    """
    if choice.features_of is None:
        options = training_options(feats, NETWORK_TYPE, choice.cmvn)
        train, dev = (TransformedFeatures(load_features(folder, options), Transform()) for folder in (feats, dev_feats))
        return NetworkFeatures(train, dev, Transform(), {"features": options})
    system = describe_model(choice.features_of)
    if system.is_network:
        raise InputError(f"--features-of is {system.folder}, a network; give a GMM system")
    train, dev = (
        model_features(folder, system, speakers=speakers)
        for folder, speakers in ((feats, choice.speakers), (dev_feats, choice.dev_speakers))
    )
    stats = add_stats(cmvn_stats(torch.from_numpy(matrix)) for matrix in train.values())
    about = {"features": system.features, "input_stats": stats.tolist()}
    about |= adapted_to(system.folder) if choice.speakers else {}
    train, dev = (replace(features, stats=stats) for features in (train, dev))
    return NetworkFeatures(train, dev, system.transform, about)
