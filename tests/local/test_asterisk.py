import gzip
import hashlib
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
import soundfile

import local.asterisk
from local.asterisk import asterisk, download_asterisk, find_prompts, make_lexicon, select_prompts
from local.dict_dir import by_word
from steps.base.errors import InputError
from steps.corpus.data_dir import read_data_dir
from steps.lang.lexicon_file import read_lexicon

PROMPTS = {
    "activated": "Activated.",
    "beep": "[this is a simple beep tone]",
    "digits/7": "7",
    "letters/at": "at [@]",
    "phonetic/x_p": "xray",
    "vm-goodbye": "Goodbye!",
    "goodbye": "Goodbye.",
    "pls-try": "Please try again.",
    "silence/1": "(1 second of silence)",
}


def write_corpus(folder, prompts=PROMPTS, silent=("pls-try",), debian=True):
    """Lay a corpus out as in the Debian packages, or as in the publisher's archive."""
    sounds = folder / "usr/share/asterisk/sounds/en_US_f_Allison" if debian else folder
    for name in [*(n for n in prompts if n not in silent), "extra"]:
        (sounds / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(sounds / f"{name}.wav", np.zeros(800), 8000, subtype="PCM_16")
    text = "; Core sounds\n" + "".join(f"{name}: {text}\n" for name, text in prompts.items())
    if debian:
        docs = folder / "usr/share/doc/asterisk-core-sounds-en"
        docs.mkdir(parents=True)
        (docs / "core-sounds-en.txt.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / "core-sounds-en.txt").write_text(text)
    return folder


def read_sets(data):
    return {name: read_data_dir(data / name) for name in ("train", "dev", "test") if (data / name / "text").is_file()}


@pytest.fixture(autouse=True)
def three_full_sets(monkeypatch):
    """A hash leaves sets of so few prompts empty: deal the transcripts out in turns instead."""

    def split(text):
        sets = {"train": [], "dev": [], "test": []}
        turns = {transcript: list(sets)[i % 3] for i, transcript in enumerate(sorted(set(text.values())))}
        for utterance, transcript in text.items():
            sets[turns[transcript]].append(utterance)
        return sets

    monkeypatch.setattr(local.asterisk, "stable_split", split)


@pytest.mark.parametrize("debian", [True, False])
def test_prepare(tmp_path, capsys, debian):
    corpus = write_corpus(tmp_path / "corpus", debian=debian)
    data = tmp_path / "data"
    asterisk(data, "en", corpus)
    sets = read_sets(data)
    text = {utt: words for part in sets.values() for utt, words in part.text.items()}
    assert text == {
        "allison-activated": "activated",
        "allison-digits_7": "seven",
        "allison-goodbye": "goodbye",
        "allison-letters_at": "at",
        "allison-phonetic_x_p": "x ray",
        "allison-vm-goodbye": "goodbye",
    }
    assert {part.utt2spk[utt] for part in sets.values() for utt in part.utterances} == {"allison"}
    assert all(path.startswith("/") for part in sets.values() for path in part.wav.values())
    assert (data / "local/excluded.txt").read_text().splitlines() == [
        "beep\tthis is a simple beep tone",
        "extra\tno text",
        "pls-try\tno recording",
        "silence/1\tsilence",
    ]
    lexicon = by_word(read_lexicon(data / "local/dict/lexicon.txt"))
    assert set(lexicon) == {"!SIL", "<UNK>", "activated", "at", "goodbye", "ray", "seven", "x"}
    assert lexicon["seven"] == [("S", "EH", "V", "AH", "N")]
    assert (data / "local/dict/silence_phones.txt").read_text() == "SIL\nSPN\n"
    assert (data / "local/dict/optional_silence.txt").read_text() == "SIL\n"
    assert not {"SIL", "SPN"} & set((data / "local/dict/nonsilence_phones.txt").read_text().split())
    printed = capsys.readouterr().out
    assert "closed vocabulary" in printed
    assert "unseen in train" in printed


def test_prepare_again_gives_the_same_files(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    for name in ("one", "two"):
        asterisk(tmp_path / name, "en", corpus)
    for file in ("train/text", "test/wav.scp", "local/dict/lexicon.txt"):
        assert (tmp_path / "one" / file).read_text() == (tmp_path / "two" / file).read_text()


def test_names_that_differ_in_case_are_the_same(tmp_path):
    chosen, excluded = select_prompts(
        {"letters/O": "o", "digits/1f": "una"}, {"letters/o": tmp_path, "digits/1F": tmp_path}
    )
    assert chosen == {"letters/o": (tmp_path, "o"), "digits/1F": (tmp_path, "una")}
    assert not excluded


def test_two_recordings_of_one_utterance_id(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", {"vm/no": "no", "vm_no": "no"}, ())
    with pytest.raises(InputError, match="would both be the utterance 'allison-vm_no'"):
        asterisk(tmp_path / "data", "en", corpus)


def test_words_without_pronunciation_are_listed(tmp_path):
    with pytest.raises(InputError, match=r"2 words have no pronunciation: blarg zzyzzx; add them to .*lexicon-en.txt"):
        make_lexicon({"hello", "zzyzzx", "blarg"}, "en")


def test_lexicon_of_english_and_of_graphemes():
    english = make_lexicon({"a", "digium", "the"}, "en")
    assert english["a"] == [("AH",), ("EY",)]
    assert english["the"] == [("DH", "AH"), ("DH", "IY")]  # of three variants two are equal without stress
    assert english["digium"] == [("D", "IH", "JH", "IY", "AH", "M")]
    assert make_lexicon({"d'", "été"}, "fr") == {"d'": [("d",)], "été": [("é", "t", "é")]}
    assert make_lexicon({"w"}, "es")["w"][0] == tuple("dobleu")


@pytest.mark.parametrize("language", ["es", "ru"])
def test_folder_of_another_language(tmp_path, language):
    corpus = write_corpus(tmp_path / "corpus")
    with pytest.raises(InputError, match=rf"core-sounds-{language}.txt\[.gz\] is not in it"):
        asterisk(tmp_path / "data", language, corpus)


def test_folder_without_audio(tmp_path):
    (tmp_path / "core-sounds-en.txt").write_text("a: a\n")
    with pytest.raises(InputError, match=r"there is no .wav file in it; the audio is in asterisk-core-sounds-en-wav"):
        find_prompts(tmp_path, "en")


def test_corpus_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"--corpus .*nowhere: there is no such folder"):
        asterisk(tmp_path / "data", "en", tmp_path / "nowhere")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is missing")
def test_folder_of_packages(tmp_path):
    tree = write_corpus(tmp_path / "tree")
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: asterisk-core-sounds-en\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    )
    packages = tmp_path / "packages"
    packages.mkdir()
    subprocess.run(["dpkg-deb", "-b", tree, packages / "asterisk-core-sounds-en_1_all.deb"], check=True)
    asterisk(tmp_path / "data", "en", packages)
    assert len(read_sets(tmp_path / "data")) == 3
    (packages / "asterisk-core-sounds-en_1_all.deb").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"asterisk-core-sounds-en_1_all.deb: dpkg-deb failed"):
        asterisk(tmp_path / "data", "en", packages)


@pytest.fixture
def no_packages(monkeypatch):
    def refuse(packages, folder):
        raise InputError("apt-get failed: E: Unable to locate package")

    monkeypatch.setattr(local.asterisk, "apt_download", refuse)


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """The publisher's archive, served from a folder."""
    corpus = write_corpus(tmp_path / "published", debian=False)
    releases = tmp_path / "releases"
    releases.mkdir()
    archive = releases / local.asterisk.TARBALL.format(language="en")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(corpus, ".")
    monkeypatch.setattr(local.asterisk, "RELEASES", releases.as_uri())
    monkeypatch.setattr(local.asterisk, "SHA512", {"en": hashlib.sha512(archive.read_bytes()).hexdigest()})
    return archive


def test_publishers_archive_is_used_when_there_are_no_packages(tmp_path, no_packages, publisher, capsys):
    asterisk(tmp_path / "data", "en")
    assert len(read_sets(tmp_path / "data")) == 3
    assert "Unable to locate package" in capsys.readouterr().out
    publisher.unlink()
    asterisk(tmp_path / "data", "en")  # what was downloaded is used again


def test_archive_with_another_checksum(tmp_path, no_packages, publisher):
    publisher.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"SHA-512 is .*, not .* as known"):
        download_asterisk(tmp_path / "download", "en")
    assert not (tmp_path / "download/asterisk-core-sounds-en").exists()


def test_neither_packages_nor_archive(tmp_path, no_packages, publisher):
    publisher.unlink()
    with pytest.raises(InputError, match=r"Unable to locate package.*run 'apt-get update' as root.*--corpus"):
        download_asterisk(tmp_path / "download", "en")
