from collections import Counter

import numpy as np

from steps.ali.durations import Durations, durations, occurrences, phone_durations
from steps.hmm.topology import left_to_right, silence
from steps.hmm.transitions import transition_model
from steps.hmm.tree import monophone_tree

TOPOLOGY = {1: silence(5), 2: left_to_right(3)}
MODEL = transition_model(TOPOLOGY, monophone_tree(TOPOLOGY))


def arc(phone, state, dest):
    """The transition-id of an arc."""
    tids = range(1, MODEL.num_tids + 1)
    [tid] = [
        tid
        for tid in tids
        if (MODEL.tid_to_phone[tid], MODEL.tid_to_hmm_state[tid], MODEL.tid_to_next[tid]) == (phone, state, dest)
    ]
    return tid


def walk(phone, *states):
    """Transition-ids of a phone that stays so many frames in each state: (state, frames), ..."""
    tids = []
    for (state, frames), (dest, _) in zip(states, [*states[1:], (len(TOPOLOGY[phone]), 0)], strict=True):
        tids += [arc(phone, state, dest)] + [arc(phone, state, state)] * (frames - 1)
    return tids


# silence 0, 3, 1, 3, 4 goes through state 3 twice and never through 2
UTTERANCE = np.array([
    *walk(1, (0, 2), (3, 1), (1, 3), (3, 2), (4, 1)),
    *walk(2, (0, 1), (1, 4), (2, 2)),
    *walk(2, (0, 3), (1, 1), (2, 1)),
])  # fmt: skip


def test_occurrences():
    found = occurrences(MODEL, UTTERANCE)
    assert [tuple(o) for o in found] == [
        (1, 0, 9, (2, 3, 0, 3, 1)),
        (2, 9, 7, (1, 4, 2)),
        (2, 16, 5, (3, 1, 1)),
    ]


def test_phones_and_states():
    found = phone_durations(Counter((o.phone, o.states) for _ in range(3) for o in occurrences(MODEL, UTTERANCE)))
    assert list(found) == [1, 2]
    silent, states = found[1]
    assert silent == Durations(3, 9.0, 9.0, 9.0, 9.0)
    assert [state and state.median for state in states] == [2, 3, None, 3, 1]
    spoken, states = found[2]
    assert spoken == durations([7, 5] * 3)
    assert states == [durations([1, 3] * 3), durations([4, 1] * 3), durations([2, 1] * 3)]


def test_figures():
    frames = np.random.default_rng(0).integers(1, 30, 1000)
    found = durations(frames)
    assert found.count == 1000
    assert abs(found.mean - frames.mean()) < 0.006
    assert found.median == np.sort(frames)[499:501].mean()
    for percentile, share in ((found.p5, 0.05), (found.p95, 0.95)):
        assert (frames < percentile).mean() <= share <= (frames <= percentile).mean()
