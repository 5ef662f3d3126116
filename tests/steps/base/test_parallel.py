"""Work in processes: the order of results, their independence of the number of processes, and what ends it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.base.parallel import OpenedOnce, jobs, split_into_blocks

ROOT = Path(__file__).parents[3]


def slow_first(item):
    time.sleep(0.2 if item == 0 else 0)
    return item, os.getpid()


def float_sum(seed, size):
    x = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    return (x @ x.T).sum().item(), float(np.linalg.norm(x.numpy() @ x.numpy())), torch.get_num_threads()


def die_at_three(item):
    if item == 3:
        os._exit(9)
    return item


def refuse_two(item):
    if item == 2:
        raise InputError(f"utterance {item} is empty")
    return item


@dataclass(frozen=True)
class Letters(OpenedOnce):
    log: Path

    @cached_property
    def letters(self):
        with self.log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return "abcdef"


def letter(shared, item):
    time.sleep(0.05)
    return shared.letters[item], os.getpid()


@pytest.mark.parametrize("nj", [1, 2])
def test_what_is_shared_is_opened_once_a_process(nj, tmp_path):
    shared = Letters(tmp_path / "log")
    assert shared.letters  # opened in this process: one job takes it as it is, others open their own
    with jobs(nj, shared) as run:
        found = run(letter, range(6)) + run(letter, range(6))
    assert [name for name, _ in found] == [*"abcdef"] * 2
    opened = (tmp_path / "log").read_text().split()
    assert sorted(set(opened)) == sorted(opened)
    assert {str(pid) for _, pid in found} | {str(os.getpid())} == set(opened)


@pytest.mark.parametrize("nj", [1, 2])
def test_what_cannot_be_opened_is_said_as_it_is(nj, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"), jobs(nj, Letters(tmp_path / "absent/log")) as run:
        run(letter, range(3))


@pytest.mark.parametrize("nj", [1, 2])
def test_results_stand_in_the_order_of_the_items(nj):
    with jobs(nj) as run:
        assert [item for item, _ in run(slow_first, range(6))] == list(range(6))
        assert [item for item, _ in run(slow_first, iter([5, 0, 3]), desc="again")] == [5, 0, 3]
        assert run(slow_first, []) == []


def test_one_job_runs_in_this_process_and_more_do_not():
    with jobs(1) as run:
        assert {pid for _, pid in run(slow_first, range(3))} == {os.getpid()}
    with jobs(2) as run:
        assert os.getpid() not in {pid for _, pid in run(slow_first, range(3))}


def test_results_do_not_depend_on_the_number_of_jobs():
    work = partial(float_sum, size=200)
    results = []
    threads = torch.get_num_threads()
    for nj in (1, 2, 3):
        with jobs(nj) as run:
            results.append(run(work, range(5)))
    torch.set_num_threads(threads)
    assert results[0] == results[1] == results[2]
    assert {used for _, _, used in results[0]} == {1}


def test_a_dead_process_is_said_with_what_to_do():
    message = "a process died while aligning; the machine may be out of memory: try a smaller --nj"
    with pytest.raises(InputError, match=message), jobs(2) as run:
        run(die_at_three, range(6), desc="aligning")


@pytest.mark.parametrize("nj", [1, 2])
def test_an_error_of_an_item_arrives_as_it_is(nj):
    with pytest.raises(InputError, match="utterance 2 is empty"), jobs(nj) as run:
        run(refuse_two, range(4))


def test_number_of_jobs_is_checked():
    with pytest.raises(InputError, match="number of jobs is 0; it has to be 1 or more"), jobs(0):
        pass


def test_lambdas_are_refused_by_processes_not_hung():
    with pytest.raises(Exception, match="pickle"), jobs(2) as run:
        run(lambda item: item, [1])


def test_workers_end_with_their_parent():
    """A killed command leaves no process behind that would write on."""
    code = (
        "import os, signal; from steps.base.parallel import jobs\n"
        "from tests.steps.base.test_parallel import slow_first\n"
        "with jobs(2) as run:\n"
        "    print(*{pid for _, pid in run(slow_first, range(4))}, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    workers = [int(pid) for pid in done.stdout.split()]
    assert workers, done.stderr
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@settings(deadline=None)
@given(st.lists(st.text()), st.integers(1, 40))
def test_blocks(items, size):
    blocks = split_into_blocks(items, size)
    assert [item for block in blocks for item in block] == items
    assert all(len(block) == size for block in blocks[:-1])
    assert not blocks or 1 <= len(blocks[-1]) <= size
