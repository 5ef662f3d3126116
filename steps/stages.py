"""The runner behind run.sh: which stages are done, which have to run, and running them.

It reads a plan, a list of ``NAME MODULE ARGUMENTS...``, of which the last argument is the path that the stage writes.
A stage is done when that path exists and its key is the one that it was last run with; the key is a hash of the
module, the arguments, the content of files among them, the state of directories (names, sizes, times of files, of the
audio that a wav.scp names as well), and the keys of the earlier stages that wrote what the arguments name.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from steps.errors import InputError
from steps.output import fingerprint, state, writing

NOT_IN_KEY = ("--nj",)  # options that change how fast a stage is, not what it gives


@dataclass(frozen=True)
class Stage:
    """One line of the plan."""

    number: int
    name: str
    module: str
    arguments: tuple[str, ...]

    @property
    def output(self) -> Path:
        """What the stage writes."""
        return Path(os.path.abspath(self.arguments[-1]))


def read_plan(text: str) -> list[Stage]:
    r"""Read the plan: fields end with a NUL, a stage with an empty field. Names are numbered as they appear.

    Example
    -------
    >>> [(s.number, s.name) for s in read_plan("a\0m\0x\0\0b\0m\0y\0\0b\0m\0z\0\0")]
    [(0, 'a'), (1, 'b'), (1, 'b')]
    """
    stages: list[Stage] = []
    numbers: dict[str, int] = {}
    for record in text.split("\0\0"):
        if record:
            name, module, *arguments = record.split("\0")
            stages.append(Stage(numbers.setdefault(name, len(numbers)), name, module, tuple(arguments)))
    return stages


def stage_number(stages: Sequence[Stage], wanted: str) -> int:
    """The number of a stage that is given by name or number.

    Raises
    ------
    InputError
        Lists the stages when there is no such one.
    """
    for stage in stages:
        if wanted in (stage.name, str(stage.number)):
            return stage.number
    known = ", ".join(dict.fromkeys(f"{stage.number} {stage.name}" for stage in stages))
    raise InputError(f"there is no stage '{wanted}'; the stages are {known}")


class Ledger:
    """What was run in a work directory: one small file a stage, in ``exp/.stages``."""

    def __init__(self, work: Path) -> None:
        self.work = Path(os.path.abspath(work))
        self.folder = self.work / "exp" / ".stages"

    def entry_path(self, stage: Stage) -> Path:
        """Where a stage's entry is kept."""
        return self.folder / f"{stage.name}-{self.relative(stage.output).replace('/', '-')}.json"

    def entry(self, stage: Stage) -> dict[str, Any]:
        """The key and the time of the stage's last run; empty where there was none or its output is gone."""
        path = self.entry_path(stage)
        return json.loads(path.read_text()) if path.exists() and stage.output.exists() else {}

    def relative(self, path: Path) -> str:
        """A path as it stands in keys, so that a work directory can be moved."""
        return os.path.relpath(path, self.work) if path.is_relative_to(self.work) else str(path)

    def key(self, stage: Stage, earlier: Sequence[tuple[Stage, str]]) -> str:
        """What the stage's result depends on; `earlier` are the stages before it with their keys."""
        parts: list[Any] = [stage.module]
        arguments = iter(stage.arguments[:-1])
        for argument in arguments:
            if argument in NOT_IN_KEY:
                next(arguments)
                continue
            parts.append(self._argument(argument, earlier))
        return fingerprint(*parts, self.relative(stage.output), self._made_by(stage.output, earlier))

    def _argument(self, argument: str, earlier: Sequence[tuple[Stage, str]]) -> Any:
        path = Path(os.path.abspath(argument))
        made_by = self._made_by(path, earlier)
        if made_by:
            return [self.relative(path), made_by]
        if argument.startswith("-") or not path.exists():
            return argument
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
        return [argument, state(path), _audio_state(path)]

    def _made_by(self, path: Path, earlier: Sequence[tuple[Stage, str]]) -> list[str]:
        """Keys of the stages that wrote a path, the directory that it lies in, or something in it."""
        inside = [key for stage, key in earlier if stage.output.is_relative_to(path)]
        around = [(stage, key) for stage, key in earlier if path.is_relative_to(stage.output) and stage.output != path]
        nearest = max((len(stage.output.parts) for stage, _ in around), default=0)
        return inside + [key for stage, key in around if len(stage.output.parts) == nearest]

    def keys(self, stages: Sequence[Stage], first: int = 0) -> Iterator[tuple[Stage, str]]:
        """Each stage with its key; of those before number `first`, the key of their last run."""
        done: list[tuple[Stage, str]] = []
        for stage in stages:
            key = self.entry(stage).get("key", "") if stage.number < first else self.key(stage, done)
            done.append((stage, key))
            yield stage, key


