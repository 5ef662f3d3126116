import numpy as np
import pytest
import soundfile

from steps.base.errors import InputError
from steps.corpus.data_dir import (
    DataDir,
    Segment,
    data_dirs,
    read_data_dir,
    read_utterance_audio,
    subset,
    write_data_dir,
)
from steps.corpus.tables import read_table
from tests.steps.corpus.conftest import RATE, noise


@pytest.fixture
def stereo_dir(make_data_dir):
    """Two recordings of two channels in one file each, cut into segments."""
    data = make_data_dir(
        wav_scp="r1-A call.flac\nr1-B flac -c -d -s call.flac |\n",
        reco2file_and_channel="r1-A call A\nr1-B call B\n",
        segments="a-1 r1-A 0.1 0.2\na-2 r1-A 0.2 -1\nb-1 r1-B 0 0.25\n",
        text="a-1 one\na-2 two\nb-1 three\n",
        utt2spk="a-1 a\na-2 a\nb-1 b\n",
        spk2utt=None,
    )
    soundfile.write(data / "call.flac", noise(channels=2), RATE)
    return data


def test_reads_what_is_there(make_data_dir, capsys):
    path = make_data_dir()
    data = read_data_dir(str(path))
    assert data.path == path
    assert data.utterances == ["ann-1", "ann-2", "bob-1", "bob-2"]
    assert data.text["bob-2"] == "five six"
    assert data.spk2utt == {"ann": ["ann-1", "ann-2"], "bob": ["bob-1", "bob-2"]}
    assert not data.segments
    assert not data.channels
    assert capsys.readouterr().out == ""
    samples, rate = read_utterance_audio(data, "bob-1")
    assert rate == RATE
    np.testing.assert_array_equal(samples, noise(seed=2)[:, 0])


def test_segments_and_channels(stereo_dir):
    data = read_data_dir(stereo_dir)
    assert data.segments["a-2"] == Segment("r1-A", 0.2, -1)
    assert data.channels == {"r1-A": 0, "r1-B": 1}
    assert data.utterances == ["a-1", "a-2", "b-1"]
    for utterance, channel, first, last in (("a-1", 0, 800, 1600), ("a-2", 0, 1600, 4000), ("b-1", 1, 0, 2000)):
        samples, _ = read_utterance_audio(data, utterance)
        np.testing.assert_array_equal(samples, noise(channels=2)[first:last, channel])


def test_unsorted_files_are_sorted_which_is_said_once(make_data_dir, capsys):
    data = read_data_dir(
        make_data_dir(text="bob-2 x\nbob-1 y\nann-2 z\nann-1 w\n", utt2spk="bob-2 b\nbob-1 b\nann-2 a\nann-1 a\n")
    )
    assert capsys.readouterr().out == f"{data.path}: not sorted by id, sorted on reading: text, utt2spk\n"
    assert list(data.text) == list(data.utt2spk) == ["ann-1", "ann-2", "bob-1", "bob-2"]


def test_bom_and_crlf_are_taken_away(make_data_dir):
    data = read_data_dir(make_data_dir(text="\ufeffann-1 één\r\nann-2 b\r\nbob-1 c\r\nbob-2 d\r\n"))
    assert data.text == {"ann-1": "één", "ann-2": "b", "bob-1": "c", "bob-2": "d"}


def test_without_text_and_speakers(make_data_dir, capsys):
    data = read_data_dir(make_data_dir(text=None, utt2spk=None, spk2utt=None))
    assert data.text == {}
    assert data.utt2spk == {utt: utt for utt in data.utterances}
    assert "there is no utt2spk: each utterance counts as a speaker of its own" in capsys.readouterr().out


def test_speakers_from_spk2utt(make_data_dir, capsys):
    data = read_data_dir(make_data_dir(utt2spk=None))
    assert data.utt2spk["bob-2"] == "bob"
    assert "there is no utt2spk: speakers are taken from spk2utt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"wav_scp": None}, r"data: not a data directory, it has no wav\.scp$"),
        ({"wav_scp": "", "utt2spk": None}, r"data: holds no utterances; "),
        ({"wav_scp": "ann-1\n"}, r"wav\.scp:1: 'ann-1' has 1 field"),
        ({"text": "ann-1 a\nann-2 b\nbob-1 c\n"}, r"data: utterance 'bob-2' is in wav\.scp, but not in text; "),
        ({"text": "ann-1 a\n"}, r"utterance 'ann-2' \(and 2 more\) is in wav\.scp, but not in text; "),
        ({"text": "ann-1 a\nann-2 b\nbob-1 c\nbob-2 d\ncy x\n"}, r"utterance 'cy' is in text, but not in wav\.scp; "),
        ({"text": "ann-1 a\nann-2\nbob-1 c\nbob-2 d\n"}, r"text:2: 'ann-2' has 1 field"),
        (
            {"text": "ann-1 a\nann-1 b\nbob-1 c\nbob-2 d\n"},
            r"text:2: duplicate id 'ann-1', first in line 1 with another entry; ",
        ),
        ({"text": "ann-1 caf\xe9\n".encode("latin-1")}, r"text:1: line 1 is not UTF-8 \(byte 0xe9\); "),
        ({"utt2spk": "ann-1 ann\n"}, r"utterance 'ann-2' \(and 2 more\) is in wav\.scp, but not in utt2spk; "),
        (
            {"utt2spk": "ann-1 ann x\nann-2 ann\nbob-1 bob\nbob-2 bob\n"},
            r"data/utt2spk: 'ann-1' has more than one speaker: 'ann x'; ",
        ),
        ({"segments": "u ann-1 0\n"}, r"data/segments: 'u': 'ann-1 0' is not 'recording start end' with times"),
        ({"segments": "u ann-1 0 x\n"}, r"data/segments: 'u': 'ann-1 0 x' is not 'recording start end' with times"),
        ({"segments": "u ann-1 0 inf\n"}, r"data/segments: 'u': 'ann-1 0 inf' holds a time that is not a finite"),
        ({"segments": "u zoe 0 1\n"}, r"data/segments: 'u' is in recording 'zoe', not in wav\.scp; "),
        ({"segments": "u ann-1 1 0.5\n"}, r"data/segments: 'u': the segment goes from 1 s to 0\.5 s; it has to end"),
        (
            {"reco2file_and_channel": "ann-1 f C\n"},
            r"data/reco2file_and_channel: 'ann-1': 'f C' is not 'file channel' with A or B",
        ),
    ],
)
def test_refused(make_data_dir, files, message):
    with pytest.raises(InputError, match=message) as error:
        read_data_dir(make_data_dir(**files))
    assert "no wav.scp" in str(error.value) or str(error.value).endswith("lists all problems")


