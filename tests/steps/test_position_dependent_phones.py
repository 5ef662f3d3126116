"""All steps with phones that depend on their position in the word, from the lexicon to recognition and export."""

import json

import numpy as np
import pytest

from steps.ali.directory import read_alignments
from steps.align import align_data
from steps.align_files import align_files
from steps.alignment_report import alignment_report
from steps.base.errors import InputError
from steps.corpus.ctm import read_ctm
from steps.corpus.tables import read_table
from steps.decode import decode
from steps.export_ctm import export_ctm
from steps.gmm.triphones import LdaOptions
from steps.hmm.topology import silence_phones
from steps.hmm.transitions import read_transition_model, split_phones
from steps.hmm.tree import read_tree
from steps.lang.symbols import read_symbols
from steps.make_graph import make_graph
from steps.scoring.wer import score
from steps.search.beam import DecodingScales
from steps.train_triphones import train_triphones
from tests.steps import synthetic


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """As `work`, with position-dependent phones; and triphones with the alignment of the dev set."""
    path = tmp_path_factory.mktemp("positions")
    synthetic.write_corpus(path, position_dependent_phones=True)
    synthetic.train(path)
    synthetic.train_triphones(path, path / "tri", lda=LdaOptions(dim=12), mllt_iterations=[1, 3])
    make_graph(path / "lang", path / "lm", path / "tri", path / "graph_tri")
    align_data(path / "feats/dev", path / "lang", path / "tri", path / "tri_ali")
    return path


@pytest.mark.parametrize(("model", "graph"), [("mono", "graph"), ("tri", "graph_tri")])
def test_recognition(marked, tmp_path, model, graph):
    decode(marked / "feats/dev", marked / graph, marked / model, tmp_path / "out", DecodingScales(0.1, 1.0))
    assert score(read_table(marked / "data/dev/text"), read_table(tmp_path / "out/text")).total.errors == 0


def test_alignments_of_other_phones(work, marked, tmp_path):
    for one, other in ((work, marked), (marked, work)):
        feats, lang, ali = one / "feats/train", one / "lang", other / "mono_ali"
        with pytest.raises(InputError, match=r"mono_ali: its phones or their HMMs are not those of .*lang; train and"):
            train_triphones(feats, lang, ali, tmp_path / "tri")


def test_variants_share_states(work, marked):
    phones, tree = read_symbols(marked / "lang/phones.txt"), read_tree(marked / "mono/tree.json")
    plain, plain_tree = read_symbols(work / "lang/phones.txt"), read_tree(work / "mono/tree.json")
    for phone, number in plain.items():
        variants = [phones[phone + suffix] for suffix in ("", "_B", "_E", "_I", "_S") if phone + suffix in phones]
        if number in plain_tree.pdfs:
            assert len(variants) == (5 if phone in ("SIL", "SPN") else 4)
            assert [tree.pdfs[variant] for variant in variants] == [plain_tree.pdfs[number]] * len(variants)
    for root in read_tree(marked / "tri/tree.json").pdfs[phones["SIL_S"]]:
        assert isinstance(root, int), "silence is asked nothing"


def test_all_variants_of_silence_are_silence(marked):
    model, phones = read_transition_model(marked / "tri"), read_symbols(marked / "lang/phones.txt")
    names = {number: phone for phone, number in phones.items()}
    silence = silence_phones(marked / "lang")
    assert {names[phone].split("_")[0] for phone in silence} == {"SIL", "SPN"}
    assert len(silence) == 10
    pdfs = set(range(10))  # five of SIL, five of SPN
    assert model.pdfs_of(silence).tolist() == sorted(pdfs)
    others = [phone for phone in model.topology if phone not in silence]
    assert not pdfs & set(model.pdfs_of(others).tolist())


def test_alignments_have_the_positions_of_their_words(marked):
    model, phones = read_transition_model(marked / "tri_ali"), read_symbols(marked / "lang/phones.txt")
    names = {number: phone for phone, number in phones.items()}
    texts = read_table(marked / "data/dev/text")
    for utterance, tids in read_alignments(marked / "tri_ali").items():
        found = [names[phone] for phone, _, _ in split_phones(model, tids)]
        expected = "".join({"fa": "BE"}.get(word, "BIE") for word in texts[utterance].split())
        assert "".join(phone[-1] for phone in found if phone != "SIL") == expected


def test_exported_names_have_no_position(work, marked, ali, tmp_path):
    export_ctm(ali, work / "lang", tmp_path / "plain")
    export_ctm(marked / "tri_ali", marked / "lang", tmp_path / "marked")
    for kind in ("words", "phones"):
        plain, found = (read_ctm(tmp_path / name / f"{kind}.ctm") for name in ("plain", "marked"))
        texts = ({key: [token.text for token in tokens] for key, tokens in ctm.items()} for ctm in (plain, found))
        assert next(texts) == next(texts)
    times = [
        [token.start for tokens in read_ctm(tmp_path / name / "words.ctm").values() for token in tokens]
        for name in ("plain", "marked")
    ]
    np.testing.assert_allclose(*times, atol=0.05)
    grids = "".join(path.read_text() for path in (tmp_path / "marked/textgrid").iterdir())
    assert "_" not in grids.replace("synth_", "")
    assert "SIL" not in grids


def test_report_counts_variants_together(work, marked, tmp_path):
    alignment_report(marked / "tri_ali", marked / "lang", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["phone"] for row in report["phones"]] == ["SIL", "A", "B", "C", "D", "E", "F"]
    model = read_transition_model(marked / "tri_ali")
    spoken = [segment for tids in read_alignments(marked / "tri_ali").values() for segment in split_phones(model, tids)]
    assert sum(row["count"] for row in report["phones"]) == len(spoken)
    assert {row["stretched"]["phone"] for row in report["utterances"]} <= set("ABCDEF")


def test_recordings_are_aligned(marked, tmp_path, capsys):
    audio, text = marked / "data/dev/dev-00.wav", tmp_path / "dev-00.txt"
    text.write_text(read_table(marked / "data/dev/text")["dev-00"])
    align_files([audio, text], model=marked / "tri", out=tmp_path / "out")
    [tokens] = read_ctm(tmp_path / "out/phones.ctm").values()
    assert {token.text for token in tokens} <= {"SIL", *"ABCDEF"}
