"""From a data directory to Kaldi's archives and back."""

import json
import pickle
import shutil
from dataclasses import replace

import kaldi_native_io
import kaldiio
import numpy as np
import pytest
import soundfile
import torch

from steps.base.errors import InputError
from steps.corpus.data_dir import speakers
from steps.corpus.tables import read_table
from steps.feats.cmvn import apply_cmvn, speaker_stats
from steps.feats.compute import compute_features
from steps.feats.deltas import add_deltas
from steps.feats.online import online_cmvn
from steps.feats.options import FbankOptions, MfccOptions
from steps.feats.reader import (
    load_features,
    reference_text,
    silent_utterances,
    training_options,
    utterance_speakers,
    utterance_text,
)
from steps.make_feats import make_feats
from tests.bench.features import speech_like

MFCC, FBANK = MfccOptions(sample_rate=8000), FbankOptions(sample_rate=8000)


def write_set(folder, lengths, rate=8000):
    """A data directory: utterance `spk-N` of the given seconds, two utterances a speaker."""
    folder.mkdir(parents=True)
    ids = [f"s{i // 2}-{i:02d}" for i in range(len(lengths))]
    for i, (utterance, seconds) in enumerate(zip(ids, lengths, strict=True)):
        soundfile.write(folder / f"{utterance}.wav", speech_like(seconds, rate, i), rate)
    (folder / "wav.scp").write_text("".join(f"{u} {folder}/{u}.wav\n" for u in ids))
    (folder / "text").write_text("".join(f"{u} HELLO WORLD\n" for u in ids))
    (folder / "utt2spk").write_text("".join(f"{u} {u.split('-')[0]}\n" for u in ids))
    return ids


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two sets of data and their features."""
    root = tmp_path_factory.mktemp("work")
    write_set(root / "data/dev", [0.7, 0.3])
    write_set(root / "data/train", [1.0 + 0.01 * i for i in range(35)])
    make_feats(root / "data", root / "feats", MFCC, FBANK)
    return root


def test_kaldis_reader_accepts_the_files(made):
    folder = made / "feats/train/mfcc"
    with kaldi_native_io.SequentialFloatMatrixReader(f"scp:{folder}/feats.scp") as reader:
        stored = {key: np.array(value) for key, value in reader}
    assert list(stored) == [f"s{i // 2}-{i:02d}" for i in sorted(range(35), key=lambda i: f"s{i // 2}-{i:02d}")]
    samples, _ = soundfile.read(made / "data/train/s1-03.wav", dtype="float32")
    np.testing.assert_array_equal(stored["s1-03"], compute_features(samples, MFCC))
    with kaldi_native_io.SequentialDoubleMatrixReader(f"scp:{folder}/cmvn.scp") as reader:
        stats = {key: np.array(value) for key, value in reader}
    both = [torch.from_numpy(stored[utterance]) for utterance in ("s1-02", "s1-03")]
    np.testing.assert_allclose(stats["s1"], speaker_stats(both, MFCC), rtol=1e-12)


def test_a_recording_of_silence_changes_nothing_for_the_speaker(made, tmp_path):
    data = shutil.copytree(made / "data/dev", tmp_path / "dev")
    soundfile.write(tmp_path / "zeros.wav", np.zeros(80000), 8000)
    for name, line in (("wav.scp", f"{tmp_path}/zeros.wav"), ("text", "HELLO"), ("utt2spk", "s0")):
        with (data / name).open("a") as file:
            file.write(f"s0-99 {line}\n")
    make_feats(data, tmp_path / "feats", MFCC, FBANK)
    for kind in ("mfcc", "fbank"):
        options = training_options(made / "feats/dev", kind)
        plain, ours = (
            load_features(folder / "dev", options)["s0-00"] for folder in (made / "feats", tmp_path / "feats")
        )
        np.testing.assert_allclose(ours, plain, atol=1e-6)
        everything = tmp_path / f"{kind}_all"
        make_feats(data, everything, *(replace(o, cmvn_frames="all") for o in (MFCC, FBANK)))
        shifted = load_features(everything / "dev", options | {"cmvn_frames": "all"})["s0-00"]
        assert np.abs(shifted - plain).max() > 1


def test_tables(made):
    folder = made / "feats/dev/fbank"
    assert (folder / "text").read_text() == "s0-00 HELLO WORLD\ns0-01 HELLO WORLD\n"
    assert (folder / "spk2utt").read_text() == "s0 s0-00 s0-01\n"
    assert (folder / "utt2dur").read_text() == "s0-00 0.700\ns0-01 0.300\n"
    assert (folder / "utt2num_frames").read_text() == "s0-00 68\ns0-01 28\n"
    assert json.loads((folder / "feats.json").read_text())["sample_rate"] == 8000
    assert utterance_text(made / "feats/dev") == {"s0-00": "HELLO WORLD", "s0-01": "HELLO WORLD"}
    assert utterance_speakers(made / "feats/dev") == {"s0-00": "s0", "s0-01": "s0"}
    assert not [path for path in (made / "feats").rglob("*") if "partial" in path.name or path.name == "feats.0.ark"]


def test_same_for_any_number_of_processes(made, tmp_path):
    make_feats(made / "data/train", tmp_path, MFCC, FBANK, nj=2)
    for name in ("mfcc/feats.ark", "fbank/feats.ark", "mfcc/cmvn.ark", "fbank/cmvn.ark", "mfcc/utt2num_frames"):
        assert (tmp_path / "train" / name).read_bytes() == (made / "feats/train" / name).read_bytes()


@pytest.mark.parametrize("kind", ["mfcc", "fbank"])
def test_reading_normalises_and_appends_deltas(made, kind):
    options = training_options(made / "feats/train", kind)
    features = load_features(made / "feats/dev", options)
    raw = {u: torch.from_numpy(features.raw(u)) for u in features}
    stats = speaker_stats(raw.values(), features.options)
    expected = add_deltas(apply_cmvn(raw["s0-01"], stats, kind == "fbank"), 2 if kind == "mfcc" else 0)
    assert features.dim == expected.shape[1] == {"mfcc": 39, "fbank": 40}[kind]
    np.testing.assert_allclose(features["s0-01"], expected, atol=1e-4)
    assert features["s0-01"].dtype == np.float32
    assert "s0-02" not in features
    with pytest.raises(KeyError):
        features["s0-02"]


@pytest.mark.parametrize("cmvn", ["speaker", "online", "global", "none"])
def test_from_audio_as_from_files_also_in_another_process(made, cmvn):
    options = training_options(made / "feats/train", "mfcc") | {"cmvn": cmvn}
    if cmvn in ("global", "online"):
        options["cmvn_stats"] = np.arange(1, 29).reshape(2, 14).tolist()
    stored = load_features(made / "feats/dev", options)
    computed = pickle.loads(pickle.dumps(load_features(made / "data/dev", options)))
    assert list(stored) == list(computed) == stored.utterances
    for utterance in stored:
        np.testing.assert_allclose(stored[utterance], computed[utterance], atol=1e-4)


def test_global_statistics_are_the_training_sets(made, tmp_path):
    options = MfccOptions(sample_rate=8000, cmvn="global", deltas=0)
    make_feats(made / "data", tmp_path, options, FBANK)
    carried = json.loads(json.dumps(training_options(tmp_path / "train", "mfcc")))
    train, dev = (load_features(tmp_path / name, carried) for name in ("train", "dev"))
    of_speakers = ([torch.from_numpy(train.raw(u)) for u in us] for us in speakers(train.utt2spk).values())
    total = sum(speaker_stats(raw, options) for raw in of_speakers).numpy()
    mean = total[0, :-1] / total[0, -1]
    np.testing.assert_allclose(dev["s0-00"], dev.raw("s0-00") - mean, atol=1e-3)
    online = load_features(tmp_path / "dev", carried | {"cmvn": "online"})
    expected = online_cmvn(torch.from_numpy(dev.raw("s0-00")), torch.from_numpy(total), online.options)
    np.testing.assert_allclose(online["s0-00"], expected, atol=1e-6)
    for cmvn in ("global", "online"):
        missing = {name: value for name, value in carried.items() if name != "cmvn_stats"} | {"cmvn": cmvn}
        with pytest.raises(InputError, match=f"cmvn is {cmvn}, but the feature options hold no statistics"):
            load_features(tmp_path / "dev", missing)


def test_a_moved_directory_is_read(made, tmp_path):
    shutil.copytree(made / "feats/dev", tmp_path / "before/dev")
    scp = tmp_path / "before/dev/mfcc/feats.scp"
    scp.write_text(scp.read_text().replace(str(made / "feats"), "/nowhere"))
    options = training_options(made / "feats/train", "mfcc")
    features = load_features(tmp_path / "before/dev", options)
    np.testing.assert_array_equal(features["s0-00"], load_features(made / "feats/dev", options)["s0-00"])


def test_a_set_is_replaced_and_others_stay(made, tmp_path):
    write_set(tmp_path / "data/a", [0.5])
    write_set(tmp_path / "data/b", [0.5])
    make_feats(tmp_path / "data", tmp_path / "feats", MFCC, FBANK)
    (tmp_path / "feats/a/old").touch()
    make_feats(tmp_path / "data/a", tmp_path / "feats", MFCC, FBANK)
    assert not (tmp_path / "feats/a/old").exists()
    assert (tmp_path / "feats/b/mfcc/feats.scp").exists()


def test_other_options_are_refused(made):
    options = training_options(made / "feats/train", "fbank")
    with pytest.raises(InputError, match=r"dev/fbank/feats.json: .* with num_mel_bins 40, but the model wants 80"):
        load_features(made / "feats/dev", options | {"num_mel_bins": 80})
    with pytest.raises(InputError, match=r"dev/fbank/feats.json: .* with sample_rate 8000, but the model wants 16000"):
        load_features(made / "feats/dev", options | {"sample_rate": 16000})
    with pytest.raises(InputError, match=r"dev/fbank/feats.json: .* with type fbank, but the model wants mfcc"):
        load_features(made / "feats/dev/fbank", training_options(made / "feats/train", "mfcc"))
    assert load_features(made / "feats/dev", options | {"deltas": 1}).dim == 80  # applied on reading


def test_missing_features(made, tmp_path):
    with pytest.raises(InputError, match=r"neither a wav.scp, nor features in it or in fbank/"):
        load_features(tmp_path, training_options(made / "feats/train", "fbank"))
    shutil.copytree(made / "feats/dev/fbank", tmp_path / "dev")
    (tmp_path / "dev/feats.json").unlink()
    with pytest.raises(InputError, match=r"feats.json is missing"):
        load_features(tmp_path / "dev", training_options(made / "feats/train", "fbank"))
    with pytest.raises(InputError, match=r"there are no fbank features; make them with steps.make_feats"):
        training_options(made / "data/train", "fbank")


def test_damaged_files(made, tmp_path):
    options = training_options(made / "feats/train", "fbank")
    folder = tmp_path / "dev"
    shutil.copytree(made / "feats/dev/fbank", folder)
    entries = (folder / "feats.scp").read_text()
    content = (folder / "feats.ark").read_bytes()
    (folder / "feats.scp").write_text(entries.replace(str(made / "feats/dev/fbank"), str(folder)))

    (folder / "feats.ark").write_bytes(content[:-100])
    with pytest.raises(InputError, match=r"feats.ark: no matrix or vector at byte \d+: damaged"):
        load_features(folder, options)["s0-01"]
    (folder / "feats.ark").write_bytes(content[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(InputError, match=r"utterance 's0-01': feature values of frame 27 are NaN or infinite"):
        load_features(folder, options)["s0-01"]
    (folder / "feats.scp").write_text("s0-00 touch /tmp/x |\n")
    with pytest.raises(InputError, match=r"'touch /tmp/x \|' is not of the form FILE:OFFSET"):
        load_features(folder, options)["s0-00"]
    (folder / "feats.scp").write_text("s0-00 /nowhere/other.ark:6\n")
    with pytest.raises(InputError, match=r"/nowhere/other.ark: there is no such archive"):
        load_features(folder, options)["s0-00"]
    (folder / "feats.scp").write_text("x-00 /nowhere/other.ark:6\n")
    with pytest.raises(InputError, match=r"utterance 'x-00' is in feats.scp, but not in utt2spk"):
        load_features(folder, options)
    (folder / "feats.json").write_text("{")
    with pytest.raises(InputError, match=r"feats.json: not JSON"):
        load_features(folder, options)


def test_utterance_and_frame_of_nan_are_named(made, tmp_path):
    """Also where a speaker's statistics show it first."""
    options, folder = training_options(made / "feats/train", "fbank"), tmp_path / "dev"
    shutil.copytree(made / "feats/dev/fbank", folder)
    for name in ("feats", "cmvn"):
        scp = folder / f"{name}.scp"
        scp.write_text(scp.read_text().replace(str(made / "feats/dev/fbank"), str(folder)))
    whole = (folder / "feats.ark").read_bytes()
    stats = {speaker: np.full((2, 41), np.nan) for speaker in read_table(folder / "cmvn.scp")}
    kaldiio.save_ark(str(folder / "cmvn.ark"), stats, scp=str(folder / "cmvn.scp"))
    (folder / "feats.ark").write_bytes(whole[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(InputError, match=r"dev: utterance 's0-01': feature values of frame 27 are NaN or infinite"):
        load_features(folder, options)
    (folder / "feats.ark").write_bytes(whole)
    with pytest.raises(InputError, match=r"dev/cmvn\.scp: the statistics of speaker 's0' are NaN or infinite; make"):
        load_features(folder, options)


def test_archives_are_not_unpickled(made, tmp_path):
    shutil.copytree(made / "feats/dev/fbank", tmp_path / "dev")
    (tmp_path / "dev/evil.ark").write_bytes(b"s0-00 PKL" + pickle.dumps(np.zeros((2, 40))))
    (tmp_path / "dev/feats.scp").write_text("s0-00 evil.ark:6\n")
    with pytest.raises(InputError, match="no matrix or vector at byte 6"):
        load_features(tmp_path / "dev", training_options(made / "feats/train", "fbank"))["s0-00"]


def test_not_finite(made):
    samples = np.full(16000, 1e30, np.float32)
    with pytest.raises(InputError, match="utterance 'utt1': feature values of frame 0 are NaN or infinite"):
        compute_features(samples * np.float32(np.nan), FBANK, "utt1")


def test_short_utterances_are_named_and_left_out(tmp_path, capsys):
    write_set(tmp_path / "data", [0.5, 0.024, 0.025])
    make_feats(tmp_path / "data", tmp_path / "feats", MFCC, FBANK)
    line = f"{tmp_path}/data: left out, shorter than one frame: s0-01\n"
    assert capsys.readouterr().out.count(line) == 1
    options = training_options(tmp_path / "feats/data", "fbank")
    assert list(utterance_text(tmp_path / "feats/data")) == ["s0-00", "s1-02"]
    assert list(load_features(tmp_path / "feats/data", options)) == ["s0-00", "s1-02"]
    assert list(load_features(tmp_path / "data", options)) == ["s0-00", "s1-02"]
    assert line in capsys.readouterr().out


def test_what_is_left_out_and_what_is_silent_is_noted(tmp_path, capsys):
    write_set(tmp_path / "data", [0.5, 0.024, 0.5])
    soundfile.write(tmp_path / "data/s1-02.wav", np.zeros(4000), 8000)
    (tmp_path / "data/left_out").write_text("s9-00 lost\n")
    make_feats(tmp_path / "data", tmp_path / "feats", MFCC, FBANK)
    assert f"{tmp_path}/data: warning: (almost) nothing but zeros: s1-02\n" in capsys.readouterr().out
    text = read_table(tmp_path / "data/text")
    for data in ("data", "feats/data", "feats/data/mfcc"):
        assert reference_text(tmp_path / data) == {**text, "s9-00": "lost"}
        assert silent_utterances(tmp_path / data, ["s0-00", "s1-02"]) == {"s1-02"}


def test_nothing_but_short_utterances(tmp_path):
    write_set(tmp_path / "data", [0.01, 0.02])
    with pytest.raises(InputError, match="none of the 2 utterances is as long as one frame"):
        make_feats(tmp_path / "data", tmp_path / "feats", MFCC, FBANK)
    assert not (tmp_path / "feats/data").exists()


def test_other_rates_are_resampled_and_said_once(tmp_path, capsys):
    write_set(tmp_path / "data/a", [0.5])
    write_set(tmp_path / "data/b", [0.5, 0.5], rate=16000)
    write_set(tmp_path / "data/train", [0.5], rate=16000)
    make_feats(tmp_path / "data", tmp_path / "feats", MFCC, FBANK)
    assert capsys.readouterr().out.count("resampled 3 utterances from 16000 Hz to 8000 Hz\n") == 1
    load_features(tmp_path / "data/b", training_options(tmp_path / "feats/train", "mfcc"))
    assert "resampled 2 utterances from 16000 Hz to 8000 Hz\n" in capsys.readouterr().out
    assert (tmp_path / "feats/b/mfcc/utt2num_frames").read_text() == "s0-00 48\ns0-01 48\n"


def test_sample_rate_0_is_the_training_sets(tmp_path, capsys):
    write_set(tmp_path / "data/a", [0.5], rate=8000)
    write_set(tmp_path / "data/train", [0.5], rate=11025)
    make_feats(tmp_path / "data", tmp_path / "feats", MfccOptions(0), FbankOptions(0))
    options = training_options(tmp_path / "feats/a", "mfcc")
    assert options["sample_rate"] == 11025
    assert "resampled 1 utterance from 8000 Hz to 11025 Hz" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"sample_rate 0, which only steps.make_feats"):
        load_features(tmp_path / "data/a", options | {"sample_rate": 0})


def test_audio_is_not_overwritten_by_its_features(tmp_path):
    write_set(tmp_path / "data/train", [0.5])
    with pytest.raises(InputError, match="data directory with audio, which features would replace"):
        make_feats(tmp_path / "data", tmp_path / "data", MFCC, FBANK)


def test_a_missing_recording_is_named(tmp_path):
    write_set(tmp_path / "data", [0.5, 0.5])
    (tmp_path / "data/s0-01.wav").unlink()
    with pytest.raises(InputError, match=r"s0-01.*there is no such audio file"):
        make_feats(tmp_path / "data", tmp_path / "feats", MFCC, FBANK)
