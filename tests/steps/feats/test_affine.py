import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from steps.base.errors import InputError
from steps.feats.affine import apply_affine, log_determinant

SHAPES = st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(1, 4), st.booleans())


@given(SHAPES, st.data())
def test_every_frame_is_transformed(shape, draw):
    frames, dim, rows, offset = shape
    numbers = st.integers(-9, 9)
    x = draw.draw(arrays(np.float32, (frames, dim), elements=numbers))
    W = draw.draw(arrays(np.float64, (rows, dim + offset), elements=numbers))
    found = apply_affine(W, x)
    assert found.dtype == np.float32
    assert found.shape == (frames, rows)
    for t in range(frames):
        for d in range(rows):
            assert found[t, d] == sum(W[d, i] * x[t, i] for i in range(dim)) + (W[d, dim] if offset else 0)


def test_sums_are_of_the_wider_type():
    x = np.array([[2**25, 1, -(2**25)]], np.float32)  # 2²⁵ + 1 has no float32
    assert apply_affine(np.ones((1, 3)), x).tolist() == [[1]]


def test_transform_of_other_features():
    message = r"a transform of 40 x 118 is for features of 118 dimensions, or 117 with an offset; these have 39"
    with pytest.raises(InputError, match=message):
        apply_affine(np.zeros((40, 118)), np.zeros((5, 39)))


def test_log_determinant():
    A = np.random.default_rng(0).normal(size=(4, 4))
    assert log_determinant(A) == pytest.approx(np.log(abs(np.linalg.det(A))))
    assert log_determinant(-A[[1, 0, 2, 3]]) == pytest.approx(log_determinant(A))
    assert log_determinant(np.hstack([A, np.ones((4, 1))])) == pytest.approx(log_determinant(A))
