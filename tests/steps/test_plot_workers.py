import json

import pytest

from steps.base.errors import InputError
from steps.plot_workers import plot_workers

USUAL = {"frames": 100, "epoch": 1, "seconds": 10.0, "accuracy": 0.5}


def write(folder, *lines):
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(USUAL | line) + "\n" for line in lines))
    return folder


def test_picture_and_table(tmp_path, capsys):
    exp = write(
        tmp_path / "lstmp",
        {"workers": [100, 200], "push_share": [0.01, 0.03], "staleness": [1, 2]},
        {"dev_accuracy": 0.5, "dev_loss": 1.0},
        {"workers": [300, 200], "push_share": [0.03, 0.03], "staleness": [0, 0, 1], "seconds": 20.0},
    )
    plot_workers(exp, tmp_path / "workers.png")
    assert (tmp_path / "workers.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert printed.splitlines()[2].split() == ["0", "200", "2.0%"]
    assert printed.splitlines()[3].split() == ["1", "200", "3.0%"]
    assert "mean staleness 1.00" in printed


def test_wrong_input(tmp_path):
    exp = write(tmp_path / "lstmp", {})
    with pytest.raises(InputError, match=r"lstmp: train.jsonl has no figures of workers"):
        plot_workers(exp, tmp_path / "workers.png")
    with pytest.raises(InputError, match=r"workers.doc: its name has to end in one of .*\.png"):
        plot_workers(exp, tmp_path / "workers.doc")
