import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

import local.festvox_ru
from local.dict_dir import by_word
from local.festvox_ru import festvox_ru, prepare_festvox_ru
from steps.base.errors import InputError
from steps.corpus.ctm import read_ctm
from steps.corpus.data_dir import read_data_dir
from steps.lang.lexicon_file import read_lexicon
from steps.prepare_lang import prepare_lang

VOICE = "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
SENTENCES = {
    "ru_0001": ("Да, д+а.", "pau d aa pau d aa pau pau"),
    "ru_0002": ("Кто-то - дал?", "pau k t oo t ay d aa l pau"),
    "ru_0003": ("Да я!", "pau d a j aa pau"),
}


def write_corpus(folder, sentences=SENTENCES):
    """Lay a corpus out as in the package: a phone every tenth of a second."""
    voice = folder / VOICE
    for name in ("etc", "lab", "wav"):
        (voice / name).mkdir(parents=True)
    lines = [f'( {name} "{sentence}" )\n' for name, (sentence, _) in sentences.items()]
    (voice / "etc/txt.done.data").write_text("".join(lines), encoding="utf-8")
    for name, (_, phones) in sentences.items():
        ends = [f"{(i + 1) / 10:.5f} 125 {phone}\n" for i, phone in enumerate(phones.split())]
        (voice / f"lab/{name}.lab").write_text("#\n" + "".join(ends))
        soundfile.write(voice / f"wav/{name}.wav", np.zeros(1600 * len(ends) + 160), 16000, subtype="PCM_16")
    return folder


@pytest.fixture(autouse=True)
def three_full_sets(monkeypatch):
    """A hash leaves sets of so few sentences empty."""
    sets = dict(zip(("train", "dev", "test"), ([f"nsh-{name}"] for name in SENTENCES), strict=True))
    monkeypatch.setattr(local.festvox_ru, "stable_split", lambda text: sets)


def test_prepare(tmp_path, capsys):
    data = tmp_path / "data"
    festvox_ru(data, write_corpus(tmp_path / "corpus"))
    sets = {name: read_data_dir(data / name) for name in ("train", "dev", "test")}
    assert [part.text for part in sets.values()] == [
        {"nsh-ru_0001": "да да"},
        {"nsh-ru_0002": "кто-то дал"},
        {"nsh-ru_0003": "да я"},
    ]
    assert sets["dev"].wav == {"nsh-ru_0002": f"{tmp_path}/corpus/{VOICE}/wav/ru_0002.wav"}
    assert sets["dev"].utt2spk == {"nsh-ru_0002": "nsh"}
    assert by_word(read_lexicon(data / "local/dict/lexicon.txt")) == {
        "!SIL": [("SIL",)],
        "<UNK>": [("SPN",)],
        "да": [("d", "a"), ("d", "aa")],
        "дал": [("d", "aa", "l")],
        "кто-то": [("k", "t", "oo", "t", "ay")],
        "я": [("j", "aa")],
    }
    printed = capsys.readouterr().out
    assert "lexicon: 4 words, those of all sets (closed vocabulary), 5 pronunciations, 9 phones and silence" in printed


def test_reference_and_phones_as_words(tmp_path):
    data = tmp_path / "data"
    prepare_festvox_ru(write_corpus(tmp_path / "corpus"), data)
    reference = {utt: said for (utt, _), said in read_ctm(data / "local/reference/phones.ctm").items()}
    assert [(phone.text, round(10 * phone.start)) for phone in reference["nsh-ru_0001"]] == [
        *(("SIL", 0), ("d", 1), ("aa", 2), ("SIL", 3), ("d", 4), ("aa", 5), ("SIL", 6))
    ]
    assert reference["nsh-ru_0001"][-1].end == pytest.approx(reference["nsh-ru_0001"][-1].start + 0.2)  # two pauses
    phones = read_data_dir(data / "local/phones")
    assert phones.text == {utt: " ".join(phone.text for phone in said) for utt, said in reference.items()}
    prepare_lang(data / "train", data / "local/dict", tmp_path / "lang")
    prepare_lang(data / "local/phones", data / "local/dict_phones", tmp_path / "lang_phones", sil_prob=0)
    words, own = ((tmp_path / name / "phones.txt").read_text().splitlines() for name in ("lang", "lang_phones"))
    assert [line for line in words if line[0] != "#"] == [line for line in own if line[0] != "#"]


