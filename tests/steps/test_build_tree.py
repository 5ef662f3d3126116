"""Tree, alignments and graph of states of a low frame rate, made by the commands from a monophone system."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from nnet.config import ModelConfig, TrainConfig
from steps.acoustic.inputs import model_features
from steps.acoustic.model import describe_model
from steps.ali.directory import read_alignments, write_alignments
from steps.base.errors import InputError
from steps.build_tree import build_tree
from steps.convert_ali import convert_ali
from steps.gmm.transforms import Transform, write_transform
from steps.hmm.joins import FEATURE_RATE, Rate, rate_of, tree_hash, tree_phones
from steps.hmm.topology import CHAIN, read_topo
from steps.hmm.transitions import initial_transition_model, read_transition_model, split_phones
from steps.hmm.tree import read_tree
from steps.lang.table_hash import phones_hash
from steps.make_graph import make_graph
from steps.search.inputs import DecodingInputs
from steps.train_nnet import train_nnet
from steps.tree.growing import TreeOptions
from steps.tree.low_rate import low_rate_stats

SMALL = TreeOptions(num_leaves=30, min_gain=20)


@pytest.fixture(scope="module")
def tree(work, tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "tree_mono"
    build_tree(work / "feats/train", work / "lang", work / "mono_ali", path, SMALL)
    return path


@pytest.fixture(scope="module")
def converted(work, tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "tree_mono_ali"
    convert_ali(work / "mono_ali", tree, path)
    return path


def test_states(work, tree, tmp_path):
    assert sorted(path.name for path in tree.iterdir()) == ["topo", "transitions.npz", "tree.json"]
    assert rate_of(tree) == Rate(3, 1.0)
    assert read_topo(tree / "topo") == dict.fromkeys(read_topo(work / "lang/topo"), CHAIN)
    assert tree_phones(tree) == phones_hash(work / "lang/phones.txt")
    grown = read_tree(tree / "tree.json")
    assert (grown.context_width, grown.central_position) == (3, 1)
    assert 2 * 8 < grown.num_pdfs <= 30, "eight phones with two states each, and a few in context"
    build_tree(work / "feats/train", work / "lang", work / "mono_ali", tmp_path / "again", SMALL, nj=2)
    for file in tree.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


@pytest.mark.parametrize(("context", "width"), [("biphone", 2), ("monophone", 1)])
def test_less_context(work, tmp_path, context, width):
    build_tree(work / "feats/train", work / "lang", work / "mono_ali", tmp_path / "tree", SMALL, context, skip=2)
    grown = read_tree(tmp_path / "tree/tree.json")
    assert (grown.context_width, grown.central_position, grown.rate) == (width, width - 1, (2, 1.0))
    assert (grown.num_pdfs > 2 * 8) == (width > 1)
    make_graph(work / "lang", work / "lm", tmp_path / "tree", tmp_path / "graph")


def test_features_of_the_tree_are_those_of_the_alignments(work, tmp_path, monkeypatch):
    """With deltas, or with the transform that lies beside the alignments, in place of deltas."""
    seen = []

    def recorded(model, alignments, features, *rest):
        seen.append(features)
        return low_rate_stats(model, alignments, features, *rest)

    monkeypatch.setattr("steps.build_tree.low_rate_stats", recorded)
    with_deltas = model_features(work / "feats/train", describe_model(work / "mono"))
    transform = Transform(1, np.random.default_rng(0).normal(size=(5, 39)), {"synth": np.eye(5, 6) * 2})
    ali = shutil.copytree(work / "mono_ali", tmp_path / "ali")
    for folder in (None, ali, tmp_path / "speakers"):
        seen.clear()
        if folder:
            folder.mkdir(exist_ok=True)
            write_transform(folder, transform)
        given = {"speakers": folder} if folder == tmp_path / "speakers" else {}
        used = ali if folder == ali else work / "mono_ali"
        build_tree(work / "feats/train", work / "lang", used, tmp_path / "tree", SMALL, **given)
        for utterance, x in ((u, x) for part in seen for u, x in part.items()):
            expected = with_deltas[utterance]
            if folder:
                expected = transform(np.ascontiguousarray(expected[:, :13]), "synth")
            np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-4)


def test_alignments(work, tree, converted):
    assert tree_hash(converted) == tree_hash(tree)
    assert rate_of(converted) == rate_of(tree)
    assert json.loads((converted / "failed.json").read_text()) == {}
    before, after = read_alignments(work / "mono_ali"), read_alignments(converted)
    assert set(before) == set(after)
    source, model = read_transition_model(work / "mono_ali"), read_transition_model(converted)
    counts = np.zeros(model.num_tids + 1)
    for utterance, tids in before.items():
        phones = [phone for phone, _, _ in split_phones(source, tids)]
        assert len(after[utterance]) == len(tids)
        for phase in range(3):
            path = after[utterance][phase::3]
            assert [phone for phone, _, _ in split_phones(replace(model, rate=FEATURE_RATE), path)] == phones
            counts += np.bincount(path, minlength=len(counts))
    # probabilities of transitions are those of the paths
    np.testing.assert_array_equal(model.log_prob, initial_transition_model(tree).updated(counts).log_prob)


def test_utterances_that_are_too_short(work, tree, tmp_path, capsys):
    ali = shutil.copytree(work / "mono_ali", tmp_path / "ali")
    alignments = dict(read_alignments(ali))
    name = min(alignments)
    model = read_transition_model(ali)
    alignments[name] = alignments[name][~model.is_self_loop[alignments[name]]][:-1]
    write_alignments(ali, ali, alignments)
    with pytest.raises(InputError, match=f"1 of 40 utterances cannot be aligned.*the first is {name}"):
        convert_ali(ali, tree, tmp_path / "out", max_failed=0.01)
    convert_ali(ali, tree, tmp_path / "out")
    failed = json.loads((tmp_path / "out/failed.json").read_text())
    assert set(failed) == {name}
    assert "frames are too few for" in failed[name]
    assert set(read_alignments(tmp_path / "out")) == set(alignments) - {name}


def test_what_does_not_fit(work, tree, converted, exchanged, tmp_path):
    with pytest.raises(InputError, match=r"tree_mono_ali: its states are at one of 3 frames already; give alignments"):
        convert_ali(converted, tree, tmp_path / "out")
    with pytest.raises(InputError, match=r"tree_mono_ali: its states are at one of 3 frames already; give alignments"):
        build_tree(work / "feats/train", work / "lang", converted, tmp_path / "out")
    with pytest.raises(InputError, match=r"mono: its states are not of a low frame rate; give those of steps\.build_t"):
        convert_ali(work / "mono_ali", work / "mono", tmp_path / "out")
    with pytest.raises(InputError, match=r"their tables of phones differ"):
        build_tree(work / "feats/train", exchanged, work / "mono_ali", tmp_path / "out")
    other = shutil.copytree(tree, tmp_path / "other")
    content = json.loads((other / "tree.json").read_text())
    (other / "tree.json").write_text(json.dumps(content | {"phones": "0123456789abcdef"}))
    with pytest.raises(InputError, match=r"their tables of phones differ .*; grow the tree on alignments of the same"):
        convert_ali(work / "mono_ali", other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_and_the_graph_of_these_states(work, tree, converted, tmp_path):
    model = ModelConfig(layers=1, cells=8, projection=4, delay=1, skip=3)
    feats, training = work / "feats/train", TrainConfig(streams=4, epochs=1)
    train_nnet(feats, feats, work / "lang", converted, converted, tmp_path / "net", model, training, threads=1)
    assert describe_model(tmp_path / "net").loss == "cross_entropy"
    assert describe_model(work / "mono").loss is None
    graph = tmp_path / "graph"
    make_graph(work / "lang", work / "lm", tree, graph)
    about = json.loads((graph / "graph.json").read_text())
    assert (about["tree"], about["skip"], about["self_loop_scale"]) == (tree_hash(tree), 3, 1.0)
    inputs = DecodingInputs(data=work / "feats/dev", graph_dir=graph, model_dir=tmp_path / "net")
    inputs.check()
    with pytest.raises(InputError, match=r"make a graph for this model with steps\.make_graph"):
        DecodingInputs(data=work / "feats/dev", graph_dir=work / "graph", model_dir=tmp_path / "net").check()
    (graph / "graph.json").write_text(json.dumps(about | {"self_loop_scale": 0.1}))
    with pytest.raises(
        InputError,
        match=r"graph: the graph has a skip of 3 and a self_loop_scale of 0\.1, but the states of the model .*net have "
        r"a skip of 3 and a self_loop_scale of 1; make a graph for this model",
    ):
        DecodingInputs(data=work / "feats/dev", graph_dir=graph, model_dir=tmp_path / "net").check()


def test_graphs_of_states_at_the_rate_of_the_features(work, tmp_path):
    about = json.loads((work / "graph/graph.json").read_text())
    assert (about.pop("skip"), about.pop("self_loop_scale")) == (1, 0.1)
    shutil.copytree(work / "graph", tmp_path / "graph")  # those of earlier versions do not say so
    (tmp_path / "graph/graph.json").write_text(json.dumps(about))
    DecodingInputs(data=work / "feats/dev", graph_dir=tmp_path / "graph", model_dir=work / "mono").check()
