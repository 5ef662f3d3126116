"""The benchmark of boundaries on a language of tones, of which the true boundaries are known."""

import json
import shutil
import sys

import numpy as np
import pytest

from local.dict_dir import entries, write_dict_dir
from steps.base.errors import InputError
from steps.corpus.ctm import Token, position_in_recording, write_ctm
from tests.bench import boundaries
from tests.steps import synthetic


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A work directory as the recipe makes it: a model in exp/, the reference and the phones in data/local."""
    corpus, work = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("work")
    synthetic.write_corpus(corpus)
    synthetic.train(corpus)
    data = work / "data"
    shutil.copytree(corpus / "mono", work / "exp/mono")
    shutil.copytree(corpus / "lang", data / "lang")
    shutil.copytree(corpus / "data/dev", data / "local/phones")
    spoken = truth()
    lines = (f"{utt} {' '.join(phone.text for phone in phones)}\n" for utt, phones in sorted(spoken.items()))
    (data / "local/phones/text").write_text("".join(lines))
    write_reference(data, spoken)
    write_dict_dir(data / "local/dict_phones", entries({phone: [(phone,)] for phone in ("SIL", *synthetic.TONES)}))
    return work


def write_reference(data, utterances):
    times = ((position_in_recording(utterance), phone) for utterance, phones in utterances.items() for phone in phones)
    write_ctm(data / "local/reference/phones.ctm", times)


def truth():
    """Where the phones of the dev set are; of two pauses in a row one is made."""
    random, spoken = np.random.default_rng(1), {}
    for utterance, words in synthetic.sentences("dev", synthetic.SIZES["dev"], 1).items():
        phones, begin = [], 0.0
        for phone, samples in synthetic.speak(words, random):
            seconds = len(samples) / synthetic.RATE
            if phones and phone == phones[-1].text == "SIL":
                phones[-1] = phones[-1]._replace(end=begin + seconds)
            else:
                phones.append(Token(phone, begin, begin + seconds))
            begin += seconds
        spoken[utterance] = phones
    return spoken


def run(workdir, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["boundaries", "--workdir", str(workdir)])
    boundaries.main()
    lines = capsys.readouterr().out.splitlines()
    return lines, json.loads(lines[-1])


def test_boundaries_of_tones_are_found(workdir, capsys, monkeypatch):
    lines, found = run(workdir, capsys, monkeypatch)
    assert list(found) == ["mono", "tri", "sat", "nnet"]
    assert found["tri"] is found["sat"] is found["nnet"] is None
    count = sum(len(phones) - 1 for phones in truth().values())
    assert lines[-2].split()[:3] == ["mono", "35", str(count)]
    # a phone's last state takes the two or three frames whose windows hold both tones
    assert found["mono"]["50"] == 1
    assert found["mono"]["20"] > 0.6
    assert 0 < found["mono"]["mean_ms"] < 20


def test_offsets_are_the_models_minus_the_labels(workdir, tmp_path, capsys, monkeypatch):
    work = shutil.copytree(workdir, tmp_path / "work")
    later = {u: [p._replace(start=p.start + 0.1, end=p.end + 0.1) for p in phones] for u, phones in truth().items()}
    write_reference(work / "data", later)
    (_, before), (_, after) = run(workdir, capsys, monkeypatch), run(work, capsys, monkeypatch)
    assert after["mono"]["50"] == 0
    assert after["mono"]["mean_ms"] == pytest.approx(before["mono"]["mean_ms"] - 100, abs=0.1)


def test_phones_that_are_not_the_models(workdir, tmp_path):
    data = shutil.copytree(workdir / "data", tmp_path / "data")
    write_dict_dir(data / "local/dict_phones", entries({phone: [(phone,)] for phone in ("SIL", "G", *synthetic.TONES)}))
    with pytest.raises(InputError, match=r"dict_phones has 9 phones, not the 8 of .*data/lang"):
        boundaries.phone_lang(data, tmp_path / "lang")
