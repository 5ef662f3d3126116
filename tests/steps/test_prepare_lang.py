import json
import subprocess
import sys

import kaldifst
import numpy as np
import pytest
import yaml

from steps.base.cli import command
from steps.base.errors import InputError
from steps.hmm.phone_sets import read_extra_questions, read_phone_sets
from steps.hmm.topology import num_pdf_classes, read_topo
from steps.hmm.training_graph import read_training_lexicon
from steps.lang.symbols import read_symbols
from steps.prepare_lang import prepare_lang
from steps.tree.growing import TreeOptions, build_tree
from steps.tree.questions import phone_questions
from steps.tree.stats import TreeStats

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


# of a dictionary with one silence phone; the order and the formats are those of Kaldi's prepare_lang.sh
POSITIONS = {
    "phones.txt": """<eps> 0
SIL 1
SIL_B 2
SIL_E 3
SIL_I 4
SIL_S 5
N_B 6
N_E 7
N_I 8
N_S 9
OW_B 10
OW_E 11
OW_I 12
OW_S 13
#0 14
#1 15
#2 16
#3 17
""",
    "lexicon.txt": "!SIL SIL_S\nknow N_B OW_E\nnnn N_B N_I N_E\nno N_B OW_E\no OW_S\n",
    "phones/sets.txt": "SIL SIL_B SIL_E SIL_I SIL_S\nN_B N_E N_I N_S\nOW_B OW_E OW_I OW_S\n",
    "phones/sets.int": "1 2 3 4 5\n6 7 8 9\n10 11 12 13\n",
    "phones/extra_questions.txt": "N_B OW_B\nN_E OW_E\nN_I OW_I\nN_S OW_S\nSIL\nSIL_B\nSIL_E\nSIL_I\nSIL_S\n",
    "phones/extra_questions.int": "6 10\n7 11\n8 12\n9 13\n1\n2\n3\n4\n5\n",
    "phones/silence.int": "1\n2\n3\n4\n5\n",
    "phones/nonsilence.int": "6\n7\n8\n9\n10\n11\n12\n13\n",
    "phones/optional_silence.txt": "SIL\n",
    "phones/optional_silence.int": "1\n",
    "phones/disambig.int": "14\n15\n16\n17\n",
    "phones/word_boundary.txt": """SIL nonword
SIL_B begin
SIL_E end
SIL_I internal
SIL_S singleton
N_B begin
N_E end
N_I internal
N_S singleton
OW_B begin
OW_E end
OW_I internal
OW_S singleton
""",
    "phones/word_boundary.int": """1 nonword
2 begin
3 end
4 internal
5 singleton
6 begin
7 end
8 internal
9 singleton
10 begin
11 end
12 internal
13 singleton
""",
}


@pytest.fixture
def positions(corpus):
    texts = {
        "lexicon": "!SIL SIL\nno N OW\nknow N OW\no OW\nnnn N N N\n",
        "silence_phones": "SIL\n",
        "nonsilence_phones": "N OW\n",
    }
    for name, text in texts.items():
        (corpus / "dict" / f"{name}.txt").write_text(text)
    (corpus / "train" / "text").write_text("u1 no o know\n")
    return corpus


def test_position_dependent_phones(positions, capsys):
    assert run(positions, position_dependent_phones=True)["phones"] == 13
    lang = positions / "lang"
    assert {name: (lang / name).read_text() for name in POSITIONS} == POSITIONS
    assert "1 silence and 2 other phones" in capsys.readouterr().out
    topology = read_topo(lang / "topo")
    assert {phone: len(states) for phone, states in topology.items()} == {p: 5 if p < 6 else 3 for p in range(1, 14)}


