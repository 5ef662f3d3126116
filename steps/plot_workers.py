"""Draw staleness, speed and waiting of the workers of asynchronous SGD."""

from pathlib import Path

from steps.base.cli import command
from steps.base.errors import InputError
from steps.reporting.drawing import check_format, save_figure
from steps.reporting.train_log import read_log
from steps.reporting.workers import draw, table


def plot_workers(exp: Path, out: Path = Path("workers.png")) -> None:
    """Draw the staleness of the gradients, each worker's speed, and its waiting for the shards.

    Reads EXP/train.jsonl of a network that several workers trained. While it is trained, give EXP.partial. Staleness
    is the number of updates that a shard applied between a worker's pull and its push.

    Parameters
    ----------
    exp : Path
        Model directory, from steps.train_nnet.
    out : Path
        The picture; its suffix says the format: png, pdf, svg, ...

    Raises
    ------
    InputError
        When train.jsonl has no figures of workers, and for a format that cannot be written.
    """
    check_format(out)
    lines = [line for line in read_log(exp) if "workers" in line]
    if not lines:
        raise InputError(
            f"{exp}: train.jsonl has no figures of workers; was it trained by one worker, or for a moment only?"
        )
    save_figure(draw(lines), out, dpi=150)
    print(f"{table(lines)}\n\n{out} is written")


if __name__ == "__main__":
    command(plot_workers)
