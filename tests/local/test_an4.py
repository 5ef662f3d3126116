import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from local.an4 import an4, download_an4, restrict_unigrams
from local.dict_dir import by_word
from steps.base.errors import InputError
from steps.corpus.data_dir import read_data_dir
from steps.lang.lexicon_file import read_lexicon

LM = """Comment with ngram 1=nr
\\data\\
ngram 1=4
ngram 2=1

\\1-grams:
-2.0\t</s>\t-99.0
-99.0\t<s>\t 0.0
-2.0\tGO\t 0.0
-2.0\tWEAN\t 0.0

\\2-grams:
0.0 <s> </s>
\\end\\
"""


def write_corpus(folder, speakers=20):
    """Lay a corpus out as AN4: two utterances of each training speaker, one of a test speaker."""
    utterances = {"train": [], "test": [("an4test_clstk", "fcaw", "an406", "GO")]}
    for i in range(speakers):
        utterances["train"] += [
            ("an4_clstk", f"s{i:02}", "an1", "<s> GO </s>"),
            ("an4_clstk", f"s{i:02}", "cen2", "A B"),
        ]
    (folder / "etc").mkdir(parents=True)
    for part, rows in utterances.items():
        names = [f"{sentence}-{speaker}-b" for _, speaker, sentence, _ in rows]
        fileids = [f"{top}/{speaker}/{name}" for (top, speaker, _, _), name in zip(rows, names, strict=True)]
        (folder / f"etc/an4_{part}.fileids").write_text("".join(f"{f}\n" for f in fileids))
        lines = [f"{row[3]} ({name})\n" for row, name in zip(rows, names, strict=True)]
        (folder / f"etc/an4_{part}.transcription").write_text("".join(lines))
        for fileid in fileids:
            (folder / f"wav/{fileid}.wav").parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / f"wav/{fileid}.wav", np.zeros(1600), 16000)
    (folder / "etc/an4.dic").write_text("A    AH\nA(2)   EY\nB    B IY\nGO   G OW\n")
    (folder / "etc/an4.lm").write_text(LM)
    return folder


def test_prepare(tmp_path, capsys):
    data = tmp_path / "data"
    an4(data, write_corpus(tmp_path / "an4"))
    train, dev, test = (read_data_dir(data / name) for name in ("train", "dev", "test"))
    assert sorted(dev.spk2utt) == ["s09", "s19"]  # the tenth and the twentieth
    assert len(train.spk2utt) == 18
    assert not set(train.spk2utt) & set(dev.spk2utt)
    assert test.text == {"fcaw-an406-b": "GO"}
    assert train.text["s00-an1-b"] == "GO"
    assert train.wav["s00-cen2-b"] == str(tmp_path / "an4/wav/an4_clstk/s00/cen2-s00-b.wav")
    assert "dev speakers, every tenth of the training speakers: s09 s19" in capsys.readouterr().out
    model = gzip.decompress((data / "local/lm/corpus.arpa.gz").read_bytes()).decode()
    assert model.startswith("\\data\\\nngram 1=3\nngram 2=1\n")
    assert "WEAN" not in model
    assert by_word(read_lexicon(data / "local/dict/lexicon.txt")) == {
        "!SIL": [("SIL",)],
        "<UNK>": [("SPN",)],
        "A": [("AH",), ("EY",)],
        "B": [("B", "IY")],
        "GO": [("G", "OW")],
    }
    assert model.endswith("\\2-grams:\n0.0 <s> </s>\n\\end\\\n")


def test_recordings_in_sphere_files(tmp_path):
    corpus = write_corpus(tmp_path / "an4")
    path = corpus / "wav/an4test_clstk/fcaw/an406-fcaw-b.wav"
    path.unlink()
    soundfile.write(path.with_suffix(".sph"), np.zeros(1600), 16000, format="NIST", subtype="PCM_16")
    an4(tmp_path / "data", corpus)
    assert read_data_dir(tmp_path / "data/test").wav["fcaw-an406-b"].endswith("an406-fcaw-b.sph")


def change(path, old, new):
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "an4_test.transcription",
            "an406-fcaw-b",
            "an407-fcaw-b",
            r"transcription:1: 'GO \(an407-fcaw-b\)' is not a text",
        ),
        ("an4_test.transcription", "GO ", "<s> ++NOISE++ </s> ", r"transcription:1: .* has no words"),
        ("an4_train.transcription", "A B", "A C", r"an4.dic lacks 1 words of the transcripts: C"),
        ("an4_test.fileids", "an406", "an407", r"transcription:1: .* is not a text and '\(an407-fcaw-b\)'"),
        ("an4.dic", "B IY", "", r"an4.dic:3: the word 'B' has no phones"),
        ("an4.lm", "\\data\\", "data", r"no \\data\\ line: it is not in the ARPA format"),
    ],
)
def test_bad_files(tmp_path, file, old, new, message):
    corpus = write_corpus(tmp_path / "an4")
    change(corpus / "etc" / file, old, new)
    with pytest.raises(InputError, match=message):
        an4(tmp_path / "data", corpus)


def test_lists_of_different_lengths(tmp_path):
    corpus = write_corpus(tmp_path / "an4")
    with open(corpus / "etc/an4_test.fileids", "a") as file:
        file.write("an4test_clstk/fcaw/an407-fcaw-b\n")
    with pytest.raises(InputError, match=r"an4_test.fileids has 2 lines, but .*an4_test.transcription 1"):
        an4(tmp_path / "data", corpus)


def test_missing_recording(tmp_path):
    corpus = write_corpus(tmp_path / "an4")
    (corpus / "wav/an4_clstk/s03/an1-s03-b.wav").unlink()
    with pytest.raises(
        InputError, match=r"an1-s03-b.wav: there is no such recording \(nor as .sph\), but etc/ lists it"
    ):
        an4(tmp_path / "data", corpus)


def test_another_folder(tmp_path):
    with pytest.raises(
        InputError, match=r"an4_train.fileids: there is no such file; --corpus takes a folder laid out as"
    ):
        an4(tmp_path / "data", tmp_path)


def test_download_that_fails_tells_of_the_option(tmp_path, monkeypatch):
    monkeypatch.setattr("local.an4.REPOSITORY", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"cannot download AN4: .*give its folder by --corpus"):
        download_an4(tmp_path / "download")
    assert not (tmp_path / "download/an4").exists()


def test_dropped_words_leave_the_other_lines_alone():
    assert restrict_unigrams("\\data\\\nngram 1=1\n\\1-grams:\n-1 A\n\\end\\\n", {"B"}).endswith(
        "ngram 1=1\n\\1-grams:\n-1 A\n\\end\\\n"
    )


def test_the_real_corpus(tmp_path):
    corpora = os.environ.get("CORPORA")
    if not corpora or not Path(corpora, "an4/etc").is_dir():
        pytest.skip("CORPORA does not name a folder that holds an4")
    an4(tmp_path, Path(corpora, "an4"))
    train, dev, test = (read_data_dir(tmp_path / name) for name in ("train", "dev", "test"))
    assert len(train.utterances) + len(dev.utterances) == 948
    assert len(train.spk2utt) + len(dev.spk2utt) == 74
    assert sorted(dev.spk2utt) == ["fkdo", "ftmj", "mdcs", "mgah", "mmaf", "mrcb", "mtcv"]
    assert (len(test.utterances), len(test.spk2utt)) == (130, 10)
    assert sum(len(text.split()) for text in test.text.values()) == 773
