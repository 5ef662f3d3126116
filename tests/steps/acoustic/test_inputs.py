"""How often processes read audio and open models."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from steps.acoustic import inputs as module
from steps.acoustic.adapting import ITERATIONS
from steps.acoustic.aligning import POSTERIOR_SCALE, AlignmentInputs
from steps.acoustic.inputs import AcousticInputs
from steps.adapt import adapt
from steps.align import align_data
from steps.align_files import align_adapted
from steps.corpus.tables import read_table
from steps.decode import decode
from steps.hmm.viterbi import AlignOptions
from steps.search.beam import DecodingScales
from steps.tune import Grid, tune
from tests.steps import synthetic

TEXTS = {f"new-{i:02}": ["face", "bad"] for i in range(40)}  # two blocks


@pytest.fixture
def counted(tmp_path):
    """A data directory whose recordings are read through a command that counts, in whatever process."""
    data, log = synthetic.write_data(tmp_path / "new", TEXTS, seed=9), tmp_path / "log"
    reader = tmp_path / "count.sh"
    reader.write_text(f'#!/bin/sh\necho "$1" >> {log}\nexec cat "$1"\n')
    reader.chmod(0o755)
    entries = {key: f"{reader} {Path(data, entry).resolve()} |" for key, entry in read_table(data / "wav.scp").items()}
    (data / "wav.scp").write_text("".join(f"{key} {entry}\n" for key, entry in entries.items()))
    (data / "utt2spk").write_text("".join(f"{key} speaker{i % 3}\n" for i, key in enumerate(entries)))
    (data / "spk2utt").unlink(missing_ok=True)
    return data, log


def reads(log):
    counts = [log.read_text().split().count(name) for name in set(log.read_text().split())]
    log.unlink()
    assert len(counts) == len(TEXTS)
    return set(counts)


@pytest.fixture
def adaptive(work, tmp_path):
    """A model directory with an alignment model in it, as that of SAT."""
    shutil.copytree(work / "mono", tmp_path / "sat/sat_si")
    shutil.copytree(work / "mono", tmp_path / "sat", dirs_exist_ok=True)
    return tmp_path / "sat"


@pytest.mark.parametrize("nj", [1, 2])
def test_recordings_are_read_once_for_statistics_and_once_for_scores(work, tmp_path, counted, nj):
    data, log = counted
    options = {"allow_commands": True, "nj": nj}
    decode(data, work / "graph", work / "mono", tmp_path / "decoded", DecodingScales(0.1, 1.0), **options)
    assert reads(log) == {2}
    align_data(data, work / "lang", work / "mono", tmp_path / "ali", **options)
    assert reads(log) == {2}
    adapt(data, work / "lang", work / "mono", tmp_path / "ali", tmp_path / "fmllr", iterations=1, **options)
    assert reads(log) == {2}


@pytest.mark.parametrize("nj", [1, 2])
def test_of_an_adapted_alignment_too_the_statistics_are_made_once(work, tmp_path, counted, adaptive, capsys, nj):
    """Then each pass reads the recordings once: two alignments and the iterations of the transforms."""
    data, log = counted
    inputs = AlignmentInputs(data=data, model_dir=adaptive, lang=work / "lang", allow_commands=True)
    names = {utterance: (Path(utterance), Path(utterance)) for utterance in TEXTS}
    aligned, failed = align_adapted(names, inputs, AlignOptions(), POSTERIOR_SCALE, nj)
    assert (set(aligned), failed) == (set(TEXTS), {})
    assert capsys.readouterr().out.count("fMLLR: 3 speakers") == ITERATIONS
    assert reads(log) == {1 + 2 + ITERATIONS}


def test_features_with_other_options_are_opened_anew(work, tmp_path, adaptive):
    about = json.loads((adaptive / "sat_si/model.json").read_text())
    about["features"]["cmvn"] = "none"
    (adaptive / "sat_si/model.json").write_text(json.dumps(about))
    data = synthetic.write_data(tmp_path / "new", {"new-1": ["face"]}, seed=9)
    inputs, other = (AcousticInputs(data=data, model_dir=folder) for folder in (adaptive, adaptive / "sat_si"))
    other.take_features(inputs)
    assert other.untransformed is not inputs.untransformed
    assert not np.array_equal(other.features["new-1"], inputs.features["new-1"])
    same = AcousticInputs(data=data, model_dir=work / "mono")
    same.take_features(inputs)
    assert same.untransformed is inputs.untransformed


def test_other_processes_get_paths_and_of_audio_the_statistics(work, tmp_path):
    stored = AcousticInputs(data=work / "feats/dev", model_dir=work / "mono")
    assert len(stored.features) == 35
    sent = pickle.loads(pickle.dumps(stored))
    assert set(vars(sent)) == {"data", "model_dir", "allow_commands", "speakers", "also"}
    assert len(pickle.dumps(stored)) < 1000
    data = synthetic.write_data(tmp_path / "new", {"new-1": ["face"]}, seed=9)
    computed = AcousticInputs(data=data, model_dir=work / "mono")
    sent = pickle.loads(pickle.dumps(computed))
    assert set(vars(sent)) == {"data", "model_dir", "allow_commands", "speakers", "also", "untransformed", "features"}
    np.testing.assert_array_equal(sent.features["new-1"], computed.features["new-1"])


def test_one_process_opens_the_model_once(work, tmp_path, monkeypatch):
    opened = []
    real = module.load_acoustic_model
    monkeypatch.setattr(module, "load_acoustic_model", lambda folder: opened.append(os.getpid()) or real(folder))
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "decoded", DecodingScales(0.1, 1.0))
    align_data(work / "feats/dev", work / "lang", work / "mono", tmp_path / "ali")
    assert len(opened) == 2


def test_of_several_processes_the_first_opens_no_model(work, tmp_path, monkeypatch):
    """It would hold a model in memory only to check what the model's directory says."""

    def not_here(folder):
        raise AssertionError(f"{folder} is opened")

    monkeypatch.setattr(module, "load_acoustic_model", not_here)  # in this process alone
    data, lang, graph, mono = work / "feats/dev", work / "lang", work / "graph", work / "mono"
    tune(data, graph, mono, tmp_path / "tuned", Grid(acoustic_scales=[0.1], insertion_penalties=[0.0]), nj=2)
    decode(data, graph, mono, tmp_path / "decoded", DecodingScales(0.1, 1.0), nj=2)
    align_data(data, lang, mono, tmp_path / "ali", nj=2)
    adapt(data, lang, mono, tmp_path / "ali", tmp_path / "fmllr", nj=2)
