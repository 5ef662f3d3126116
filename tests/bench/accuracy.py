"""Errors of configurations, on many words of several corpora: ``python -m tests.bench.accuracy CONFIG...``.

CONFIG is a name in tests/bench/accuracy.yaml. Each is trained by run.sh on every corpus, without a quarter of the
training data (speakers in AN4, sentences elsewhere, by hash). Errors are counted on dev and on that quarter, about
10,000 words together; the scales for the one are chosen on the other. The test sets are not touched.

A row of tests/bench/accuracy.jsonl is one configuration, corpus and seed; accuracy_letters.jsonl has its errors by
utterance. What is there is not computed again. GMM systems are rows of the configuration `gmm`; they come with the
first network that is trained on their states. The best GMM is, corpus by corpus, the system with the fewest errors on
dev.

The tables give errors for each corpus and for all that both sides have, and the matched-pairs test of steps.compare
against the first CONFIG. The last line is JSON.
"""

import argparse
import datetime
import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import yaml
from tabulate import tabulate
from tqdm import tqdm

from steps.base.environment import git_hash
from steps.base.files import read_json
from steps.corpus.tables import read_table
from steps.scoring.significance import p_text
from steps.scoring.wer import count, score
from tests.bench.accuracy_corpora import CORPORA, HELD, RUN, given_sets, run_logged
from tests.bench.accuracy_log import SETS, Identity, Letters, Row, add, compare_rows, read_letters, read_rows

CONFIGS = Path(__file__).parent / "accuracy.yaml"
SYSTEMS = ("mono", "tri", "lda_mllt", "sat")
LM = "bigram"
PARTS = ("model", "training")


@dataclass(frozen=True)
class Config:
    """A configuration: a file of conf/nnet, with the options of run.sh that go with it."""

    name: str
    why: str
    run: list[str]
    parts: dict[str, dict[str, Any]]

    @property
    def key(self) -> str:
        """A hash of all that changes its result."""
        return hashlib.sha256(json.dumps([self.run, self.parts], sort_keys=True).encode()).hexdigest()[:12]

    @property
    def gmms(self) -> tuple[str, ...]:
        """The GMM systems that are trained on the way."""
        last = self.run[self.run.index("--gmm") + 1] if "--gmm" in self.run else "sat"
        return SYSTEMS[: SYSTEMS.index(last) + 1]


def read_config(name: str, table: dict[str, dict[str, Any]]) -> Config:
    """Read a configuration and what it is like."""
    if name not in table:
        raise SystemExit(f"error: {CONFIGS} has no {name}; it has {', '.join(table)}")
    entry = table[name]
    if unknown := set(entry) - {"why", "like", "run", *PARTS}:
        raise SystemExit(f"error: {CONFIGS}: {name} has the unknown keys {', '.join(sorted(unknown))}")
    start = read_config(entry["like"], table) if "like" in entry else Config("", "", [], {part: {} for part in PARTS})
    parts = {part: start.parts[part] | entry.get(part, {}) for part in PARTS}
    return Config(name, entry["why"], [*map(str, entry.get("run", start.run))], parts)


def read_table_of_configs() -> dict[str, dict[str, Any]]:
    """Everything in accuracy.yaml."""
    table: dict[str, dict[str, Any]] = yaml.safe_load(CONFIGS.read_text(encoding="utf-8"))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help=f"a name in {CONFIGS.name}")
    parser.add_argument("--workdir", type=Path, required=True, help="where data and models go")
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=CORPORA, help="default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="corpora at a time, a core each")
    parser.add_argument("--an4", type=Path, help="the folder of AN4, if it is not to be downloaded")
    parser.add_argument("--show", action="store_true", help="only print the tables of what is there")
    args = parser.parse_args()
    table = read_table_of_configs()
    configs = [read_config(name, table) for name in args.configs]
    if not args.show:
        bench = Bench(args.workdir.resolve(), args.an4, configs, Lock())
        corpora = sorted(args.corpora, key=CORPORA.index, reverse=True)  # the largest first
        jobs = [(corpus, seed) for seed in args.seeds for corpus in corpora]
        with ThreadPoolExecutor(args.jobs) as pool, tqdm(total=len(jobs) * len(configs)) as progress:
            for done in [pool.submit(bench.train_all, *job, progress) for job in jobs]:
                done.result()
    print_tables(configs, args.corpora, args.seeds)


