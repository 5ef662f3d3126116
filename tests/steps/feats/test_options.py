import math

import pytest

from steps.base.cli import command
from steps.base.errors import InputError
from steps.feats.fbank import mel_filters
from steps.feats.options import FbankOptions, MfccOptions, check, from_json, to_json
from steps.make_feats import make_feats


@pytest.mark.parametrize("options", [FbankOptions(8000, num_mel_bins=30), MfccOptions(cmvn="none", use_energy=True)])
def test_json_there_and_back(options):
    assert from_json(to_json(options)) == options


@pytest.mark.parametrize("kind", [FbankOptions, MfccOptions])
def test_a_model_without_the_later_options_keeps_its_features(kind):
    values = to_json(kind())
    del values["noise_floor"], values["cmvn_frames"]
    assert from_json(values) == kind(noise_floor=0, cmvn_frames="all")


def test_unknown_type_and_option():
    with pytest.raises(InputError, match=r"model.json: 'type' has to be one of fbank, mfcc"):
        from_json({"type": "plp"}, "model.json")
    with pytest.raises(InputError, match=r"model.json: unknown option 'num_bins' of fbank; known are: .*num_mel_bins"):
        from_json({"type": "fbank", "num_bins": 3}, "model.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FbankOptions(sample_rate=-1), "fbank.sample_rate is -1; it has to be positive, or 0"),
        (FbankOptions(dither=math.inf), "fbank.dither is inf; it has to be a finite number"),
        (FbankOptions(0, low_freq=math.nan), "fbank.low_freq is nan; it has to be a finite number"),
        (MfccOptions(cepstral_lifter=-1), "mfcc.cepstral_lifter is -1; it has to be 0 or more"),
        (FbankOptions(frame_length_ms=0), "fbank.frame_length_ms is 0; it has to be positive"),
        (FbankOptions(frame_shift_ms=0.01), "fbank.frame_shift_ms is 0.01; it has to be at least one sample long"),
        (FbankOptions(low_freq=9000), "fbank.low_freq is 9000; it has to be .* below the highest frequency, 8000 Hz"),
        (FbankOptions(8000, high_freq=7600), "fbank.high_freq is 7600; it has to be at most half .*, 4000 Hz"),
        (FbankOptions(high_freq=float("nan")), "fbank.high_freq is nan; it has to be a finite number"),
        (FbankOptions(num_mel_bins=2), "fbank.num_mel_bins is 2"),
        (FbankOptions(dither=-1), "fbank.dither is -1"),
        (FbankOptions(noise_floor=-1), "fbank.noise_floor is -1; it has to be 0 or more"),
        (FbankOptions(cmvn_frames="some"), "fbank.cmvn_frames is some; it has to be speech or all"),
        (FbankOptions(preemphasis=2), "fbank.preemphasis is 2"),
        (FbankOptions(cmn_window=0), "fbank.cmn_window is 0; it has to be 1 or more"),
        (FbankOptions(global_frames=0), "fbank.global_frames is 0; it has to be 1 or more"),
        (FbankOptions(cmvn="utterance"), "fbank.cmvn is utterance; it has to be speaker, online, global or none"),
        (MfccOptions(num_ceps=24), "mfcc.num_ceps is 24; it has to be 1 to num_mel_bins=23"),
        (MfccOptions(deltas=3), "mfcc.deltas is 3; it has to be 0, 1 or 2"),
    ],
)
def test_values_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        check(options)


def test_too_many_filters():
    with pytest.raises(InputError, match=r"fbank: 100 mel filters are too many .* 8000 Hz: filter 2 holds none"):
        mel_filters(FbankOptions(8000, num_mel_bins=100))


def test_unknown_key_in_yaml(tmp_path):
    (tmp_path / "feats.yaml").write_text("fbank:\n  num_mel_bin: 40\n")
    with pytest.raises(SystemExit, match=r"feats.yaml: Group 'fbank' .* 'num_mel_bin'.*num_mel_bins"):
        command(make_feats, ["--config", str(tmp_path / "feats.yaml"), "data", "feats"])


def test_the_shipped_configuration_is_read(tmp_path):
    with pytest.raises(SystemExit, match="neither a data directory nor a folder of them"):
        command(make_feats, ["--config", "conf/feats.yaml", str(tmp_path), str(tmp_path / "feats")])
