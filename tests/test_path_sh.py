"""The installation by path.sh."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.scripts import ROOT, call

# stands for python3 and for .venv/bin/python, notes what it is called for
PYTHON = r"""#!/bin/bash
echo "$*" >> "$CALLS"
case "$*" in
  *version_info*) [[ -z ${OLD-} ]] ;;
  --version) echo "Python 3.9.2" ;;
  *ensurepip*) [[ -z ${NO_VENV-} ]] ;;
  *"import pip"*) [[ -e ${0%/*}/pip ]] ;;
  "-m venv --clear .venv") rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python && touch .venv/bin/pip ;;
  "-m pip install"*) sleep "${SLOW:-0}"; [[ -z ${NO_NETWORK-} ]] ;;
esac
"""


@pytest.fixture
def machine(tmp_path):
    """A machine with a copy of path.sh in a path with a space; calling it sources path.sh as a script does."""

    class Machine:
        project = tmp_path / "a project"
        calls = tmp_path / "calls"
        bin = tmp_path / "bin"

        def command(self, more="echo entered"):
            return ["bash", "-c", f'set -euo pipefail; source "$0"; {more}', str(self.project / "path.sh")]

        def env(self, **env):
            return {"PATH": str(self.bin), "CALLS": str(self.calls), **env}

        def __call__(self, more="echo entered", **env):
            done = subprocess.run(
                self.command(more), env=self.env(**env), cwd=tmp_path, capture_output=True, text=True, timeout=60
            )
            return done.returncode, done.stdout, done.stderr

        def installs(self):
            lines = self.calls.read_text().splitlines() if self.calls.exists() else []
            self.calls.unlink(missing_ok=True)
            return [line.partition("check ")[2] for line in lines if line.startswith("-m pip install")]

    result = Machine()
    result.project.mkdir()
    result.bin.mkdir()
    for tool in ("bash", "realpath", "dirname", "cmp", "flock", "mkdir", "rm", "cp", "sleep", "touch", "cat"):
        (result.bin / tool).symlink_to(shutil.which(tool))
    shutil.copy(ROOT / "path.sh", result.project)
    (result.project / "requirements.txt").write_text("torch==2.13.0\n")
    (result.project / "requirements-test.txt").write_text("pytest==9.2.0\n")
    (result.bin / "python3").write_text(PYTHON)
    (result.bin / "python3").chmod(0o755)
    return result


def test_packages_are_installed_once(machine):
    status, out, errors = machine()
    assert (status, out) == (0, "entered\n")
    assert errors == "Installing requirements.txt into .venv (once, a few minutes)\n"
    assert machine.installs() == ["--requirement=requirements.txt"]
    assert machine() == (0, "entered\n", "")
    assert machine.installs() == []


def test_what_is_entered(machine):
    _, out, _ = machine('echo "$(command -v python)|$PYTHONPATH|$PWD"', PYTHONPATH="/somewhere/else")
    assert out == f"{machine.project}/.venv/bin/python|{machine.project}|{machine.project.parent}\n"


def test_packages_of_the_tests_come_on_top(machine):
    more = "install requirements.txt requirements-test.txt"
    machine()
    machine.installs()
    assert machine(more)[0] == 0
    assert machine.installs() == ["--requirement=requirements.txt --requirement=requirements-test.txt"]
    assert machine() == (0, "entered\n", "")
    assert machine(more) == (0, "", "")
    assert machine.installs() == []


def test_changed_requirements_are_installed(machine):
    machine()
    for content in ("torch==2.13.0\ntqdm==4.70.1\n", "torch==2.13.0\n"):
        machine.installs()
        (machine.project / "requirements.txt").write_text(content)
        assert machine()[0] == 0
        assert len(machine.installs()) == 1


def test_an_installation_leaves_what_cdpath_leads_to_alone(machine, tmp_path):
    other = tmp_path / "other/.venv/.installed/requirements.txt"
    other.parent.mkdir(parents=True)
    other.write_text("another project's")
    assert machine(CDPATH=str(tmp_path / "other"))[:2] == (0, "entered\n")
    assert other.read_text() == "another project's"


def test_a_new_python_makes_the_environment_again(machine):
    machine()
    machine.installs()
    (machine.project / ".venv/bin/pip").unlink()  # looked for where the new python's packages go
    assert machine()[0] == 0
    assert "-m venv --clear .venv" in machine.calls.read_text()
    assert len(machine.installs()) == 1


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"OLD": "1"}, "error: Python 3.10 or newer is needed; python3 is Python 3.9.2\n"),
        ({"NO_VENV": "1"}, "error: Python's venv module is missing; install it with: apt-get install python3-venv\n"),
    ],
)
def test_unfit_python(machine, env, message):
    assert machine(**env) == (1, "", message)
    assert not (machine.project / ".venv").exists()


def test_missing_python(machine):
    (machine.bin / "python3").unlink()
    assert machine() == (1, "", "error: python3 is missing; install it with: apt-get install python3-venv\n")


def test_failed_installation_is_told_and_tried_again(machine):
    status, out, errors = machine(NO_NETWORK="1")
    assert (status, out) == (1, "")
    assert errors.endswith(
        "error: the packages of requirements.txt could not be installed, see above; the same command tries again\n"
    )
    machine.installs()
    assert machine()[0] == 0
    assert len(machine.installs()) == 1


def test_killed_installation_is_done_again(machine):
    process = subprocess.Popen(
        machine.command(), env=machine.env(SLOW="30"), start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while not (machine.calls.exists() and "pip install" in machine.calls.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    machine.installs()
    assert machine()[1] == "entered\n"
    assert len(machine.installs()) == 1


def test_two_at_once_install_once(machine):
    both = [
        subprocess.Popen(
            machine.command(), env=machine.env(SLOW="1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in both]
    assert [out for out, _ in said] == ["entered\n"] * 2
    assert sorted(errors.split()[0] for _, errors in said) == ["Installing", "Waiting"]
    assert len(machine.installs()) == 1


def test_with_the_real_python(machine):
    if call("python3", "-c", "import ensurepip")[0]:
        pytest.skip("this Python cannot make environments")
    (machine.project / "requirements.txt").write_text("# nothing, so that no network is needed\n")
    (machine.bin / "python3").unlink()
    env = {"PATH": os.environ["PATH"]}
    status, out, _ = machine("python -c 'import sys; print(sys.prefix)'", **env)
    assert (status, out) == (0, f"{machine.project}/.venv\n")
    assert machine(**env) == (0, "entered\n", "")
