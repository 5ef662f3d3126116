import numpy as np
import pytest

from steps.ali.confidence import DOUBTFUL_GMM, DOUBTFUL_NETWORK, STRETCH, doubtful_stretch, phone_log_posteriors
from steps.hmm.topology import left_to_right, silence
from steps.hmm.transitions import transition_model
from steps.hmm.tree import Tree

# phones 2 and 3 share pdf 5, as the phones of a common tree root may
TOPOLOGY = {1: silence(5), 2: left_to_right(3), 3: left_to_right(3)}
MODEL = transition_model(TOPOLOGY, Tree(1, 0, {1: [0, 1, 2, 3, 4], 2: [5, 6, 7], 3: [5, 8, 9]}))
PDFS = {1: [0, 1, 2, 3, 4], 2: [5, 6, 7], 3: [5, 8, 9]}


@pytest.mark.parametrize("scale", [0.1, 0.5, 1.0])
def test_is_the_share_of_the_phones_pdfs(scale):
    random = np.random.default_rng(0)
    tids = random.integers(1, MODEL.num_tids + 1, 200)
    scores = random.normal(0, 3, (200, 10)).astype(np.float32)
    found = phone_log_posteriors(scores, tids, MODEL, scale)
    assert (found.dtype, found.shape) == (np.float32, (200,))
    for t, tid in enumerate(tids):
        likelihoods = [float(score) * scale for score in scores[t]]
        own = sum(np.exp(likelihoods[pdf]) for pdf in PDFS[MODEL.tid_to_phone[tid]])
        assert found[t] == pytest.approx(np.log(own / sum(np.exp(likelihoods))), abs=1e-5)


def test_phones_that_count_as_one():
    random = np.random.default_rng(1)
    tids = random.integers(1, MODEL.num_tids + 1, 50)
    scores = random.normal(0, 3, (50, 10)).astype(np.float32)
    found = phone_log_posteriors(scores, tids, MODEL, 0.5, [{1}, {2, 3}])
    for t, tid in enumerate(tids):
        likelihoods = np.exp(0.5 * scores[t].astype(float))
        own = likelihoods[:5] if MODEL.tid_to_phone[tid] == 1 else likelihoods[5:]
        assert found[t] == pytest.approx(np.log(own.sum() / likelihoods.sum()), abs=1e-5)


def test_far_likelihoods_neither_overflow_nor_exceed_one():
    scores = np.full((2, 10), -1e4, np.float32)
    scores[0, 5:8] = 1e4
    tid = int(MODEL.first_tid[MODEL.state_index[2, 0, 5]])
    found = phone_log_posteriors(scores, np.array([tid, tid]), MODEL, 1.0)
    assert found[0] == 0
    assert found[1] == pytest.approx(np.log(3 / 10), abs=1e-3)
    scores[0, 5:8], scores[0, 0] = -1e4, 1e4
    assert phone_log_posteriors(scores, np.array([tid, tid]), MODEL, 1.0)[0] == pytest.approx(-2e4, rel=1e-3)


def test_a_sentence_that_is_not_there_shows_in_a_long_recording():
    T = 20 * STRETCH
    spoken = np.arange(T) % 7 > 2
    frames = np.flatnonzero(spoken)
    scores = np.where(spoken, -0.5, -9.0).astype(np.float32)  # silence does not count
    assert doubtful_stretch(scores, spoken, DOUBTFUL_GMM) is None
    scores[frames[5 * STRETCH : 6 * STRETCH]] = -5
    first, end, confidence = doubtful_stretch(scores, spoken, DOUBTFUL_GMM)
    assert (first, end) == (frames[5 * STRETCH], frames[6 * STRETCH - 1] + 1)
    assert confidence == pytest.approx(np.exp(-5))


@pytest.mark.parametrize("limit", [DOUBTFUL_GMM, DOUBTFUL_NETWORK])
@pytest.mark.parametrize("length", [1, STRETCH - 1, STRETCH])
def test_the_limit_of_doubt(length, limit):
    spoken = np.ones(length, bool)
    assert doubtful_stretch(np.full(length, np.log(limit) + 0.01, np.float32), spoken, limit) is None
    assert doubtful_stretch(np.full(length, np.log(limit) - 0.01, np.float32), spoken, limit)[:2] == (0, length)


def test_without_speech_there_is_no_doubt():
    assert doubtful_stretch(np.full(9, -9.0, np.float32), np.zeros(9, bool), DOUBTFUL_GMM) is None
