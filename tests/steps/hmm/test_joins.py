"""What belongs to other phones or states is refused by every command that opens it; what does not say so is not."""

import hashlib
import json
import shutil

import pytest

from steps.acoustic.model import load_acoustic_model
from steps.adapt import adapt
from steps.align import align_data
from steps.alignment_report import alignment_report
from steps.base.errors import InputError
from steps.decode import decode
from steps.export_ctm import export_ctm
from steps.hmm.joins import check_lang, check_states, states_of, tree_hash, tree_phones
from steps.lang.symbols import read_symbols, write_symbols
from steps.lang.table_hash import phones_hash
from steps.make_graph import make_graph
from steps.train_nnet import train_nnet
from steps.train_triphones import train_triphones

DIFFER = r"phones\.txt and .*tree\.json: their tables of phones differ \(hash \w+, \w+\); take the lang"


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_what_belongs_to_a_tree_says_of_which_phones_it_is(work):
    phones = phones_hash(work / "lang/phones.txt")
    for folder in ("mono", "mono_ali"):
        assert tree_phones(work / folder) == phones
    assert states_of(work / "mono") == {"tree": tree_hash(work / "mono"), "phones": phones}
    for file in ("mono/model.json", "graph/graph.json"):
        assert states_of(work / "mono").items() <= json.loads((work / file).read_text()).items()


def test_a_tree_without_phones_keeps_its_hash(work, old):
    folder = old("mono")
    content = (folder / "topo").read_bytes() + (folder / "tree.json").read_bytes()
    assert tree_hash(work / "mono") == tree_hash(folder) == hashlib.sha256(content).hexdigest()[:16]


def test_commands_refuse_a_lang_directory_of_other_phones(work, exchanged, ali, tmp_path):
    feats, out = work / "feats", tmp_path / "out"
    with pytest.raises(InputError, match=DIFFER):
        make_graph(exchanged, work / "lm", work / "mono", out)
    with pytest.raises(InputError, match=DIFFER):
        align_data(feats / "dev", exchanged, work / "mono", out)
    with pytest.raises(InputError, match=DIFFER):
        adapt(feats / "dev", exchanged, work / "mono", ali, out)
    with pytest.raises(InputError, match=DIFFER):
        train_triphones(feats / "train", exchanged, work / "mono_ali", out)
    with pytest.raises(InputError, match=DIFFER):
        train_nnet(feats / "train", feats / "dev", exchanged, work / "mono_ali", ali, out)
    with pytest.raises(InputError, match=DIFFER):
        export_ctm(ali, exchanged, out)
    shutil.copytree(ali, tmp_path / "ali")
    (tmp_path / "ali/failed.json").write_text("{}")
    with pytest.raises(InputError, match=DIFFER):
        alignment_report(tmp_path / "ali", exchanged, out)
    assert not out.exists()


def test_words_that_are_not_those_of_the_lexicon(work, copy, tmp_path):
    """The words.txt of a lang directory was replaced by that of another one: L's numbers are other words."""
    lang = copy("lang")
    words = read_symbols(lang / "words.txt")
    write_symbols(lang / "words.txt", words | {"bad": words["cab"], "cab": words["bad"]})
    with pytest.raises(InputError, match=r"lang\.json and .*words\.txt: their tables of words differ .*; make the"):
        align_data(work / "feats/dev", lang, work / "mono", tmp_path / "out")


def test_alignments_of_exchanged_phones(work, ali, tmp_path):
    """A network's training and dev set, or what a model is adapted with, of the same tree over other phones."""
    other, out = tmp_path / "other_ali", tmp_path / "out"
    shutil.copytree(ali, other)
    change(other / "tree.json", phones="0123456789abcdef")
    message = r"other_ali/tree\.json and .*tree\.json: their tables of phones differ \(hash 0123456789abcdef"
    with pytest.raises(InputError, match=message):
        train_nnet(work / "feats/train", work / "feats/dev", work / "lang", work / "mono_ali", other, out)
    with pytest.raises(InputError, match=message):
        adapt(work / "feats/dev", work / "lang", work / "mono", other, out)
    with pytest.raises(InputError, match=message):
        align_data(work / "feats/dev", work / "lang", work / "mono", out, before=other)


def test_graph_of_exchanged_phones(work, copy, tmp_path):
    graph = copy("graph")
    change(graph / "graph.json", phones="0123456789abcdef")
    message = r"graph\.json and .*mono/tree\.json: their tables of phones .* make a graph for this model"
    with pytest.raises(InputError, match=message):
        decode(work / "feats/dev", graph, work / "mono", tmp_path / "out")


def test_model_beside_another_tree(copy):
    model = copy("mono")
    change(model / "tree.json", phones="0123456789abcdef")
    message = (
        r"model\.json: the model is of another tree than .*mono/tree\.json or of other phones \(hashes .* 0123456789ab"
    )
    with pytest.raises(InputError, match=message):
        load_acoustic_model(model)
    change(model / "model.json", tree="0123456789abcdef", phones="0123456789abcdef")
    with pytest.raises(InputError, match=r"model\.json: the model is of another tree than"):
        load_acoustic_model(model)


def test_an_old_model_is_compared_with_the_lang_directory_of_its_training(work, old, exchanged, capsys):
    model = old("mono")
    check_lang(work / "lang", model)
    assert capsys.readouterr().out == ""
    with pytest.raises(
        InputError, match=r"phones\.txt and .*lang/phones\.txt: their tables of phones .* training of .*old/mono"
    ):
        check_lang(exchanged, model)


def test_a_model_of_kaldis_is_compared_with_its_phones(work, old, exchanged, capsys):
    ali = old("mono_ali")
    write_symbols(ali / "phones.txt", read_symbols(work / "lang/phones.txt") | {"#9": 99})
    check_lang(work / "lang", ali)
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match=r"phones\.txt and .*mono_ali/phones\.txt: their tables of phones"):
        check_lang(exchanged, ali)


def test_what_cannot_be_checked_is_said(work, old, exchanged, capsys):
    ali = old("mono_ali")
    check_lang(exchanged, ali)
    check_states(ali, work / "mono", "align again")
    unknown = f"{ali}/tree.json has no hash of them\n"
    assert capsys.readouterr().out == (
        f"{exchanged}/phones.txt and {ali}/tree.json: not checked that their tables of phones are the same, {unknown}"
        f"{ali}/tree.json and {work}/mono/tree.json: not checked that their tables of phones are the same, {unknown}"
    )


def test_old_directories_are_recognised_with_as_before(work, old, tmp_path, capsys):
    decode(work / "feats/dev", old("graph"), old("mono"), tmp_path / "old_out")
    assert capsys.readouterr().out.count("not checked") == 1
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out")
    assert "not checked" not in capsys.readouterr().out
    assert (tmp_path / "old_out/text").read_bytes() == (tmp_path / "out/text").read_bytes()