def test_lexicon_of_position_dependent_phones(positions):
    run(positions, position_dependent_phones=True)
    phones, words = (read_symbols(positions / "lang" / f"{name}.txt") for name in ("phones", "words"))
    graph = kaldifst.StdVectorFst.read(str(positions / "lang" / "L_disambig.fst"))

    def accepted(pronunciation, text):
        spoken = kaldifst.make_linear_acceptor([phones[p] for p in pronunciation.split()])
        written = kaldifst.make_linear_acceptor([words[word] for word in text.split()])
        found = kaldifst.shortest_path(kaldifst.compose(kaldifst.compose(spoken, graph), written))
        return found.start >= 0

    # homophones #1 and #2 in the order of the lexicon, #3 after optional silence, #0 through all
    assert accepted("SIL #3 N_B OW_E #1 OW_S SIL #3 #0 N_B OW_E #2", "no o #0 know")
    assert accepted("N_B N_I N_E SIL_S", "nnn !SIL")
    assert not accepted("N_B OW_E #2", "no")
    assert not accepted("OW_B", "o")
    assert not accepted("SIL_S #3 OW_S", "o")


def test_files_of_positions_are_written_for_them_alone(positions):
    run(positions)
    kinds = ("silence", "nonsilence", "optional_silence", "disambig")
    names = {f"{kind}.{suffix}" for kind in kinds for suffix in ("txt", "int")}
    assert {path.name for path in (positions / "lang" / "phones").iterdir()} == names


def test_names_that_variants_have_already(positions):
    (positions / "dict/silence_phones.txt").write_text("SIL N_B SIL_S\n")
    with pytest.raises(InputError, match="dict: SIL_S, N_B would be two phones: one of that name, and a variant of"):
        run(positions, position_dependent_phones=True)
    assert run(positions)["phones"] == 5


def test_words_without_pronunciation(corpus, capsys):
    (corpus / "train" / "text").write_text(TEXT + "u4 maybe yes maybe perhaps\n")
    with pytest.raises(InputError, match=r"text: 2 words have no pronunciation in .*: maybe \(2\), perhaps \(1\); add"):
        run(corpus)
    assert not (corpus / "lang").exists()
    facts = run(corpus, oov_to_unk=True)
    assert "2 words without pronunciation are taken as <UNK>: maybe (2), perhaps (1)" in capsys.readouterr().out
    assert facts["oov_rate"] == pytest.approx(3 / 10)
    assert facts["oov_to_unk"] is True


def test_advice_of_the_option_is_as_run_sh_has_it(corpus):
    (corpus / "train" / "text").write_text("u1 maybe\n")
    with pytest.raises(InputError, match=r"or take them as <UNK> with --oov-to-unk$"):
        run(corpus)


def test_words_of_the_text_in_another_unicode_form(corpus, capsys):
    composed, decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    (corpus / "dict" / "lexicon.txt").write_text(DICT["lexicon"] + f"{composed} EH\n")
    (corpus / "train" / "text").write_text(TEXT + f"u4 {decomposed} yes {decomposed}\n")
    facts = run(corpus)
    assert (facts["oov_rate"], facts["words_not_in_train"]) == (0, 3)
    words = read_symbols(corpus / "lang" / "words.txt")
    assert composed in words
    assert decomposed not in words
    lexicon = read_training_lexicon(corpus / "lang")
    assert lexicon.word_ids("u4", f"{decomposed} {composed}") == [words[composed]] * 2
    said = capsys.readouterr().out
    assert said.count("words are in another Unicode form (composed or decomposed) than in") == 1
    assert (
        f"text: 1 words are in another Unicode form (composed or decomposed) than in {corpus}/dict/lexicon.txt" in said
    )


def test_other_spaces_than_asciis_are_part_of_words(corpus):
    (corpus / "dict" / "lexicon.txt").write_text(DICT["lexicon"] + "5\u00a0000 EH\n")
    (corpus / "train" / "text").write_text("u4 5\u00a0000 yes\n")
    run(corpus)
    words = read_symbols(corpus / "lang" / "words.txt")
    assert read_training_lexicon(corpus / "lang").word_ids("u4", "yes 5\u00a0000") == [
        words["yes"],
        words["5\u00a0000"],
    ]


def test_no_unk_to_take_words_as(corpus):
    (corpus / "train" / "text").write_text("u1 maybe\n")
    (corpus / "dict" / "lexicon.txt").write_text("yes Y\n")
    with pytest.raises(InputError, match=r"lexicon.txt: there is no <UNK> .*maybe.* add the line '<UNK> SPN'"):
        run(corpus, oov_to_unk=True)


