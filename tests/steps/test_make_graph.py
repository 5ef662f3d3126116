import json
import shutil
import subprocess

import pytest

from steps.errors import InputError
from steps.hmm.acoustic_model import tree_hash
from steps.hmm.transitions import read_transition_model
from steps.make_graph import make_graph


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
