"""The runner behind run.sh: which stages are done, which have to run, and running them.

It reads a plan, a list of ``NAME MODULE ARGUMENTS...``, of which the last argument is the path that the stage writes.
Paths are absolute; any other argument is taken as it stands. An argument ``@FILE`` counts in the key only: a file that
the stage reads although no argument names it. One stage may have several such steps; `STAGES` numbers the stages.

A step is done when its output exists and its key is that of its last run. The key is a hash of the module, the
arguments, the content of files among them, the state of directories (names, sizes, times of files, and of the audio
that a wav.scp names), and, where an earlier step wrote what an argument names, which run of it that was: rerunning a
step reruns the steps that depend on it.
"""

import argparse
import ctypes
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nnet.errors import naming
from steps.base.errors import InputError, os_error_text
from steps.base.fields import split_fields, split_id
from steps.base.output import fingerprint, locked, state, writing

STAGES = (
    *("data", "feats", "lang"),
    *("mono", "tri", "lda_mllt", "sat"),
    *("align", "nnet", "realign"),
    *("graph", "decode", "rescore", "score", "report"),
)
"""All stages; the place in this list is a stage's number, in every plan. (rescore and report are not built yet.)"""

FORMER_NAMES = {"realign": [f"realign{number}" for number in range(1, 100)]}  # in the entries of earlier versions

# these options do not trigger a rerun, although network weights can differ
NOT_IN_KEY = ("--nj", "--threads", "--workers", "--cluster")

GRACE = 20.0  # seconds that an interrupted stage has to end

CONTINUE = "the same command (without --stage) continues from here"

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Stage:
    """One line of the plan: a step of the stage that it names."""

    name: str
    module: str
    arguments: tuple[str, ...]

    @property
    def number(self) -> int:
        """The stage's number."""
        return STAGES.index(self.name)

    @property
    def output(self) -> Path:
        """What the stage writes."""
        return Path(self.arguments[-1])

    @property
    def command(self) -> list[str]:
        """The arguments of ``python``."""
        return ["-m", self.module, *(a for a in self.arguments if not a.startswith("@"))]


def read_plan(text: str) -> list[Stage]:
    r"""Read the plan: fields end with a NUL, a line with an empty field.

    Raises
    ------
    InputError
        For a stage that is not one of `STAGES`, or that comes after one with a higher number.

    Example
    -------
    >>> [(s.number, s.name) for s in read_plan("data\0m\0x\0\0mono\0m\0y\0\0mono\0m\0z\0\0")]
    [(0, 'data'), (3, 'mono'), (3, 'mono')]
    """
    stages: list[Stage] = []
    for record in filter(None, text.split("\0\0")):
        name, module, *arguments = record.split("\0")
        if name not in STAGES:
            raise InputError(f"the plan has a stage '{name}'; add it to STAGES in {__name__}")
        stages.append(Stage(name, module, tuple(arguments)))
        if len(stages) > 1 and stages[-2].number > stages[-1].number:
            raise InputError(f"the plan has stage {name} after stage {stages[-2].name}; the order is that of STAGES")
    return stages


def stage_number(stages: Sequence[Stage], wanted: str) -> int:
    """The number of a stage of the plan that is given by name or number.

    Raises
    ------
    InputError
        Lists the plan's stages when it is none of them.
    """
    for stage in stages:
        if wanted in (stage.name, str(stage.number)):
            return stage.number
    present = ", ".join(dict.fromkeys(f"{stage.number} {stage.name}" for stage in stages))
    for number, name in enumerate(STAGES):
        if wanted in (name, str(number)):
            raise InputError(f"stage {number} {name} is not part of this run; its stages are {present}")
    raise InputError(f"there is no stage '{wanted}'; the stages of this run are {present}")


