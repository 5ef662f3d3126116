import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from steps.ali.directory import Aligned, read_aligned
from steps.ali.labels import labeller_of
from steps.base.errors import InputError
from steps.corpus.tables import read_table, write_table
from steps.hmm.tree import read_tree, write_tree
from steps.prepare_lang import prepare_lang
from tests.steps import synthetic


@pytest.fixture(scope="module")
def labeller(work, ali):
    return labeller_of(read_aligned(ali), work / "lang")


def spoken_words(words, spoken):
    """The seconds at which words begin and end, of what `synthetic.speak` gave."""
    lengths = {line.split()[0]: len(line.split()) - 1 for line in synthetic.LEXICON.splitlines()}
    times, begin = [], 0.0
    for phone, samples in spoken:
        end = begin + len(samples) / synthetic.RATE
        if phone != "SIL":
            times.append((begin, end))
        begin = end
    found = []
    for word in words:
        phones, times = times[: lengths[word]], times[lengths[word] :]
        found.append((phones[0][0], phones[-1][1]))
    assert not times
    return found


def test_words_are_where_they_are_spoken(work, ali, labeller):
    aligned = read_aligned(ali)
    random = np.random.default_rng(1)  # of the dev set
    errors = []
    for utterance, words in synthetic.sentences("dev", synthetic.SIZES["dev"], 1).items():
        expected = spoken_words(words, synthetic.speak(words, random))
        found = labeller.labels(utterance, aligned.text[utterance], aligned[utterance])
        assert [word.text for word in found.words] == words
        for token, (begin, end) in zip(found.words, expected, strict=True):
            errors += [token.start - begin, token.end - end]
    assert np.abs(errors).max() < 0.04


def test_phones_fill_the_utterance(ali, labeller):
    for utterance, aligned in read_aligned(ali).items():
        words, phones = labeller.labels(utterance, read_aligned(ali).text[utterance], aligned)
        assert phones[0].start == 0
        assert phones[-1].end == pytest.approx(0.01 * len(aligned.tids) + 0.015)
        for one, other in pairwise(phones):
            assert one.end == other.start
        assert {time for word in words for time in (word.start, word.end)} <= {
            time for phone in phones for time in (phone.start, phone.end)
        }
        tiers = labeller.tiers(labeller.labels(utterance, read_aligned(ali).text[utterance], aligned))
        assert [phone.text for phone in tiers["phones"]] == [phone.text for phone in phones if phone.text != "SIL"]


def test_confidence_is_the_geometric_mean(ali, labeller):
    aligned = read_aligned(ali)
    utterance = "dev-00"
    tids = aligned[utterance].tids
    posteriors = np.random.default_rng(0).uniform(0.1, 1, len(tids))
    made_up = Aligned(tids, np.log(posteriors).astype(np.float32), 0.0)
    for tokens in labeller.labels(utterance, aligned.text[utterance], made_up):
        for token in tokens:
            first, last = (round((time - 0.0075) / 0.01) if time else 0 for time in (token.start, token.end))
            last = min(last, len(tids))
            expected = np.prod(posteriors[first:last]) ** (1 / (last - first))
            assert token.confidence == pytest.approx(expected, rel=1e-5)


def test_another_transcript_is_refused(ali, labeller):
    aligned = read_aligned(ali)
    with pytest.raises(
        InputError,
        match=r"utterance dev-00: the phones of its alignment are no pronunciation of its transcript in .*lang",
    ):
        labeller.labels("dev-00", "bad bad bad bad", aligned["dev-00"])


def test_words_taken_as_the_unknown_word_keep_their_spelling(work, tmp_path, labeller):
    tids = read_aligned_word(labeller, "SPN")
    [word] = labeller.labels("u", "zyzzyva", Aligned(tids, np.zeros(len(tids), np.float32), 0.0)).words
    assert (word.text, word.confidence) == ("zyzzyva", 1.0)


def read_aligned_word(labeller, name):
    """Transition-ids of a phone that goes straight through its first, inner and last state."""
    model = labeller.transitions
    [phone] = [number for number, phone in labeller.phone_names.items() if phone == name]
    steps = [(phone, 0, 1), (phone, 1, 4), (phone, 4, 5)]
    arcs = zip(model.tid_to_phone, model.tid_to_hmm_state, model.tid_to_next, strict=True)
    by_arc = {arc: tid for tid, arc in enumerate(arcs)}
    return np.array([by_arc[step] for step in steps])


def test_lang_directory_that_lacks_a_phone(work, tmp_path, ali):
    dictionary = shutil.copytree(work / "dict", tmp_path / "dict")
    (dictionary / "nonsilence_phones.txt").write_text("A B")
    (dictionary / "lexicon.txt").write_text("<UNK> SPN\nbad B A\n")
    (tmp_path / "train").mkdir()
    write_table(tmp_path / "train/text", {"u": "bad"})
    prepare_lang(tmp_path / "train", dictionary, tmp_path / "lang")
    with pytest.raises(InputError, match=r"lang/phones\.txt and .*mono_ali/tree\.json: their tables of phones"):
        labeller_of(read_aligned(ali), tmp_path / "lang")
    old = Path(shutil.copytree(ali, tmp_path / "old"))
    write_tree(old / "tree.json", replace(read_tree(old / "tree.json"), phones=None))
    with pytest.raises(InputError, match=r"lang/phones\.txt has no phone 5, which .*old has; use the lang dir"):
        labeller_of(read_aligned(old), tmp_path / "lang")


def test_optional_silence_that_is_no_phone(copy, ali):
    lang = copy("lang")
    (lang / "phones/optional_silence.txt").write_text("SIL\nSPN\n")
    with pytest.raises(
        InputError, match=r"optional_silence\.txt: 'SIL SPN' is not one of the phones in phones\.txt; make"
    ):
        labeller_of(read_aligned(ali), lang)


@pytest.mark.parametrize("name", ["scores.scp", "utt2loglike", "text", "ali.json", "ali.scp"])
def test_what_an_alignment_directory_lacks_is_named(ali, tmp_path, name):
    folder = shutil.copytree(ali, tmp_path / "ali")
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"ali: .*it has no {name}; make"):
        read_aligned(folder)


@pytest.mark.parametrize("name", ["scores.scp", "utt2loglike", "text"])
def test_an_utterance_that_a_table_lacks_is_named(ali, tmp_path, name):
    folder = shutil.copytree(ali, tmp_path / "ali")
    table = read_table(folder / name)
    del table["dev-07"]
    write_table(folder / name, table)
    with pytest.raises(InputError, match=rf"ali: utterance 'dev-07' is in ali\.scp, but not in {name}; align again"):
        read_aligned(folder)


def test_scores_of_another_length(ali, tmp_path):
    folder = shutil.copytree(ali, tmp_path / "ali")
    table = read_table(folder / "scores.scp", verbatim=True)
    write_table(folder / "scores.scp", table | {"dev-07": table["dev-08"]})
    with pytest.raises(InputError, match=r"utterance dev-07 has \d+ frames in ali\.scp, but \d+ in scores\.scp; align"):
        read_aligned(folder)["dev-07"]
