"""How the frame accuracy of networks grew: a picture and a table."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tabulate import tabulate

from steps.base.errors import InputError
from steps.reporting.train_log import Line, read_log

MARKERS = "osD^vPX"  # 7 of them and 10 colours: 70 runs before two look alike
LEGEND_WIDTH = 120  # letters that have room below the panels
TRAINING_LINE = {"linewidth": 0.9, "alpha": 0.6}


@dataclass(frozen=True)
class TrainingRun:
    """The lines of a model's train.jsonl: those at the ends of epochs, and those of the training data."""

    name: str
    epochs: list[Line]
    training: list[Line]

    @property
    def best(self) -> Line:
        """The epoch with the highest dev frame accuracy, the first of equals."""
        return max(self.epochs, key=lambda line: line["dev_accuracy"])


def read_run(exp: Path, name: str) -> TrainingRun:
    """Read the train.jsonl of a model directory.

    Raises
    ------
    InputError
        When it is missing or damaged, or no epoch is finished yet.
    """
    lines = read_log(exp)
    epochs = [line for line in lines if "dev_accuracy" in line]
    if not epochs:
        raise InputError(f"{exp}: no epoch is finished yet, train.jsonl has no 'dev_accuracy'; try again later")
    within = [line for line in lines if "dev_accuracy" not in line]
    # an epoch's own line is the mean over all of it, which lags behind; short epochs have no others
    return TrainingRun(name, epochs, within if len(within) >= len(epochs) else epochs)


def run_names(exps: list[Path]) -> list[str]:
    """Name each model by its directory, or by the whole path where two directories have the same name.

    Example
    -------
    >>> run_names([Path("exp/lstm"), Path("exp/dnn")]), run_names([Path("en/lstm"), Path("ru/lstm")])
    (['lstm', 'dnn'], ['en/lstm', 'ru/lstm'])
    """
    names = [exp.resolve().name for exp in exps]
    return names if len(set(names)) == len(names) else [str(exp) for exp in exps]


def draw(runs: list[TrainingRun], title: str = "") -> Figure:
    """Draw the runs, a colour and marker each, against time on the left and frames on the right."""
    columns = max(1, min(len(runs), LEGEND_WIDTH // (8 + max(len(run.name) for run in runs))))
    rows = -(-len(runs) // columns)
    figure = Figure(figsize=(11, 4.8 + 0.25 * rows), layout="constrained")
    by_time, by_frames = figure.subplots(1, 2, sharey=True)
    for axes, key, unit in ((by_time, "seconds", 60), (by_frames, "frames", 1e6)):
        for i, run in enumerate(runs):
            draw_run(axes, run, key, unit, f"C{i % 10}", MARKERS[i % len(MARKERS)])
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    by_time.set_ylim(accuracy_limits(runs))
    by_time.set_ylabel("frame accuracy (%)")
    by_time.set_xlabel("training time (minutes)")
    by_frames.set_xlabel("frames seen (millions)")
    # what the lines mean, in the corner that a growing curve leaves free
    by_frames.plot([], [], "o-", color="0.3", label="dev")
    by_frames.plot([], [], color="0.3", **TRAINING_LINE, label="training data")
    handles, labels = by_frames.get_legend_handles_labels()
    by_frames.legend(handles[-2:], labels[-2:], loc="lower right")
    figure.legend(*by_time.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
    if title:
        figure.suptitle(title)
    return figure


def draw_run(axes: Axes, run: TrainingRun, key: str, unit: float, color: str, marker: str) -> None:
    """Draw one run against `key` of its lines, in `unit`."""
    for lines, figure, style in (
        (run.training, "accuracy", TRAINING_LINE),
        (
            run.epochs,
            "dev_accuracy",
            {"linewidth": 1.6, "marker": marker, "markersize": 5, "label": run.name, "zorder": 3},
        ),
    ):
        axes.plot([line[key] / unit for line in lines], [100 * line[figure] for line in lines], color=color, **style)


def accuracy_limits(runs: list[TrainingRun]) -> tuple[float, float]:
    """The percents to show: all of dev; of the training data not the steep beginning, beside which all looks alike.

    Example
    -------
    >>> epochs = [{"accuracy": 0.3, "dev_accuracy": 0.5}, {"accuracy": 0.8, "dev_accuracy": 0.7}]
    >>> [round(limit, 1) for limit in accuracy_limits([TrainingRun("lstm", epochs, epochs)])]
    [48.5, 81.5]
    """
    low = min(line["dev_accuracy"] for run in runs for line in run.epochs)
    high = max(
        *(run.best["dev_accuracy"] for run in runs), *(line["accuracy"] for run in runs for line in run.training)
    )
    margin = max(0.05 * (high - low), 0.005)
    return 100 * (low - margin), 100 * (high + margin)


def table(runs: list[TrainingRun]) -> str:
    """Lay out what each run came to."""
    header = ["model", "epochs", "best dev accuracy", "minutes", "frames per second"]
    rows = [
        [
            run.name,
            len(run.epochs),
            f"{run.best['dev_accuracy']:.2%}",
            f"{run.epochs[-1]['seconds'] / 60:.1f}",
            f"{run.epochs[-1]['frames'] / max(run.epochs[-1]['seconds'], 1e-9):,.0f}",
        ]
        for run in runs
    ]
    return tabulate(rows, header, disable_numparse=True, colalign=("left", *["right"] * 4))