@dataclass(frozen=True)
class Bench:
    """What all corpora have in common: where they are, what is trained, and a lock of the files of results."""

    workdir: Path
    an4: Path | None
    configs: Sequence[Config]
    lock: Lock

    def train_all(self, corpus: str, seed: int, progress: "tqdm[Any]") -> None:
        """Train and decode what has no row yet, one configuration after the other."""
        for config in self.configs:
            with self.lock:
                known = read_rows().keys()
            wanted = [(config.name, config.name, config.key, corpus, seed)]
            if wanted[0] not in known:
                wanted += [("gmm", system, "", corpus, seed) for system in config.gmms]
                systems = [identity[1] for identity in wanted if identity not in known]
                rows = list(self.measure(config, corpus, seed, systems))
                with self.lock:
                    add(rows)
            progress.update()

    def measure(self, config: Config, corpus: str, seed: int, systems: Sequence[str]) -> Iterator[tuple[Row, Letters]]:
        """Train and decode a configuration; give the rows of some systems: its network's, those of its GMMs."""
        folder = self.workdir / "run" / corpus / f"seed{seed}"
        nnet = folder / "conf" / f"{config.name}.yaml"
        nnet.parent.mkdir(parents=True, exist_ok=True)
        nnet.write_text(yaml.safe_dump({part: keys for part, keys in config.parts.items() if keys}))
        command = [str(RUN), "--recipe", "custom", *given_sets(corpus, self.workdir, self.an4), *config.run]
        command += ["--workdir", str(folder), "--nnet", str(nnet), "--seed", str(seed), "--nj", "1", "--workers", "1"]
        run_logged(command, folder / "log")
        printed = subprocess.run([*command, "--dry-run"], check=True, stdout=subprocess.PIPE, text=True).stdout
        plan = [shlex.split(line.split(": ", 1)[1]) for line in printed.splitlines()]
        for system in systems:
            yield result(config, corpus, seed, system, folder, plan)


def result(
    config: Config, corpus: str, seed: int, system: str, folder: Path, plan: Sequence[Sequence[str]]
) -> tuple[Row, Letters]:
    """Choose scales on the held-out set too, decode dev with them, and count the errors of both sets."""
    exp, is_gmm = folder / "exp", system in SYSTEMS
    trained = [Path(command[-1]).name for command in plan if "steps.train_nnet" in command]
    model = system if is_gmm else trained[-1]  # of --cmvn, --fmllr and --realign, the name says so
    outputs = {"dev": exp / model / f"tune_{LM}_dev", HELD: exp / model / f"decode_{LM}_{HELD}"}
    for command in plan:
        if Path(command[-1]) in outputs.values():
            run_logged([exchange(word, folder) for word in command], folder / "log")
    there = folder / "swapped/exp" / model
    decoded = {"dev": there / f"decode_{LM}_dev", HELD: outputs[HELD]}
    letters = {name: letters_of(folder / "data" / name / "text", decoded[name] / "text") for name in SETS}
    tuned = {"dev": there / f"tune_{LM}_{HELD}", HELD: outputs["dev"]}
    seconds = {"decode": round(sum(read_json(decoded[name] / "decode.json")["seconds"] for name in SETS), 1)}
    if not is_gmm:
        logs = [(exp / name / "train.jsonl").read_text().splitlines()[-1] for name in trained]
        seconds["train"] = round(sum(json.loads(last)["seconds"] for last in logs), 1)
    counts = {name: count(letters[name].split(" ")) for name in SETS}
    row = Row(
        config="gmm" if is_gmm else config.name,
        system=system,
        key="" if is_gmm else config.key,
        corpus=corpus,
        seed=seed,
        commit=git_hash(),
        date=datetime.date.today().isoformat(),
        why=f"the GMM system {system}" if is_gmm else config.why,
        words={name: counts[name].words for name in SETS},
        errors={name: counts[name].errors for name in SETS},
        scales={name: read_json(tuned[name] / "tune.json")["best"] for name in SETS},
        seconds=seconds,
    )
    return row, letters


