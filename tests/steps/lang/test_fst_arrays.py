import kaldifst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.lang.fst_arrays import FstArrays, read_fst, to_arrays, to_fst

ARCS = ("src", "dst", "ilabel", "olabel", "weight")
costs = st.floats(-100, 100, width=32)
labels = st.integers(0, 2**31 - 1)


@st.composite
def graphs(draw):
    states = draw(st.integers(1, 6))
    number = st.integers(0, states - 1)
    arcs = draw(st.lists(st.tuples(number, number, labels, labels, costs | st.just(np.inf)), max_size=12))
    columns = list(zip(*arcs, strict=True)) or [()] * 5
    final = draw(st.lists(costs | st.just(np.inf), min_size=states, max_size=states))
    integers = [np.array(column, np.int32) for column in columns[:4]]
    return FstArrays(draw(number), np.array(final, np.float32), *integers, np.array(columns[4], np.float32))


def arcs_of(fst):
    return [
        (state, arc.nextstate, arc.ilabel, arc.olabel, arc.weight.value)
        for state in kaldifst.StateIterator(fst)
        for arc in kaldifst.ArcIterator(fst, state)
    ]


@settings(deadline=None)
@given(graphs())
def test_same_graph_seen_by_openfst_and_back(arrays):
    fst = to_fst(arrays)
    order = np.argsort(arrays.src, kind="stable")
    expected = list(zip(*(getattr(arrays, name)[order].tolist() for name in ARCS), strict=True))
    assert arcs_of(fst) == expected
    assert fst.start == arrays.start
    assert [fst.final(state).value for state in kaldifst.StateIterator(fst)] == arrays.final.tolist()
    again = to_arrays(fst)
    assert again.start == arrays.start
    np.testing.assert_array_equal(again.final, arrays.final)
    for name in ARCS:
        field = getattr(again, name)
        np.testing.assert_array_equal(field, getattr(arrays, name)[order])
        assert field.dtype == getattr(arrays, name).dtype


@settings(deadline=None)
@given(graphs())
def test_properties_are_found_out_anew(arrays):
    # an FST that claimed to be sorted would be composed wrongly, without a word
    fst = to_fst(arrays)
    kaldifst.arcsort(fst, "ilabel")
    for state in kaldifst.StateIterator(fst):
        sorted_labels = [arc.ilabel for arc in kaldifst.ArcIterator(fst, state)]
        assert sorted_labels == sorted(sorted_labels)


def test_no_states():
    arrays = to_arrays(kaldifst.StdVectorFst())
    assert arrays.start == -1
    assert len(arrays.final) == len(arrays.src) == 0
    assert to_fst(arrays).start == -1


def test_symbol_tables_in_the_file_are_passed_over():
    fst = kaldifst.compile("0 1 3 5 0.5\n1 0.25")
    fst.input_symbols = kaldifst.SymbolTable.from_str("a 3\nlonger 7")
    arrays = to_arrays(fst)
    assert (arrays.ilabel.tolist(), arrays.olabel.tolist(), arrays.weight.tolist()) == ([3], [5], [0.5])
    assert arrays.final.tolist() == [np.inf, 0.25]


def test_read(tmp_path, capfd):
    path = tmp_path / "G.fst"
    with pytest.raises(InputError, match=r"G.fst: the graph is missing; make it again with steps.train_lm"):
        read_fst(path, "steps.train_lm")
    assert capfd.readouterr().err == ""
    kaldifst.compile("0 1 1 1 0\n1 0").write(str(path))
    whole = path.read_bytes()
    assert read_fst(path, "steps.train_lm").num_states == 2
    for damaged in (whole[:-5], whole[:30], b"", b"something else"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"G.fst: the graph is damaged; make it again"):
            read_fst(path, "steps.train_lm")
    kaldifst.StdVectorFst().write(str(path))
    with pytest.raises(InputError, match=r"G.fst: the graph is empty; make it again"):
        read_fst(path, "steps.train_lm")
