import gzip
import os
import sys

import numpy as np
import pytest
import soundfile

from local.custom import copy_lm, custom
from local.dict_dir import by_word
from steps.base.cli import command
from steps.base.errors import InputError
from steps.corpus import sound
from steps.corpus.data_dir import Segment, left_out, read_data_dir
from steps.lang.arpa import read_arpa
from steps.lang.lexicon import read_dict_dir
from steps.lang.lexicon_file import read_lexicon

ARPA = "\\data\\\nngram 1=4\n\n\\1-grams:\n-1 <s>\n-1 </s>\n-1 <unk>\n-1 maybe\n\n\\end\\\n"


def write_set(path, text, speaker="a", rate=8000, wav=None):
    path.mkdir(parents=True)
    for utt in text:
        soundfile.write(path / f"{utt}.wav", np.resize([0.1, -0.1], rate // 4), rate)
    table = wav or {utt: str(path / f"{utt}.wav") for utt in text}
    (path / "wav.scp").write_text("".join(f"{utt} {entry}\n" for utt, entry in sorted(table.items())))
    (path / "text").write_text("".join(f"{utt} {words}\n" for utt, words in sorted(text.items())))
    (path / "utt2spk").write_text("".join(f"{utt} {speaker}\n" for utt in sorted(text)))
    (path / "spk2utt").write_text(f"{speaker} {' '.join(sorted(text))}\n")
    return path


@pytest.fixture
def sets(tmp_path):
    return {
        "train": write_set(tmp_path / "in/train", {"a-1": "yes no", "a-2": "l'été"}),
        "dev": write_set(tmp_path / "in/dev", {"b-1": "no"}, "b"),
        "test": [write_set(tmp_path / "in/clean", {"c-1": "yes ja"}, "c")],
    }


def test_sets_go_by_their_names(tmp_path, sets, capsys):
    data = tmp_path / "data"
    sets["test"].append(write_set(tmp_path / "in/noisy", {"d-1": "no"}, "d"))
    custom(data, **sets)
    assert sorted(p.name for p in data.iterdir()) == ["clean", "dev", "local", "noisy", "train"]
    assert read_data_dir(data / "clean").text == {"c-1": "yes ja"}
    printed = capsys.readouterr().out
    assert "50.0%" in printed  # of the words in clean are not in train
    sets["test"].pop()
    custom(data, **sets)
    assert not (data / "noisy").exists()


def test_audio_paths_become_absolute(tmp_path, sets, monkeypatch):
    write_set(tmp_path / "in/rel", {"e-1": "no", "e-2": "no", "e-3": "no"}, "e")
    (tmp_path / "in/rel/wav.scp").write_text("e-1 in/rel/e-1.wav\ne-2 e-2.wav\ne-3 cat in/rel/e-3.wav |\n")
    monkeypatch.chdir(tmp_path)
    custom(tmp_path / "data", **{**sets, "test": [tmp_path / "in/rel"]})
    monkeypatch.chdir("/")
    wav = read_data_dir(tmp_path / "data/rel").wav
    assert wav == {f"e-{i}": str(tmp_path / f"in/rel/e-{i}.wav") for i in (1, 2, 3)}


def test_segments_and_channels_are_kept(tmp_path, sets):
    path = tmp_path / "in/segmented"
    path.mkdir()
    soundfile.write(path / "r.flac", np.zeros((8000, 2)), 8000)
    (path / "wav.scp").write_text(f"r flac -c -d -s {path}/r.flac |\n")
    (path / "segments").write_text("s-1 r 0 0.5\ns-2 r 0.5 -1\n")
    (path / "reco2file_and_channel").write_text("r r B\n")
    (path / "text").write_text("s-1 no\ns-2 yes\n")
    (path / "utt2spk").write_text("s-1 s\ns-2 s\n")
    (path / "spk2utt").write_text("s s-1 s-2\n")
    custom(tmp_path / "data", **{**sets, "test": [path]})
    data = read_data_dir(tmp_path / "data/segmented")
    assert data.segments == {"s-1": Segment("r", 0, 0.5), "s-2": Segment("r", 0.5, -1)}
    assert data.channels == {"r": 1}
    assert data.wav == {"r": str(path / "r.flac")}


def test_graphemes_of_training_text_and_lm(tmp_path, sets):
    lm = tmp_path / "my.arpa"
    lm.write_text(ARPA)
    custom(tmp_path / "data", **sets, lm=lm)
    lexicon = by_word(read_lexicon(tmp_path / "data/local/dict/lexicon.txt"))
    assert lexicon == {
        "!SIL": [("SIL",)],
        "<UNK>": [("SPN",)],
        "l'été": [("l", "é", "t", "é")],
        "maybe": [tuple("maybe")],
        "no": [("n", "o")],
        "yes": [("y", "e", "s")],
    }
    assert gzip.decompress((tmp_path / "data/local/lm/my.arpa.gz").read_bytes()).decode() == ARPA
    custom(tmp_path / "data", **sets)
    assert not (tmp_path / "data/local/lm").exists()


def test_lexicon_file(tmp_path, sets):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("# mine\nyes Y EH S\nyes Y AE\nno N OW\nyes Y EH S\n")
    custom(tmp_path / "data", **sets, lexicon=lexicon)
    folder = tmp_path / "data/local/dict"
    assert by_word(read_lexicon(folder / "lexicon.txt"))["yes"] == [("Y", "AE"), ("Y", "EH", "S")]
    assert (folder / "nonsilence_phones.txt").read_text().split() == ["AE", "EH", "N", "OW", "S", "Y"]
    assert (folder / "lexicon.txt").read_text().splitlines()[:2] == ["!SIL SIL", "<UNK> SPN"]


def test_lexicon_with_probabilities(tmp_path, sets, capsys):
    lexicon = tmp_path / "english_mfa.dict"
    lexicon.write_text("yes\t0.99\t0.14\t1.0\t1.0\tY EH S\nyes\t0.25\t0.1\t1.2\t0.9\tY AE\nno\tN OW\n")
    custom(tmp_path / "data", **sets, lexicon=lexicon)
    folder = tmp_path / "data/local/dict"
    lines = ["!SIL 1.0 SIL", "<UNK> 1.0 SPN", "no 1.0 N OW", "yes 0.25 Y AE", "yes 0.99 Y EH S"]
    assert (folder / "lexiconp.txt").read_text().splitlines() == lines
    assert (folder / "nonsilence_phones.txt").read_text().split() == ["AE", "EH", "N", "OW", "S", "Y"]
    assert [entry.prob for entry in read_dict_dir(folder).lexicon] == [1, 1, 1, 0.25, 0.99]
    assert (
        f"lexicon: 2 words, 3 pronunciations of {lexicon}, read as 'word probability phone phone ...'; 3 more columns "
        "of numbers left out (of silence, as in MFA's dictionaries); 1 lines without numbers, which get probability 1"
    ) in capsys.readouterr().out
    lexicon.write_text("yes Y EH S\nno N OW\n")
    custom(tmp_path / "data", **sets, lexicon=lexicon)
    assert not (folder / "lexiconp.txt").exists()


def test_words_in_two_unicode_forms_are_spelled_once(tmp_path, sets):
    (sets["train"] / "text").write_text("a-1 yes no\na-2 l'e\u0301te\u0301\n")
    (tmp_path / "my.arpa").write_text(ARPA.replace("maybe", "l'\u00e9t\u00e9"))
    custom(tmp_path / "data", **sets, lm=tmp_path / "my.arpa")
    lexicon = by_word(read_lexicon(tmp_path / "data/local/dict/lexicon.txt"))
    assert sorted(lexicon) == ["!SIL", "<UNK>", "l'e\u0301te\u0301", "no", "yes"]


def test_gzipped_lm_of_any_name(tmp_path):
    model = tmp_path / "my.arpa"
    model.write_bytes(gzip.compress(ARPA.encode()))
    assert copy_lm(model, tmp_path / "out") == ["maybe"]
    assert gzip.decompress((tmp_path / "out/my.arpa.gz").read_bytes()).decode() == ARPA
    assert read_arpa(model) == read_arpa(tmp_path / "out/my.arpa.gz")


def test_dict_dir_is_copied_whole(tmp_path, sets):
    source = tmp_path / "dict"
    source.mkdir()
    files = {
        "lexiconp.txt": "<UNK> 1.0 SPN\nno 0.5 N OW\n",
        "silence_phones.txt": "SIL\nSPN\n",
        "nonsilence_phones.txt": "N\nOW\n",
        "optional_silence.txt": "SIL\n",
        "extra_questions.txt": "",
    }
    for name, content in files.items():
        (source / name).write_text(content)
    custom(tmp_path / "data", **sets, lexicon=source)
    copied = tmp_path / "data/local/dict"
    assert {p.name: p.read_text() for p in copied.iterdir()} == files
    custom(tmp_path / "data", **sets)  # and none of it stays
    assert not (copied / "lexiconp.txt").exists()
    (source / "lexiconp.txt").write_text("no 1.5 N OW\n")
    with pytest.raises(InputError, match=rf"{source}/lexiconp.txt:1: .* has to be a probability"):
        custom(tmp_path / "data", **sets, lexicon=source)
    (source / "optional_silence.txt").unlink()
    (source / "lexiconp.txt").unlink()
    with pytest.raises(InputError, match=r"lacks lexicon.txt or lexiconp.txt, optional_silence.txt"):
        custom(tmp_path / "data", **sets, lexicon=source)


def test_repairs_are_told(tmp_path, sets, capsys):
    (sets["train"] / "text").write_text("a-2 l'été\na-1 yes no\na-3 nobody\n")
    custom(tmp_path / "data", **sets)
    printed = capsys.readouterr().out
    assert "train/text:3: text without audio: 'a-3' is not in wav.scp: line dropped" in printed
    assert "not sorted" in printed
    assert read_data_dir(tmp_path / "data/train").utterances == ["a-1", "a-2"]


def test_a_test_set_never_shrinks(tmp_path, sets, capsys):
    test = write_set(tmp_path / "in/noisy", {f"d-{i}": "no yes" for i in range(4)}, "d")
    (test / "d-1.wav").write_bytes(b"no audio")
    (test / "text").write_text((test / "text").read_text() + "d-9 ja\nother-1 of another set\n")
    (test / "utt2spk").write_text((test / "utt2spk").read_text() + "d-9 d\n")
    custom(tmp_path / "data", **{**sets, "test": [test]})
    assert read_data_dir(tmp_path / "data/noisy").utterances == ["d-0", "d-2", "d-3"]
    assert left_out(tmp_path / "data/noisy") == {"d-1": "no yes", "d-9": "ja"}
    printed = capsys.readouterr().out
    told = f"{test}: 2 of 5 utterances cannot be used and count as deleted words in the results: d-1 d-9\n"
    assert told in printed
    write_set(tmp_path / "other/noisy", {"d-0": "no"}, "d")
    custom(tmp_path / "data", **{**sets, "test": [tmp_path / "other/noisy"]})
    assert left_out(tmp_path / "data/noisy") == {}


def test_what_is_doubtful_is_told(tmp_path, sets, capsys):
    soundfile.write(sets["dev"] / "b-1.wav", np.zeros(8000), 8000)
    custom(tmp_path / "data", **sets)
    told = f"{sets['dev']}/wav.scp: warning: 1 recordings hold (almost) nothing but zeros: 'b-1'\n"
    assert told in capsys.readouterr().out


def test_audio_is_decoded_once(tmp_path, sets, monkeypatch):
    soundfile.write(sets["dev"] / "b-1.wav", np.full(8000, 0.1), 8000, subtype="FLOAT")
    read = []
    decode = sound._read
    monkeypatch.setattr(sound, "_read", lambda *arguments: read.append(arguments) or decode(*arguments))
    custom(tmp_path / "data", **sets)
    assert sum(arguments[0].subtype == "FLOAT" for arguments in read) == 1


def test_what_cannot_be_repaired_is_listed_at_once(tmp_path, sets):
    (sets["dev"] / "text").unlink()
    (sets["test"][0] / "wav.scp").write_text(f"c-1 sox {sets['test'][0]}/c-1.wav -t wav - |\n")
    with pytest.raises(
        InputError, match=r"(?s)2 problems cannot be repaired.*dev/text: .*clean/wav.scp:1: .*--allow-commands"
    ):
        custom(tmp_path / "data", **sets)
    assert not (tmp_path / "data/train").exists()


@pytest.mark.parametrize("name", ["train", "dev", "clean", "local"])
def test_equal_names(tmp_path, sets, name):
    other = write_set(tmp_path / "other" / name, {"f-1": "no"}, "f")
    with pytest.raises(InputError, match=rf"would be named '{name}', which is .*rename one"):
        custom(tmp_path / "data", **{**sets, "test": [*sets["test"], other]})


def test_sets_where_the_copies_go(tmp_path, sets):
    with pytest.raises(InputError, match=r"train lies in .*in, where the copies are written"):
        custom(tmp_path / "in", **sets)


def test_missing_sets(tmp_path, sets):
    with pytest.raises(InputError, match="--train DIR --dev DIR --test DIR"):
        custom(tmp_path / "data", train=sets["train"], test=sets["test"])
    with pytest.raises(InputError, match="no test set is given"):
        custom(tmp_path / "data", train=sets["train"], dev=sets["dev"])
    with pytest.raises(InputError, match="nowhere: there is no such data directory"):
        custom(tmp_path / "data", **{**sets, "train": tmp_path / "nowhere"})


def test_speakers_of_training_are_told_of(tmp_path, sets, capsys):
    test = write_set(tmp_path / "in/same", {"a-9": "no"}, "a")
    custom(tmp_path / "data", **{**sets, "test": [test]})
    assert "warning: 1 speakers of same are in train as well: a" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one two\n", r"lm.arpa: no line \\data\\; is this a language model in ARPA format\?"),
        (b"\x1f\x8bbroken", r"lm.arpa: damaged gzip file"),
        (ARPA.replace("maybe", "\xff").encode("latin-1"), r"lm.arpa:8: not UTF-8 \(byte 0xff\)"),
        (
            b"mmap lm http://kheafield.com/code format version 5\n\0\0\xff",
            r"lm.arpa: this is .* in KenLM's binary format",
        ),
    ],
)
def test_bad_lm(tmp_path, content, message):
    (tmp_path / "lm.arpa").write_bytes(content)
    with pytest.raises(InputError, match=message):
        copy_lm(tmp_path / "lm.arpa", tmp_path / "out")
    with pytest.raises(InputError, match=r"there is no such language model"):
        copy_lm(tmp_path / "none.arpa", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"yes Y EH S\nno\n", r"lexicon.txt:2: the word 'no' has no phones"),
        (b"yes Y\n\xe9t\xe9 e\n", r"lexicon.txt:2: not UTF-8 \(byte 0xe9\)"),
    ],
)
def test_bad_lexicon(tmp_path, sets, content, message):
    (tmp_path / "lexicon.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        custom(tmp_path / "data", **sets, lexicon=tmp_path / "lexicon.txt")


def test_words_without_letters(tmp_path, sets):
    (sets["train"] / "text").write_text("a-1 yes -- no\na-2 <noise> [laugh]\n")
    with pytest.raises(InputError, match=r"1 words of the training text have no letter .*: --; take them out of it"):
        custom(tmp_path / "data", **sets)
    (sets["train"] / "text").write_text("a-1 yes no\na-2 <noise> [laugh]\n")
    (tmp_path / "my.arpa").write_text(ARPA.replace("maybe", "--"))
    with pytest.raises(InputError, match=r"1 words of the language model have no letter .*: --; take them out of it"):
        custom(tmp_path / "data", **sets, lm=tmp_path / "my.arpa")


def test_command_line_takes_several_tests(tmp_path, sets, monkeypatch):
    other = write_set(tmp_path / "in/noisy", {"d-1": "no"}, "d")
    arguments = ["--train", sets["train"], "--dev", sets["dev"], "--test", sets["test"][0], f"--test={other}"]
    command(custom, [*map(os.fspath, arguments[:-1]), arguments[-1], str(tmp_path / "data")])
    assert (tmp_path / "data/noisy/text").is_file()
    assert (tmp_path / "data/clean/text").is_file()
    monkeypatch.setattr(sys, "argv", ["custom"])
    with pytest.raises(SystemExit, match="error: give the data directories"):
        command(custom, [str(tmp_path / "data")])
