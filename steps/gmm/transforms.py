"""Linear transforms of features: frames spliced and projected (LDA, MLLT), then an affine map a speaker (fMLLR)."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steps.base.errors import InputError
from steps.base.files import read_arrays, write_arrays
from steps.feats.affine import apply_affine
from steps.feats.cmvn import apply_cmvn
from steps.feats.reader import Features

FILE = "transform.npz"


@dataclass(frozen=True)
class Transform:
    """The transform of a speaker's features (T, D) before a GMM; by default none.

    Attributes
    ----------
    context : int
        Frames to each side that are put beside a frame.
    matrix : (dim, D (2 context + 1)) array, optional
        Multiplies what was spliced.
    speakers : mapping
        Speaker-id -> W (dim, dim + 1), the affine map x -> W [x; 1] that follows; speakers without one keep x.
    """

    context: int = 0
    matrix: NDArray[Any] | None = None
    speakers: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __call__(self, features: NDArray[Any], speaker: str) -> NDArray[Any]:
        """Transform (T, D) to (T, dim), float32."""
        if self.context:
            features = splice(features, self.context)
        if self.matrix is not None:
            features = apply_affine(self.matrix, features)
        if speaker in self.speakers:
            features = apply_affine(self.speakers[speaker], features)
        return features.astype(np.float32, copy=False)

    @property
    def does_nothing(self) -> bool:
        """Whether it leaves all features as they are."""
        return not self.context and self.matrix is None and not self.speakers

    def without_speakers(self) -> "Transform":
        """What all speakers have in common."""
        return replace(self, speakers={})

    def multiplied(self, square: NDArray[Any]) -> "Transform":
        """Put a matrix (dim, dim) behind the common part, as MLLT does."""
        return replace(self, matrix=square if self.matrix is None else square @ self.matrix)

    def adapted(self, speakers: Mapping[str, NDArray[Any]]) -> "Transform":
        """Put affine maps behind those that the speakers have (Kaldi's ``compose-transforms``)."""
        return replace(self, speakers=dict(self.speakers) | {s: self._behind(s, w) for s, w in speakers.items()})

    def _behind(self, speaker: str, w: NDArray[Any]) -> NDArray[Any]:
        if speaker not in self.speakers:
            return w
        bottom = np.eye(1, w.shape[1], w.shape[1] - 1)  # [0 ... 0 1]
        both: NDArray[Any] = w @ np.concatenate([self.speakers[speaker], bottom])
        return both


def splice(features: NDArray[Any], context: int) -> NDArray[Any]:
    """Put each frame's neighbours beside it; the first and the last frame stand for those outside.

    Matches Kaldi's ``splice-feats``.

    Example
    -------
    >>> splice(np.array([[1.0], [2.0], [3.0]]), 1)
    array([[1., 1., 2.],
           [1., 2., 3.],
           [2., 3., 3.]])
    """
    frames = np.arange(len(features))[:, None] + np.arange(-context, context + 1)
    spliced: NDArray[Any] = features[np.clip(frames, 0, len(features) - 1)].reshape(len(features), -1)
    return spliced


@dataclass(frozen=True)
class TransformedFeatures(Mapping[str, NDArray[Any]]):
    """Utterance id -> transformed features (T, dim), float32, computed at each access.

    Attributes
    ----------
    features : Features
    transform : Transform
    stats : Tensor (2, dim + 1), optional
        Statistics with which mean and variance are normalised after the transform, the same for all speakers.
    """

    features: Features
    transform: Transform
    stats: Tensor | None = None

    def __getitem__(self, utterance: str) -> NDArray[Any]:
        matrix = self.transform(self.features[utterance], self.features.utt2spk[utterance])
        return matrix if self.stats is None else apply_cmvn(torch.from_numpy(matrix), self.stats, True).numpy()

    def __iter__(self) -> Iterator[str]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def dim(self) -> int:
        """Number of values in a frame."""
        matrix, context = self.transform.matrix, self.transform.context
        return self.features.dim * (2 * context + 1) if matrix is None else len(matrix)


ARRAYS = ("context", "matrix", "speakers", "affine")


def to_arrays(transform: Transform) -> dict[str, NDArray[Any]]:
    """Give a transform as arrays for an npz file."""
    names = sorted(transform.speakers)
    return {
        "context": np.array(transform.context),
        "matrix": np.zeros((0, 0)) if transform.matrix is None else transform.matrix,
        "speakers": np.array(names, dtype=str),
        "affine": np.stack([transform.speakers[name] for name in names]) if names else np.zeros((0, 0, 0)),
    }


def from_arrays(context: NDArray[Any], matrix: NDArray[Any], speakers: NDArray[Any], affine: NDArray[Any]) -> Transform:
    """Read what `to_arrays` gave."""
    maps = dict(zip(map(str, speakers), affine, strict=True))
    return Transform(int(context), matrix if matrix.size else None, maps)


def same_for_all(one: Transform, other: Transform) -> bool:
    """Whether two transforms are the same, the speakers' own maps left aside."""
    if one.matrix is None or other.matrix is None:
        return one.context == other.context and one.matrix is other.matrix
    return one.context == other.context and np.array_equal(one.matrix, other.matrix)


def write_transform(folder: Path, transform: Transform) -> None:
    """Write ``transform.npz`` into a model, alignment or adaptation directory."""
    write_arrays(folder / FILE, **to_arrays(transform))


def read_transform(folder: Path) -> Transform:
    """Read ``transform.npz``; a directory without one has the transform that does nothing."""
    return from_arrays(*read_arrays(folder / FILE, *ARRAYS)) if (folder / FILE).is_file() else Transform()


def check_speakers(folder: Path, transform: Transform, data: Path, speakers: Collection[str]) -> None:
    """Check that some speaker of a data directory has a transform, where there are any.

    Parameters
    ----------
    folder : Path
        Where the transforms are from.
    transform : Transform
    data : Path
    speakers : collection of str
        Those of the data.

    Raises
    ------
    InputError
        When all transforms are other speakers'.
    """
    if transform.speakers and transform.speakers.keys().isdisjoint(speakers):
        raise InputError(
            f"{folder / FILE} and the utt2spk of {data} have no speaker in common: {min(transform.speakers)}, ... and "
            f"{min(speakers)}, ...; estimate the transforms from this data with steps.adapt"
        )
