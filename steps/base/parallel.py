"""Work spread over processes, with results that do not depend on how many there are."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar, overload

from tqdm import tqdm

from steps.base.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

BLOCK_SIZE = 32  # utterances that a process takes at a time


class Jobs(Protocol):
    """``run(function, items, desc)``: the results of ``function(item)`` in the order of the items."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T], desc: str | None = None) -> list[R]:
        """Map and collect."""


class SharedJobs(Protocol[S_co]):
    """``run(function, items, desc)``: the results of ``function(shared, item)`` in the order of the items."""

    def __call__(self, function: Callable[[S_co, T], R], items: Iterable[T], desc: str | None = None) -> list[R]:
        """Map and collect."""


@dataclass(frozen=True)
class OpenedOnce:
    """Inputs that each process opens once; the base of the dataclasses that `jobs` shares.

    The fields say how to open them: paths and options. The inputs themselves (a model, tables, a graph) are
    ``functools.cached_property``: a process opens each of them when it first needs it, and keeps it. Only the fields
    are sent to another process.

    Example
    -------
    >>> import pickle
    >>> from functools import cached_property
    >>> from pathlib import Path
    >>> @dataclass(frozen=True)
    ... class Words(OpenedOnce):
    ...     path: str
    ...     @cached_property
    ...     def table(self):
    ...         return Path(self.path).read_text().split()
    >>> words = Words("/dev/null")
    >>> words.table, sorted(vars(words)), words.__getstate__()
    ([], ['path', 'table'], {'path': '/dev/null'})
    """

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def split_into_blocks(items: Sequence[T], size: int = BLOCK_SIZE) -> list[list[T]]:
    """Split a list into blocks of a fixed size, so that sums over them do not depend on the number of processes.

    Example
    -------
    >>> split_into_blocks(["a", "b", "c"], size=2)
    [['a', 'b'], ['c']]
    """
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


@overload
def jobs(nj: int) -> AbstractContextManager[Jobs]: ...


@overload
def jobs(nj: int, shared: S) -> AbstractContextManager[SharedJobs[S]]: ...


def jobs(nj: int, shared: Any = None) -> AbstractContextManager[Any]:
    """Start `nj` processes of one thread each and give a function that maps over them.

    This is the one way by which a process gets its inputs. What all items need is `shared`; an item holds ids, paths
    and what is its own. Any engine that keeps the following can stand behind this function:

    - `shared` reaches a process once, before its first item, and stays there until the end;
    - `function` and the items are picklable, and so are the results, which come in the order of the items;
    - an exception of an item is raised here as it is;
    - a process computes with one thread, and nothing depends on which process takes which item.

    Parameters
    ----------
    nj : int
        Number of processes; with 1 the work is done in this one.
    shared : picklable, optional
        What every item needs. What is large is not sent but opened by each process: see `OpenedOnce`. In one process
        it is this very object, with all that has been opened already.

    Yields
    ------
    Jobs or SharedJobs
        ``run(function, items, desc=None)`` returns a list in the order of `items`, with a progress bar named `desc`.
        It calls ``function(item)`` or, where something is shared, ``function(shared, item)``. `function` has to be
        picklable: defined at the top of a module, or a `functools.partial` of such a one.

    Raises
    ------
    InputError
        When a process dies, which mostly means that the machine ran out of memory.

    Example
    -------
    >>> with jobs(1) as run:
    ...     run(abs, [-2, 1])
    [2, 1]
    >>> with jobs(1, shared=10) as run:
    ...     run(pow, [2, 3])
    [100, 1000]
    """
    if nj < 1:
        raise InputError(f"the number of jobs is {nj}; it has to be 1 or more")
    return _in_this_process(shared) if nj == 1 else _in_processes(nj, shared)


@contextmanager
def _in_this_process(shared: Any) -> Iterator[Any]:
    one_thread()

    def run(function: Callable[..., R], items: Iterable[Any], desc: str | None = None) -> list[R]:
        items = list(items)
        return _collect(map(_with(function, shared), items), len(items), desc)

    yield run


@contextmanager
def _in_processes(nj: int, shared: Any) -> Iterator[Any]:
    # forkserver: its processes start from a clean parent that has run no threads, and import torch once
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    with ProcessPoolExecutor(nj, mp_context=context, initializer=_start_worker, initargs=(shared,)) as pool:

        def run(function: Callable[..., R], items: Iterable[Any], desc: str | None = None) -> list[R]:
            items = list(items)
            try:
                return _collect(pool.map(partial(_in_worker, function), items), len(items), desc)
            except BrokenProcessPool as error:
                raise InputError(
                    f"a process died while {desc or 'working'}; the machine may be out of memory: try a smaller --nj"
                ) from error

        yield run


def _with(function: Callable[..., R], shared: Any) -> Callable[[Any], R]:
    return function if shared is None else partial(function, shared)


def one_thread() -> None:
    """Let this process compute with one thread, so that its sums do not depend on the machine's cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


_shared: Any = None  # of a worker process, for its whole life


def _start_worker(shared: Any) -> None:
    global _shared
    _shared = shared
    one_thread()
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _in_worker(function: Callable[..., R], item: Any) -> R:
    return _with(function, _shared)(item)


def _end_with(parent: BaseProcess) -> None:
    # of a killed command, the workers would wait for their next item for ever
    parent.join()
    os._exit(1)


def _collect(results: Iterable[R], total: int, desc: str | None) -> list[R]:
    return list(tqdm(results, desc=desc, total=total, disable=None if desc else True, leave=False))
