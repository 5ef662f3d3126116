"""Speed, waiting and staleness of the workers of asynchronous SGD: a picture and a table."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tabulate import tabulate

from steps.reporting.train_log import Line


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
    """The highest number of workers; a run can be continued with more or fewer."""
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
