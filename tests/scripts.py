"""Calls of the shell scripts, for their tests."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPES = [f"recipes/{name}/run.sh" for name in ("asterisk", "an4", "custom", "festvox_ru")]
SCRIPTS = ["run.sh", "options.sh", "path.sh", "tests/run.sh", ".ci/run", *RECIPES]


def call(*command, cwd=ROOT, **env):
    """The status, the output and the errors."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def plan(*options, script="run.sh", cwd=ROOT, **env):
    """The commands of a dry run: name of the stage, module, arguments."""
    status, out, errors = call(ROOT / script, *options, "--dry-run", cwd=cwd, **env)
    assert (status, errors) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    return [(line[1].removesuffix(":"), line[4], line[5:]) for line in lines]


def refused(*options, script="run.sh", cwd=ROOT):
    status, out, errors = call(ROOT / script, *options, cwd=cwd)
    assert status
    assert out == ""
    assert errors.splitlines()[-1].startswith("error: ")
    return errors