class Ledger:
    """What was run in a work directory: one small file a stage, in ``exp/.stages``."""

    def __init__(self, work: Path) -> None:
        self.work = Path(os.path.abspath(work))
        self.folder = self.work / "exp" / ".stages"

    def entry_path(self, stage: Stage) -> Path:
        """Where a stage's entry is kept."""
        return self.folder / f"{stage.name}-{self.relative(stage.output).replace('/', '-')}.json"

    def entry(self, stage: Stage) -> dict[str, Any]:
        """What is known of the stage's last run; empty where there was none or its output is gone."""
        if not stage.output.exists():
            return {}
        for path in (self.entry_path(stage), *self.former_entries(stage)):
            if path.exists():
                entry: dict[str, Any] = json.loads(path.read_text())
                return entry
        return {}

    def former_entries(self, stage: Stage) -> list[Path]:
        """The entries of the same output under names that the stage had in earlier versions."""
        output = self.entry_path(stage).name.removeprefix(stage.name)
        return [self.folder / (name + output) for name in FORMER_NAMES.get(stage.name, [])]

    def relative(self, path: Path) -> str:
        """A path as it stands in keys, so that a work directory can be moved."""
        return os.path.relpath(path, self.work) if path.is_relative_to(self.work) else str(path)

    def key(self, stage: Stage, earlier: Sequence[tuple[Stage, str]]) -> str:
        """What the stage's result depends on; `earlier` are the stages before it, each with the run that made it."""
        parts: list[Any] = [stage.module]
        arguments = iter(stage.arguments[:-1])
        for argument in arguments:
            if argument in NOT_IN_KEY:
                next(arguments)
                continue
            parts.append(self._argument(argument.removeprefix("@"), earlier))
        return fingerprint(*parts, self.relative(stage.output), _made_by(stage.output, earlier))

    def _argument(self, argument: str, earlier: Sequence[tuple[Stage, str]]) -> Any:
        path = Path(argument)
        if not path.is_absolute():
            return argument
        made_by = _made_by(path, earlier)
        if made_by:
            return [self.relative(path), made_by]
        if path.is_file():
            return _content(path)
        return [self.relative(path), state(path), _audio_state(path)]

    def keys(self, stages: Sequence[Stage], first: int = 0) -> Iterator[tuple[Stage, str]]:
        """Each stage with its key; of those before number `first`, the key of their last run.

        A stage may be run before the next is asked for.
        """
        done: list[tuple[Stage, str]] = []
        for stage in stages:
            key = self.entry(stage).get("key", "") if stage.number < first else self.key(stage, done)
            yield stage, key
            entry = self.entry(stage)
            done.append((stage, entry.get("run", "") if entry.get("key") == key else "not made yet"))


def _made_by(path: Path, earlier: Sequence[tuple[Stage, str]]) -> list[str]:
    """The runs that wrote a path, the directory that it lies in, or something in it."""
    inside = [run for stage, run in earlier if stage.output.is_relative_to(path)]
    around = [(stage, run) for stage, run in earlier if path.is_relative_to(stage.output) and stage.output != path]
    nearest = max((len(stage.output.parts) for stage, _ in around), default=0)
    return inside + [run for stage, run in around if len(stage.output.parts) == nearest]


