"""Work spread over processes, with results that do not depend on how many there are."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from steps.base.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


class Run(Protocol):
    """``run(function, items, desc)``: the results of ``function(item)`` in the order of the items."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T], desc: str | None = None) -> list[R]:
        """Map and collect."""


def one_thread() -> None:
    """Let this process compute with one thread, so that its sums do not depend on the machine's cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


def _start_worker() -> None:
    one_thread()
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    # of a killed command, the workers would wait for their next item for ever
    parent.join()
    os._exit(1)


@contextmanager
def jobs(nj: int) -> Iterator[Run]:
    """Start `nj` processes of one thread each and give a function that maps over them.

    Parameters
    ----------
    nj : int
        Number of processes; with 1 the work is done in this one.

    Yields
    ------
    Run
        ``run(function, items, desc=None)`` returns a list in the order of `items`, with a progress bar named `desc`.
        `function` has to be picklable: defined at the top of a module, or a `functools.partial` of such a one.

    Raises
    ------
    InputError
        When a process dies, which mostly means that the machine ran out of memory.

    Example
    -------
    >>> with jobs(1) as run:
    ...     run(abs, [-2, 1])
    [2, 1]
    """
    if nj < 1:
        raise InputError(f"the number of jobs is {nj}; it has to be 1 or more")
    if nj == 1:
        one_thread()
        yield lambda function, items, desc=None: _collect(map(function, items := list(items)), len(items), desc)
        return
    # forkserver: its processes start from a clean parent that has run no threads, and import torch once
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    with ProcessPoolExecutor(nj, mp_context=context, initializer=_start_worker) as pool:

        def run(function: Callable[[Any], Any], items: Iterable[Any], desc: str | None = None) -> list[Any]:
            items = list(items)
            try:
                return _collect(pool.map(function, items), len(items), desc)
            except BrokenProcessPool as error:
                raise InputError(
                    f"a process died while {desc or 'working'}; the machine may be out of memory: try a smaller --nj"
                ) from error

        yield run


def _collect(results: Iterable[R], total: int, desc: str | None) -> list[R]:
    return list(tqdm(results, desc=desc, total=total, disable=None if desc else True, leave=False))
