import json

import numpy as np
import pytest
from PIL import Image

from steps.base.cli import command
from steps.base.errors import InputError
from steps.plot_training import plot_training
from steps.reporting.training import draw, read_run


def lines(epochs=3, within=2, top=0.8):
    """The lines of a run: 1000 frames and 30 seconds after one another, `within` of them in each epoch before its own.

    Dev is at half of `top` after the first epoch and closer to it after each one.
    """
    figures, frames = [], 0
    for epoch in range(1, epochs + 1):
        for i in range(within + 1):
            frames += 1000
            line = {"frames": frames, "epoch": epoch, "seconds": frames * 0.03, "lr": 0.1, "loss": 1.0}
            line["accuracy"] = top * frames / (1000 + frames)
            figures.append(line | ({"dev_loss": 1.0, "dev_accuracy": top * epoch / (1 + epoch)} if i == within else {}))
    return figures


@pytest.fixture
def run(tmp_path):
    """Write a run's train.jsonl and give its directory."""

    def write(name, figures, end="\n"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "train.jsonl").write_text("\n".join(map(json.dumps, figures)) + end)
        return folder

    return write


def test_command_draws_all_runs_and_prints_a_table(run, tmp_path, capsys):
    a, b = run("lstm", lines()), run("dnn", lines(epochs=2, top=0.6))
    out = tmp_path / "plots" / "training.png"
    command(plot_training, [str(a), str(b), "--out", str(out), "--title", "Two networks"])
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.info["dpi"][0] >= 120
        assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 10  # something is drawn
    assert list(out.parent.iterdir()) == [out]
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["lstm", "3", "60.00%", "4.5", "33"] in rows
    assert ["dnn", "2", "40.00%", "3.0", "33"] in rows


def test_what_the_panels_show(run):
    runs = [read_run(run("lstm", lines()), "lstm"), read_run(run("dnn", lines(epochs=1, within=0)), "dnn")]
    figure = draw(runs, "Two networks")
    by_time, by_frames = figure.axes
    curves = {line.get_label(): line.get_xydata().tolist() for line in by_time.lines}
    assert np.allclose(curves["lstm"], [[1.5, 40], [3, 160 / 3], [4.5, 60]])
    assert np.allclose(curves["dnn"], [[0.5, 40]])
    assert np.allclose(by_frames.lines[1].get_xydata(), [[0.003, 40], [0.006, 160 / 3], [0.009, 60]])
    training = by_time.lines[0].get_xydata()
    assert np.allclose(training[:, 0], [0.5, 1, 2, 2.5, 3.5, 4])  # the lines within the epochs
    assert np.allclose(training[:2, 1], [40, 160 / 3])
    assert np.allclose(by_time.lines[2].get_xydata(), [[0.5, 40]])  # where there are none, the epochs'
    assert by_time.lines[0].get_color() == by_time.lines[1].get_color() != by_time.lines[3].get_color()
    assert by_time.get_shared_y_axes().joined(by_time, by_frames)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["lstm", "dnn"]
    assert [text.get_text() for text in by_frames.get_legend().get_texts()] == ["dev", "training data"]
    assert figure.get_suptitle() == "Two networks"


def test_all_of_dev_is_in_sight(run):
    figure = draw([read_run(run("lstm", lines(top=0.9)), "lstm"), read_run(run("dnn", lines(top=0.2)), "dnn")])
    low, high = figure.axes[0].get_ylim()
    assert low < 10
    assert 100 * 0.9 * 8 / 9 < high < 100


@pytest.mark.parametrize("end", ["\n", "", '\n{"frames": 10000, "ep', "\n{"])
def test_a_last_line_that_is_half_written_is_left_out(run, end):
    found = read_run(run("lstm", lines(), end), "lstm")
    assert (len(found.epochs), len(found.training)) == (3, 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": no epoch is finished yet"),
        (json.dumps(lines()[0]), ": no epoch is finished yet"),
        ('{"frames"\n{"frames": 3}\n', "/train.jsonl:1: not JSON"),
        ('{"frames": 3, "accuracy": 0.5}\n', "/train.jsonl:1: lacks epoch, seconds"),
        ("3\n", "/train.jsonl:1: lacks frames, epoch, seconds, accuracy"),
    ],
)
def test_what_is_wrong_with_a_run_is_named(run, tmp_path, content, message):
    good, bad = run("good", lines()), run("bad", [], content)
    (bad / "train.jsonl").write_text(content)
    out = tmp_path / "training.png"
    with pytest.raises(InputError) as error:
        plot_training([good, bad], out)
    assert str(error.value).startswith(f"{bad}{message}")
    assert not out.exists()


def test_what_is_missing_is_named(run, tmp_path):
    with pytest.raises(InputError, match=r"lstm: there is no such directory$"):
        plot_training([tmp_path / "lstm"])
    run("lstm.partial", lines())
    with pytest.raises(InputError, match=r"no such directory; a run under way is in .*lstm\.partial$"):
        plot_training([tmp_path / "lstm"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty/train\.jsonl is missing$"):
        plot_training([tmp_path / "empty"])


def test_formats(run, tmp_path):
    exp = run("lstm", lines())
    with pytest.raises(InputError, match=r"training\.pgn: its name has to end in one of .*\.png"):
        plot_training([exp], tmp_path / "training.pgn")
    plot_training([exp], tmp_path / "training.svg")
    assert "<svg" in (tmp_path / "training.svg").read_text()


def test_no_model_directory_is_refused():
    with pytest.raises(SystemExit, match="the following arguments are required: exps"):
        command(plot_training, [])
