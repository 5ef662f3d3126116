"""The results of work directories as Markdown: a table, and what made it."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from steps.reporting.work_directory import NetworkFacts, WorkDirectory, distinct, without_run
from steps.scoring.report import Key, Row, difference_text
from steps.scoring.significance import SIGNIFICANT

HEADER = (
    *("model", "LM", "set", "WER %", "95 % interval", "errors / words", "sub / ins / del", "CER %"),
    *("scale / penalty", "differs from *", "decoding, s"),
)


def results_markdown(works: Sequence[WorkDirectory]) -> str:
    """Lay out the results of runs that differ in their seeds: commands, table, what was trained and with what.

    Parameters
    ----------
    works : sequence of WorkDirectory
        Of one configuration (`check_one_configuration`). Figures of several are means, with the range.

    Returns
    -------
    str
        Markdown, without a line's end after it.
    """
    parts = [_commands(works), _table(works), _legend(works), "\n".join(f"- {fact}" for fact in _facts(works))]
    return "\n\n".join(filter(None, parts))


def mean_and_range(values: Sequence[float], text: Callable[[float], str]) -> str:
    """Write a value, or the mean of several with their range where they differ.

    Example
    -------
    >>> mean_and_range([5.5], "{:.2f}".format), mean_and_range([5.5, 6.5], "{:.2f}".format)
    ('5.50', '6.00 (5.50 to 6.50)')
    """
    low, high = text(min(values)), text(max(values))
    return text(fmean(values)) + (f" ({low} to {high})" if low != high else "")


def _commands(works: Sequence[WorkDirectory]) -> str:
    """The command lines of the first work directory without seed and folder, where all directories know theirs."""
    if not all(work.commands for work in works):
        return ""
    commands = distinct(map(without_run, works[0].commands))
    return "\n".join(["```sh", *map(shlex.join, commands), "```"])


def _table(works: Sequence[WorkDirectory]) -> str:
    """The rows; columns in which all cells are empty are left out."""
    cells = [_cells(k, [work.rows[k] for work in works], _chosen(works, k)) for k in sorted(works[0].rows)]
    columns = [i for i in range(len(HEADER)) if any(row[i] for row in cells)]
    rule = ["---"] * len(HEADER)
    return "\n".join(f"| {' | '.join(row[i] for i in columns)} |" for row in (HEADER, rule, *cells))


def _cells(k: Key, rows: Sequence[Row], chosen: set[str]) -> list[str]:
    with_interval = len(rows) == 1 and "wer_low" in rows[0]
    cells = [
        k.model + _mark([row["chosen"] for row in rows]),
        k.lm,
        k.set,
        mean_and_range([row["wer"] for row in rows], "{:.2f}".format),
        f"{rows[0]['wer_low']:.2f} - {rows[0]['wer_high']:.2f}" if with_interval else "",
        f"{_mean(rows, 'errors')} / {rows[0]['words']}",
        " / ".join(_mean(rows, name) for name in ("sub", "ins", "del")),
        mean_and_range([row["cer"] for row in rows], "{:.2f}".format) if all("cer" in row for row in rows) else "",
        ", ".join(distinct(f"{row['acoustic_scale']:g} / {row['insertion_penalty']:g}" for row in rows)),
        _difference(rows) if len(chosen) == 1 else "",
        mean_and_range([row["seconds"] for row in rows], _seconds),
    ]
    return [cell.replace("|", r"\|") for cell in cells]


def _chosen(works: Sequence[WorkDirectory], k: Key) -> set[str]:
    """The models that are chosen on a row's set: one, unless the seeds choose differently."""
    return {other.model for work in works for other, row in work.rows.items() if other[:2] == k[:2] and row["chosen"]}


def _mark(chosen: Sequence[bool]) -> str:
    if not any(chosen):
        return ""
    return " *" if all(chosen) else f" (* in {sum(chosen)} of {len(chosen)})"


