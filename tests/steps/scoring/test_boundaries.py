from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.corpus.ctm import Timed
from steps.feats.compute import compute_features
from steps.feats.options import FbankOptions
from steps.scoring.boundaries import agreement, boundary_offsets, frame_boundary, times_of_frames

PHONES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 300)), min_size=1, max_size=12)


def timed(phones, shift=0.0):
    """Phones and their milliseconds, one after the other."""
    ends = np.cumsum([0, *(ms for _, ms in phones)]) / 1000 + shift
    return [Timed(float(start), ms / 1000, phone) for (phone, ms), start in zip(phones, ends, strict=False)]


@given(PHONES, st.integers(-400, 400))
def test_the_same_phones_are_compared_one_to_one(phones, shift_ms):
    offsets = boundary_offsets(timed(phones), timed(phones, shift_ms / 1000))
    np.testing.assert_allclose(offsets, np.full(len(phones) - 1, shift_ms / 1000), atol=1e-9)


@given(PHONES, PHONES)
def test_no_boundary_is_compared_with_two_others(left, right):
    """Starts that are all different tell which boundaries were compared: (a - b) of powers of two is unique."""
    reference = [Timed(2.0**i, 1.0, phone) for i, (phone, _) in enumerate(left)]
    hypothesis = [Timed(2.0 ** (i + 20), 1.0, phone) for i, (phone, _) in enumerate(right)]
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


def test_boundary_lies_between_the_middles_of_two_frames():
    """A click moves the frames whose window it is in the middle of most: their middles surround the boundary."""
    rate, frame = 16000, 20
    samples = np.full(rate // 2, 1e-3, dtype=np.float32)
    samples[round(frame_boundary(frame) * rate)] = 0.5
    options = FbankOptions(sample_rate=rate)
    energy = compute_features(samples, options, "u").mean(axis=1)
    assert set(np.argsort(energy)[-2:]) == {frame - 1, frame}
    assert energy[frame - 1] == pytest.approx(energy[frame], abs=0.1)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.sampled_from([(10.0, 25.0), (12.5, 50.0)]))
def test_frames_become_times_without_gaps(lengths, frames):
    firsts = np.cumsum([0, *lengths])
    phones = [("a", int(first), n) for first, n in zip(firsts, lengths, strict=False)]
    times = times_of_frames(phones, *frames)
    for (_, _, n), phone in zip(phones, times, strict=True):
        assert phone.duration == pytest.approx(n * frames[0] / 1000)
    for one, other in pairwise(times):
        assert one.start + one.duration == pytest.approx(other.start)


@given(st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=50), st.integers(1, 60))
def test_agreement_counts(microseconds, tolerance):
    result = agreement(np.array(microseconds) / 1e6, [tolerance])
    assert result.boundaries == len(microseconds)
    assert result.within == {tolerance: np.mean([abs(us) <= 1000 * tolerance for us in microseconds])}
    assert result.median_ms == pytest.approx(np.median(np.abs(microseconds)) / 1000)
    assert result.mean_ms == pytest.approx(np.mean(microseconds) / 1000)
