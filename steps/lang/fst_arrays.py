"""WFSTs as numpy arrays and back, for what no library call does: relabelling, epsilon splitting, self-loops.

kaldifst reads and writes OpenFst's binary files. Its ``const`` type keeps all states in one array and all arcs in
another, so that a graph of millions of arcs becomes arrays, and arrays a graph, without a loop over arcs.
"""

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kaldifst
import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError

MAGIC = 2125659606  # kFstMagicNumber of OpenFst
STATE = np.dtype(
    [("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("input_epsilons", "<u4"), ("output_epsilons", "<u4")]
)
ARC = np.dtype([("ilabel", "<i4"), ("olabel", "<i4"), ("weight", "<f4"), ("dst", "<i4")])
HEADER = struct.Struct("<i i5s i8s i i Q q q q")
EXPANDED = 1  # the one property that always holds; the others are found out when asked for


@dataclass
class FstArrays:
    """A tropical WFST.

    Attributes
    ----------
    start : int
        The initial state; -1 for an FST without states.
    final : (N,) float32
        Final cost of each state, infinity where it is not final.
    src, dst, ilabel, olabel : (A,) int32
        Source, destination and labels of each arc; label 0 is epsilon.
    weight : (A,) float32
        Cost of each arc.
    """

    start: int
    final: NDArray[Any]
    src: NDArray[Any]
    dst: NDArray[Any]
    ilabel: NDArray[Any]
    olabel: NDArray[Any]
    weight: NDArray[Any]


def read_fst(path: str | Path, made_by: str) -> kaldifst.StdVectorFst:
    """Read a graph file.

    Raises
    ------
    InputError
        When it is missing, damaged or without a state; the message names the step that makes it.
    """
    # a path that is not there is left to this message: OpenFst writes one of its own to stderr
    fst = kaldifst.StdVectorFst.read(str(path)) if Path(path).is_file() else None
    if fst is None or fst.start < 0:
        state = "empty" if fst else "damaged" if Path(path).is_file() else "missing"
        raise InputError(f"{path}: the graph is {state}; make it again with {made_by}")
    return fst


def to_arrays(fst: kaldifst.StdFst) -> FstArrays:
    r"""Take an FST apart; the arcs come in the order of their source states.

    Example
    -------
    >>> to_arrays(kaldifst.compile("0 1 3 5 0.5\n1 0.25")).weight
    array([0.5], dtype=float32)
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fst")
        if not kaldifst.StdConstFst(fst).write(str(path)):
            raise InputError(f"{folder}: a graph could not be written there; is the disk full?")
        data = path.read_bytes()
    *_, start, num_states, num_arcs = HEADER.unpack_from(data)
    # from the end: symbol tables may stand after the header
    arcs_begin = len(data) - num_arcs * ARC.itemsize
    states = np.frombuffer(data, STATE, num_states, arcs_begin - num_states * STATE.itemsize)
    arcs = np.frombuffer(data, ARC, num_arcs, arcs_begin)
    src = np.repeat(np.arange(num_states, dtype=np.int32), states["arcs"])
    fields = (np.ascontiguousarray(arcs[name]) for name in ("dst", "ilabel", "olabel", "weight"))
    return FstArrays(start, states["final"].copy(), src, *fields)


def to_fst(arrays: FstArrays) -> kaldifst.StdVectorFst:
    """Put an FST together; arcs may come in any order and keep it within their source state."""
    order = np.argsort(arrays.src, kind="stable")
    num_states = len(arrays.final)
    arcs = np.empty(len(order), ARC)
    for name in ("ilabel", "olabel", "weight", "dst"):
        arcs[name] = getattr(arrays, name)[order]
    states = np.empty(num_states, STATE)
    states["final"] = arrays.final
    states["arcs"] = np.bincount(arrays.src, minlength=num_states)
    states["first"] = np.cumsum(states["arcs"]) - states["arcs"]
    for name, labels in (("input_epsilons", arrays.ilabel), ("output_epsilons", arrays.olabel)):
        states[name] = np.bincount(arrays.src[labels == 0], minlength=num_states)
    header = HEADER.pack(MAGIC, 5, b"const", 8, b"standard", 2, 0, EXPANDED, arrays.start, num_states, len(arcs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fst")
        path.write_bytes(header + states.tobytes() + arcs.tobytes())
        return kaldifst.StdVectorFst(kaldifst.StdConstFst.read(str(path)))
