"""Which steps of a plan are done.

A step is done when its output exists and its key is that of its last run. The key is a hash of the module, the
arguments, the content of files among them (what a YAML file says, not its comments), the state of directories (names,
sizes, times of files, and of the audio that a wav.scp names), and, where an earlier step wrote what an argument names,
which run of it that was: rerunning a step reruns the steps that depend on it.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import yaml

from steps.base.fields import split_fields, split_id
from steps.base.output import fingerprint, locked, state
from steps.base.plan import Stage

# these options do not trigger a rerun, although network weights can differ
NOT_IN_KEY = ("--nj", "--threads", "--workers", "--cluster")


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
        path = self.entry_path(stage)
        if not path.exists() or not stage.output.exists():
            return {}
        entry: dict[str, Any] = json.loads(path.read_text())
        return entry

    def entry_files(self) -> list[tuple[str, Path]]:
        """The entries of all stages that were run, whatever their plan was: name of the stage and file of the entry."""
        return [(path.name.partition("-")[0], path) for path in sorted(self.folder.glob("*.json"))]

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
        """Each stage with its key; of those before position `first`, the key of their last run.

        A stage may be run before the next is asked for.
        """
        done: list[tuple[Stage, str]] = []
        for position, stage in enumerate(stages):
            key = self.entry(stage).get("key", "") if position < first else self.key(stage, done)
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
    if path.suffix == ".yaml":
        with suppress(yaml.YAMLError, ValueError, TypeError):  # the stage itself says what is wrong with it
            return fingerprint(yaml.safe_load(path.read_text(encoding="utf-8")))
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
