"""What tests that kill processes share."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

STARTING = 300  # seconds: where processes outnumber the cores, importing torch and Ray alone takes minutes


def start(kind, directory, cluster="local", **environment):
    """Start a run of `tests.nnet.asgd.runs` in a session of its own."""
    directory.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.nnet.asgd.runs", kind, str(directory), cluster]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | environment,
    )


def alive(session, pattern="."):
    """The processes of a session that have not ended and whose command line has the pattern, oldest first."""
    listed = subprocess.run(["pgrep", "-s", str(session), "-f", pattern], capture_output=True, text=True)
    found = {int(pid): stat(pid) for pid in listed.stdout.split()}
    return sorted((pid for pid in found if found[pid][0] not in "ZX"), key=lambda pid: int(found[pid][19]))


def stat(pid):
    """What proc(5) tells of a process from its state (R, S, Z, ...) on; X where there is no such process any more."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["X"]


def left_in_shared_memory():
    """What is in /dev/shm and belongs to no living process: none has it mapped."""
    used = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # it has ended, or is another user's
            lines = [line.split() for line in maps.read_text().splitlines()]
            # by the inode: a semaphore is mapped under the name that it had before its own
            used |= {int(fields[4]) for fields in lines if fields[5:] and fields[5].startswith("/dev/shm/")}
    return {file.name for file in os.scandir("/dev/shm") if file.inode() not in used}


def no_more_in_shared_memory(before):
    """Nothing is left in /dev/shm that was not there before; what tests beside this one make has no name for long."""
    wait_for(lambda: left_in_shared_memory() <= before, 5)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"this was not so within {seconds} s"
        time.sleep(0.05)


def wait_while_running(process, condition, what, seconds=STARTING):
    """Wait for a condition that a process brings about; if it ends or takes too long, show what it printed."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            pytest.fail(f"the run ended with exit code {process.returncode} before {what}\n{output(process)}")
        if time.monotonic() > end:
            pytest.fail(f"no sign of {what} within {seconds} s\n{output(process)}")
        time.sleep(0.05)


def output(process):
    """What a process has printed so far; it is killed."""
    for pid in alive(process.pid):
        os.kill(pid, signal.SIGKILL)
    out, errors = process.communicate(timeout=20)
    return f"--- its output:\n{out}\n--- its errors:\n{errors}"


def lines(directory):
    log = directory / "train.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def has_pushed(directory, worker):
    """Whether a worker has sent gradients."""
    return any(line["workers"][worker] for line in lines(directory) if "workers" in line)


def wait_for_training(process, directory):
    """Until both workers of a run have sent gradients."""
    wait_while_running(process, lambda: all(has_pushed(directory, k) for k in (0, 1)), "gradients of both workers")


def wait_for_checkpoint(process, directory):
    """Until a run has written a checkpoint."""
    wait_while_running(process, (directory / "checkpoint.safetensors").exists, "a checkpoint")


def finish(process, seconds=STARTING):
    """Its output and errors, once it has ended."""
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the run has not ended within {seconds} s\n{output(process)}")


def ended(process):
    """Its output, after a good end."""
    out, errors = finish(process)
    assert process.returncode == 0, errors
    assert json.loads(out.splitlines()[-1])["accuracy"] > 0.5
    return out


def all_epochs(directory):
    return [line["epoch"] for line in lines(directory) if "dev_accuracy" in line] == [1, 2, 3, 4]


def end_all(processes):
    """Wait until nothing is left of these sessions; kill what is."""
    try:
        wait_for(lambda: not any(alive(process.pid) for process in processes), 20)
    finally:
        for process in processes:
            for pid in alive(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()
