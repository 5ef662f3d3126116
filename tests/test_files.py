"""The style of all files, and the test command itself."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.scripts import ROOT, SCRIPTS, call

LONGEST = 400  # lines


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck is not installed: apt-get install shellcheck"
)
def test_shellcheck():
    status, out, _ = call("shellcheck", "--external-sources", *SCRIPTS)
    assert (status, out) == (0, "")


def test_all_scripts_are_checked_and_executable():
    tracked = call("git", "ls-files", "*.sh", ".ci/*")[1].split() if (ROOT / ".git").exists() else []
    assert set(tracked) <= set(SCRIPTS)
    assert {name for name in SCRIPTS if os.access(ROOT / name, os.X_OK)} == set(SCRIPTS) - {"path.sh", "options.sh"}


def test_no_file_is_long():
    if not (ROOT / ".git").exists():
        pytest.skip("only a git checkout says which files are the project's")
    kinds = ("*.py", "*.sh", "*.md", "*.yaml", "*.yml")
    names = call("git", "ls-files", "--cached", "--others", "--exclude-standard", *kinds)[1].split()
    lines = {name: len((ROOT / name).read_text().splitlines()) for name in names if (ROOT / name).exists()}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_contributing_names_files_that_are_there():
    named = re.findall(r"`((?:steps|nnet|local|recipes|conf|tests)/[^`]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 20
    assert [name for name in named if not re.search(r"NAME|\*| ", name) and not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "fault", ["import os\n", "x = {  }\n", 'x: int = "one"\n'], ids=["ruff check", "ruff format", "mypy"]
)
def test_tests_stop_at_what_the_checks_find(tmp_path, fault):
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/run.sh", tmp_path / "tests")
    (tmp_path / "path.sh").write_text("install() { :; }\n")
    (tmp_path / "mypy.ini").write_text("[mypy]\nfiles = .\n")
    (tmp_path / "faulty.py").write_text(fault)
    (tmp_path / "test_nothing.py").write_text("def test_nothing() -> None:\n    pass\n")
    status, out, _ = call(tmp_path / "tests/run.sh")
    assert status
    assert "faulty.py" in out
    assert "1 passed" not in out
    (tmp_path / "faulty.py").unlink()
    status, out, _ = call(tmp_path / "tests/run.sh")
    assert (status, "1 passed" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "installed"),
    [
        ([], "requirements.txt requirements-test.txt requirements-cluster.txt"),
        (["-k", "lstm"], "requirements.txt requirements-test.txt"),
    ],
)
def test_only_the_run_of_all_tests_installs_ray(tmp_path, arguments, installed):
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/run.sh", tmp_path / "tests")
    (tmp_path / "path.sh").write_text('install() { echo "$*"; exit; }\n')
    assert call(tmp_path / "tests/run.sh", *arguments) == (0, f"{installed}\n", "")


HIDE_RAY = """
import sys
from importlib.machinery import PathFinder
class WithoutRay(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in ("ray", "grpc") else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutRay
"""


def test_without_ray_its_tests_are_skipped_and_say_so(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE_RAY)
    files = ["tests/nnet/asgd/test_cluster.py", "tests/nnet/asgd/test_config.py", "nnet/asgd"]
    status, out, _ = call(sys.executable, "-m", "pytest", "-rs", *files, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert status == 0, out
    assert "Ray is not installed; tests/run.sh without arguments installs it" in out
    assert "SKIPPED [1]" in out


@pytest.mark.parametrize("script", ["tests/run.sh", ".ci/run"])
def test_the_tests_are_those_of_the_scripts_own_checkout(tmp_path, script):
    for folder in ("here", "there"):
        (tmp_path / folder / Path(script).parent).mkdir(parents=True)
    for name in ("tests/run.sh", script):
        (tmp_path / "here" / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "here" / name)
    (tmp_path / "here/path.sh").write_text("echo $PWD; exit\n")
    (tmp_path / "link").symlink_to(tmp_path / "here" / script)
    assert call(script, cwd=tmp_path / "here", CDPATH=str(tmp_path / "there")) == (0, f"{tmp_path}/here\n", "")
    assert call(tmp_path / "link") == (0, f"{tmp_path}/here\n", "")
