"""Draw how the workers of asynchronous SGD got on."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tabulate import tabulate

from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import writing
from steps.plot_training import Line, check_format, read_log


def plot_workers(exp: Path, out: Path = Path("workers.png")) -> None:
    """Draw the staleness of the gradients, each worker's speed, and its waiting for the shards.

    Reads EXP/train.jsonl of a network that several workers trained; of a run under way, EXP.partial, what there is so
    far. Staleness is the number of updates that a shard applied between a worker's pull and its push.

    Parameters
    ----------
    exp : Path
        Model directory, from steps.train_nnet.
    out : Path
        The picture; its suffix says the format: png, pdf, svg, ...

    Raises
    ------
    InputError
        When train.jsonl tells nothing of workers, and for a format that cannot be written.
    """
    check_format(out)
    lines = [line for line in read_log(exp) if "workers" in line]
    if not lines:
        raise InputError(f"{exp}: train.jsonl tells nothing of workers; was it trained by one, or for a moment only?")
    figure = draw(lines)
    with writing(out) as part:
        figure.savefig(part, format=out.suffix[1:], dpi=150)
    print(f"{table(lines)}\n\n{out} is written")


def total_staleness(lines: list[Line]) -> NDArray[Any]:
    """How many pushes met each staleness: (most + 1,) counts.

    Example
    -------
    >>> total_staleness([{"staleness": [3, 1]}, {"staleness": [2, 0, 1]}])
    array([5, 1, 1])
    """
    counts = np.zeros(max(len(line["staleness"]) for line in lines), dtype=int)
    for line in lines:
        counts[: len(line["staleness"])] += line["staleness"]
    return counts


def most_workers(lines: list[Line]) -> int:
    """The number of workers; a run can go on with more or fewer."""
    return max(len(line["workers"]) for line in lines)


def draw(lines: list[Line]) -> Figure:
    """Draw the three panels."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    staleness, speed, share = figure.subplots(1, 3)
    counts = total_staleness(lines)
    staleness.bar(np.arange(len(counts)), 100 * counts / max(counts.sum(), 1), width=0.8)
    staleness.set_xlabel("staleness (updates between pull and push)")
    staleness.set_ylabel("share of pushes to a shard (%)")
    for worker in range(most_workers(lines)):
        own = [line for line in lines if worker < len(line["workers"])]
        minutes = [line["seconds"] / 60 for line in own]
        speed.plot(minutes, [line["workers"][worker] for line in own], ".-", label=f"worker {worker}")
        share.plot(minutes, [100 * line["push_share"][worker] for line in own], ".-")
    speed.set_ylabel("frames per second")
    share.set_ylabel("share of time in push and pull (%)")
    for axes in (speed, share):
        axes.set_xlabel("training time (minutes)")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    speed.legend(loc="lower right")
    return figure


def table(lines: list[Line]) -> str:
    """Lay out each worker's means."""
    rows = [
        [
            worker,
            f"{np.mean([line['workers'][worker] for line in lines if worker < len(line['workers'])]):,.0f}",
            f"{np.mean([line['push_share'][worker] for line in lines if worker < len(line['workers'])]):.1%}",
        ]
        for worker in range(most_workers(lines))
    ]
    counts = total_staleness(lines)
    mean = (counts * np.arange(len(counts))).sum() / max(counts.sum(), 1)
    header = ["worker", "frames per second", "push and pull"]
    return f"{tabulate(rows, header, disable_numparse=True, colalign=['right'] * 3)}\n\nmean staleness {mean:.2f}"


if __name__ == "__main__":
    command(plot_workers)
