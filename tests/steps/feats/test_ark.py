import kaldi_native_io
import numpy as np
import pytest

from steps.base.errors import InputError
from steps.feats.ark import append_file, append_matrix, read_array

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.arange(6, dtype=np.float64).reshape(3, 2),
    np.arange(4, dtype=np.float32),
    np.arange(5, dtype=np.int32),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.ndim}d")
def test_there_and_back(array, tmp_path):
    ark = tmp_path / "a b.ark"
    offsets = {key: append_matrix(ark, key, array + i) for i, key in enumerate(["utt1", "ютт2"])}
    for i, offset in enumerate(offsets.values()):
        result = read_array(f"{ark}:{offset}", tmp_path, ndim=array.ndim)
        assert result.dtype == array.dtype
        np.testing.assert_array_equal(result, array + i)
    with pytest.raises(InputError, match=f"{array.ndim} dimensions and not 3 at byte"):
        read_array(f"{ark}:{offsets['utt1']}", tmp_path, ndim=3)
    ark.write_bytes(ark.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged"):
        read_array(f"{ark}:{offsets['ютт2']}", tmp_path, ndim=array.ndim)


@pytest.mark.parametrize("array", [*ARRAYS, ARRAYS[0][:1]], ids=lambda array: f"{array.dtype}-{array.shape}")
def test_archive_in_text_form(array, tmp_path):
    """Kaldi's ``ark,t``, as its own writers make it; what is cut off is refused."""
    kinds = {"float32": "Float", "float64": "Double", "int32": "Int32"}
    writer = getattr(kaldi_native_io, f"{kinds[str(array.dtype)]}{'Matrix' if array.ndim == 2 else 'Vector'}Writer")
    with writer(f"ark,t,scp:{tmp_path}/a.ark,{tmp_path}/a.scp") as file:
        for key in ("a", "b"):
            file.write(key, array.tolist() if array.dtype == np.int32 else array)
    _, entry = (tmp_path / "a.scp").read_text().splitlines()[1].split()
    found = read_array(entry, tmp_path, ndim=array.ndim)
    np.testing.assert_array_equal(found, array)
    if array.dtype != np.int32:
        (tmp_path / "a.ark").write_bytes((tmp_path / "a.ark").read_bytes()[:-3])
        with pytest.raises(InputError, match=r"a\.ark: no matrix or vector at byte \d+: damaged"):
            read_array(entry, tmp_path, ndim=array.ndim)


@pytest.mark.parametrize("text", ["", "x", "[ 1 x ]", "[\n 1 2\n 3 ]", "1.5 2", "[ 1", "99999999999", "cat a.ark |"])
def test_text_that_is_no_array(text, tmp_path):
    (tmp_path / "a.ark").write_text(f"utt {text}\n")
    with pytest.raises(InputError, match=r"a\.ark: no matrix or vector at byte 4: damaged"):
        read_array("a.ark:4", tmp_path, ndim=1)


def test_archives_end_to_end(tmp_path):
    one, two = tmp_path / "1.ark", tmp_path / "2.ark"
    append_matrix(one, "a", ARRAYS[0])
    offset = append_matrix(two, "b", ARRAYS[0] + 1)
    offset += append_file(one, two)
    assert not two.exists()
    np.testing.assert_array_equal(read_array(f"1.ark:{offset}", tmp_path), ARRAYS[0] + 1)
    with kaldi_native_io.SequentialFloatMatrixReader(f"ark:{one}") as reader:
        assert [key for key, _ in reader] == ["a", "b"]
