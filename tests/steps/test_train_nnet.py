import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import yaml

from nnet.asgd.config import AsgdConfig
from nnet.config import ModelConfig, TrainConfig
from nnet.errors import ModelError
from nnet.layers.products import DTYPES, VARIABLE, products_of
from nnet.model import load_model
from nnet.processor import Processor
from steps.ali.directory import read_alignments, write_alignments
from steps.base.errors import InputError
from steps.corpus.tables import write_table
from steps.feats.ark import append_matrix
from steps.feats.options import FbankOptions, to_json
from steps.hmm.topology import read_topo, write_topo
from steps.hmm.transitions import transition_model, write_transition_model
from steps.hmm.tree import monophone_tree, write_tree
from steps.train_nnet import train_nnet, what_defines

SMALL = ModelConfig(layers=1, cells=4, projection=3, delay=2)
SHORT = TrainConfig(streams=2, epochs=2)


class Data:
    """Random features and alignments of four utterances a set, of two phones, the first of which is silence."""

    def __init__(self, folder, phones=((1,), (2,))):
        self.feats, self.dev = folder / "feats" / "train", folder / "feats" / "dev"
        self.ali, self.dev_ali = folder / "ali" / "train", folder / "ali" / "dev"
        self.lang, self.exp = folder / "lang", folder / "exp"
        (self.lang / "phones").mkdir(parents=True)
        (self.lang / "phones" / "silence.int").write_text("1\n")
        random = np.random.default_rng(0)
        for feats, ali in ((self.feats, self.ali), (self.dev, self.dev_ali)):
            self.lengths = {f"s-u{i}": 30 + i for i in range(4)}
            make_feats(feats / "fbank", self.lengths, random)
            ali.mkdir(parents=True)
            write_topo(ali / "topo", *phones)
            self.topology = read_topo(ali / "topo")
            tree = monophone_tree(self.topology)
            write_tree(ali / "tree.json", tree)
            self.model = transition_model(self.topology, tree)
            write_transition_model(ali / "transitions.npz", self.model)
            self.tids = {u: random.integers(1, self.model.num_tids + 1, n) for u, n in self.lengths.items()}
            write_alignments(ali, ali, self.tids)

    def train(self, model=SMALL, training=SHORT, **more):
        paths = self.feats, self.dev, self.lang, self.ali, self.dev_ali, self.exp
        train_nnet(*paths, model, training, threads=1, **more)


def make_feats(folder, lengths, random):
    folder.mkdir(parents=True)
    entries = {}
    for utterance, frames in lengths.items():
        matrix = random.normal(size=(frames, 40)).astype(np.float32)
        entries[utterance] = f"{folder / 'feats.ark'}:{append_matrix(folder / 'feats.ark', utterance, matrix)}"
    write_table(folder / "feats.scp", entries)
    stats = np.zeros((2, 41))
    stats[0, -1], stats[1, :-1] = 100, 100  # mean 0, variance 1
    write_table(folder / "cmvn.scp", {"s": f"{folder / 'cmvn.ark'}:{append_matrix(folder / 'cmvn.ark', 's', stats)}"})
    write_table(folder / "utt2spk", dict.fromkeys(lengths, "s"))
    (folder / "feats.json").write_text(json.dumps(to_json(FbankOptions())))


@pytest.fixture
def data(tmp_path):
    return Data(tmp_path)


def test_model_directory_holds_all_that_decoding_needs(data, capsys):
    data.train()
    model, about = load_model(data.exp)
    assert model.config == SMALL
    assert (about["input_dim"], about["num_pdfs"], about["delay"], about["seed"]) == (40, 8, 2, 1)
    assert about["features"] == to_json(FbankOptions())
    assert about["lang"] == "../lang"
    assert about["silence_pdfs"] == [0, 1, 2, 3, 4]  # five states of phone 1
    counts = sum(np.bincount(data.model.tid_to_pdf[tids], minlength=8) for tids in read_alignments(data.ali).values())
    assert about["prior_counts"] == counts.tolist()
    assert sum(about["prior_counts"]) == sum(data.lengths.values())
    names = {"topo", "tree.json", "transitions.npz", "train.jsonl", "config.yaml", "cmd", "environment.json"}
    assert names < {path.name for path in data.exp.iterdir()}
    config = yaml.safe_load((data.exp / "config.yaml").read_text())
    assert ModelConfig(**config["model"]) == SMALL
    assert config["training"] == asdict(SHORT)
    assert json.loads((data.exp / "environment.json").read_text())["seed"] == 1
    assert "4 of 4 utterances are aligned" in capsys.readouterr().out


