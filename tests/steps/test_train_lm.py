import gzip
import json
import re
import shutil
import subprocess
import sys

import kaldifst
import pytest

from steps.base.errors import InputError
from steps.lang.arpa import log_prob, read_arpa
from steps.lang.symbols import read_symbols
from steps.prepare_lang import prepare_lang
from steps.train_lm import ORDERS, train_lm
from tests.steps.synthetic import ROOT

DICT = {
    "lexicon": "<UNK> SPN\nyes Y EH S\nno N OW\nknow N OW\nno N\n!SIL SIL\n",
    "silence_phones": "SIL\nSPN\n",
    "nonsilence_phones": "EH\nN\nOW\nS\nY\n",
    "optional_silence": "SIL\n",
}
TEXT = "u1 yes no\nu2 no no yes\nu3 yes\n"
ARPA = """\\data\\
ngram 1=6
ngram 2=2

\\1-grams:
-99\t<s>\t-0.3
-0.5\t</s>
-0.5\tyes\t-0.2
-0.6\tno\t-0.1
-0.9\t<UNK>
-0.9\tNO

\\2-grams:
-0.1\t<s> yes
-0.4\tno NO

\\end\\
"""


@pytest.fixture
def corpus(tmp_path):
    for folder in ("dict", "data/train", "data/local/lm"):
        (tmp_path / folder).mkdir(parents=True)
    for name, content in DICT.items():
        (tmp_path / "dict" / f"{name}.txt").write_text(content)
    (tmp_path / "data/train/text").write_text(TEXT)
    prepare_lang(tmp_path / "data/train", tmp_path / "dict", tmp_path / "lang")
    return tmp_path


def run(corpus, lm="bigram"):
    train_lm(corpus / "data", corpus / "lang", corpus / "lm", lm)
    return json.loads((corpus / "lm/lm.json").read_text())


def test_files(corpus, capsys):
    facts = run(corpus)
    assert {path.name for path in (corpus / "lm").iterdir()} == {"lm.arpa", "G.fst", "lm.json"}
    assert facts["lm"] == "bigram"
    assert facts["order"] == 2
    assert facts["ngrams"] == [5, 7]
    assert facts["oov_rate"] == 0
    said = capsys.readouterr().out
    assert re.search(r"lm: bigram: 5 1-grams, 7 2-grams; perplexity \d\.\d\d on the training text", said)
    assert f"perplexity {facts['train_perplexity']:.2f} on" in said


def test_lexicon_without_silence_words(corpus):
    run(corpus)
    assert read_arpa(corpus / "lm/lm.arpa").words == ["know", "no", "yes"]


def test_unknown_words_of_the_text(corpus):
    (corpus / "data/train/text").write_text(TEXT + "u4 maybe yes maybe perhaps\n")
    facts = run(corpus)
    assert "<UNK>" in read_arpa(corpus / "lm/lm.arpa").words
    assert facts["oov_rate"] == 0


@pytest.mark.parametrize("lm", ["unigram", "trigram"])
def test_graph_determinises_and_accepts_every_word(corpus, lm):
    run(corpus, lm)
    graph = kaldifst.compose(
        kaldifst.StdVectorFst.read(str(corpus / "lang/L_disambig.fst")),
        kaldifst.StdVectorFst.read(str(corpus / "lm/G.fst")),
    )
    assert kaldifst.determinize_star(graph, max_states=10_000) is False
    kaldifst.arcsort(graph, "olabel")
    words = read_symbols(corpus / "lang/words.txt")
    for word in ("know", "no", "yes"):
        assert kaldifst.compose(graph, kaldifst.make_linear_acceptor([words[word]])).num_states > 0
    assert kaldifst.compose(graph, kaldifst.make_linear_acceptor([words["<UNK>"]])).num_states == 0


@pytest.mark.parametrize("name", ["small.arpa", "small.arpa.gz", "small.lm", "zipped.arpa"])
def test_users_language_model(corpus, capsys, name):
    (corpus / name).write_bytes(gzip.compress(ARPA.encode()) if "z" in name else ARPA.encode())
    facts = run(corpus, str(corpus / name))
    model = read_arpa(corpus / "lm/lm.arpa")
    assert model.words == ["no", "yes"]
    total = sum(10 ** log_prob(model, ("no", word)) for word in ("no", "yes", "</s>"))
    assert total == pytest.approx(1, abs=1e-5)
    assert facts["lm"] == name.partition(".")[0]
    assert facts["order"] == 2
    said = capsys.readouterr().out
    assert "2 words that are not in the lexicon were dropped: <UNK>, NO" in said
    assert "lacks 1 words of the lexicon, which cannot be recognised: know" in said


def test_word_without_a_unigram(corpus, capsys):
    (corpus / "small.arpa").write_text(ARPA.replace("no NO", "no know"))
    run(corpus, str(corpus / "small.arpa"))
    said = capsys.readouterr().out
    assert "cannot be recognised" not in said
    assert (
        "lacks the 1-grams of 1 words of the lexicon, which can be recognised after the words of their longer n-grams "
        "only: know"
    ) in said
    assert ("no", "know") in read_arpa(corpus / "lm/lm.arpa").probs[1]