def _mean(rows: Sequence[Row], name: str) -> str:
    """A count, or the mean of several, without a decimal that says nothing."""
    return f"{fmean(row[name] for row in rows):.1f}".removesuffix(".0")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"


def _difference(rows: Sequence[Row]) -> str:
    """Whether a model differs from the chosen one; of several runs, where all agree."""
    ps = [row.get("p_chosen") for row in rows]
    known = [p for p in ps if p is not None]
    if len(known) < len(ps) or len({p < SIGNIFICANT for p in known}) > 1:
        return ""
    answer = difference_text(known[0])
    return answer if len(known) == 1 else answer.partition(",")[0]


def _legend(works: Sequence[WorkDirectory]) -> str:
    rows = [row for work in works for row in work.rows.values()]
    sentences = []
    if len(works) > 1:
        sentences.append(f"Means of {len(works)} runs, with the range where they differ.")
    if any(row["chosen"] for row in rows):
        sentences.append("`*`: chosen, the lowest WER on dev.")
    if any(row.get("p_chosen") is not None for row in rows):
        runs = " of each run" if len(works) > 1 else ""
        sentences.append(f"differs: p < {SIGNIFICANT:g} in the matched-pairs test{runs} on the same utterances.")
    return " ".join(sentences)


def _facts(works: Sequence[WorkDirectory]) -> list[str]:
    names = sorted({name for work in works for name in work.networks})
    facts = [_network(name, [work.networks[name] for work in works if name in work.networks]) for name in names]
    seeds = distinct(row["seed"] for work in works for row in work.rows.values())
    facts.append(f"{'seed' if len(seeds) == 1 else 'seeds'} {_listed(seeds)}")
    if stages := distinct(stage for work in works for stage in work.seconds):
        each = [f"{stage} {_of_stage(works, stage)}" for stage in stages]
        total = mean_and_range([sum(work.seconds.values()) for work in works if work.seconds], _seconds)
        facts.append(f"seconds of each stage: {', '.join(each)}; {total} in all")
    return facts + _made_with(works)


def _of_stage(works: Sequence[WorkDirectory], stage: str) -> str:
    return mean_and_range([work.seconds[stage] for work in works if stage in work.seconds], _seconds)


def _network(name: str, runs: Sequence[NetworkFacts]) -> str:
    """What one network is, in all runs."""
    said = [
        _listed(distinct(run.file for run in runs if run.file)),
        f"{_listed(distinct(f'{run.parameters:,}' for run in runs))} parameters",
    ]
    if workers := distinct(run.workers for run in runs if run.workers):
        said.append(f"{_listed(workers)} {'worker' if workers == [1] else 'workers'}")
    accuracies = [100 * run.accuracy for run in runs if run.accuracy is not None]
    if len(accuracies) == len(runs):
        said.append(f"dev frame accuracy {mean_and_range(accuracies, '{:.2f}'.format)} %")
    return f"{name}: {', '.join(filter(None, said))}"


def _made_with(works: Sequence[WorkDirectory]) -> list[str]:
    """Versions and processor; commit and date."""
    values = {name: distinct(v for work in works for v in work.made_with[name]) for name in works[0].made_with}
    versions = [f"{name} {_listed(found)}" for name, found in values.items() if name not in ("cpu", "git") and found]
    lines = [", ".join(versions), f"cpu: {_listed(values['cpu'])}" if values["cpu"] else ""]
    commits = [_commit(commit) for commit in values["git"]]
    dates = sorted(date for work in works for date in work.dates)
    days = " to ".join(distinct([dates[0], dates[-1]])) if dates else ""
    lines.append(", ".join(filter(None, [f"commit {_listed(commits)}" if commits else "", days])))
    return list(filter(None, lines))


def _commit(described: str) -> str:
    commit, _, dirty = described.partition("-")
    return commit[:12] + (" (changed)" if dirty else "")


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
