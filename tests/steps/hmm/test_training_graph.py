import pytest

from steps.base.errors import InputError
from steps.hmm.training_graph import read_training_lexicon


def test_word_ids(work):
    lexicon = read_training_lexicon(work / "lang")
    assert lexicon.word_ids("u1", "fa bad fa") == [lexicon.words[word] for word in ("fa", "bad", "fa")]
    assert lexicon.word_ids("u1", "") == []


# what stands in words.txt without being in the lexicon is no word either
@pytest.mark.parametrize("word", ["dab", "#0", "<s>", "</s>", "<eps>"])
def test_word_without_pronunciation(work, word):
    message = f"utterance u7: no pronunciation for {word}; add them to the lexicon, or take them as <UNK> with --oov-to"
    with pytest.raises(InputError, match=message):
        read_training_lexicon(work / "lang").word_ids("u7", f"bad {word} fa")
    lexicon = read_training_lexicon(work / "lang", oov_to_unk=True)
    assert lexicon.word_ids("u7", f"bad {word}") == [lexicon.words["bad"], lexicon.words["<UNK>"]]


def test_no_unknown_word_to_take_it_as(copy):
    lang = copy("lang")
    words = (lang / "words.txt").read_text()
    (lang / "words.txt").write_text(words.replace("<UNK>", "<OTHER>"))
    (lang / "lang.json").unlink()  # it tells of other words
    with pytest.raises(InputError, match=r"no pronunciation for dab; .*, or take them as <UNK>, which needs one"):
        read_training_lexicon(lang, oov_to_unk=True).word_ids("u7", "dab")


def test_missing_lexicon_graph(copy):
    lang = copy("lang")
    (lang / "L.fst").unlink()
    with pytest.raises(InputError, match=r"L\.fst: the graph is missing; make it again with steps\.prepare_lang"):
        read_training_lexicon(lang)
