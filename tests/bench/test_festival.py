"""What the festival benchmark makes of Festival's labels; the benchmark itself is run by hand."""

import numpy as np
import pytest
import soundfile

from steps.corpus.ctm import Token, read_ctm
from steps.corpus.data_dir import read_data_dir
from tests.bench import festival

LABELS = "#\n0.2200 100 pau\n0.2700 100 pau\n0.3500 100 ax\n0.4725 100 p\n0.7000 100 pau\n"


def test_data_of_what_was_spoken(tmp_path, monkeypatch):
    monkeypatch.setattr(festival, "TEST", 2)
    spoken, data = tmp_path / "spoken", tmp_path / "data"
    spoken.mkdir()
    for name in ("kal-0002", "kal-0000", "kal-0001"):
        (spoken / f"{name}.lab").write_text(LABELS)
        soundfile.write(spoken / f"{name}.wav", np.zeros(1600), 16000)
    festival.write_data(spoken, data)
    assert read_data_dir(data / "train").text == {"kal-0002": "SIL ax p SIL"}
    assert read_data_dir(data / "test").utterances == ["kal-0000", "kal-0001"]
    times = read_ctm(data / "local/reference/phones.ctm")
    assert list(times) == [("kal-0000", "1"), ("kal-0001", "1")]
    phones = times["kal-0000", "1"]
    assert [phone.text for phone in phones] == ["SIL", "ax", "p", "SIL"]
    assert [phone.end for phone in phones] == pytest.approx([0.27, 0.35, 0.4725, 0.7])
    assert (data / "local/dict/lexicon.txt").read_text().split("\n")[2:5] == ["SIL SIL", "ax ax", "p p"]


def test_offsets_by_kinds_of_sounds(capsys):
    reference = {"a": [Token(phone, i, i + 1) for i, phone in enumerate(["SIL", "ax", "p", "iy", "SIL"])]}
    kinds = festival.by_kinds(reference, {"a": np.array([0.01, -0.02, 0.03, 0.002])})
    assert kinds[("stop", "vowel")].tolist() == [0.03]
    festival.print_kinds({"mono": kinds})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert ["stop", "vowel", "1", "+30.0", "ms", "0.0%"] in lines
    assert ["pause", "vowel", "1", "+10.0", "ms", "100.0%"] in lines