def test_no_directory(tmp_path):
    with pytest.raises(InputError, match="nothing: there is no such directory"):
        read_data_dir(tmp_path / "nothing")


def test_the_utterance_is_named_when_its_audio_cannot_be_read(make_data_dir):
    path = make_data_dir()
    (path / "bob-1.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"^utterance 'bob-1': .*bob-1\.wav: the audio file is empty$"):
        read_utterance_audio(read_data_dir(path), "bob-1")


def test_commands_only_when_allowed(make_data_dir):
    path = make_data_dir()
    (path / "wav.scp").write_text(
        (path / "wav.scp").read_text().replace(f"{path}/bob-1.wav", f"head -c 99999 {path}/bob-1.wav |")
    )
    data = read_data_dir(path)
    with pytest.raises(InputError, match=r"utterance 'bob-1': 'head .* is run only with --allow-commands"):
        read_utterance_audio(data, "bob-1")
    np.testing.assert_array_equal(read_utterance_audio(data, "bob-1", allow_commands=True)[0], noise(seed=2)[:, 0])


def test_what_is_written_is_read(stereo_dir, tmp_path, capsys):
    data = read_data_dir(stereo_dir)
    write_data_dir(tmp_path / "copy" / "train", data)
    copy = read_data_dir(tmp_path / "copy" / "train")
    assert capsys.readouterr().out == ""
    assert (copy.text, copy.utt2spk, copy.segments, copy.channels) == (
        data.text,
        data.utt2spk,
        data.segments,
        data.channels,
    )
    assert read_table(copy.path / "spk2utt") == {"a": "a-1 a-2", "b": "b-1"}
    for utterance in data.utterances:  # the relative paths still lead to the audio
        expected, _ = read_utterance_audio(data, utterance)
        np.testing.assert_array_equal(read_utterance_audio(copy, utterance)[0], expected)


def test_rewriting_in_place_keeps_paths_and_other_files_and_removes_what_went(stereo_dir):
    data = read_data_dir(stereo_dir)
    write_data_dir(stereo_dir, data)
    assert read_data_dir(stereo_dir) == data
    flat = DataDir(stereo_dir, {"x": "call.flac"}, {}, {"x": "x"})
    write_data_dir(stereo_dir, flat)
    assert read_data_dir(stereo_dir) == flat
    assert (stereo_dir / "call.flac").exists()
    assert not (stereo_dir / "segments").exists()


def test_subset(stereo_dir, make_data_dir):
    data = subset(read_data_dir(stereo_dir), ["b-1"])
    assert data.utterances == ["b-1"]
    assert (data.text, data.utt2spk, list(data.wav), data.channels) == (
        {"b-1": "three"},
        {"b-1": "b"},
        ["r1-B"],
        {"r1-B": 1},
    )
    data = subset(read_data_dir(make_data_dir("flat")), ["bob-1", "ann-1"])
    assert list(data.wav) == data.utterances == ["ann-1", "bob-1"]
    with pytest.raises(InputError, match="there is no utterance 'zoe'"):
        subset(data, ["zoe"])


def test_data_dirs(make_data_dir, tmp_path, monkeypatch):
    train, dev = make_data_dir("train"), make_data_dir("dev")
    for name in ("local", "test.partial", ".hidden", "feats"):
        (tmp_path / name).mkdir()
    (tmp_path / "test.partial" / "wav.scp").touch()
    (tmp_path / ".hidden" / "wav.scp").touch()
    (tmp_path / "feats" / "feats.scp").touch()
    assert list(data_dirs(tmp_path).items()) == [("dev", dev), ("feats", tmp_path / "feats"), ("train", train)]
    assert data_dirs(str(train)) == {"train": train}
    monkeypatch.chdir(train)
    assert list(data_dirs(".")) == ["train"]
    with pytest.raises(InputError, match=r"local: neither a data directory nor a folder of them"):
        data_dirs(tmp_path / "local")
    with pytest.raises(InputError, match=r"nothing: neither"):
        data_dirs(tmp_path / "nothing")
