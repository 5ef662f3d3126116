"""What failed, interrupted and killed runs of stages leave behind."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.steps.base.conftest import ALL, FROM_MONO, FROM_NNET

pytestmark = pytest.mark.usefixtures("default_signals")


def test_failed_stage_tells_its_log_and_stops_the_run(runner, plan):
    broken = plan()
    broken[5] = ("nnet", "fake", "fail", *broken[5][3:])
    status, out, errors = runner(broken)
    log = runner.work / "exp/log/nnet-exp-nnet.log"
    assert status == 1
    assert f"error: stage nnet ended with status 1 (log: {log})" in errors
    assert "Traceback" not in out + errors
    assert "graph" not in out
    assert "error: no good" in log.read_text(encoding="utf-8")
    assert "working on nnet éжß" in log.read_text(encoding="utf-8")
    assert "  working on nnet éжß\n" in out
    assert runner.ran(plan()) == ALL[5:]


def test_stage_that_is_killed_is_not_done(runner, plan):
    broken = plan()
    broken[5] = ("nnet", "fake", "killed", *broken[5][3:])
    status, _, errors = runner(broken)
    assert status == 1
    assert "stage nnet was ended by SIGKILL; the machine may be out of memory" in errors
    assert runner.ran(plan()) == ALL[5:]


def test_a_stage_that_is_run_again_and_fails_is_not_done(runner, plan, done):
    """What it wrote earlier may be half overwritten."""
    broken = plan()
    broken[5] = ("nnet", "fake", "fail", *broken[5][3:])
    assert runner(broken)[0] == 1
    assert (done / "exp/nnet").exists()
    assert runner.ran(plan()) == FROM_NNET


@pytest.fixture
def hanging(runner, plan, request):
    """A run that has come to a stage that hangs: the run, the processes of the stage, and the plan mended."""
    stages = plan()
    stages[4] = ("mono", "fake", getattr(request, "param", "hang"), *stages[4][3:])
    file = runner.work / "exp/mono.pids"
    process = runner.start(stages)
    wait_for(lambda: file.exists() and len(file.read_text().split()) == 2)
    yield process, [int(pid) for pid in file.read_text().split()]
    for pipe in (process.stdout, process.stderr):
        pipe.close()
    kill(process.pid)
    process.wait()
    for pid in map(int, file.read_text().split()):
        kill(pid)


def kill(pid):
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_interrupt_ends_all_with_a_short_message(runner, plan, hanging):
    process, pids = hanging
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "interrupted; the same command (without --stage) continues from here\n"
    assert "Traceback" not in out
    wait_for(lambda: not any(map(alive, pids)))
    assert runner.ran(plan()) == FROM_MONO


@pytest.mark.parametrize("hanging", ["saves"], indirect=True)
def test_interrupt_lets_a_stage_save(runner, hanging):
    process, pids = hanging
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out.endswith("saved\n")
    assert "saved" in (runner.work / "exp/log/mono-exp-mono.log").read_text(encoding="utf-8")
    assert (runner.work / "exp/mono.saved").exists()
    assert not alive(pids[0])


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_runner_leaves_no_stage_at_work(runner, plan, hanging, ending):
    process, pids = hanging
    process.send_signal(ending)
    process.wait(timeout=20)
    wait_for(lambda: not alive(pids[0]))
    assert runner.ran(plan()) == FROM_MONO


def test_second_run_in_a_work_directory_is_refused(runner, plan, hanging):
    process, _ = hanging
    status, out, errors = runner(plan())
    assert (status, out) == (1, "")
    message = (
        f"error: another run.sh is at work in {runner.work} (process {process.pid}); wait for it, or give another "
    )
    assert errors == f"{message}--workdir\n"
    assert runner(plan(), "--list")[0] == 0