def test_text_with_crlf_and_bom(corpus):
    (corpus / "train" / "text").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert run(corpus)["oov_rate"] == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--sil-prob=1.0", r"^error: sil_prob is 1\.0; it has to be at least 0 and below 1$"),
        ("--silence-states=0", "^error: silence_states is 0; it has to be 1 or more$"),
    ],
)
def test_bad_options(corpus, option, message):
    with pytest.raises(SystemExit, match=message):
        command(prepare_lang, [*(str(corpus / name) for name in ("train", "dict", "lang")), option])
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


QUESTIONS = "N S\n\n  OW EH \nSIL\n"


def test_extra_questions_of_the_dict_directory(corpus):
    (corpus / "dict/extra_questions.txt").write_text(QUESTIONS)
    run(corpus)
    assert (corpus / "lang/phones/extra_questions.txt").read_text() == "N S\nOW EH\nSIL\n"
    assert (corpus / "lang/phones/extra_questions.int").read_text() == "4 6\n5 3\n1\n"
    topology = read_topo(corpus / "lang/topo")
    assert read_extra_questions(corpus / "lang") == [{4, 6}, {3, 5}, {1}]
    assert read_phone_sets(corpus / "lang", topology) == [{phone} for phone in topology]


def test_extra_questions_have_all_positions(corpus):
    run(corpus, position_dependent_phones=True)
    without = (corpus / "lang/phones/extra_questions.txt").read_text()
    (corpus / "dict/extra_questions.txt").write_text("N S\nSIL\n")
    run(corpus, position_dependent_phones=True)
    expected = "N_B N_E N_I N_S S_B S_E S_I S_S\nSIL SIL_B SIL_E SIL_I SIL_S\n"
    assert (corpus / "lang/phones/extra_questions.txt").read_text() == expected + without


@pytest.mark.parametrize("content", [None, "", "\n \n"])
def test_no_extra_questions(corpus, content):
    if content is not None:
        (corpus / "dict/extra_questions.txt").write_text(content)
    run(corpus)
    assert not list((corpus / "lang/phones").glob("extra_questions.*"))


@pytest.mark.parametrize("phone", ["ZH", "N_B", "#1"])
def test_extra_questions_about_unknown_phones_are_refused(corpus, phone):
    (corpus / "dict/extra_questions.txt").write_text(f"N S\nOW {phone}\n")
    message = rf"dict/extra_questions\.txt:2: {phone} in neither silence_phones\.txt nor nonsilence_phones\.txt; name"
    with pytest.raises(InputError, match=message):
        run(corpus, position_dependent_phones=True)
    assert not (corpus / "lang").exists()


def test_a_tree_can_ask_an_extra_question(corpus):
    """Phone 3 sounds low after 4 and 7, high after 5 and 6; by their own sound, 4 goes with 5 and 6 with 7."""
    (corpus / "dict/extra_questions.txt").write_text("N Y\n")
    run(corpus)
    topology = read_topo(corpus / "lang/topo")
    middle = num_pdf_classes(topology[3]) // 2
    windows = np.array([[0, phone, 0] for phone in (4, 5, 6, 7)] + [[left, 3, 0] for left in (4, 5, 6, 7)])
    count, mean = np.full(8, 100.0), np.array([0.0, 1.0, 100.0, 101.0, -10.0, 10.0, 10.0, -10.0])
    sums, squares = (count * mean)[:, None], (count * (mean**2 + 1))[:, None]
    stats, silence = TreeStats(1, windows, np.full(8, middle), count, sums, squares), {1, 2}
    sets, options = (
        read_phone_sets(corpus / "lang", topology),
        TreeOptions(num_leaves=100, min_gain=20, cluster_thresh=0),
    )
    pdfs = []
    for extra in (read_extra_questions(corpus / "lang"), []):
        questions = phone_questions(stats, topology, sets, silence, extra)
        assert (frozenset({4, 7}) in questions) == bool(extra)
        tree = build_tree(stats, topology, options, questions, sets, silence)
        pdfs.append([tree.pdf([left, 3, 0], middle) for left in (4, 7, 5, 6)])
    asked, not_asked = pdfs
    assert asked[0] == asked[1] != asked[2] == asked[3]
    assert not_asked != asked
