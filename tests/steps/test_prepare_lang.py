import json
import subprocess
import sys

import kaldifst
import pytest
import yaml

from steps.errors import InputError
from steps.hmm.topology import read_topo
from steps.lang.symbols import read_symbols
from steps.prepare_lang import prepare_lang

DICT = {
    "lexicon": "<UNK> SPN\nyes Y EH S\nno N OW\nknow N OW\nno N\n!SIL SIL\n",
    "silence_phones": "SIL\nSPN\n",
    "nonsilence_phones": "EH\nN\nOW\nS\nY\n",
    "optional_silence": "SIL\n",
}
TEXT = "u1 yes no\nu2 no no yes\nu3 yes\n"


@pytest.fixture
def corpus(tmp_path):
    for folder in ("dict", "train"):
        (tmp_path / folder).mkdir()
    for name, content in DICT.items():
        (tmp_path / "dict" / f"{name}.txt").write_text(content)
    (tmp_path / "train" / "text").write_text(TEXT)
    return tmp_path


def run(corpus, **options):
    prepare_lang(corpus / "train", corpus / "dict", corpus / "lang", **options)
    return json.loads((corpus / "lang" / "lang.json").read_text())


def numbers(path):
    return [int(line) for line in path.read_text().split()]


def test_files(corpus, capsys):
    facts = run(corpus)
    lang = corpus / "lang"
    words, phones = read_symbols(lang / "words.txt"), read_symbols(lang / "phones.txt")
    assert list(words) == ["<eps>", "!SIL", "<UNK>", "know", "no", "yes", "#0", "<s>", "</s>"]
    assert list(phones) == ["<eps>", "SIL", "SPN", "EH", "N", "OW", "S", "Y", "#0", "#1", "#2", "#3"]
    assert numbers(lang / "phones" / "silence.int") == [1, 2]
    assert numbers(lang / "phones" / "nonsilence.int") == [3, 4, 5, 6, 7]
    assert numbers(lang / "phones" / "disambig.int") == [8, 9, 10, 11]
    assert numbers(lang / "phones" / "optional_silence.int") == [1]
    assert (lang / "phones" / "optional_silence.txt").read_text() == "SIL\n"
    assert (lang / "oov.txt").read_text() == "<UNK>\n"
    assert (lang / "lexicon.txt").read_text().splitlines() == sorted(DICT["lexicon"].splitlines())
    assert len(read_topo(lang / "topo")) == 7
    assert facts["words"] == 5
    assert facts["oov_rate"] == 0
    assert facts["words_not_in_train"] == 3
    said = capsys.readouterr().out
    assert "5 words, 6 pronunciations, 2 silence and 5 other phones" in said
    assert "training text: 6 words, 0.00% without pronunciation; 3 lexicon words are not in it" in said


def test_words_without_pronunciation(corpus, capsys):
    (corpus / "train" / "text").write_text(TEXT + "u4 maybe yes maybe perhaps\n")
    with pytest.raises(InputError, match=r"text: 2 words have no pronunciation in .*: maybe \(2\), perhaps \(1\); add"):
        run(corpus)
    assert not (corpus / "lang").exists()
    facts = run(corpus, oov_to_unk=True)
    assert "2 words without pronunciation are taken as <UNK>: maybe (2), perhaps (1)" in capsys.readouterr().out
    assert facts["oov_rate"] == pytest.approx(3 / 10)
    assert facts["oov_to_unk"] is True


def test_no_unk_to_take_words_as(corpus):
    (corpus / "train" / "text").write_text("u1 maybe\n")
    (corpus / "dict" / "lexicon.txt").write_text("yes Y\n")
    with pytest.raises(InputError, match=r"lexicon.txt: there is no <UNK> .*maybe.* add the line '<UNK> SPN'"):
        run(corpus, oov_to_unk=True)


def test_text_with_crlf_and_bom(corpus):
    (corpus / "train" / "text").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert run(corpus)["oov_rate"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sil_prob": 1.0}, "sil_prob is 1.0"),
        ({"silence_states": 0}, "silence_states is 0"),
    ],
)
def test_bad_options(corpus, options, message):
    with pytest.raises(InputError, match=message):
        run(corpus, **options)
    assert not (corpus / "lang").exists()


def test_empty_and_missing_text(corpus):
    (corpus / "train" / "text").write_text("u1\nu2\n")
    with pytest.raises(InputError, match="text: there is no transcript in it"):
        run(corpus)
    (corpus / "train" / "text").unlink()
    with pytest.raises(InputError, match="text: there is no such file"):
        run(corpus)


def test_command_with_the_configuration(corpus):
    arguments = ["--config", "conf/lang.yaml", "--sil-prob", "0", corpus / "train", corpus / "dict", corpus / "lang"]
    done = subprocess.run([sys.executable, "-m", "steps.prepare_lang", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (corpus / "lang" / "L_disambig.fst").exists()
    # no optional silence: SIL is only where the word !SIL is
    lexicon = kaldifst.StdVectorFst.read(str(corpus / "lang" / "L.fst"))
    arcs = [arc for state in kaldifst.StateIterator(lexicon) for arc in kaldifst.ArcIterator(lexicon, state)]
    assert all(arc.olabel == 1 for arc in arcs if arc.ilabel == 1)


def test_configuration_holds_the_defaults():
    import inspect

    with open("conf/lang.yaml", encoding="utf-8") as file:
        options = yaml.safe_load(file)
    parameters = inspect.signature(prepare_lang).parameters
    assert options == {name: parameters[name].default for name in options}
