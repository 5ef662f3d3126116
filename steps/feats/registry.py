"""The types of features by name: what computes each, and how loud its frames are."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from steps.base.errors import InputError
from steps.feats.fbank import fbank, fbank_levels
from steps.feats.mfcc import mfcc, mfcc_levels
from steps.feats.options import FeatureOptions


@dataclass(frozen=True)
class FeatureType:
    """A type of features; its options are in `steps.feats.options.OPTIONS`.

    Parameters
    ----------
    compute : callable
        (samples (N,), options) -> features (T, D).
    levels : callable
        (features (T, D), options) -> (T,): the mean of each frame's log mel energies, or its log energy.
    """

    compute: Callable[..., Tensor]
    levels: Callable[..., Tensor]


TYPES = {"fbank": FeatureType(fbank, fbank_levels), "mfcc": FeatureType(mfcc, mfcc_levels)}


def feature_type(options: FeatureOptions) -> FeatureType:
    """Look up the type that options are of.

    Raises
    ------
    InputError
        Lists the known types when it is none of them.

    Example
    -------
    >>> from steps.feats.options import MfccOptions
    >>> feature_type(MfccOptions()).compute.__name__
    'mfcc'
    """
    if options.type not in TYPES:
        raise InputError(f"there are no features of type '{options.type}'; the types are {', '.join(TYPES)}")
    return TYPES[options.type]
