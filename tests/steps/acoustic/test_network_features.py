"""Networks on a GMM system's features, adapted to the speakers or not, and on filterbanks normalised in another way."""

import json
import shutil

import numpy as np
import pytest
import torch

from nnet.config import ModelConfig, TrainConfig
from steps.acoustic.adapting import write_speakers
from steps.acoustic.inputs import model_features
from steps.acoustic.model import describe_model
from steps.acoustic.network_features import FeatureChoice
from steps.align import align_data
from steps.base.errors import InputError
from steps.corpus.tables import read_table
from steps.decode import decode
from steps.feats.online import online_cmvn
from steps.feats.reader import load_features
from steps.gmm.transforms import Transform, read_transform, splice, write_transform
from steps.scoring.wer import score
from steps.search.beam import DecodingScales
from steps.train_nnet import train_nnet

MODEL = ModelConfig(layers=1, cells=24, delay=5, forget_bias=1.0)
TRAINING = TrainConfig(streams=4, epochs=6, initial_lr=0.02, final_lr=0.002)
SHORT = TrainConfig(streams=4, epochs=1)
DIM = 24


def write_system(work, folder, seed=0):
    """A copy of the monophones with a transform, which their Gaussians are not estimated on."""
    shutil.copytree(work / "mono", folder)
    about = json.loads((folder / "model.json").read_text())
    about["features"]["deltas"] = 0
    (folder / "model.json").write_text(json.dumps(about))
    write_transform(folder, Transform(1, np.random.default_rng(seed).normal(size=(DIM, 3 * 13))))
    return folder


def write_maps(folder, system, *speakers):
    """Speakers' transforms for a system."""
    folder.mkdir()
    random = np.random.default_rng(0)
    maps = {speaker: np.eye(DIM, DIM + 1) + 0.1 * random.normal(size=(DIM, DIM + 1)) for speaker in speakers}
    write_speakers(folder, read_transform(system).adapted(maps), system)
    return folder


@pytest.fixture(scope="module")
def system(work, tmp_path_factory):
    return write_system(work, tmp_path_factory.mktemp("system") / "sat")


@pytest.fixture(scope="module")
def speakers(system, tmp_path_factory):
    return write_maps(tmp_path_factory.mktemp("speakers") / "fmllr", system, "synth")


@pytest.fixture(scope="module")
def train(work, ali):
    def run(out, training=TRAINING, **options):
        paths = work / "feats/train", work / "feats/dev", work / "lang", work / "mono_ali", ali, out
        train_nnet(*paths, MODEL, training, threads=1, **options)
        return out

    return run