def change(path, old, new):
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("etc/txt.done.data", "( ru_0002", "ru_0002", r"txt.done.data:2: 'ru_0002 .* is not '\( name \"sentence\" \)'"),
        ("etc/txt.done.data", "ru_0002", "ru_0001", r"txt.done.data:2: .* with a name of its own"),
        ("etc/txt.done.data", "дал", "2", r"txt.done.data:2: 'Кто-то - 2\?' holds '2', which no rule reads"),
        ("etc/txt.done.data", "ru_0002", "ru_0009", r"ru_0009.lab: there is no such label file, but etc/txt.done.data"),
        ("etc/txt.done.data", "дал", "ушёл", r"nsh-ru_0002: its words 'кто-то ушёл' cannot have the labels 'k t oo t"),
        ("lab/ru_0003.lab", "125 j", "j", r"ru_0003.lab:5: '0.40000 j' is not 'end colour phone'"),
    ],
)
def test_bad_files(tmp_path, file, old, new, message):
    corpus = write_corpus(tmp_path / "corpus")
    change(corpus / VOICE / file, old, new)
    with pytest.raises(InputError, match=message):
        festvox_ru(tmp_path / "data", corpus)


def test_missing_recording(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    (corpus / VOICE / "wav/ru_0003.wav").unlink()
    with pytest.raises(InputError, match=r"ru_0003.wav: there is no such recording, but etc/txt.done.data lists it"):
        festvox_ru(tmp_path / "data", corpus)


def test_another_folder(tmp_path):
    with pytest.raises(InputError, match=r"there is no etc/txt.done.data in it, the sentences of the package festvox"):
        festvox_ru(tmp_path / "data", tmp_path)
    with pytest.raises(InputError, match=r"--corpus .*nowhere: there is no such folder"):
        festvox_ru(tmp_path / "data", tmp_path / "nowhere")


@pytest.fixture
def package(tmp_path):
    """The corpus as a Debian package."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is missing")
    tree = write_corpus(tmp_path / "tree")
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: festvox-ru\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    )
    (tmp_path / "packages").mkdir()
    subprocess.run(["dpkg-deb", "-b", tree, tmp_path / "packages/festvox-ru_1_all.deb"], check=True)
    shutil.rmtree(tree)
    return tmp_path / "packages/festvox-ru_1_all.deb"


def test_folder_of_the_package(tmp_path, package):
    festvox_ru(tmp_path / "data", package.parent)
    assert read_data_dir(tmp_path / "data/train").wav["nsh-ru_0001"].startswith(f"{tmp_path}/data/local/download/")
    package.write_bytes(b"broken")
    with pytest.raises(InputError, match=r"festvox-ru_1_all.deb: dpkg-deb failed"):
        festvox_ru(tmp_path / "data", package.parent)


def test_what_was_downloaded_is_used_again(tmp_path, package, monkeypatch):
    monkeypatch.setattr(local.festvox_ru, "apt_download", lambda packages, folder: shutil.move(package, folder))
    for _ in range(2):  # the second time, there is no package to be had
        festvox_ru(tmp_path / "data")
    assert len(read_data_dir(tmp_path / "data/local/phones").text) == 3


def test_download_that_fails_tells_of_the_option(tmp_path, monkeypatch):
    def refuse(packages, folder):
        raise InputError("apt-get failed: E: Unable to locate package festvox-ru")

    monkeypatch.setattr(local.festvox_ru, "apt_download", refuse)
    with pytest.raises(InputError, match=r"cannot download the corpus: .*Unable to locate.* give its folder by --corp"):
        festvox_ru(tmp_path / "data")
    assert not (tmp_path / "data/local/download/festvox-ru").exists()


def test_the_real_corpus(tmp_path, monkeypatch):
    corpora = os.environ.get("CORPORA")
    if not corpora or not Path(corpora, "festvox-ru").is_dir():
        pytest.skip("CORPORA does not name a folder that holds festvox-ru (180 MB to download)")
    monkeypatch.undo()  # the split is the real one
    festvox_ru(tmp_path, Path(corpora, "festvox-ru"))
    sets = {name: read_data_dir(tmp_path / name) for name in ("train", "dev", "test")}
    assert [len(part.utterances) for part in sets.values()] == [493, 57, 70]
    assert sum(len(text.split()) for part in sets.values() for text in part.text.values()) == 9422
    lexicon = by_word(read_lexicon(tmp_path / "local/dict/lexicon.txt"))
    assert (len(lexicon), sum(map(len, lexicon.values()))) == (4963 + 2, 5280 + 2)
    assert lexicon["гусев"] == [tuple(f"g uu ss {rest}".split()) for rest in ("ae f", "ae v", "i f", "i v")]
    reference = read_ctm(tmp_path / "local/reference/phones.ctm")
    assert sum(len(phones) for phones in reference.values()) == 53987
