import subprocess
import sys
from pathlib import Path

import pytest

from steps.base.cli import command
from steps.corpus.data_dir import read_data_dir
from steps.validate_data import validate_data


def test_no_problems(make_data_dir, capsys):
    path = make_data_dir()
    command(validate_data, [str(path)])
    assert capsys.readouterr().out == f"{path}: no problems, 0 warning(s)\n"


def test_problems_are_listed_and_the_exit_status_is_1(make_data_dir):
    path = make_data_dir(text="\ufeffann-1 a\nbob-1 c\nann-2\nbob-2 d\n")
    (path / "bob-2.wav").unlink()
    arguments = [sys.executable, "-m", "steps.validate_data", str(path)]
    root = Path(__file__).parents[3]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{path}/wav.scp:4: 'bob-2': {path}/bob-2.wav: there is no such audio file  "
        "[--fix: dropped with its utterances]",
        f"{path}/text:1: begins with a byte order mark (BOM)  [--fix: rewritten]",
        f"{path}/text:3: not sorted by code point (LC_ALL=C): 'ann-2' comes after 'bob-1'  [--fix: file sorted]",
        f"{path}/text:3: 'ann-2' has an empty transcript  [--fix: utterance dropped]",
    ]
    assert done.stderr == f"error: {path}: 4 problem(s), 4 of them repaired by '--fix NEW_DIRECTORY'\n"


def test_fix(make_data_dir, tmp_path, capsys):
    path = make_data_dir(text="ann-1 a\nann-2\nbob-1 c\nbob-2 d\n")
    fixed = tmp_path / "fixed"
    command(validate_data, [str(path), "--fix", str(fixed)])
    assert capsys.readouterr().out.splitlines() == [
        f"{path}/text:2: 'ann-2' has an empty transcript: utterance dropped",
        f"{fixed}: the repaired copy is written",
        f"{fixed}: no problems, 0 warning(s)",
    ]
    assert read_data_dir(fixed).utterances == ["ann-1", "bob-1", "bob-2"]


def test_what_a_fix_leaves_is_an_error(make_data_dir, tmp_path):
    path = make_data_dir(
        wav_scp="ann-1 head -c 9 x |\n", text="ann-1 a\n", utt2spk="ann-1 ann\n", spk2utt="ann ann-1\n"
    )
    with pytest.raises(SystemExit, match=r"fixed: 1 problem\(s\), 0 of them repaired"):
        command(validate_data, [str(path), "--fix", str(tmp_path / "fixed")])


def test_options(make_data_dir, capsys):
    path = make_data_dir(wav_scp="ann-1 cat gone.wav | cat |\n", text="ann-1 a\n", utt2spk="ann-1 ann\n", spk2utt=None)
    (path / "spk2utt").write_text("ann ann-1\n")
    with pytest.raises(SystemExit, match=r"1 problem\(s\), 1 of them"):
        command(validate_data, [str(path), "--allow-commands", "--nj", "2"])
    assert "cat ended with status 1: cat: gone.wav: No such file" in capsys.readouterr().out
    command(validate_data, [str(path), "--check-audio", "false"])
    assert "no problems" in capsys.readouterr().out
