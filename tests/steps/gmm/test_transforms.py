import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.gmm.transforms import Transform, read_transform, splice, write_transform


@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 4))
def test_splice_is_that_of_a_loop(frames, dim, context):
    x = np.random.default_rng(frames).normal(size=(frames, dim))
    expected = [
        np.concatenate([x[min(max(t + k, 0), frames - 1)] for k in range(-context, context + 1)]) for t in range(frames)
    ]
    np.testing.assert_array_equal(splice(x, context), expected)


def transform(seed=0):
    random = np.random.default_rng(seed)
    maps = {speaker: random.normal(size=(4, 5)) for speaker in ("ann", "ботаник")}
    return Transform(2, random.normal(size=(4, 15)), maps)


def features(seed=0):
    return np.random.default_rng(seed).normal(size=(20, 3)).astype(np.float32)


def test_what_it_does_to_features():
    t, x = transform(), features()
    common = splice(x, 2) @ t.matrix.T
    found = t(x, "ann")
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, common @ t.speakers["ann"][:, :4].T + t.speakers["ann"][:, 4], rtol=1e-4, atol=1e-4
    )
    for other in (t(x, "bob"), t.without_speakers()(x, "ann")):
        np.testing.assert_allclose(other, common, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(Transform()(x, "ann"), x)
    np.testing.assert_array_equal(Transform(2)(x, "ann"), splice(x, 2))


def test_transforms_one_behind_the_other():
    t, x = transform(), features()
    random = np.random.default_rng(1)
    square, w = random.normal(size=(4, 4)), random.normal(size=(4, 5))
    np.testing.assert_allclose(
        t.without_speakers().multiplied(square)(x, "bob"), t(x, "bob") @ square.T, rtol=1e-3, atol=1e-3
    )
    np.testing.assert_array_equal(Transform().multiplied(square).matrix, square)
    twice = t.adapted({"ann": w, "bob": w})
    for speaker in ("ann", "bob"):
        np.testing.assert_allclose(twice(x, speaker), t(x, speaker) @ w[:, :4].T + w[:, 4], rtol=1e-3, atol=1e-2)
    np.testing.assert_array_equal(twice(x, "ботаник"), t(x, "ботаник"))


KINDS = [
    transform(),
    transform().without_speakers(),
    Transform(3),
    Transform(0, None, {"a": np.eye(2, 3)}),
    Transform(),
]


@pytest.mark.parametrize("t", KINDS)
def test_file(t, tmp_path):
    write_transform(tmp_path, t)
    again = read_transform(tmp_path)
    assert again.context == t.context
    assert again.speakers.keys() == t.speakers.keys()
    assert (again.matrix is None) == (t.matrix is None)
    for speaker, w in t.speakers.items():
        np.testing.assert_array_equal(again.speakers[speaker], w)
    if t.matrix is not None:
        np.testing.assert_array_equal(again.matrix, t.matrix)


def test_what_does_nothing(tmp_path):
    assert read_transform(tmp_path).does_nothing
    assert [t.does_nothing for t in KINDS] == [False, False, False, False, True]


def test_damaged_file(tmp_path):
    (tmp_path / "transform.npz").write_bytes(b"PK\3\4 no npz")
    with pytest.raises(InputError, match=r"transform\.npz is damaged"):
        read_transform(tmp_path)
