"""What a work directory of run.sh says of its results: the rows, the networks, how they were made and how long it took.

Files of earlier versions say less; what they lack is left out.
"""

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open

from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.ledger import Ledger
from steps.base.plan import STAGES
from steps.corpus.tables import read_table
from steps.reporting.train_log import read_log
from steps.scoring.report import Key, Row, key, read_results

COUNTS = ("errors", "words", "sub", "ins", "del", "utts", "chosen")  # of a row, beside what read_results asks for
MADE_WITH = ("python", "torch", "numpy", "kaldi-decoder", "cpu", "git")
OF_A_RUN = ("--seed", "--workdir")  # options that differ between the runs of one configuration


@dataclass(frozen=True)
class NetworkFacts:
    """A trained network: its file of conf/nnet, its size and training; None for what is not known."""

    file: str | None
    parameters: int
    workers: int | None
    accuracy: float | None
    """Dev frame accuracy of the epoch whose weights were taken; None for the average of several."""


@dataclass(frozen=True)
class WorkDirectory:
    """The results of a work directory and what made them."""

    path: Path
    rows: dict[Key, Row]
    networks: dict[str, NetworkFacts]
    seconds: dict[str, float]
    """Of each stage, the last run of each of its steps, in the order of the stages."""
    commands: list[list[str]]
    """The command lines of run.sh that decoded, as words."""
    made_with: dict[str, list[str]]
    """The values of each name of `MADE_WITH`, one as a rule."""
    dates: list[str]
    """The days on which its stages ended, as 2026-11-28."""


def read_work_directory(path: Path) -> WorkDirectory:
    """Read what a work directory says of its results.

    Parameters
    ----------
    path : Path
        The --workdir of run.sh, or the folder of a recipe.

    Raises
    ------
    InputError
        When it holds no results, or a file of it is damaged.
    """
    exp = path / "exp"
    rows = read_results(exp / "results.json")
    if not rows:
        raise InputError(f"{exp / 'results.json'}: there are no results; run run.sh up to its stage score")
    if lacking := [name for name in COUNTS if any(name not in row for row in rows)]:
        raise InputError(f"{exp / 'results.json'}: a row lacks {', '.join(lacking)}; score again")
    models = distinct(row["model"] for row in rows)
    networks = {name: read_network(exp / name) for name in models if (exp / name / "model.safetensors").exists()}
    entries = [(stage, read_json(file, "seconds", "ended", "command")) for stage, file in Ledger(path).entry_files()]
    entries.sort(key=lambda entry: STAGES.index(entry[0]) if entry[0] in STAGES else len(STAGES))
    seconds: dict[str, float] = {}
    for stage, entry in entries:
        seconds[stage] = seconds.get(stage, 0.0) + entry["seconds"]
    made = [(stage, entry["made_with"]) for stage, entry in entries if "made_with" in entry]
    records = [record for _, record in made] + [read_environment(exp / name) for name in networks]
    return WorkDirectory(
        path,
        {key(row): row for row in rows},
        networks,
        seconds,
        commands=distinct(record["command"] for stage, record in made if stage == "decode" and record["command"]),
        made_with={name: distinct(record[name] for record in records if record.get(name)) for name in MADE_WITH},
        dates=sorted({entry["ended"].partition("T")[0] for _, entry in entries}),
    )


def read_network(exp: Path) -> NetworkFacts:
    """Read what there is to say of the network in a model directory."""
    taken = read_json(exp / "model.json").get("epochs", [])
    log = read_log(exp) if (exp / "train.jsonl").exists() else []
    accuracies = [line["dev_accuracy"] for line in log if "dev_accuracy" in line and [line["epoch"]] == taken]
    config = _read_yaml(exp / "config.yaml")
    return NetworkFacts(
        config_file(exp / "cmd"),
        count_parameters(exp / "model.safetensors"),
        config.get("workers"),
        accuracies[-1] if accuracies else None,
    )


def read_environment(exp: Path) -> Mapping[str, Any]:
    """Read the environment.json of a model directory; nothing where there is none."""
    path = exp / "environment.json"
    environment: Mapping[str, Any] = read_json(path) if path.exists() else {}
    return environment


