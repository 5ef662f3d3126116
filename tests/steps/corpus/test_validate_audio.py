"""What is found of the audio of a data directory: damage, channels, silence, commands."""

import numpy as np
import soundfile

from steps.corpus.data_dir import left_out, read_data_dir, read_utterance_audio
from steps.corpus.validate import find_problems, fix_data_dir
from tests.steps.corpus.conftest import RATE, listed, noise


def test_bad_audio_all_at_once(make_data_dir, tmp_path):
    path = make_data_dir()
    (path / "ann-1.wav").unlink()
    soundfile.write(path / "ann-2.wav", noise(2), RATE)
    (path / "ann-2.wav").write_bytes((path / "ann-2.wav").read_bytes()[:-8000])
    soundfile.write(path / "bob-1.wav", noise(channels=2), RATE)
    found = find_problems(path)
    assert [str(problem) for problem in found] == [
        f"wav.scp:1: 'ann-1': {path}/ann-1.wav: there is no such audio file",
        f"wav.scp:2: 'ann-2': {path}/ann-2.wav: the audio file is truncated: its header announces 16000 samples "
        "(2.000 s), but 12000 (1.500 s) are there",
        f"wav.scp:3: 'bob-1': {path}/bob-1.wav: the audio has 2 channels; choose one in reco2file_and_channel (a line "
        "'recording file A' or '... B'), or mix them",
    ]
    assert {problem.repair for problem in found} == {"dropped with its utterances"}
    assert find_problems(path, nj=2) == found
    assert find_problems(path, check_audio=False) == []
    fix_data_dir(path, tmp_path / "fixed")
    assert read_data_dir(tmp_path / "fixed").utterances == ["bob-2"]
    assert left_out(tmp_path / "fixed") == {"ann-1": "one two", "ann-2": "three", "bob-1": "four"}
    fix_data_dir(tmp_path / "fixed", tmp_path / "again")
    assert left_out(tmp_path / "again") == left_out(tmp_path / "fixed")


def test_what_is_missing_at_the_end_and_silence_are_warned_of(make_data_dir, tmp_path):
    path = make_data_dir()
    for name, cut in (("ann-1", 720), ("ann-2", 320)):
        (path / f"{name}.wav").write_bytes((path / f"{name}.wav").read_bytes()[:-cut])
    silence = np.zeros(RATE)
    silence[4000] = 0.5
    soundfile.write(path / "bob-1.wav", silence, RATE)
    soundfile.write(path / "bob-2.wav", np.full(RATE, 0.25), RATE, format="FLAC")
    assert listed(path) == [
        "wav.scp: warning: 2 recordings end before their headers say, by less than 0.5 s; what is there is used: "
        "'ann-1' by 0.045 s, 'ann-2' by 0.020 s",
        "wav.scp: warning: 2 recordings hold (almost) nothing but zeros: 'bob-1', 'bob-2'",
    ]
    fix_data_dir(path, tmp_path / "fixed")
    fixed = read_data_dir(tmp_path / "fixed")
    assert fixed.utterances == ["ann-1", "ann-2", "bob-1", "bob-2"]
    assert not (tmp_path / "fixed/left_out").exists()
    np.testing.assert_array_equal(read_utterance_audio(fixed, "ann-1")[0], noise(seed=0)[:3640, 0])


def test_channels_chosen_for_stereo(make_data_dir, tmp_path):
    path = make_data_dir(reco2file_and_channel="bob-1 bob-1 B\nzoe-1 zoe-1 A\n")
    soundfile.write(path / "bob-1.wav", noise(channels=2), RATE)
    assert listed(path) == ["reco2file_and_channel:2: warning: recording 'zoe-1' is not in wav.scp"]
    fix_data_dir(path, tmp_path / "fixed")
    assert find_problems(tmp_path / "fixed") == []
    samples, _ = read_utterance_audio(read_data_dir(tmp_path / "fixed"), "bob-1")
    np.testing.assert_array_equal(samples, noise(channels=2)[:, 1])


def test_not_finite_samples_are_looked_for(make_data_dir):
    path = make_data_dir()
    samples = noise()
    samples[80] = np.nan
    soundfile.write(path / "ann-1.wav", samples, RATE, subtype="FLOAT")
    assert listed(path) == [
        f"wav.scp:1: 'ann-1': {path}/ann-1.wav: 1 samples are NaN or infinite, the first at 0.010 s"
    ]


def test_commands_are_problems_unless_allowed(make_data_dir, tmp_path):
    path = make_data_dir()
    command = f"head -c 99999 {path}/ann-1.wav |"
    (path / "wav.scp").write_text((path / "wav.scp").read_text().replace(f"{path}/ann-1.wav", command))
    (problem,) = find_problems(path)
    assert str(problem) == f"wav.scp:1: 'ann-1': '{command}' is a command, which is run only with --allow-commands"
    assert not problem.fixable
    assert find_problems(path, allow_commands=True) == []
    assert fix_data_dir(path, tmp_path / "fixed") == []
    # kept for a user who allows it
    assert read_data_dir(tmp_path / "fixed").utterances == ["ann-1", "ann-2", "bob-1", "bob-2"]
