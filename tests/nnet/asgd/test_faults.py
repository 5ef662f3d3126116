"""Real kills: what the others make of it, and that nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def start(kind, directory):
    directory.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.nnet.asgd.runs", kind, str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def workers_of(process):
    """The processes of its workers, oldest first."""
    listed = subprocess.run(["pgrep", "-P", str(process.pid), "-f", "spawn_main"], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def alive(session):
    """The processes of a session that have not ended."""
    listed = subprocess.run(["pgrep", "-s", str(session)], capture_output=True, text=True).stdout.split()
    return [pid for pid in listed if "\nState:\tZ" not in (Path("/proc") / pid / "status").read_text()]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def lines(directory):
    log = directory / "train.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait_for_training(directory):
    """Until both workers have sent gradients."""
    wait_for(lambda: all(any(line["workers"][k] for line in lines(directory) if "workers" in line) for k in (0, 1)))


@pytest.fixture
def started(tmp_path):
    """Start runs; in the end no process of theirs is left, and /dev/shm is as it was."""
    before, processes = set(os.listdir("/dev/shm")), []

    def run(kind):
        processes.append(start(kind, tmp_path / "exp"))
        return processes[-1]

    yield run
    try:
        wait_for(lambda: not any(alive(process.pid) for process in processes), 20)
    finally:
        for process in processes:
            for pid in alive(process.pid):
                os.kill(int(pid), signal.SIGKILL)
            process.wait()
    assert set(os.listdir("/dev/shm")) == before


def ended(process):
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json.loads(out.splitlines()[-1])["accuracy"] > 0.5
    return out


def test_killed_worker_is_started_again(started, tmp_path):
    process = started("slow")
    wait_for_training(tmp_path / "exp")
    first, second = workers_of(process)
    os.kill(second, signal.SIGKILL)
    wait_for(lambda: len(set(workers_of(process)) - {first, second}) == 1)
    assert first in workers_of(process)
    assert "Warning: worker 1 ended (signal 9); it is started again" in ended(process)
    assert [line["epoch"] for line in lines(tmp_path / "exp") if "dev_accuracy" in line] == [1, 2, 3, 4, 5, 6]


def test_worker_that_keeps_failing_is_given_up(started, tmp_path):
    out = ended(started("faulty"))
    assert out.count("Warning: worker 1 ended (exit code 3); it is started again") == 2
    assert "worker 1 ended (exit code 3) 3 times in a row and is given up; 1 others take over its 20 utterances" in out


def test_stuck_worker_is_noticed(started, tmp_path):
    process = started("stuck")
    wait_for_training(tmp_path / "exp")
    os.kill(workers_of(process)[0], signal.SIGSTOP)
    out = ended(process)
    assert "Warning: worker 0 has not been heard of for" in out
    assert "Warning: worker 0 ended (signal 9); it is started again" in out


def test_workers_end_with_the_coordinator_and_the_run_goes_on(started, tmp_path):
    process = started("slow")
    wait_for_training(tmp_path / "exp")
    wait_for((tmp_path / "exp/checkpoint.safetensors").exists)
    process.kill()
    wait_for(lambda: not alive(process.pid), 20)
    out = ended(started("slow"))
    assert "Resuming in epoch 1 after" in out
    assert [line["epoch"] for line in lines(tmp_path / "exp") if "dev_accuracy" in line] == [1, 2, 3, 4, 5, 6]


def test_interrupt_saves(started, tmp_path):
    process = started("slow")
    wait_for_training(tmp_path / "exp")
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C: to the workers as well
    out, errors = process.communicate(timeout=60)
    assert process.returncode
    assert errors.rstrip().endswith("KeyboardInterrupt")  # which the commands turn into an exit code
    frames = int(out.split("Interrupted and saved after ")[1].split()[0])
    assert f"Resuming in epoch 1 after {frames} frames" in ended(started("slow"))


def test_no_update_is_lost(started):
    out, errors = started("pushers").communicate(timeout=300)
    told = json.loads(out)
    assert told["told"] >= 10_000, errors
    for updates, (least, most) in zip(told["updates"], told["sums"], strict=True):
        # a process may die after the answer and before it counts it; what its death cut off the shard does not count
        assert told["told"] <= updates <= told["told"] + told["kills"]
        assert updates <= least <= most <= updates + told["kills"]
