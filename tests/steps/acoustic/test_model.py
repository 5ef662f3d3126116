import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from nnet.config import ModelConfig
from nnet.model import Network, initialise, log_posteriors, save_model
from steps.acoustic.model import PRIOR_FLOOR, lang_entry, load_acoustic_model, log_priors, training_lang
from steps.base.errors import InputError
from steps.feats.reader import load_features
from steps.gmm.gmm import read_gmms
from steps.hmm.joins import tree_hash


def test_gmm_system(work):
    model = load_acoustic_model(work / "mono")
    assert (model.name, model.is_network, model.seed) == ("mono", False, 1)
    assert model.features["type"] == "mfcc"
    features = next(iter(load_features(work / "feats/dev", model.features).values()))
    [found] = model.log_likelihoods([features])
    gmms = read_gmms(work / "mono/gmm.npz")
    assert found.shape == (len(features), gmms.num_pdfs)
    for pdf in (0, 5, 20):
        parts = zip(gmms.weights[pdf], gmms.means[pdf], gmms.variances[pdf], strict=True)
        expected = sum(w * multivariate_normal(m, np.diag(v)).pdf(features[5].astype(float)) for w, m, v in parts if w)
        if expected > 1e-300:
            assert found[5, pdf] == pytest.approx(np.log(expected), rel=1e-3)


def test_network_is_divided_by_priors(copy):
    folder = copy("mono")
    about = json.loads((folder / "model.json").read_text())
    pdfs = about["num_pdfs"]
    network = Network(ModelConfig(layers=1, cells=4), input_dim=3, num_pdfs=pdfs)
    initialise(network, seed=1)
    counts = np.random.default_rng(0).integers(1, 1000, pdfs).astype(float)
    save_model(
        folder, network, kind="nnet", features=about["features"], tree=tree_hash(folder), seed=7,
        prior_counts=counts.tolist(), silence_pdfs=[0, 1, 2, 3, 4],
    )  # fmt: skip
    model = load_acoustic_model(folder)
    assert (model.is_network, model.seed) == (True, 7)
    features = [np.random.default_rng(i).normal(size=(9 + i, 3)).astype(np.float32) for i in range(2)]
    found = model.log_likelihoods(features, silence_deweight=2.0)
    posteriors = log_posteriors(network, [torch.from_numpy(matrix) for matrix in features])
    counts[:5] /= 2
    for scores, matrix in zip(found, posteriors, strict=True):
        np.testing.assert_allclose(scores, matrix.numpy() - np.log(counts / counts.sum()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 9, 10, 11])
def test_each_frame_has_the_output_of_the_nearest_step(copy, frames):
    folder = copy("mono")
    about = json.loads((folder / "model.json").read_text())
    network = Network(ModelConfig(layers=1, cells=4, stack=4, ahead=1, skip=3, delay=1), 3, about["num_pdfs"])
    initialise(network, seed=1)
    counts = np.ones(about["num_pdfs"])
    known = {name: about[name] for name in ("features", "tree", "phones")}
    save_model(folder, network, kind="nnet", **known, seed=1, prior_counts=counts.tolist(), silence_pdfs=[])
    x = np.random.default_rng(0).normal(size=(frames, 3)).astype(np.float32)
    [scores] = load_acoustic_model(folder).scores([x])
    steps = log_posteriors(network, [torch.from_numpy(x)])[0].numpy()
    nearest = [min(range(len(steps)), key=lambda u: abs(3 * u - t)) for t in range(frames)]
    np.testing.assert_array_equal(scores, steps[nearest])


def test_priors_of_pdfs_that_were_never_seen():
    priors = log_priors(np.array([0.0, 500, 500]), [1], 1.0)
    assert priors[0] == pytest.approx(np.log(PRIOR_FLOOR), abs=1e-3)
    assert np.exp(priors).sum() == pytest.approx(1)


def test_priors_leave_the_counts_alone():
    counts = np.array([10.0, 20])
    log_priors(counts, [0], 5.0)
    assert counts.tolist() == [10, 20]


def test_no_model_there(work):
    with pytest.raises(InputError, match=r"lang: not a model directory, it has no model\.json; train one first"):
        load_acoustic_model(work / "lang")


def test_model_of_another_tree(copy):
    folder = copy("mono")
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | {"num_pdfs": 5}))
    with pytest.raises(InputError, match="mono: the model has 5 pdfs, but its tree has 28"):
        load_acoustic_model(folder)


def test_lang_directory_of_the_training(work, tmp_path, monkeypatch):
    shutil.copytree(work / "lang", tmp_path / "corpus/data/lang")
    shutil.copytree(work / "mono", tmp_path / "corpus/exp/mono")
    (tmp_path / "corpus/exp/link").symlink_to("mono")
    about = json.loads((work / "mono/model.json").read_text())
    about["lang"] = lang_entry(tmp_path / "corpus/data/lang", tmp_path / "corpus/exp/mono")
    (tmp_path / "corpus/exp/mono/model.json").write_text(json.dumps(about))
    (tmp_path / "corpus").rename(tmp_path / "moved")  # both together
    for name in ("mono", "link"):
        assert training_lang(tmp_path / "moved/exp" / name).resolve() == tmp_path / "moved/data/lang"
    monkeypatch.chdir(tmp_path / "moved/exp")
    assert str(training_lang(Path("mono"))) == "../data/lang"
    (tmp_path / "moved/data/lang").rename(tmp_path / "moved/data/other")
    with pytest.raises(
        InputError, match=r"^mono: the lang .* trained with is not at \.\./data/lang any more; give it with --lang$"
    ):
        training_lang(Path("mono"))
    del about["lang"]
    Path("mono/model.json").write_text(json.dumps(about))
    with pytest.raises(
        InputError, match=r"^mono/model\.json does not say which lang directory it was trained with; give"
    ):
        training_lang(Path("mono"))
