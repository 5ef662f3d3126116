import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.corpus.split import normalise_transcript, stable_split

TRANSCRIPTS = st.dictionaries(st.text(min_size=1), st.text("ab ,AB'é"), max_size=30)
SHARES = st.sampled_from([{"train": 80, "dev": 10, "test": 10}, {"a": 50, "b": 0, "c": 50}, {"all": 100}])


@settings(deadline=None)
@given(TRANSCRIPTS, SHARES)
def test_each_utterance_is_in_one_set_and_each_transcript_too(transcripts, shares):
    sets = stable_split(transcripts, shares)
    assert list(sets) == list(shares)
    assert sorted(utt for utts in sets.values() for utt in utts) == sorted(transcripts)
    said = [{normalise_transcript(transcripts[utt]) for utt in utts} for utts in sets.values()]
    assert sum(map(len, said)) == len(set().union(*said))
    assert all(not sets[name] for name, share in shares.items() if share == 0)


@settings(deadline=None)
@given(TRANSCRIPTS, SHARES, st.data())
def test_an_utterance_goes_where_it_goes_without_the_others(transcripts, shares, data):
    sets = stable_split(transcripts, shares)
    kept = data.draw(st.permutations(sorted(transcripts)))[: len(transcripts) // 2]
    part = stable_split({utt: transcripts[utt] for utt in kept}, shares)
    for name in shares:
        assert part[name] == [utt for utt in sets[name] if utt in kept]


def test_shares_are_met_on_average():
    sets = stable_split({str(i): f"sentence number {i}" for i in range(10000)})
    assert all(abs(len(utts) - share) < 150 for utts, share in zip(sets.values(), (8000, 1000, 1000), strict=True))


def test_the_split_is_the_same_for_ever():
    sets = stable_split({str(i): f"sentence {i}" for i in range(20)})
    assert (sets["dev"], sets["test"]) == (["13", "5"], [])  # md5sum of "sentence 13" and "sentence 5": d5..., d5...


@pytest.mark.parametrize("shares", [{"train": 0.8, "test": 0.2}, {"train": 110, "test": -10}, {}])
def test_shares_that_do_not_add_up(shares):
    with pytest.raises(InputError, match="percentages that add up to 100"):
        stable_split({"a": "b"}, shares)