def exchange(word: str, folder: Path) -> str:
    """An argument of a command with dev and the held-out set exchanged; what it writes goes to folder/swapped."""
    path = Path(word)
    if not path.is_relative_to(folder):
        return word
    last = path.name
    other = {"dev": HELD, HELD: "dev", f"tune_{LM}_dev": f"tune_{LM}_{HELD}", f"decode_{LM}_{HELD}": f"decode_{LM}_dev"}
    if last not in other:
        return word
    start = folder / "swapped" if last.startswith(("tune_", "decode_")) else folder
    return str(start / path.relative_to(folder).with_name(other[last]))


def letters_of(reference: Path, hypothesis: Path) -> str:
    """The letters of the alignments, utterance by utterance in the order of their ids."""
    alignments = score(read_table(reference), read_table(hypothesis)).alignments
    return " ".join(alignments[utterance].letters for utterance in sorted(alignments))


def print_tables(configs: Sequence[Config], corpora: Sequence[str], seeds: Sequence[int]) -> None:
    """Print errors for each corpus and the paired tests against the first configuration."""
    rows = [row for row in read_rows().values() if row.corpus in corpora and row.seed in seeds]
    gmms, letters = [row for row in rows if row.config == "gmm"], read_letters()
    sides = {system: [row for row in gmms if row.system == system] for system in SYSTEMS}
    sides["best GMM"] = best_gmms(gmms)
    for config in configs:
        sides[config.name] = [row for row in rows if (row.config, row.key) == (config.name, config.key)]
    sides = {name: found for name, found in sides.items() if found}
    base = sides.get(configs[0].name) or sides["best GMM"]
    lines, summary = [], {}
    for name, found in sides.items():
        errors = {corpus: sum(row.total for row in found if row.corpus == corpus) for corpus in corpora}
        has = {row.corpus for row in found}
        words = sum(sum(row.words.values()) for row in found)
        total = sum(errors.values())
        compared = [versus(side, found, letters) for side in (base, sides["best GMM"])] if "best GMM" in sides else []
        minutes = sum(row.seconds.get("train", 0) for row in found) / 60
        each = [str(errors[corpus]) if corpus in has else "-" for corpus in corpora]
        lines.append([name, *each, f"{total} / {words}", *compared, f"{minutes:.1f}"])
        summary[name] = {"errors": total, "words": words, **{c: errors[c] for c in corpora if c in has}}
    header = ["", *(c.removeprefix("asterisk_") for c in corpora), "errors / words"]
    header += [f"against {configs[0].name}", "against the best GMM", "min"]
    print(tabulate(lines, header, disable_numparse=True))
    print(json.dumps(summary))


def best_gmms(rows: Iterable[Row]) -> list[Row]:
    """Of each corpus and seed, the GMM system with the fewest errors on dev; the simpler of two with as many."""
    best: dict[tuple[str, int], Row] = {}
    for row in sorted(rows, key=lambda row: (row.errors["dev"], SYSTEMS.index(row.system))):
        best.setdefault((row.corpus, row.seed), row)
    return list(best.values())


def versus(base: list[Row], found: list[Row], letters: Mapping[Identity, Letters]) -> str:
    """How many more or fewer errors than another side, on what both have, and the matched-pairs test's p."""
    if base == found or not (compared := compare_rows(base, found, letters)):
        return ""
    return f"{compared.second.errors / compared.first.errors - 1:+.1%}, {p_text(compared.test.p)}"


if __name__ == "__main__":
    main()