def _audio_state(path: Path) -> list[Any]:
    """Size and time of the files that the wav.scp files in a directory name."""
    found = []
    for scp in sorted(path.rglob("wav.scp")):
        for line in scp.read_text(encoding="utf-8", errors="replace").splitlines():
            for name in line.split()[1:]:
                for file in (Path(name), scp.parent / name):
                    if file.is_file():
                        found.append(state(file))
                        break
    return found


@contextmanager
def only_run(work: Path) -> Iterator[None]:
    """Refuse a second run in the same work directory while this one lasts."""
    lock = work / "exp" / ".stages" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another run.sh is at work in {work}; wait for it, or give another --workdir") from error
        yield


def run_stage(stage: Stage, ledger: Ledger, key: str) -> None:
    """Run a stage, its output on the screen and in ``exp/log``, and enter it as done.

    Raises
    ------
    InputError
        When it fails; what it had to say stands above.
    """
    log = ledger.work / "exp" / "log" / f"{ledger.entry_path(stage).stem}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    ledger.entry_path(stage).unlink(missing_ok=True)
    command = [sys.executable, "-m", stage.module, *stage.arguments]
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        print("#", shlex.join(command), file=file, flush=True)
        # progress bars and errors go to stderr: past the log on a terminal, into it everywhere else
        errors = None if sys.stderr.isatty() else subprocess.STDOUT
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8") as process:
            for line in process.stdout or ():
                print("  " + line, end="", flush=True)
                file.write(line)
                file.flush()
    if process.returncode:
        raise InputError(
            f"stage {stage.name} ended with status {process.returncode} (log: {log}); "
            "when the cause is mended, the same command goes on from here"
        )
    seconds = time.monotonic() - start
    with writing(ledger.entry_path(stage)) as part:
        entry = {"key": key, "seconds": round(seconds, 1), "ended": datetime.now().isoformat(timespec="seconds")}
        part.write_text(json.dumps(entry | {"command": command}, indent=1))


def run(stages: Sequence[Stage], ledger: Ledger, first: int, last: int, forced: bool) -> None:
    """Run what is not done from stage `first` to `last`; `forced` runs `first` even if it is."""
    begin = time.monotonic()
    for stage, key in ledger.keys(stages, first):
        where = f"{stage.number} {stage.name:6} {ledger.relative(stage.output)}"
        if stage.number > last:
            break
        if stage.number < first:
            if not key:
                raise InputError(f"stage {stage.name} has not been run, or {stage.output} is gone: start with it")
            continue
        if ledger.entry(stage).get("key") == key and not (forced and stage.number == first):
            print(f"{where}: done, skipped")
            continue
        print(where, flush=True)
        run_stage(stage, ledger, key)
        print(f"{where}: {ledger.entry(stage)['seconds']:.1f} s")
    print(f"finished in {time.monotonic() - begin:.1f} s", flush=True)


def show(stages: Sequence[Stage], ledger: Ledger) -> None:
    """Print the stages and which are done."""
    for stage, key in ledger.keys(stages):
        entry = ledger.entry(stage)
        status = "not done" if not entry else "done" if entry["key"] == key else "to be done again"
        seconds = f"{entry['seconds']:8.1f} s" if entry else " " * 10
        print(f"{stage.number} {stage.name:6} {status:16} {seconds}  {ledger.relative(stage.output)}")


def main() -> None:
    """Read the plan from standard input and do what the options say."""
    parser = argparse.ArgumentParser(description="Run the stages of a plan (called by run.sh).")
    parser.add_argument("work", type=Path)
    parser.add_argument("--stage")
    parser.add_argument("--stop-stage")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    stages = read_plan(sys.stdin.read())
    ledger = Ledger(options.work)
    try:
        first = stage_number(stages, options.stage) if options.stage else 0
        last = stage_number(stages, options.stop_stage) if options.stop_stage else stages[-1].number
        if options.list:
            show(stages, ledger)
        elif options.dry_run:
            for stage in stages:
                if first <= stage.number <= last:
                    print(f"{stage.number} {stage.name}: python -m {stage.module} {shlex.join(stage.arguments)}")
        else:
            with only_run(ledger.work):
                run(stages, ledger, first, last, forced=options.stage is not None)
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")


if __name__ == "__main__":
    main()