def config_file(cmd: Path) -> str | None:
    """Find the network's file among the words of its training's command: the last --config.

    A file of this project is given from its folder on: conf/nnet/lstmp.yaml.
    """
    words = shlex.split(cmd.read_text(encoding="utf-8")) if cmd.exists() else []
    files = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--config"]
    if not files:
        return None
    file, project = Path(files[-1]), Path(words[0]).parents[1:2]  # PROJECT/steps/train_nnet.py
    return str(file.relative_to(project[0]) if project and file.is_relative_to(project[0]) else file)


def count_parameters(path: Path) -> int:
    """Count the numbers in a safetensors file by its header, which holds their shapes."""
    try:
        with safe_open(path, framework="numpy") as tensors:
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); train the model again") from error


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({error}); train the model again") from error
    return content if isinstance(content, dict) else {}


def distinct(values: Iterable[Any]) -> list[Any]:
    """Give each of several values once, in their order.

    Example
    -------
    >>> distinct([[2], [1], [2]])
    [[2], [1]]
    """
    return [json.loads(text) for text in dict.fromkeys(map(json.dumps, values))]


def without_run(command: Sequence[str]) -> list[str]:
    """Give a command without the options that differ between the runs of one configuration.

    Example
    -------
    >>> without_run(["./run.sh", "--seed", "2", "--recipe", "an4", "--workdir", "/tmp/two"])
    ['./run.sh', '--recipe', 'an4']
    """
    return [word for option in _options(command) if option[0] not in OF_A_RUN for word in option]


def _options(command: Sequence[str]) -> list[list[str]]:
    """Cut a command line into its options, each with its value; the first is the program."""
    options: list[list[str]] = []
    for word in command:
        if word.startswith("--") or not options:
            options.append([])
        options[-1].append(word)
    return options


def check_one_configuration(works: Sequence[WorkDirectory]) -> None:
    """Refuse work directories that differ in more than the seed.

    Raises
    ------
    InputError
        Names the two directories and what differs: options of the commands that decoded (where both are known),
        results that only one has, and the utterances or words of a set.
    """
    first = works[0]
    for number, work in enumerate(works):
        if work.path.resolve() in [earlier.path.resolve() for earlier in works[:number]]:
            raise InputError(f"{work.path} is given twice; the table is of different runs")
    for other in works[1:]:
        if first.commands and other.commands:
            both = [{shlex.join(o) for c in work.commands for o in _options(without_run(c))} for work in (first, other)]
            _refuse_differing(first, other, "options of run.sh", *both)
        both = [{f"{k.model} on {k.set} with {k.lm}" for k in work.rows} for work in (first, other)]
        _refuse_differing(first, other, "results", *both)
        for name in distinct(k.set for k in first.rows):
            check_one_set(first, other, name)


def _refuse_differing(first: WorkDirectory, other: WorkDirectory, what: str, ones: set[str], others: set[str]) -> None:
    if ones != others:
        differing = [
            f"{', '.join(sorted(own))} only in {work.path}"
            for work, own in ((first, ones - others), (other, others - ones))
            if own
        ]
        raise InputError(f"{first.path} and {other.path} have different {what}: {'; '.join(differing)}")


def check_one_set(first: WorkDirectory, other: WorkDirectory, name: str) -> None:
    """Refuse a set that has other utterances or words in two work directories, by its transcripts and its counts."""
    texts = [read_table(file) for work in (first, other) if (file := work.path / "data" / name / "text").exists()]
    place = f"{first.path} and {other.path}: set {name}"
    if len(texts) == 2:
        one, two = texts
        if one.keys() != two.keys():
            utts = sorted(one.keys() ^ two.keys())
            raise InputError(f"{place} has different utterances: {len(utts)} are in one only, the first is {utts[0]}")
        if changed := [utt for utt in one if one[utt].split() != two[utt].split()]:
            raise InputError(f"{place} has different words: in {len(changed)} utterances, the first is {changed[0]}")
    for k, row in first.rows.items():
        for what, label in (("utts", "utterances"), ("words", "words")):
            if k.set == name and row[what] != other.rows[k][what]:
                raise InputError(f"{place} has {row[what]} {label} in one and {other.rows[k][what]} in the other")