COMPOSED, DECOMPOSED = "\u00e9t\u00e9", "e\u0301te\u0301"


@pytest.mark.parametrize(("in_text", "in_lm"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_unicode_forms_of_a_word_are_the_same(corpus, capsys, in_text, in_lm):
    (corpus / "dict/lexicon.txt").write_text(DICT["lexicon"] + f"{COMPOSED} EH\n")
    (corpus / "data/train/text").write_text(TEXT + f"u4 {in_text} yes\n")
    shutil.rmtree(corpus / "lang")
    prepare_lang(corpus / "data/train", corpus / "dict", corpus / "lang")
    assert run(corpus)["oov_rate"] == 0
    assert read_arpa(corpus / "lm/lm.arpa").words == ["know", "no", "yes", COMPOSED]
    model = corpus / "small.arpa"
    model.write_text(ARPA.replace("NO", in_lm))
    capsys.readouterr()
    run(corpus, str(model))
    assert ("no", COMPOSED) in read_arpa(corpus / "lm/lm.arpa").probs[1]
    assert (f"{model}: 1 words are in another Unicode form" in capsys.readouterr().out) == (in_lm == DECOMPOSED)
    model.write_text(ARPA.replace("NO", COMPOSED).replace("<UNK>", DECOMPOSED))
    run(corpus, str(model))
    assert f"1 words that are not in the lexicon were dropped: {DECOMPOSED}" in capsys.readouterr().out


def test_other_spaces_than_asciis_are_part_of_words(corpus):
    (corpus / "dict/lexicon.txt").write_text(DICT["lexicon"] + "5\u00a0000 EH\n")
    shutil.rmtree(corpus / "lang")
    prepare_lang(corpus / "data/train", corpus / "dict", corpus / "lang")
    (corpus / "small.arpa").write_text(ARPA.replace("NO", "5\u00a0000"))
    run(corpus, str(corpus / "small.arpa"))
    assert ("no", "5\u00a0000") in read_arpa(corpus / "lm/lm.arpa").probs[1]
    (corpus / "data/train/text").write_text(TEXT + "u4 5\u00a0000 yes 5\n")
    assert run(corpus, "bigram")["ngrams"][0] == 7  # with 5 as the unknown word
    assert ("5\u00a0000", "yes") in read_arpa(corpus / "lm/lm.arpa").probs[1]


@pytest.mark.parametrize("name", ["corpus.arpa", "corpus.arpa.gz"])
def test_language_model_of_the_corpus(corpus, name):
    path = corpus / "data/local/lm" / name
    path.write_bytes(gzip.compress(ARPA.encode()) if name.endswith(".gz") else ARPA.encode())
    assert run(corpus, "corpus")["lm"] == "corpus"
    with pytest.raises(InputError, match=r"no language model 'copus': neither a file, nor one of .*, trigram, corpus$"):
        run(corpus, "copus")


@pytest.mark.parametrize(("lm", "order"), [("unigram", 1), ("4gram", 4)])
def test_name_and_order(corpus, lm, order):
    facts = run(corpus, lm)
    assert (facts["lm"], facts["order"], len(facts["ngrams"])) == (lm, order, order)
    assert read_arpa(corpus / "lm/lm.arpa").order == order


def test_every_order_has_a_name():
    assert set(ORDERS.values()) == set(range(1, 10))


@pytest.mark.parametrize("lm", ["nowhere.arpa", "0gram", "bigrams", ""])
def test_unknown_language_model(corpus, lm):
    message = f"no language model '{lm}': neither a file, nor one of unigram, bigram, trigram$"
    with pytest.raises(InputError, match=message):
        run(corpus, lm)
    assert not (corpus / "lm").exists()


def test_language_model_without_a_word_of_the_lexicon(corpus):
    (corpus / "other.arpa").write_text(ARPA.replace("yes", "YES").replace("no", "nO"))
    with pytest.raises(InputError, match="the language model shares no word with the lexicon"):
        run(corpus, str(corpus / "other.arpa"))


def test_text_with_crlf_and_bom(corpus):
    before = run(corpus)
    (corpus / "data/train/text").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert run(corpus) == before


def test_empty_and_missing_text(corpus):
    (corpus / "data/train/text").write_text("u1\nu2\n")
    with pytest.raises(InputError, match="text: there is no transcript in it"):
        run(corpus)
    (corpus / "data/train/text").unlink()
    with pytest.raises(InputError, match="text: there is no such file"):
        run(corpus)


def test_no_lang_directory(corpus):
    with pytest.raises(InputError, match=r"nowhere/lexicon\.txt: there is no such file"):
        train_lm(corpus / "data", corpus / "nowhere", corpus / "lm")


def test_command(corpus):
    arguments = ["--lm", "unigram", corpus / "data", corpus / "lang", corpus / "lm"]
    command = [sys.executable, "-m", "steps.train_lm", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (corpus / "lm/G.fst").exists()
