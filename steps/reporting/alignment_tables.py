"""The report of an alignment, laid out for reading."""

from collections.abc import Callable, Sequence
from typing import Any

from tabulate import tabulate

from steps.ali.durations import Durations
from steps.reporting.alignment import Row


def summary(report: Row) -> str:
    """Say in a line how good the whole alignment is."""
    failed, doubtful, left_out = (len(report[name]) for name in ("failed", "doubtful", "left_out"))
    return (
        f"{report['alignment']}: {report['aligned']} utterances aligned ({report['seconds'] / 60:.1f} minutes), "
        f"{doubtful} of them doubtful, {failed} failed{f', {left_out} left out' if left_out else ''}; a frame's score "
        f"{report['score']:.2f}, its log likelihood {report['log_likelihood']:.2f}; {report['silence']:.1%} silence, "
        f"{report['forced_silence']:.1%} forced"
    )


def markdown(report: Row, worst: int) -> str:
    """Lay out a report for reading.

    Parameters
    ----------
    report : Row
        As in report.json.
    worst : int
        How many utterances to list by each of `BADNESS`.
    """
    parts = [f"# Alignment\n\n{summary(report)}"]
    if report["failed"]:
        parts.append(f"## Not aligned\n\n{grid(['utterance', 'reason'], report['failed'].items())}")
    if report["doubtful"]:
        parts.append(f"## Aligned, but likely wrongly\n\n{grid(['utterance', 'reason'], report['doubtful'].items())}")
    if report["left_out"]:
        parts.append(f"## Left out: no transcript, or shorter than a frame\n\n{' '.join(report['left_out'])}")
    for by, badness in BADNESS.items():
        rows = sorted(report["utterances"], key=badness, reverse=True)[:worst]
        parts.append(f"## The {len(rows)} worst of {report['aligned']} utterances by {by}\n\n{utterance_grid(rows)}")
    columns = list(Durations._fields)
    by_phone = [[row["phone"], *(row[name] for name in columns)] for row in report["phones"]]
    by_state = [
        [row["phone"], state["state"], *(state[name] for name in columns)]
        for row in report["phones"]
        for state in row["states"]
    ]
    parts.append(f"## Frames of the phones\n\n{grid(['phone', *columns], by_phone)}")
    parts.append(f"## Frames of the HMM states that are gone through\n\n{grid(['phone', 'state', *columns], by_state)}")
    return "\n\n".join(parts) + "\n"


def stretch(row: Row) -> float:
    """How many times its usual length the most stretched phone of an utterance lasts; 0 where there is no phone."""
    return row["stretched"]["frames"] / row["stretched"]["usual"] if row["stretched"] else 0.0


BADNESS: dict[str, Callable[[Row], float]] = {
    "score": lambda row: -row["score"],
    "forced silence": lambda row: row["forced_silence"],
    "stretched phones": stretch,
}


def utterance_grid(rows: Sequence[Row]) -> str:
    """Lay out utterances with their figures and, where it is known, their place in a recording."""
    header = ["utterance", "seconds", "score", "log likelihood", "silence", "forced", "most stretched phone"]
    where = ["recording", "from"] if rows and "recording" in rows[0] else []
    lines = [[*utterance_line(row), *([row["recording"], f"{row['start']:.2f}"] if where else [])] for row in rows]
    return grid([*header, *where], lines)


def utterance_line(row: Row) -> list[str]:
    """Write an utterance's figures."""
    long, stretched = row["stretched"], ""
    if long is not None:
        stretched = f"{long['phone']} at {long['time']:.2f} s: {long['frames']} frames, usually {long['usual']:g}"
    return [
        row["utterance"],
        f"{row['seconds']:.2f}",
        f"{row['score']:.2f}",
        f"{row['log_likelihood']:.1f}",
        f"{row['silence']:.1%}",
        f"{row['forced_silence']:.1%}",
        stretched,
    ]


def grid(header: Sequence[str], rows: Any) -> str:
    """Lay out a table in Markdown; figures to the right."""
    rows = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    texts = {"utterance", "reason", "phone", "most stretched phone", "recording"}
    return tabulate(
        rows,
        header,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left" if name in texts else "right" for name in header] if rows else None,
    )
