"""Phonetic questions, for phones whose likeness is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.hmm.topology import left_to_right, silence
from steps.tree.questions import phone_questions
from steps.tree.stats import TreeStats

SILENCE = {1, 2}
TOPOLOGY = {1: silence(5), 2: silence(5), **{phone: left_to_right(3) for phone in range(3, 9)}}
ALONE = [{phone} for phone in TOPOLOGY]
# of the middle state; no frame of phone 8 was seen
MEANS = {1: -90.0, 2: -80.0, 3: 0.0, 4: 1.0, 5: 3.0, 6: 20.0, 7: 21.5}


def stats_of(means, random=None):
    """Ten frames for a phone's pdf class, in two contexts; only the middle class has the mean that is given."""
    rows = []
    for phone, mean in means.items():
        classes = len(TOPOLOGY[phone])
        for pdf_class in range(classes):
            center = mean if pdf_class == classes // 2 else 7.0 * (phone % 3)
            for left in (0, 3):
                frames = np.linspace(center - 1, center + 1, 5)[:, None]
                if random is not None:
                    frames = random.normal(center, 1, (5, 1))
                rows.append((left, phone, 3, pdf_class, 5, frames.sum(), (frames**2).sum()))
    table = np.array(sorted(rows))
    return TreeStats(
        1, table[:, :3].astype(int), table[:, 3].astype(int), table[:, 4], table[:, 5:6].copy(), table[:, 6:].copy()
    )


def test_clusters_singles_and_silence():
    found = phone_questions(stats_of(MEANS), TOPOLOGY, ALONE, SILENCE)
    expected = [
        {1, 2, 3, 4, 5, 6, 7},
        {3, 4, 5, 6, 7},
        {0, 1, 2},
        {3, 4, 5},
        {1, 2},
        {3, 4},
        {6, 7},
        *ALONE,
    ]
    assert found == expected  # the largest first, then by phone


def test_the_silence_need_not_be_a_cluster():
    found = phone_questions(stats_of(MEANS | {2: 0.5}), TOPOLOGY, ALONE, SILENCE)
    assert {frozenset({1, 2}), frozenset({0, 1, 2}), frozenset({2, 3, 4})} <= set(found)


def test_extra_questions_may_divide_sets():
    sets = [{1}, {2}, {3, 4}, {5, 6}, {7, 8}]
    extra = [frozenset({3, 5, 7}), frozenset({4, 6, 8}), frozenset({5, 6})]
    before, found = (phone_questions(stats_of(MEANS), TOPOLOGY, sets, SILENCE, more) for more in ((), extra))
    assert set(found) == {*before, *extra}
    assert len(found) == len(before) + 2
    assert [len(question) for question in found] == sorted(map(len, found), reverse=True)


def test_no_silence():
    found = phone_questions(stats_of(MEANS), TOPOLOGY, ALONE, set())
    assert frozenset() not in found
    assert {0} in found, "the outside of the utterance can be asked about all the same"


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_questions_are_nested_unions_of_sets(data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    groups = data.draw(st.lists(st.integers(0, 3), min_size=6, max_size=6))
    sets = [{1}, {2}, *({p for p, g in zip(range(3, 9), groups, strict=True) if g == k} for k in sorted(set(groups)))]
    seen = data.draw(st.sets(st.sampled_from(range(1, 9)), min_size=1))
    stats = stats_of({phone: random.normal(0, 10) for phone in sorted(seen)}, random)
    found = phone_questions(stats, TOPOLOGY, sets, SILENCE)
    assert len(set(found)) == len(found)
    assert all(frozenset(phones) in found for phones in sets)
    for question in found:
        for phones in sets:
            assert phones <= question or not phones & question
    clusters = set(found) - {frozenset({1, 2}), frozenset({0, 1, 2})}
    assert all(a <= b or b <= a or not a & b for a in clusters for b in clusters)
    assert frozenset(phone for phones in sets if phones & seen for phone in phones) in found
    assert phone_questions(stats, TOPOLOGY, sets[::-1], SILENCE) == found


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([*ALONE, {3, 4}], "phones 3 4 are in more than one phone set; put each phone into one"),
        (ALONE[:-1], "phone 8 is in no phone set; put each phone of the topology into one"),
        ([*ALONE, {9}, {10}], "phones 9 10 are in a phone set, but not in the topology; take both from one lang"),
        ([{1, 3}, {2}, {4}, *ALONE[4:]], "phones 1 3 are one set, but differ in their number of pdf classes"),
    ],
)
def test_bad_sets(sets, message):
    with pytest.raises(InputError, match=message):
        phone_questions(stats_of(MEANS), TOPOLOGY, sets, SILENCE)


def test_sets_of_two_kinds():
    with pytest.raises(InputError, match="phones 1 2 are one set, but only some of them are context-independent"):
        phone_questions(stats_of(MEANS), TOPOLOGY, [{1, 2}, *ALONE[2:]], {1})


def test_statistics_of_other_phones():
    topology = {phone: TOPOLOGY[phone] for phone in range(1, 7)}
    with pytest.raises(InputError, match="phone 7 is in the statistics, but not in the topology; align with the same"):
        phone_questions(stats_of(MEANS), topology, ALONE[:6], SILENCE)
