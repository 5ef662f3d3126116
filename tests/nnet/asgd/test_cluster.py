"""Training over the two nodes of a Ray cluster on this machine, with real kills."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ray", reason="Ray is not installed; tests/run.sh without arguments installs it")

from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from nnet.asgd.backend import ShardBusyError
from nnet.asgd.ray_server import STARTING, RayServer
from nnet.errors import ModelError
from tests.nnet.asgd.processes import (
    alive,
    all_epochs,
    end_all,
    ended,
    finish,
    left_in_shared_memory,
    no_more_in_shared_memory,
    start,
    stat,
    wait_for,
    wait_for_checkpoint,
    wait_for_training,
    wait_while_running,
)

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
WORKER, SHARD = "ray::WorkerActor", "ray::ShardActor"
NICENESS = 16  # of what `stat` returns


@contextmanager
def two_nodes():
    """A cluster; in the end nothing of it is left, and nothing in /dev/shm."""
    before = left_in_shared_memory()
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.nnet.asgd.nodes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        holder.addresses = json.loads(holder.stdout.readline())
        yield holder
    finally:
        holder.stdin.close()
        end_all([holder])
    no_more_in_shared_memory(before)


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as holder:
        yield holder


@pytest.fixture
def started(cluster, tmp_path):
    """Start runs on the cluster; in the end no process of theirs is left there or here."""
    processes = []

    def run(kind, where="ray"):
        processes.append(start(kind, tmp_path / "exp", where, RAY_ADDRESS=cluster.addresses["address"]))
        return processes[-1]

    yield run
    end_all(processes)
    wait_for(lambda: not alive(cluster.pid, f"{WORKER}|{SHARD}"), 20)


def failed(process):
    """Its last line of errors, after a bad end."""
    _, errors = finish(process)
    assert process.returncode
    return errors.rstrip().splitlines()[-1]


def listening(pid):
    """The addresses at which a process listens, as the kernel writes them."""
    sockets = {os.readlink(fd) for fd in (Path("/proc") / str(pid) / "fd").iterdir() if fd.is_symlink()}
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def test_one_worker_gives_the_bits_of_plain_training(started, tmp_path):
    out, errors = finish(started("bits"))
    assert out.splitlines()[-1:] == ["true"], errors


def test_killed_worker_is_started_again(started, cluster, tmp_path):
    process = started("slow")
    wait_for_training(process, tmp_path / "exp")
    first, second = alive(cluster.pid, WORKER)
    os.kill(second, signal.SIGKILL)
    restarted = lambda: len(set(alive(cluster.pid, WORKER)) - {first, second}) == 1  # noqa: E731
    wait_while_running(process, restarted, "a new worker")
    assert first in alive(cluster.pid, WORKER)
    out = ended(process)
    assert "ended (its process or its node died); it is started again" in out
    assert all_epochs(tmp_path / "exp")


def test_worker_that_keeps_failing_is_given_up(started):
    out = ended(started("faulty"))
    assert out.count("worker 1 ended (its process or its node died); it is started again") == 2
    assert "3 times in a row and is given up; 1 others take over its 20 utterances" in out


def test_stuck_worker_is_noticed(started, cluster, tmp_path):
    process = started("stuck")
    wait_for_training(process, tmp_path / "exp")
    os.kill(alive(cluster.pid, WORKER)[0], signal.SIGSTOP)
    out = ended(process)
    assert "has not reported for" in out
    assert "it is started again" in out


def test_lost_shard_stops_the_run_which_goes_on_from_the_last_checkpoint(started, cluster, tmp_path):
    process = started("slow")
    wait_for_training(process, tmp_path / "exp")
    wait_for_checkpoint(process, tmp_path / "exp")
    os.kill(alive(cluster.pid, SHARD)[1], signal.SIGKILL)
    assert "or its node, is lost" in failed(process)
    assert "Resuming in epoch 1 after" in ended(started("slow"))
    assert all_epochs(tmp_path / "exp")


def test_actors_end_with_the_coordinator(started, cluster, tmp_path):
    process = started("slow")
    wait_for_training(process, tmp_path / "exp")
    wait_for_checkpoint(process, tmp_path / "exp")
    process.kill()
    wait_for(lambda: not alive(cluster.pid, f"{WORKER}|{SHARD}"), 20)


def test_interrupt_saves(started, tmp_path):
    process = started("slow")
    wait_for_training(process, tmp_path / "exp")
    os.killpg(process.pid, signal.SIGINT)
    out, errors = finish(process)
    assert process.returncode
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert int(out.split("Interrupted and saved after ")[1].split()[0]) > 0


def test_client_of_a_cluster(started, cluster, tmp_path):
    ended(started("slow", cluster.addresses["client"]))
    assert all_epochs(tmp_path / "exp")


def test_client_that_loses_its_connection(started, cluster, tmp_path):
    process = started("slow", cluster.addresses["client"])
    wait_for_training(process, tmp_path / "exp")
    for pid in alive(cluster.pid, "specific-server"):
        with suppress(ProcessLookupError):  # that of an earlier run may be there for a moment
            os.kill(pid, signal.SIGKILL)
    assert "the connection to the cluster is lost; the same command goes on" in failed(process)


def test_cluster_that_is_too_small(started):
    said = failed(started("threads"))
    assert "2 workers of 2 threads do not fit into the cluster: its 2 nodes have 2 cores, room for 0" in said


def test_lost_node_stops_the_run(tmp_path):
    with two_nodes() as cluster:
        process = start("slow", tmp_path / "exp", "ray", RAY_ADDRESS=cluster.addresses["address"])
        wait_for_training(process, tmp_path / "exp")
        raylet = alive(cluster.pid, "raylet/raylet")[1]
        listed = subprocess.run(["pgrep", "-P", str(raylet)], capture_output=True, text=True, check=True)
        for pid in (raylet, *map(int, listed.stdout.split())):  # as when a machine's power fails
            os.kill(pid, signal.SIGKILL)
        assert "or its node, is lost" in failed(process)
        end_all([process])


def test_cluster_of_this_machine_alone(tmp_path):
    """None is there, so one is started; it listens on loopback only, runs at our priority and ends with the run."""
    process = start("slow", tmp_path / "exp", "ray")
    wait_for_training(process, tmp_path / "exp")
    addresses = set().union(*map(listening, alive(process.pid)))
    assert addresses
    assert addresses <= LOOPBACK
    actors = alive(process.pid, f"{WORKER}|{SHARD}")
    assert {int(stat(pid)[NICENESS]) for pid in actors} == {os.nice(0)}  # else other processes starve them
    ended(process)
    end_all([process])


def test_no_cluster_there(tmp_path):
    process = start("slow", tmp_path / "exp", "ray://127.0.0.1:9")
    assert "no cluster answers at ray://127.0.0.1:9" in failed(process)
    end_all([process])


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (GetTimeoutError("late"), ShardBusyError, "shard 0 of 1 has not answered for 3 s"),
        (RayActorError(), ModelError, r"shard 0 of 1, or its node, is lost \(RayActorError\)"),
        (RayTaskError("push", "ValueError: of ours", ValueError("of ours")), RayTaskError, "of ours"),
    ],
)
def test_what_a_shard_does_not_answer(monkeypatch, raised, expected, message):
    def get(call, timeout):
        assert timeout == 3
        raise raised

    monkeypatch.setattr("ray.get", get)
    actor = SimpleNamespace(counts=SimpleNamespace(remote=lambda: None))
    server = RayServer([actor], [slice(0, 1)], timeout=3)
    server.started.add(0)
    with pytest.raises(expected, match=message):
        server.counts()


def test_a_shard_that_has_not_answered_yet_may_be_starting(monkeypatch):
    patience = []
    monkeypatch.setattr("ray.get", lambda call, timeout: patience.append(timeout))
    server = RayServer([SimpleNamespace(counts=SimpleNamespace(remote=lambda: None))], [slice(0, 1)], timeout=3)
    for _ in range(3):
        server.counts()
    assert patience == [STARTING, 3, 3]