def _content(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _audio_state(path: Path) -> list[Any]:
    """Size and time of the files that the wav.scp files in a directory name."""
    found = []
    for scp in sorted(path.rglob("wav.scp")):
        for line in scp.read_text(encoding="utf-8", errors="replace").split("\n"):
            _, entry = split_id(line)
            # a path that may have spaces, or a command with paths among its words
            for name in (entry, *split_fields(entry)):
                file = next((file for file in (Path(name), scp.parent / name) if name and file.is_file()), None)
                if file:
                    found.append(state(file))
    return found


def only_run(work: Path) -> AbstractContextManager[None]:
    """Refuse a second run in the same work directory while this one lasts."""
    return locked(work / "exp/.stages/lock", f"another run.sh is at work in {work}", "give another --workdir")


def _end_with_runner() -> None:
    """End the process that calls this when the runner ends, even by SIGKILL: no stage goes on writing without it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run_stage(stage: Stage, ledger: Ledger, key: str) -> None:
    """Run a stage, show its output and write it to ``exp/log``, and enter the stage as done.

    The stage has a session of its own, so Ctrl-C reaches the runner alone. The runner lets the stage save what it can
    and then ends it with all processes that it started.

    Raises
    ------
    InputError
        When the stage fails; its own message has been printed before.
    """
    log = ledger.work / "exp" / "log" / f"{ledger.entry_path(stage).stem}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    for entry_path in (ledger.entry_path(stage), *ledger.former_entries(stage)):
        entry_path.unlink(missing_ok=True)
    start = time.monotonic()
    with naming(log), log.open("w", encoding="utf-8") as file:
        print("# python", shlex.join(stage.command), file=file, flush=True)
        process = subprocess.Popen(
            [sys.executable, "-u", *stage.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # progress bars and errors go to stderr: past the log on a terminal, into it everywhere else
            stderr=None if sys.stderr.isatty() else subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_runner,
        )
        with process:
            try:
                for line in process.stdout or ():
                    print("  " + line, end="", flush=True)
                    file.write(line)
                    file.flush()
            except BaseException:
                remaining = _end(process)
                print(remaining, end="")
                file.write(remaining)
                raise
    if process.returncode:
        raise InputError(
            f"stage {stage.name} {_ending(process.returncode)} (log: {log}); when the cause is fixed, {CONTINUE}"
        )
    now = datetime.now()
    with writing(ledger.entry_path(stage)) as part:
        entry = {"key": key, "run": fingerprint(key, now.isoformat()), "seconds": round(time.monotonic() - start, 1)}
        entry |= {"ended": now.isoformat(timespec="seconds"), "command": stage.command}
        part.write_text(json.dumps(entry, indent=1))


def _end(process: "subprocess.Popen[str]") -> str:
    """Interrupt a stage as Ctrl-C would, then kill all that it started; return the rest of its output."""
    process.send_signal(signal.SIGINT)
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.stdout.read() if process.stdout else ""


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    memory = "; the machine may be out of memory" if -status == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-status).name}{memory}"


def run(stages: Sequence[Stage], ledger: Ledger, first: int, last: int, forced: bool) -> None:
    """Run what is not done from stage `first` to `last`; `forced` runs `first` even if it is."""
    begin = time.monotonic()
    for stage, key in ledger.keys(stages, first):
        where = f"{stage.number:<2} {stage.name:8} {ledger.relative(stage.output)}"
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
        print(f"{stage.number:<2} {stage.name:8} {status:16} {seconds}  {ledger.relative(stage.output)}")


def main() -> None:
    """Read the plan from standard input and do what the options say."""
    parser = argparse.ArgumentParser(description="Run the stages of a plan (called by run.sh).")
    parser.add_argument("work", type=Path)
    parser.add_argument("--stage")
    parser.add_argument("--stop-stage")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `run.sh --list | head` ends quietly
    try:
        stages = read_plan(sys.stdin.read())
        ledger = Ledger(options.work)
        first = stage_number(stages, options.stage) if options.stage else 0
        last = stage_number(stages, options.stop_stage) if options.stop_stage else stages[-1].number
        if last < first:
            raise InputError(f"--stop-stage {options.stop_stage} comes before --stage {options.stage}")
        if options.list:
            show(stages, ledger)
        elif options.dry_run:
            for stage in stages:
                if first <= stage.number <= last:
                    print(f"{stage.number} {stage.name}: python {shlex.join(stage.command)}")
        else:
            with only_run(ledger.work):
                run(stages, ledger, first, last, forced=options.stage is not None)
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {os_error_text(error)}")
    except KeyboardInterrupt:
        print(f"interrupted; {CONTINUE}", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
