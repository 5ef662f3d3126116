import pickle
import shutil

import numpy as np

from steps.base.parallel import jobs
from steps.feats.reader import load_features, training_options, utterance_text
from steps.gmm import blocks
from steps.gmm.blocks import make_block, read_block, write_block
from steps.hmm.training_graph import read_training_lexicon
from steps.hmm.transitions import read_transition_model
from steps.hmm.tree import read_tree


def test_file_holds_all_of_a_block(work, tmp_path):
    feats = work / "feats/dev"
    features, texts = load_features(feats, training_options(feats, "mfcc")), utterance_text(feats)
    tree, model = read_tree(work / "mono/tree.json"), read_transition_model(work / "mono")
    block = make_block(list(features)[3:7], features, texts, read_training_lexicon(work / "lang"), tree, model)
    write_block(tmp_path / "block.npz", block)
    again = read_block(tmp_path / "block.npz")
    assert again.utterances == block.utterances == list(features)[3:7]
    assert again.speakers == block.speakers == ["synth"] * 4
    for here, there, utterance in zip(again.features, block.features, block.utterances, strict=True):
        np.testing.assert_array_equal(here, there)
        np.testing.assert_array_equal(here, features[utterance])
    for here, there in zip(again.graphs, block.graphs, strict=True):
        for name, value in vars(there).items():
            np.testing.assert_array_equal(getattr(here, name), value)
            assert np.asarray(getattr(here, name)).dtype == np.asarray(value).dtype


def test_processes_get_paths_and_open_each_input_once(work, tmp_path, monkeypatch):
    opened = []

    def counting(name):
        real = getattr(blocks, name)
        monkeypatch.setattr(blocks, name, lambda *arguments: opened.append(name) or real(*arguments))

    for name in ("load_features", "utterance_text", "read_training_lexicon", "read_tree", "initial_transition_model"):
        counting(name)
    for name in ("topo", "tree.json"):
        shutil.copy(work / "mono" / name, tmp_path)
    feats = work / "feats/train"
    inputs = blocks.TrainingInputs(feats, work / "lang", tmp_path, training_options(feats, "mfcc"))
    with jobs(1, inputs) as run:
        assert len(blocks.compile_blocks(inputs, run)) == 2
    assert len(opened) == len(set(opened)) == 5
    assert len(pickle.dumps(inputs)) < 1500  # no table goes along
    assert set(vars(pickle.loads(pickle.dumps(inputs)))) == {"feats", "lang", "folder", "options", "oov_to_unk"}
