"""With what something was made: the commit of this program, versions, the processor."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

PACKAGES = ("torch", "numpy", "kaldi-decoder")


@cache
def environment() -> dict[str, str | None]:
    """The versions that results depend on, the processor with its number of cores, and the commit."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "cpu": _processor(),
        "git": git_hash(),
    }


def git_hash() -> str | None:
    """The commit of this program, with ``-dirty`` where its files were changed since; None without a repository."""
    if shutil.which("git") is None:
        return None
    command_line = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    git = subprocess.run(command_line, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return git.stdout.strip() or None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    return f"{names[0] if names else platform.machine()}, {cores} {'core' if cores == 1 else 'cores'}"
