import platform
import subprocess
import sys
from pathlib import Path

import pytest

from nnet.allocation import keep_memory

PAGES_OF_A_STEP = """
import ctypes, resource
from nnet.allocation import keep_memory
{call}
c = ctypes.CDLL(None)
c.malloc.restype, size = ctypes.c_void_p, 24 << 20
def pages_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [c.malloc(ctypes.c_size_t(size)) for _ in range(4)]
    for array in arrays:
        ctypes.memset(array, 1, size)
    for array in arrays:
        c.free(ctypes.c_void_p(array))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([pages_of_a_step() for _ in range(4)][-1])
"""


def count_pages(call: str) -> int:
    code, project = PAGES_OF_A_STEP.format(call=call), Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=project, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc")
def test_memory_of_freed_arrays_is_kept():
    assert count_pages("") > 1000
    assert count_pages("keep_memory()") < 10


def test_other_systems_go_without(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_memory()
    monkeypatch.undo()
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    keep_memory()
