import kaldi_native_io
import numpy as np
import pytest

from steps.errors import InputError
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


def test_archives_end_to_end(tmp_path):
    one, two = tmp_path / "1.ark", tmp_path / "2.ark"
    append_matrix(one, "a", ARRAYS[0])
    offset = append_matrix(two, "b", ARRAYS[0] + 1)
    offset += append_file(one, two)
    assert not two.exists()
    np.testing.assert_array_equal(read_array(f"1.ark:{offset}", tmp_path), ARRAYS[0] + 1)
    with kaldi_native_io.SequentialFloatMatrixReader(f"ark:{one}") as reader:
        assert [key for key, _ in reader] == ["a", "b"]
