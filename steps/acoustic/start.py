"""A trained network that another one starts from: checked against the new one's features and states."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nnet.errors import ModelError
from nnet.model import Network, load_model
from nnet.transfer import take_weights
from steps.acoustic.model import describe_model
from steps.acoustic.network_features import NetworkFeatures
from steps.base.errors import InputError
from steps.feats.options import completed
from steps.gmm.transforms import FILE, same_for_all
from steps.hmm.joins import states_of

NORMALISATION = ("cmvn", "cmvn_frames", "cmvn_norm_vars", "cmvn_stats", "cmn_window", "global_frames")
MAY_DIFFER = (*NORMALISATION, "dither", "noise_floor")
"""The feature options in which two corpora may differ when a network goes from one to the other."""


@dataclass(frozen=True)
class Start:
    """A network to start from.

    Attributes
    ----------
    folder : Path
        Its directory.
    network : Network
    same_states : bool
        Whether its pdfs are those of the new network.
    weights : str
        The hash of its weights.
    """

    folder: Path
    network: Network
    same_states: bool
    weights: str

    def give_weights(self, network: Network) -> None:
        """Give its weights to a new network; those of the output only where the states are the same.

        Raises
        ------
        InputError
            When the layers are not the same.
        """
        try:
            take_weights(network, self.network, self.same_states)
        except ModelError as error:
            raise InputError(f"{self.folder}: {error}; --init needs a network with the same layers") from error
        output = "with its output" if self.same_states else "with a new output, as its states are others"
        print(f"starting from the weights of {self.folder}, {output}")


def read_start(folder: Path, features: NetworkFeatures, states: Path) -> Start:
    """Read a network to start from.

    Parameters
    ----------
    folder : Path
        Its directory.
    features : NetworkFeatures
        Those of the new network.
    states : Path
        A directory with the states of the new network: its alignments.

    Raises
    ------
    InputError
        When it is no network, or its features are of another kind.
    """
    description = describe_model(folder)
    if not description.is_network:
        raise InputError(f"{folder}: a GMM system; --init needs a network")
    theirs, ours = (completed(options, str(folder)) for options in (description.features, features.about["features"]))
    for name in [*ours, *theirs]:
        if name not in MAY_DIFFER and theirs.get(name) != ours.get(name):
            raise InputError(
                f"{folder}: its features have {name} {theirs.get(name)}, those to train on {ours.get(name)}; --init "
                "needs a network for the same kind of features"
            )
    if not same_for_all(description.transform, features.transform):
        raise InputError(
            f"{folder}: its {FILE} is not that of the features to train on; --init needs the same transform of them"
        )
    network, _ = load_model(folder)
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:16]
    return Start(folder, network, states_of(folder) == states_of(states), weights)
