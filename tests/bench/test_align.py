"""The benchmark of alignment on a language of tones."""

import json
import shutil
import sys

import pytest

from steps.base.errors import InputError
from tests.bench import align
from tests.steps import synthetic


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    corpus, work = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("work")
    synthetic.write_corpus(corpus)
    synthetic.train(corpus)
    for name, place in (("feats", "data/feats"), ("lang", "data/lang"), ("mono", "exp/mono")):
        shutil.copytree(corpus / name, work / place)
    for text in (work / "data/feats/dev").glob("*/text"):
        text.write_text(text.read_text().replace("dev-03 ", "dev-03 " + "fa " * 500))
    return work


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["align", *map(str, arguments)])
    align.main()


def test_models_that_are_there(workdir, capsys, monkeypatch):
    monkeypatch.setattr(align, "ROUNDS", 1)
    run(monkeypatch, "--workdir", workdir, "--set", "dev")
    lines = capsys.readouterr().out.splitlines()
    speeds = json.loads(lines[-1])
    assert list(speeds) == ["mono", "tri", "lda_mllt", "sat", "nnet"]
    assert speeds.pop("mono") > 1  # a second of audio takes less than a second
    assert set(speeds.values()) == {None}
    assert lines[0].startswith("mono ")
    assert lines[0].endswith("1 of 35 utterances failed")


def test_speed_is_seconds_of_audio_by_seconds_and_processes(workdir, capsys, monkeypatch):
    rounds = iter([(2.0, 1.0, 0), (7.0, 0.5, 0), (0.5, 0.5, 0)])  # the median takes 3 s
    monkeypatch.setattr(align, "one_round", lambda *_: next(rounds))
    data, lang, model = (workdir / path for path in ("data/feats/dev", "data/lang", "exp/mono"))
    audio = 0.01 * sum(map(len, align.AlignmentInputs(data=data, lang=lang, model_dir=model).features.values()))
    assert align.measure(data, lang, model, nj=2) == pytest.approx(audio / 3 / 2, abs=0.06)
    assert "2.0 s to adapt, 0.5 s to align" in capsys.readouterr().out


def test_no_model(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"exp: there is none of the models mono, tri, lda_mllt, sat, other"):
        run(monkeypatch, "--workdir", tmp_path, "--nnet", "other")
