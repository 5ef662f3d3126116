import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.ali.word_times import FrameTimes, divide, frame_times, phone_labels
from steps.feats.compute import compute_features
from steps.feats.options import FbankOptions, MfccOptions, to_json
from steps.lang.lexicon import Entry
from steps.lang.lexicon_fst import lexicon_fst

SIL = 1
PHONES = {"SIL": 1, "A": 2, "B": 3, "C": 4}
WORDS = {"u": 1, "v": 2, "w": 3}


@pytest.mark.parametrize(("rate", "shift", "length"), [(8000, 80, 200), (11025, 110, 275), (44100, 441, 1102)])
def test_boundaries_are_in_the_middle_of_what_both_frames_see(rate, shift, length):
    times = frame_times(to_json(MfccOptions(sample_rate=rate)) | {"cmvn_stats": [[0.0]]})
    frames = 50
    for t in range(1, frames):
        first, last = t * shift, (t - 1) * shift + length  # the samples that are in both
        assert times.boundary(t, frames) == pytest.approx((first + last) / 2 / rate, abs=1e-12)
    assert times.boundary(0, frames) == 0
    assert times.boundary(frames, frames) == pytest.approx(((frames - 1) * shift + length) / rate, abs=1e-12)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_boundaries_of_short_utterances_follow_one_another(frames):
    times = FrameTimes(0.01, 0.025)
    assert all(a < b for a, b in pairwise(times.boundary(t, frames) for t in range(frames + 1)))
    assert times.boundary(frames, frames) == pytest.approx(0.025 + 0.01 * (frames - 1))


def divisions(phones, words, lexicon, sil_prob):
    """All ways of reading phones as words: cost and the place of each word."""

    def after(i, j, cost, spans):
        for begin, silence in ((i, False), (i + 1, True)):
            if silence and not (sil_prob and i < len(phones) and phones[i] == SIL):
                continue
            here = cost - math.log(sil_prob if silence else 1 - sil_prob)
            if j == len(words):
                if begin == len(phones):
                    yield here, spans
                continue
            for entry in lexicon:
                pronunciation = [PHONES[phone] for phone in entry.phones]
                end = begin + len(pronunciation)
                if WORDS[entry.word] == words[j] and list(phones[begin:end]) == pronunciation:
                    yield from after(end, j + 1, here - math.log(entry.prob), [*spans, (begin, len(pronunciation))])

    return list(after(0, 0, 0.0, []))


entries = st.builds(
    Entry,
    st.sampled_from(sorted(WORDS)),
    st.sampled_from([0.25, 0.5, 1.0]),
    st.lists(st.sampled_from(["A", "B", "C", "SIL"]), min_size=1, max_size=3).map(tuple),
)
lexicons = st.lists(entries, min_size=3, max_size=8, unique_by=lambda entry: (entry.word, entry.phones)).filter(
    lambda lexicon: {entry.word for entry in lexicon} == set(WORDS)
)


@settings(max_examples=150, deadline=None)
@given(st.data(), lexicons, st.sampled_from([0.0, 0.3, 0.5]))
def test_division_is_one_of_the_cheapest(data, lexicon, sil_prob):
    spoken = data.draw(st.lists(st.sampled_from(lexicon), max_size=5))
    phones = []
    for entry in spoken:
        phones += [SIL] * data.draw(st.integers(0, 1 if sil_prob else 0)) + [PHONES[phone] for phone in entry.phones]
    words = [WORDS[entry.word] for entry in spoken]
    labelled = phone_labels(lexicon_fst(lexicon, PHONES, WORDS, sil_prob, "SIL"))
    possible = divisions(phones, words, lexicon, sil_prob)
    lowest = min(cost for cost, _ in possible)
    found = divide(phones, words, labelled)
    assert found in [spans for cost, spans in possible if cost < lowest + 1e-3]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.lists(st.integers(1, 3), max_size=3), lexicons)
def test_phones_that_are_no_pronunciation(phones, words, lexicon):
    found = divide(phones, words, phone_labels(lexicon_fst(lexicon, PHONES, WORDS, 0.5, "SIL")))
    assert (found is None) == (not divisions(phones, words, lexicon, 0.5))


def test_silence_of_a_word_is_the_words():
    lexicon = [Entry("u", 1.0, ("SIL",)), Entry("v", 1.0, ("A", "SIL", "B"))]
    labelled = phone_labels(lexicon_fst(lexicon, PHONES, WORDS, 0.5, "SIL"))
    assert divide([1, 2, 1, 3, 1, 1], [2, 1], labelled) in ([(1, 3), (4, 1)], [(1, 3), (5, 1)])
    assert divide([1], [], labelled) == []
    assert divide([], [], labelled) == []


def test_boundary_lies_between_the_middles_of_two_frames():
    """A click moves the frames whose window it is in the middle of most: their middles surround the boundary."""
    rate, frame = 16000, 20
    samples = np.full(rate // 2, 1e-3, dtype=np.float32)
    samples[round(FrameTimes(0.01, 0.025).boundary(frame, 48) * rate)] = 0.5
    options = FbankOptions(sample_rate=rate)
    energy = compute_features(samples, options, "u").mean(axis=1)
    assert set(np.argsort(energy)[-2:]) == {frame - 1, frame}
    assert energy[frame - 1] == pytest.approx(energy[frame], abs=0.1)
