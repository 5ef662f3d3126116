"""Several networks whose outputs are averaged."""

import json
import shutil

import numpy as np
import pytest
import torch

from nnet.config import ModelConfig
from nnet.model import Network, initialise, load_model, log_posteriors, save_model
from steps.acoustic.ensemble import check_alike
from steps.acoustic.inputs import AcousticInputs
from steps.acoustic.model import describe_model, load_acoustic_model, log_priors
from steps.align import align_data
from steps.base.errors import InputError
from steps.decode import decode
from steps.hmm.joins import states_of
from steps.search.beam import DecodingScales
from steps.tune import Grid, tune


@pytest.fixture
def networks(work, tmp_path):
    """Three networks on the states and features of the monophone model, of different kinds."""
    about = json.loads((work / "mono/model.json").read_text())
    features = AcousticInputs(data=work / "feats/dev", model_dir=work / "mono").features
    dim, pdfs = next(iter(features.values())).shape[1], about["num_pdfs"]
    made = []
    configs = ModelConfig(layers=1, cells=4), ModelConfig(layers=1, cells=6, delay=2), ModelConfig(kind="rnn", cells=5)
    for seed, config in enumerate(configs):
        folder = tmp_path / f"net{seed}"
        shutil.copytree(work / "mono", folder)
        (folder / "gmm.npz").unlink()
        network = Network(config, dim, pdfs)
        initialise(network, seed)
        counts = np.random.default_rng(seed).integers(1, 1000, pdfs).astype(float).tolist()
        save_model(
            folder, network, kind="nnet", features=about["features"], **states_of(folder), seed=seed,
            prior_counts=counts, silence_pdfs=[0, 1, 2, 3, 4], lang=str(work / "lang"),
        )  # fmt: skip
        made.append(folder)
    return made


def test_scores_are_the_mean_of_the_log_posteriors(work, networks):
    first, *others = networks
    inputs = AcousticInputs(data=work / "feats/dev", model_dir=first, also=tuple(others))
    features = [inputs.features[utterance] for utterance in list(inputs.features)[:3]]
    priors = load_acoustic_model(first).priors
    for found, likelihoods, matrix in zip(
        inputs.model.scores(features), inputs.model.log_likelihoods(features, 2.0), features, strict=True
    ):
        product = np.ones(found.shape)
        for folder in networks:
            [posteriors] = log_posteriors(load_model(folder)[0], [torch.from_numpy(matrix)])
            product *= posteriors.double().exp().numpy() ** (1 / 3)
        expected = np.log(product / product.sum(1, keepdims=True))  # the geometric mean
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        divided = expected - log_priors(priors.counts, priors.silence_pdfs, 2.0)
        np.testing.assert_allclose(likelihoods, divided, rtol=1e-4, atol=1e-4)
    assert found.dtype == np.float32


def test_a_network_with_itself_is_that_network(work, networks):
    alone, twice = (
        AcousticInputs(data=work / "feats/dev", model_dir=networks[0], also=also) for also in ((), (networks[0],))
    )
    features = [next(iter(alone.features.values()))]
    np.testing.assert_allclose(twice.model.scores(features)[0], alone.model.scores(features)[0], atol=1e-5)
    assert (alone.name, twice.name) == ("net0", "net0+net0")


def test_decoding_tuning_and_aligning_take_further_networks(work, networks, tmp_path):
    first, *others = networks
    data, graph = work / "feats/dev", work / "graph"
    scales = DecodingScales(0.1, 1.0)
    decode(data, graph, first, tmp_path / "decoded", scales, also=others)
    about = json.loads((tmp_path / "decoded/decode.json").read_text())
    assert (about["model"], about["also"]) == ("net0+net1+net2", [str(folder) for folder in others])
    decode(data, graph, first, tmp_path / "alone", scales)
    alone = json.loads((tmp_path / "alone/decode.json").read_text())
    assert alone["model"] == "net0"
    assert "also" not in alone
    assert (tmp_path / "alone/text").read_text() != (tmp_path / "decoded/text").read_text()
    tune(data, graph, first, tmp_path / "tuned", Grid([0.1], [1.0], [1.0]), also=others)
    assert (tmp_path / "tuned/text").read_text() == (tmp_path / "decoded/text").read_text()
    align_data(data, work / "lang", first, tmp_path / "ali", max_failed=1.0, also=others)
    align_data(data, work / "lang", first, tmp_path / "ali_alone", max_failed=1.0)
    likelihoods = [(tmp_path / name / "utt2loglike").read_text() for name in ("ali", "ali_alone")]
    assert likelihoods[0] != likelihoods[1]


def test_a_network_from_before_there_were_newer_feature_options(networks):
    first, other, _ = networks
    about = json.loads((other / "model.json").read_text())
    del about["features"]["cmn_window"], about["features"]["global_frames"]
    (other / "model.json").write_text(json.dumps(about))
    check_alike(describe_model(first), [describe_model(other)])


def test_what_does_not_go_together_is_refused(work, networks, tmp_path):
    first, other, _ = networks

    def refused(message, model=first, also=other):
        with pytest.raises(InputError, match=message):
            decode(work / "feats/dev", work / "graph", model, tmp_path / "out", also=[also])
        assert not (tmp_path / "out").exists()

    refused(f"^{work}/mono: a GMM system; --also averages the outputs of networks", also=work / "mono")
    refused(f"^{work}/mono: a GMM system; --also averages the outputs of networks", model=work / "mono")
    about = json.loads((other / "model.json").read_text())
    changes = {"features": about["features"] | {"cmvn": "none"}}, {"gmm": "0" * 16}, {"input_stats": [[0.0] * 40] * 2}
    for change in changes:
        (other / "model.json").write_text(json.dumps(about | change))
        refused(f"^{other}: its features are not those of {first}; --also needs networks that were trained on the same")
    tree = json.loads((other / "tree.json").read_text())
    (other / "tree.json").write_text(json.dumps(tree | {"name": "another"}))
    about = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps(about | states_of(other)))
    refused(f"^{other}: its states are not those of {first}; --also needs networks that were trained on the same ali")
