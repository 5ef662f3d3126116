"""Draw how the frame accuracy of several networks grew."""

from pathlib import Path

from steps.base.cli import command
from steps.reporting.drawing import check_format, save_figure
from steps.reporting.training import draw, read_run, run_names, table


def plot_training(exps: list[Path], out: Path = Path("training.png"), title: str = "") -> None:
    """Draw the frame accuracy of several networks against training time and against the frames seen.

    Reads EXP/train.jsonl of each model directory EXP. While a network is trained, give EXP.partial for it. The picture
    shows dev after each epoch, and the training data in between (which dropout and masks make harder). The time is that
    of training alone, without the evaluation of dev.

    Parameters
    ----------
    exps : list of Path
        Model directories, from steps.train_nnet.
    out : Path
        The picture; its suffix says the format: png, pdf, svg, ...
    title : str
        Title of the picture.

    Raises
    ------
    InputError
        When a directory holds no finished epoch, and for a format that cannot be written.
    """
    check_format(out)
    runs = [read_run(exp, name) for exp, name in zip(exps, run_names(exps), strict=True)]
    save_figure(draw(runs, title), out, dpi=150)
    print(f"{table(runs)}\n\n{out} is written")


if __name__ == "__main__":
    command(plot_training)
