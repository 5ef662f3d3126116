"""Report how well a data directory is aligned."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from nnet.ranges import Whole
from steps.ali.directory import Aligned, read_aligned
from steps.ali.durations import Durations, Occurrence, occurrences, phone_durations
from steps.ali.labels import Labeller, labeller_of
from steps.base.cli import command
from steps.base.files import read_json, write_json
from steps.base.output import writing
from steps.corpus.ctm import place
from steps.corpus.data_dir import read_data_dir

Row = dict[str, Any]

FORCED = 0.1  # silence with a posterior below this is speech to the model, which the transcript left no other place
WORST = 30


def alignment_report(ali: Path, lang: Path, out: Path, data: Path | None = None, worst: Whole = WORST) -> None:
    """Report which utterances of an alignment fit badly, which are missing and why, and how long phones last.

    Writes OUT/report.md, to read, and OUT/report.json with all utterances.

    An utterance's score is the mean log posterior of its frames' phones, 0 at best. Forced silence is the share of
    frames that the alignment takes for silence and the model for something else (a posterior below 0.1): mostly words
    that the transcript lacks. The most stretched phone is the one that lasts longest against the median of its kind.

    Parameters
    ----------
    ali : Path
        Alignment directory, from steps.align.
    lang : Path
        Language directory that it was aligned with.
    out : Path
        The directory to write into.
    data : Path
        Data directory with the audio: tells where in the recordings the utterances are, and which were left out.
    worst : int
        How many utterances report.md lists by each of these three.
    """
    aligned = read_aligned(ali)
    failed = read_json(ali / "failed.json")
    recordings = read_data_dir(data) if data else None
    labeller = labeller_of(aligned, lang)
    counts: Counter[tuple[int, tuple[int, ...]]] = Counter()
    for tids in aligned.tids.values():  # twice through, so that not all phones of a large set are kept
        counts.update((found.phone, found.states) for found in named_occurrences(tids, labeller))
    phones = phone_durations(counts)
    medians = {phone: whole.median for phone, (whole, _) in phones.items()}
    rows = [utterance_row(utterance, found, medians, labeller) for utterance, found in aligned.items()]
    if recordings:
        for row in rows:
            row |= place(row["utterance"], recordings)._asdict()
    report: Row = {
        "alignment": str(ali),
        "aligned": len(rows),
        **totals(rows),
        "failed": failed,
        "doubtful": aligned.doubts,
        "left_out": sorted(set(recordings.utterances) - set(aligned) - set(failed)) if recordings else [],
        "utterances": sorted(rows, key=lambda row: (row["score"], row["utterance"])),
        "phones": list(phone_rows(phones, labeller.phone_names)),
    }
    write_json(out / "report.json", report)
    with writing(out / "report.md") as part:
        part.write_text(markdown(report, worst), encoding="utf-8")
    print(summary(report))
    print(f"{out}: report.md and report.json are written")


def named_occurrences(tids: NDArray[Any], labeller: Labeller) -> list[Occurrence]:
    """Cut an alignment into phones; of those that have one name, as by their position in the word, all are the first.

    Parameters
    ----------
    tids : (T,) int
    labeller : Labeller
        Names phones.
    """
    names = labeller.phone_names
    first = {name: phone for phone, name in reversed(names.items())}
    return [found._replace(phone=first[names[found.phone]]) for found in occurrences(labeller.transitions, tids)]


def utterance_row(utterance: str, aligned: Aligned, medians: Mapping[int, float], labeller: Labeller) -> Row:
    """Say how well an utterance is aligned.

    Parameters
    ----------
    utterance : str
    aligned : Aligned
    medians : mapping
        Phone-id -> usual number of frames.
    labeller : Labeller
        Names phones and times.
    """
    frames, found = len(aligned.tids), named_occurrences(aligned.tids, labeller)
    names = [labeller.phone_names[o.phone] for o in found]
    silent = np.repeat([name == labeller.silence for name in names], [o.frames for o in found])
    forced = silent & (aligned.log_posteriors < math.log(FORCED))
    spoken = [o for o, name in zip(found, names, strict=True) if name != labeller.silence]
    longest = max(spoken, key=lambda o: o.frames / medians[o.phone], default=None)
    return {
        "utterance": utterance,
        "frames": frames,
        "seconds": round(labeller.times.boundary(frames, frames), 4),
        "score": round(float(aligned.log_posteriors.mean(dtype=np.float64)), 4),
        "log_likelihood": aligned.log_likelihood,
        "silence": round(float(silent.mean()), 4),
        "forced_silence": round(float(forced.mean()), 4),
        "stretched": None
        if longest is None
        else {
            "phone": labeller.phone_names[longest.phone],
            "frames": longest.frames,
            "usual": medians[longest.phone],
            "time": round(labeller.times.boundary(longest.first, frames), 4),
        },
    }


def totals(rows: Sequence[Row]) -> Row:
    """Average the utterances' figures over all frames."""
    weights = [row["frames"] for row in rows]
    means = {
        name: round(float(np.average([row[name] for row in rows], weights=weights)), 4)
        for name in ("score", "log_likelihood", "silence", "forced_silence")
    }
    return {"frames": sum(weights), "seconds": round(sum(row["seconds"] for row in rows), 4), **means}


def phone_rows(
    phones: Mapping[int, tuple[Durations, list[Durations | None]]], names: Mapping[int, str]
) -> Iterator[Row]:
    """Name phones and states with their durations in frames."""
    for phone, (whole, states) in phones.items():
        yield {
            "phone": names[phone],
            **whole._asdict(),
            "states": [{"state": i, **state._asdict()} for i, state in enumerate(states) if state],
        }


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


if __name__ == "__main__":
    command(alignment_report)
