"""What acoustic models work on: a data directory's features as a model wants them, opened once a process."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from steps.acoustic.ensemble import averaged, check_alike
from steps.acoustic.model import AcousticModel, ModelDescription, describe_model, load_acoustic_model
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.parallel import OpenedOnce
from steps.feats.reader import Features, load_features
from steps.gmm.transforms import FILE, TransformedFeatures, check_speakers, read_transform, same_for_all
from steps.lang.table_hash import check_same

ADAPTED = "adapt.json"  # beside speakers' transforms: the model that they are for


@dataclass(frozen=True, kw_only=True)
class AcousticInputs(OpenedOnce):
    """A data directory and an acoustic model for it.

    Parameters
    ----------
    data : Path
        See `steps.feats.reader.load_features`.
    model_dir : Path
        See `load_acoustic_model`.
    allow_commands : bool
        Run commands in wav.scp.
    speakers : Path, optional
        A directory of `steps.adapt` with the speakers' transforms.
    also : tuple of Path
        Directories of further networks, whose outputs are averaged with those of the first; see `averaged`.
    """

    data: Path
    model_dir: Path
    allow_commands: bool = False
    speakers: Path | None = None
    also: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The name of the model; of several networks, their names joined by +."""
        return "+".join(folder.name for folder in (self.model_dir, *self.also))

    @property
    def model_files(self) -> list[Path]:
        """The files that tell for a fingerprint which models they are."""
        return [folder / "model.json" for folder in (self.model_dir, *self.also)]

    @cached_property
    def description(self) -> ModelDescription:
        """What the model directory says; enough for a process that does not compute with the model."""
        description = describe_model(self.model_dir)
        check_alike(description, [describe_model(folder) for folder in self.also])
        return description

    @cached_property
    def model(self) -> AcousticModel:
        """The model."""
        return averaged([load_acoustic_model(folder) for folder in (self.model_dir, *self.also)])

    @cached_property
    def untransformed(self) -> Features:
        """The data's features before any transform."""
        return load_features(self.data, self.description.features, self.allow_commands)

    @cached_property
    def features(self) -> TransformedFeatures:
        """The data's features as the model wants them."""
        return transformed(self.untransformed, self.data, self.description, self.speakers)

    def take_features(self, opened: "AcousticInputs") -> None:
        """Take the features that other inputs have opened, if they are the same before the transforms.

        To open them anew would take another pass over all audio.
        """
        mine, theirs = ((i.data, i.allow_commands, i.description.features) for i in (self, opened))
        if mine == theirs:
            vars(self)["untransformed"] = opened.untransformed

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        # of audio, the speakers' statistics go along: each process would read all recordings for them again
        opened = {"untransformed": self.untransformed, "features": self.features}
        return state | opened if self.untransformed.from_audio else state


def model_features(
    data: Path, model: ModelDescription, allow_commands: bool = False, speakers: Path | None = None
) -> TransformedFeatures:
    """Open the features of a data directory as a model wants them.

    Parameters
    ----------
    data : Path
        See `steps.feats.reader.load_features`.
    model : ModelDescription
    allow_commands : bool
        Run commands in wav.scp.
    speakers : Path, optional
        A directory of `steps.adapt` with the speakers' transforms; a speaker without keeps the features as they are.

    Raises
    ------
    InputError
        See `load_features` and `transformed`.
    """
    return transformed(load_features(data, model.features, allow_commands), data, model, speakers)


def transformed(features: Features, data: Path, model: ModelDescription, speakers: Path | None) -> TransformedFeatures:
    """Transform features of a data directory as a model wants them; for the parameters see `model_features`.

    Raises
    ------
    InputError
        When there are no transforms in `speakers`, or they are for another model or for other speakers.
    """
    if speakers is None:
        if model.gmm is not None:
            raise InputError(
                f"{model.folder}: a network that was trained on features adapted to the speakers; estimate the "
                "transforms of this data with steps.adapt and the GMM system of its training, and give them with "
                "--speakers"
            )
        return TransformedFeatures(features, model.transform, model.input_stats)
    if not (speakers / FILE).is_file():
        raise InputError(f"{speakers}: it has no {FILE}; estimate the speakers' transforms with steps.adapt first")
    transform = read_transform(speakers)
    if model.is_network and model.gmm is None:
        raise InputError(
            f"{model.folder}: a network that was not trained on features adapted to the speakers; decode and align "
            f"with it without --speakers {speakers}"
        )
    _check_adapted(speakers, model)
    check_speakers(speakers, transform, data, features.utt2spk.values())
    if not same_for_all(transform, model.transform):
        raise InputError(f"{speakers}: its transforms are for another model than {model.name}; estimate them with it")
    return TransformedFeatures(features, transform, model.input_stats)


def adapted_to(model: Path) -> dict[str, str]:
    """What `ADAPTED`, and a network's model.json, say of the GMM system that speakers' transforms are for."""
    return {"gmm": hashlib.sha256((model / "gmm.npz").read_bytes()).hexdigest()[:16]}


def _check_adapted(speakers: Path, model: ModelDescription) -> None:
    """Check that speakers' transforms were estimated for a GMM system, or for the one that a network goes with.

    Prints a line where the directory does not say for which system they are.
    """
    known = (speakers / ADAPTED).is_file()
    check_same(
        "Gaussians",
        speakers / (ADAPTED if known else FILE),
        read_json(speakers / ADAPTED, "gmm")["gmm"] if known else None,
        model.folder / ("gmm.npz" if model.gmm is None else "model.json"),
        adapted_to(model.folder)["gmm"] if model.gmm is None else model.gmm,
        f"estimate the transforms with {'this model' if model.gmm is None else 'the GMM system of its training'}",
    )
