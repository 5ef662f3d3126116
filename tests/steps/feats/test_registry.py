"""The registry of feature types."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from steps.base.errors import InputError
from steps.feats.cmvn import digital_silence
from steps.feats.compute import compute_features
from steps.feats.options import OPTIONS, FbankOptions, MfccOptions, from_json
from steps.feats.reader import training_options
from steps.feats.registry import TYPES, FeatureType, feature_type


@dataclass(frozen=True)
class PlpOptions(FbankOptions):
    type: ClassVar[str] = "plp"


def test_each_type_has_options_and_what_computes_it():
    assert list(TYPES) == list(OPTIONS) == [options.type for options in OPTIONS.values()]


@pytest.mark.parametrize("options", [FbankOptions(8000, num_mel_bins=20), MfccOptions(8000, num_ceps=9)])
def test_features_have_the_dimension_of_their_options(options):
    features = compute_features(np.zeros(8000, np.float32), options)
    assert features.shape == (98, options.dim)
    assert feature_type(options).levels(features, options).shape == (98,)


def test_an_unknown_type_is_refused_not_taken_for_filterbanks():
    message = "there are no features of type 'plp'; the types are fbank, mfcc"
    with pytest.raises(InputError, match=message):
        compute_features(np.zeros(8000, np.float32), PlpOptions(8000))
    with pytest.raises(InputError, match=message):
        digital_silence(PlpOptions(8000))
    with pytest.raises(InputError, match=message):
        training_options("nowhere", "plp")
    with pytest.raises(InputError, match=r"feats\.json: 'type' has to be one of fbank, mfcc"):
        from_json({"type": "plp"}, "feats.json")


def test_a_registered_type_is_computed_and_read(monkeypatch):
    halves = FeatureType(lambda samples, options: 0.5 * TYPES["fbank"].compute(samples, options), lambda m, _: m[:, 0])
    monkeypatch.setitem(TYPES, "plp", halves)
    monkeypatch.setitem(OPTIONS, "plp", PlpOptions)
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    options = from_json({"type": "plp", "sample_rate": 8000})
    assert isinstance(options, PlpOptions)
    np.testing.assert_array_equal(
        compute_features(samples, options), 0.5 * compute_features(samples, FbankOptions(8000))
    )
