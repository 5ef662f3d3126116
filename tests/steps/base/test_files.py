import numpy as np
import pytest

from steps.base.errors import InputError
from steps.base.files import read_arrays, read_json


def test_what_was_written_is_read(tmp_path):
    (tmp_path / "tree.json").write_text('{"é": [1, 2]}', encoding="utf-8")
    assert read_json(tmp_path / "tree.json") == {"é": [1, 2]}
    np.savez(tmp_path / "gmm.npz", means=np.arange(3), weights=np.ones(2))
    weights, means = read_arrays(tmp_path / "gmm.npz", "weights", "means")
    assert weights.tolist() == [1, 1]
    assert means.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"tree\.json is missing; make .* again"),
        (b'{"pdfs": ', r"tree\.json: not JSON"),
        (b"\xff", r"tree\.json: not JSON"),
        (b"{}", r"tree\.json: it lacks pdfs, context_width; remove it and make .* again"),
        (b"[]", r"tree\.json: no JSON object with pdfs, context_width; remove it and make .* again"),
    ],
)
def test_json_that_cannot_be_read_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "tree.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "tree.json", "pdfs", "context_width")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "no zip", "array", "pickle"])
def test_arrays_that_cannot_be_read_are_named(tmp_path, damage):
    path = tmp_path / "gmm.npz"
    np.savez(path, **{"other" if damage == "array" else "means": np.arange(1000)})
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "pickle":
        np.savez(path, means=np.array([{"any": "object"}], dtype=object))
    elif damage == "no zip":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif damage != "array":
        path.write_bytes({"empty": b"", "cut": whole[:500], "text": b"not an archive"}[damage])
    with pytest.raises(InputError, match=r"gmm\.npz is (missing|damaged)"):
        read_arrays(path, "means")
