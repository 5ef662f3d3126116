import json
import shutil
import subprocess
from dataclasses import replace

import kaldifst
import numpy as np
import pytest

from steps.base.errors import InputError
from steps.hmm.joins import tree_hash
from steps.hmm.transitions import read_transition_model
from steps.lang.fst_arrays import read_fst, to_arrays, to_fst
from steps.lang.symbols import read_symbols, write_symbols
from steps.lang.table_hash import lang_tables
from steps.make_graph import make_graph
from steps.prepare_lang import prepare_lang
from tests.steps import synthetic


def test_what_is_written(work):
    about = json.loads((work / "graph/graph.json").read_text())
    assert about["lm"] == "bigram"
    assert about["tree"] == tree_hash(work / "mono")
    assert about["transition_ids"] == read_transition_model(work / "mono").num_tids
    assert (work / "graph/words.txt").read_bytes() == (work / "lang/words.txt").read_bytes()


@pytest.mark.skipif(not shutil.which("fstinfo"), reason="fstinfo is not installed (Debian: libfst-tools)")
def test_openfst_reads_the_file(work):
    done = subprocess.run(["fstinfo", work / "graph/HCLG.fst"], capture_output=True, text=True, check=True)
    facts = dict(line.rsplit(None, 1) for line in done.stdout.splitlines())
    assert facts["input label sorted"] == "y"
    assert facts["error"] == "n"


def test_the_same_again(work, tmp_path):
    make_graph(work / "lang", work / "lm", work / "mono", tmp_path / "graph")
    for name in ("HCLG.fst", "graph.json"):
        assert (tmp_path / "graph" / name).read_bytes() == (work / "graph" / name).read_bytes()


@pytest.mark.parametrize(
    ("damaged", "name", "content", "message"),
    [
        ("lang", "L_disambig.fst", None, r"L_disambig\.fst: the graph is missing; make it again with steps\.prepare_l"),
        ("lang", "L_disambig.fst", b"x", r"L_disambig\.fst: the graph is damaged"),
        ("lm", "G.fst", None, r"G\.fst: the graph is missing; make it again with steps\.train_lm"),
        ("mono", "tree.json", None, r"mono: neither a model nor an alignment directory, it has no tree\.json"),
    ],
)
def test_bad_input(work, tmp_path, copy, damaged, name, content, message):
    folders = {folder: copy(folder) if folder == damaged else work / folder for folder in ("lang", "lm", "mono")}
    (folders[damaged] / name).unlink()
    if content is not None:
        (folders[damaged] / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        make_graph(folders["lang"], folders["lm"], folders["mono"], tmp_path / "graph")
    assert not (tmp_path / "graph").exists()


def of_other_words(work, tmp_path, more):
    """A lang directory whose lexicon has more words."""
    shutil.copytree(work / "dict", tmp_path / "dict")
    (tmp_path / "dict/lexicon.txt").write_text(synthetic.LEXICON + more)
    prepare_lang(work / "data/train", tmp_path / "dict", tmp_path / "lang")
    return tmp_path / "lang"


def renumbered(lang, copy):
    """The same words under other numbers, in L as in words.txt."""
    words = read_symbols(lang / "words.txt")
    spoken = [word for word in words if word[0] not in "<#"]
    numbers = words | {word: words[other] for word, other in zip(spoken, reversed(spoken), strict=True)}
    to = np.array([numbers[word] for word, _ in sorted(words.items(), key=lambda item: item[1])])
    folder = copy("lang")
    for name in ("L.fst", "L_disambig.fst"):
        arrays = to_arrays(read_fst(lang / name, ""))
        fst = to_fst(replace(arrays, olabel=to[arrays.olabel].astype(np.int32)))
        kaldifst.arcsort(fst, "olabel")
        fst.write(str(folder / name))
    write_symbols(folder / "words.txt", numbers)
    facts = json.loads((folder / "lang.json").read_text())
    (folder / "lang.json").write_text(json.dumps(facts | {"tables": lang_tables(folder)}))
    return folder


def test_language_model_of_other_words(work, old, copy, tmp_path):
    """Numbers of words that are shifted or exchanged are found, also where nothing but the ARPA file tells of them."""
    shifted, exchanged = of_other_words(work, tmp_path / "more", "abba A B B A\n"), renumbered(work / "lang", copy)
    grammar = old("lm")
    for lang in (shifted, exchanged):
        with pytest.raises(InputError, match=r"lang/words\.txt and .*lm/lm\.json: their tables of words diff"):
            make_graph(lang, work / "lm", work / "mono", tmp_path / "graph")
        with pytest.raises(
            InputError, match=r"G\.fst is not .*lm\.arpa in the numbers of .*lang/words\.txt; make the lang"
        ):
            make_graph(lang, grammar, work / "mono", tmp_path / "graph")
    make_graph(work / "lang", grammar, work / "mono", tmp_path / "graph")
    assert (tmp_path / "graph/HCLG.fst").read_bytes() == (work / "graph/HCLG.fst").read_bytes()


def test_language_model_of_kaldis(work, copy, tmp_path, capsys):
    """A directory with G.fst, and perhaps words.txt, is one."""
    exchanged, grammar = renumbered(work / "lang", copy), tmp_path / "lang_test_bigram"
    grammar.mkdir()
    shutil.copy(work / "lm/G.fst", grammar)
    make_graph(work / "lang", grammar, work / "mono", tmp_path / "graph")
    said = f"{work}/lang/words.txt and {grammar}/G.fst: not checked that their tables of words are the same, "
    assert said in capsys.readouterr().out
    assert json.loads((tmp_path / "graph/graph.json").read_text())["lm"] == "lang_test_bigram"
    shutil.copy(work / "lang/words.txt", grammar)
    make_graph(work / "lang", grammar, work / "mono", tmp_path / "graph")
    assert "not checked" not in capsys.readouterr().out
    with pytest.raises(InputError, match=r"lang/words\.txt and .*lang_test_bigram/words\.txt: their tables of words"):
        make_graph(exchanged, grammar, work / "mono", tmp_path / "graph")


@pytest.mark.parametrize(("table", "symbol"), [("words.txt", "fa"), ("phones.txt", "F")])
def test_symbol_that_a_table_lacks(work, copy, tmp_path, table, symbol):
    lang = copy("lang")
    symbols = read_symbols(lang / table)
    number = symbols.pop(symbol)
    write_symbols(lang / table, symbols)
    with pytest.raises(InputError, match=rf"lang\.json and .*{table}: their tables of \w+ differ .*; make the"):
        make_graph(lang, work / "lm", work / "mono", tmp_path / "graph")
    (lang / "lang.json").unlink()  # as Kaldi has none
    with pytest.raises(
        InputError, match=rf"L_disambig\.fst: its label {number} is not in .*lang/{table}; both have to be"
    ):
        make_graph(lang, work / "lm", work / "mono", tmp_path / "graph")