@pytest.mark.parametrize(("vendor", "flags", "precision"), [("AuthenticAMD", "avx2", "fp32"), ("", "amx_bf16", "bf16")])
def test_what_was_chosen_by_the_processor_is_recorded(data, monkeypatch, vendor, flags, precision):
    processor = Processor(vendor, frozenset({flags}))
    for module in ("nnet.model", "nnet.layers.products"):
        monkeypatch.setattr(f"{module}.this_processor", lambda: processor)
    monkeypatch.delenv(VARIABLE, raising=False)
    data.train(replace(SMALL, precision="auto"))
    model, about = load_model(data.exp)
    assert (about["model"]["precision"], model.config.precision) == (precision, precision)
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    environment = json.loads((data.exp / "environment.json").read_text())
    assert environment["precision"] == precision
    assert environment["products"] == products_of(DTYPES[precision], torch.device("cpu"))
    assert yaml.safe_load((data.exp / "config.yaml").read_text())["model"]["precision"] == "auto"


def test_how_asynchronous_training_is_run_may_change_when_it_goes_on(data, monkeypatch):
    kept = []

    def killed(network, reader, dev_reader, training, asgd, folder, *more):
        kept.append((folder / "checkpoint").exists())
        (folder / "checkpoint").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("steps.train_nnet.train_asgd", killed)
    for workers, asgd in ((2, {}), (3, {"shards": 2, "tries": 1, "stuck_seconds": 99.0}), (3, {"push_every": 2})):
        with pytest.raises(KeyboardInterrupt):
            data.train(workers=workers, asgd=AsgdConfig(**asgd))
    assert kept == [False, True, False]


def test_utterances_without_alignment_are_left_out(data, capsys):
    data.tids.pop("s-u1")
    write_alignments(data.ali, data.ali, data.tids)
    data.train()
    assert f"{data.feats}: 3 of 4 utterances are aligned" in capsys.readouterr().out


def test_lengths_that_differ_are_refused(data):
    data.tids["s-u1"] = data.tids["s-u1"][:-3]
    write_alignments(data.ali, data.ali, data.tids)
    with pytest.raises(ModelError, match="utterance s-u1 has 31 frames of features and 28 targets"):
        data.train()


def test_unknown_transition_ids_are_refused(data):
    data.tids["s-u2"][5] = 99
    write_alignments(data.ali, data.ali, data.tids)
    with pytest.raises(
        InputError, match=r"utterance s-u2 has transition-ids from \d+ to 99, the model those from 1 to"
    ):
        data.train()


def test_alignments_of_different_models_are_refused(data, tmp_path):
    data.dev_ali = Data(tmp_path / "other", phones=((1,), (2, 3))).dev_ali
    with pytest.raises(InputError, match=r"other/ali/dev: its states are not those of .*ali/train; align both sets"):
        data.train()


def test_no_aligned_utterance_is_refused(data):
    write_alignments(data.dev_ali, data.dev_ali, {"other": np.ones(3, int)})
    with pytest.raises(InputError, match="dev: none of its 4 utterances is aligned"):
        data.train()


def test_values_that_cannot_be_are_refused_before_anything_is_written(data):
    with pytest.raises(ModelError, match="epochs is 0; it has to be 1 or more"):
        data.train(training=TrainConfig(epochs=0))
    with pytest.raises(ModelError, match="cells is 0; it has to be 1 or more"):
        data.train(model=ModelConfig(cells=0))
    assert not list(data.exp.parent.glob("exp*"))


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(data):
    with pytest.raises(ModelError, match="device is 'cuda:99'; here torch computes on: cpu"):
        data.train(device="cuda:99")
    assert not list(data.exp.parent.glob("exp*"))


def test_workers_of_asynchronous_training_compute_on_the_cpu(data, monkeypatch):
    monkeypatch.setattr("steps.train_nnet.device_named", torch.device)
    with pytest.raises(InputError, match="--device is cuda; workers of asynchronous SGD compute on the CPU"):
        data.train(device="cuda", workers=2)


def test_newer_options_do_not_change_what_a_checkpoint_is_of():
    """Checkpoints from before there were these options are taken up."""
    known = what_defines(SMALL, SHORT, 1, None)
    assert known.keys() == {"model", "training", "seed"}
    assert known["model"].keys() == asdict(SMALL).keys() - {"stack", "ahead", "skip", "phases", "layer_norm"}
    assert known["training"].keys() == asdict(SHORT).keys() - {"loss", "chunks", "weight_decay", "dropout_schedule"}
    newer = replace(SMALL, skip=3, layer_norm=True), replace(SHORT, weight_decay=0.1)
    changed = what_defines(*newer, 1, None)
    assert (changed["model"]["skip"], changed["model"]["layer_norm"]) == (3, True)
    assert changed["training"]["weight_decay"] == 0.1
