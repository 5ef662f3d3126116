"""Real kills: what the others make of it, and that nothing is left behind."""

import json
import os
import re
import signal

import pytest

from tests.nnet.asgd.processes import (
    alive,
    all_epochs,
    end_all,
    ended,
    finish,
    left_in_shared_memory,
    no_more_in_shared_memory,
    start,
    wait_for,
    wait_for_checkpoint,
    wait_for_training,
    wait_while_running,
)


def workers_of(process):
    """The processes of its workers, oldest first."""
    return alive(process.pid, "spawn_main")


@pytest.fixture
def started(tmp_path):
    """Start runs; in the end no process of theirs is left, and nothing in /dev/shm."""
    before, processes = left_in_shared_memory(), []

    def run(kind):
        processes.append(start(kind, tmp_path / "exp"))
        return processes[-1]

    yield run
    end_all(processes)
    no_more_in_shared_memory(before)


def test_killed_worker_is_started_again(started, tmp_path):
    process = started("slow")
    wait_for_training(process, tmp_path / "exp")
    first, second = workers_of(process)
    os.kill(second, signal.SIGKILL)
    restarted = lambda: len(set(workers_of(process)) - {first, second}) == 1  # noqa: E731
    wait_while_running(process, restarted, "a new worker")
    assert first in workers_of(process)
    assert "Warning: worker 1 ended (signal 9); it is started again" in ended(process)
    assert all_epochs(tmp_path / "exp")


def test_worker_that_keeps_failing_is_given_up(started, tmp_path):
    out = ended(started("faulty"))
    assert out.count("Warning: worker 1 ended (exit code 3); it is started again") == 2
    assert "worker 1 ended (exit code 3) 3 times in a row and is given up; 1 others take over its 20 utterances" in out


def test_workers_that_keep_failing_at_once(started, tmp_path):
    """The end of one may be known while that of the other is on its way."""
    process = started("failing")
    out, errors = finish(process)
    assert process.returncode
    assert out.count("(exit code 3) 3 times in a row and is given up; 1 others take over") == 1
    assert "ModelError: worker" in errors
    assert "the last one; the last checkpoint is kept" in errors


def test_stuck_worker_is_noticed(started, tmp_path):
    process = started("stuck")
    wait_for_training(process, tmp_path / "exp")
    os.kill(workers_of(process)[0], signal.SIGSTOP)
    out = ended(process)
    assert "Warning: worker 0 has not reported for" in out
    assert "Warning: worker 0 ended (signal 9); it is started again" in out


def test_worker_that_is_stuck_with_a_shard_locked_is_noticed(started, tmp_path):
    """The others wait for the shard, and the coordinator does not."""
    out = ended(started("frozen"))
    assert (tmp_path / "exp/frozen").exists()
    assert "has not reported for" in out
    assert "Warning: worker 0 ended (signal 9); it is started again" in out
    assert all_epochs(tmp_path / "exp")


def test_workers_end_with_the_coordinator_and_the_run_goes_on(started, tmp_path):
    process = started("slow")
    wait_for_training(process, tmp_path / "exp")
    wait_for_checkpoint(process, tmp_path / "exp")
    process.kill()
    wait_for(lambda: not alive(process.pid), 20)
    out = ended(started("slow"))
    assert re.search(r"Resuming in epoch \d after", out)
    assert all_epochs(tmp_path / "exp")


def test_interrupt_saves(started, tmp_path):
    process = started("slow")
    wait_for_training(process, tmp_path / "exp")
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C: to the workers as well
    out, errors = finish(process)
    assert process.returncode
    assert errors.rstrip().endswith("KeyboardInterrupt")  # which the commands turn into an exit code
    assert errors.count("Traceback") == 1  # the workers are deaf to it
    frames = int(out.split("Interrupted and saved after ")[1].split()[0])
    assert re.search(rf"Resuming in epoch \d after {frames} frames", ended(started("slow")))


def test_no_update_is_lost(started):
    out, errors = finish(started("pushers"))
    pushed = json.loads(out)
    assert pushed["counted"] >= 10_000, errors
    for updates, (least, most) in zip(pushed["updates"], pushed["sums"], strict=True):
        # a process may die between the answer and its own count; the shard does not count an update cut short by death
        assert pushed["counted"] <= updates <= pushed["counted"] + pushed["kills"]
        assert updates <= least <= most <= updates + pushed["kills"]


def test_pushes_that_overlap_with_computing(started, tmp_path):
    ended(started("overlap"))
    assert all_epochs(tmp_path / "exp")