@pytest.fixture(scope="module")
def adapted(train, system, speakers, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapted") / "lstm_fmllr"
    return train(out, features_of=system, speakers=speakers, dev_speakers=speakers)


def errors(work, model, out, data=None, **options):
    decode(data or work / "feats/dev", work / "graph", model, out, DecodingScales(0.3, -1.0), **options)
    return score(read_table(work / "data/dev/text"), read_table(out / "text")).total.errors


def test_the_model_directory_says_what_its_features_are(work, system, speakers, adapted):
    about, gmm = (json.loads((folder / "model.json").read_text()) for folder in (adapted, system))
    assert about["features"] == gmm["features"]
    assert about["gmm"] == json.loads((speakers / "adapt.json").read_text())["gmm"]
    np.testing.assert_array_equal(read_transform(adapted).matrix, read_transform(system).matrix)
    assert read_transform(adapted).speakers == {}

    model = describe_model(adapted)
    features = model_features(work / "feats/train", model, speakers=speakers)
    everything = np.concatenate(list(features.values()))
    np.testing.assert_allclose(everything.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(everything.std(0), 1, atol=1e-4)
    assert everything.shape[1] == about["input_dim"] == features.dim == DIM

    raw, transform = load_features(work / "feats/dev", gmm["features"])["dev-00"], read_transform(speakers)
    w = transform.speakers["synth"]
    projected = splice(raw, 1) @ transform.matrix.T @ w[:, :-1].T + w[:, -1]
    stats = model.input_stats.numpy()
    mean, square = stats[:, :-1] / stats[0, -1]
    expected = (projected - mean) / np.sqrt(square - mean**2)
    dev = model_features(work / "feats/dev", model, speakers=speakers)
    np.testing.assert_allclose(dev["dev-00"], expected, atol=1e-4)


def test_an_adapted_network_decodes_and_aligns(work, ali, speakers, adapted, tmp_path):
    assert errors(work, adapted, tmp_path / "out", speakers=speakers) <= 5
    # of audio as of stored features, in other processes too
    audio = errors(work, adapted, tmp_path / "audio", work / "data/dev", speakers=speakers, nj=2)
    assert (tmp_path / "audio/text").read_text() == (tmp_path / "out/text").read_text()
    assert audio <= 5
    align_data(work / "feats/dev", work / "lang", adapted, tmp_path / "ali", speakers=speakers, before=ali)
    assert json.loads((tmp_path / "ali/shifts.json").read_text())["other_phone"] < 0.1


def test_a_speaker_without_a_transform_keeps_the_features(work, system, speakers, adapted, tmp_path):
    few = write_maps(tmp_path / "few", system)
    features = model_features(work / "feats/dev", describe_model(adapted), speakers=few)
    unadapted = model_features(work / "feats/dev", describe_model(system))
    stats = describe_model(adapted).input_stats.numpy()
    mean, square = stats[:, :-1] / stats[0, -1]
    np.testing.assert_allclose(
        features["dev-01"], (unadapted["dev-01"] - mean) / np.sqrt(square - mean**2), rtol=1e-4, atol=1e-4
    )


def test_transforms_that_do_not_belong_to_the_network(work, system, speakers, adapted, train, tmp_path):
    model = describe_model(adapted)
    with pytest.raises(InputError, match=r"lstm_fmllr: a network that was trained on features adapted .* --speakers"):
        errors(work, adapted, tmp_path / "out")
    other = write_system(work, tmp_path / "other", seed=1)
    with pytest.raises(InputError, match="its transforms are for another model than lstm_fmllr"):
        model_features(work / "feats/dev", model, speakers=write_maps(tmp_path / "of_other", other, "synth"))
    gaussians = dict(np.load(other / "gmm.npz"))
    np.savez(other / "gmm.npz", **gaussians | {"means": gaussians["means"] + 1})
    with pytest.raises(InputError, match=r"adapt\.json and .*model\.json: their Gaussians differ .* the GMM system of"):
        model_features(work / "feats/dev", model, speakers=write_maps(tmp_path / "moved", other, "synth"))
    with pytest.raises(InputError, match="no speaker in common"):
        model_features(work / "feats/dev", model, speakers=write_maps(tmp_path / "strangers", system, "someone"))
    plain = train(tmp_path / "lstm", SHORT)
    with pytest.raises(InputError, match=r"lstm: a network that was not trained on features adapted .* without --spe"):
        errors(work, plain, tmp_path / "out", speakers=speakers)


def test_features_of_a_system_without_adaptation(work, system, speakers, train, tmp_path):
    network = train(tmp_path / "lstm_lda", features_of=system)
    assert describe_model(network).gmm is None
    assert errors(work, network, tmp_path / "out") <= 10  # of 70 words
    with pytest.raises(InputError, match="not trained on features adapted to the speakers"):
        errors(work, network, tmp_path / "again", speakers=speakers)
    network = train(tmp_path / "lstm_mono", SHORT, features_of=work / "mono")  # which has no transform
    assert not (network / "transform.npz").exists()
    assert json.loads((network / "model.json").read_text())["input_dim"] == 39
    with pytest.raises(InputError, match="lstm_mono, a network; give a GMM system"):
        train(tmp_path / "lstm", features_of=network)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cmvn": "online", "features_of": "sat"}, "--cmvn is online; the features of sat have the system's own"),
        ({"features_of": "sat", "speakers": "a"}, "--speakers and --dev-speakers go together"),
        ({"features_of": "sat", "dev_speakers": "a"}, "--speakers and --dev-speakers go together"),
        ({"speakers": "a", "dev_speakers": "b"}, "--speakers is a; name the GMM system of its transforms with --feat"),
    ],
)
def test_choices_that_do_not_go_together(options, message):
    with pytest.raises(InputError, match=message):
        FeatureChoice(**options)


def test_a_network_on_online_normalised_filterbanks(work, train, tmp_path):
    """The stored features are those of the others; the model holds the training set's statistics."""
    network = train(tmp_path / "lstm_online", cmvn="online")
    about = json.loads((network / "model.json").read_text())
    assert about["features"]["cmvn"] == "online"
    stats = torch.tensor(about["features"]["cmvn_stats"], dtype=torch.float64)
    features = model_features(work / "feats/dev", describe_model(network))
    raw = torch.from_numpy(features.features.raw("dev-00"))
    np.testing.assert_array_equal(features["dev-00"], online_cmvn(raw, stats, features.features.options))
    assert errors(work, network, tmp_path / "out") <= 5
    errors(work, network, tmp_path / "audio", work / "data/dev")
    assert (tmp_path / "audio/text").read_text() == (tmp_path / "out/text").read_text()


def test_what_the_features_are_is_part_of_what_a_checkpoint_is_of(train, system, speakers, tmp_path, monkeypatch):
    kept = []

    def killed(network, reader, dev_reader, training, folder, *more):
        kept.append((folder / "checkpoint").exists())
        (folder / "checkpoint").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("steps.train_nnet.train", killed)
    both = {"features_of": system, "speakers": speakers, "dev_speakers": speakers}
    for options in ({}, {}, {"cmvn": "online"}, {"features_of": system}, both, both):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "lstm", **options)
    assert kept == [False, True, False, False, False, True]
