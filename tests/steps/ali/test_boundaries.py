from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.ali.boundaries import agreement, boundary_offsets
from steps.corpus.ctm import Token

PHONES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 300)), min_size=1, max_size=12)


def timed(phones, shift=0.0):
    """Phones and their milliseconds, one after the other."""
    ends = np.cumsum([0, *(ms for _, ms in phones)]) / 1000 + shift
    return [Token(phone, float(a), float(b)) for (phone, _), (a, b) in zip(phones, pairwise(ends), strict=True)]


@given(PHONES, st.integers(-400, 400))
def test_the_same_phones_are_compared_one_to_one(phones, shift_ms):
    offsets = boundary_offsets(timed(phones), timed(phones, shift_ms / 1000))
    np.testing.assert_allclose(offsets, np.full(len(phones) - 1, shift_ms / 1000), atol=1e-9)


@given(PHONES, PHONES)
def test_no_boundary_is_compared_with_two_others(left, right):
    """Starts that are all different tell which boundaries were compared: (a - b) of powers of two is unique."""
    reference = [Token(phone, 2.0**i, 2.0**i + 1) for i, (phone, _) in enumerate(left)]
    hypothesis = [Token(phone, 2.0 ** (i + 20), 2.0 ** (i + 20) + 1) for i, (phone, _) in enumerate(right)]
    pairs = {
        float(h.start - r.start): (i, j) for i, r in enumerate(reference) for j, h in enumerate(hypothesis) if i and j
    }
    compared = [pairs[offset] for offset in boundary_offsets(reference, hypothesis)]
    assert compared == sorted(compared)
    for side in zip(*compared, strict=True):
        assert len(set(side)) == len(side)
    for i, j in compared:
        assert left[i - 1][0] + left[i][0] == right[j - 1][0] + right[j][0]


def test_a_pause_that_one_side_lacks_costs_its_own_boundaries_only():
    reference = timed([("SIL", 100), ("a", 50), ("SIL", 80), ("b", 70), ("c", 60)])
    hypothesis = timed([("SIL", 110), ("a", 90), ("b", 90), ("c", 60)])
    np.testing.assert_allclose(boundary_offsets(reference, hypothesis), [0.01, -0.01])  # of SIL a and b c


@given(st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=50), st.integers(1, 60))
def test_agreement_counts(microseconds, tolerance):
    result = agreement(np.array(microseconds) / 1e6, [tolerance])
    assert result.boundaries == len(microseconds)
    assert result.within == {tolerance: np.mean([abs(us) <= 1000 * tolerance for us in microseconds])}
    assert result.median_ms == pytest.approx(np.median(np.abs(microseconds)) / 1000)
    assert result.mean_ms == pytest.approx(np.mean(microseconds) / 1000)


@given(st.floats(-0.5, 0.5), st.integers(1, 50))
def test_the_same_offset_everywhere_is_taken_away(offset, boundaries):
    assert agreement(np.full(boundaries, offset)).within_of_mean == {10: 1, 20: 1, 50: 1}
