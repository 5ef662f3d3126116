"""An utterance's features, from its audio."""

import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.corpus.audio import resample
from steps.corpus.data_dir import DataDir, read_utterance_audio
from steps.feats.frames import SCALE
from steps.feats.options import FeatureOptions
from steps.feats.registry import feature_type


def compute_features(samples: NDArray[Any], options: FeatureOptions, utterance: str = "") -> NDArray[Any]:
    """Compute an utterance's features, without deltas and normalisation.

    Parameters
    ----------
    samples : numpy.ndarray (N,)
        float32 in [-1, 1), of `options.sample_rate`.
    options : FbankOptions or MfccOptions
    utterance : str
        The id, for messages and as the seed of dither.

    Returns
    -------
    numpy.ndarray (T, D)
        float32; T is 0 when the audio is shorter than a frame.

    Raises
    ------
    InputError
        For a type of features that is not in the registry. When a feature is not finite: the samples were not, or were
        far beyond [-1, 1).
    """
    signal = torch.as_tensor(samples, dtype=torch.float32)
    if options.dither:
        noise = torch.Generator().manual_seed(zlib.crc32(utterance.encode()))
        signal = signal + options.dither / SCALE * torch.randn(len(signal), generator=noise)
    features = feature_type(options).compute(signal, options)
    return check_finite(features.numpy(), f"utterance '{utterance}'")


def check_finite(features: NDArray[Any], what: str) -> NDArray[Any]:
    """Give the features back if all are finite; raise `InputError` naming the first frame that is not."""
    if not np.isfinite(features).all():
        frame = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise InputError(f"{what}: feature values of frame {frame} are NaN or infinite; is its audio damaged?")
    return features


def utterance_samples(
    data: DataDir, utterance: str, rate: int, allow_commands: bool = False
) -> tuple[NDArray[Any], int]:
    """Read an utterance's audio at `rate` Hz, resampled where needed; and the rate that the file has."""
    samples, file_rate = read_utterance_audio(data, utterance, allow_commands)
    return resample(samples, file_rate, rate), file_rate
