import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from steps.ali.directory import read_alignments
from steps.base.cli import command
from steps.base.errors import InputError
from steps.corpus.tables import read_table
from steps.decode import decode
from steps.hmm.transitions import MODEL_FILES, read_transition_model, split_phones
from steps.lang.fst_arrays import read_fst, to_arrays, to_fst
from steps.lang.symbols import read_symbols, write_symbols
from steps.lang.table_hash import words_hash
from steps.scoring.wer import score
from steps.search import decoding
from steps.search.beam import DecodingScales, Hypothesis, SearchOptions
from tests.steps import synthetic

SCALES = DecodingScales(0.1, 1.0)


@pytest.fixture(scope="module")
def decoded(work, tmp_path_factory):
    path = tmp_path_factory.mktemp("decoded") / "decode_dev"
    decode(work / "feats/dev", work / "graph", work / "mono", path, SCALES)
    return path


def about(folder):
    return json.loads((folder / "decode.json").read_text())


def test_sounds_that_can_be_told_apart_are_recognised(work, decoded):
    reference, found = read_table(work / "data/dev/text"), read_table(decoded / "text")
    assert list(found) == list(reference)
    assert score(reference, found).total.errors <= 1
    # homophones, of which the language model knows one
    assert "deaf" in " ".join(found.values())
    assert "def " not in " ".join(found.values()) + " "


def test_description(work, decoded):
    facts = about(decoded)
    expected = {"model": "mono", "set": "dev", "lm": "bigram", "acoustic_scale": 0.1, "insertion_penalty": 1.0}
    assert expected.items() <= facts.items()
    assert facts["utts"] == synthetic.SIZES["dev"]
    assert facts["unfinished"] == []
    frames = sum(map(int, read_table(work / "feats/dev/mfcc/utt2num_frames").values()))
    assert facts["audio_seconds"] == pytest.approx(frames / 100)
    assert facts["seconds"] > 0
    names = {"text", "decode.json", "ali.scp", "ali.ark", *MODEL_FILES}
    assert {path.name for path in decoded.iterdir()} == names


def test_alignments_of_what_was_heard(work, decoded):
    model, alignments = read_transition_model(work / "mono"), read_alignments(decoded)
    frames = read_table(work / "feats/dev/mfcc/utt2num_frames")
    assert {utterance: len(tids) for utterance, tids in alignments.items()} == {u: int(n) for u, n in frames.items()}
    symbols = {number: phone for phone, number in read_symbols(work / "lang/phones.txt").items()}
    pronunciations = {line.split()[0]: line.split()[1:] for line in synthetic.LEXICON.splitlines()[1:]} | {"cab": None}
    for utterance, text in read_table(decoded / "text").items():
        phones = [symbols[phone] for phone, _, _ in split_phones(model, alignments[utterance])]
        spoken = "".join(phone for phone in phones if phone != "SIL")
        expected = "".join("C[AE]B" if w == "cab" else "".join(pronunciations[w]) for w in text.split())
        assert re.fullmatch(expected, spoken)


def test_result_does_not_depend_on_the_number_of_processes(work, tmp_path, decoded):
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "two", SCALES, nj=2)
    assert (tmp_path / "two/text").read_bytes() == (decoded / "text").read_bytes()


def test_new_audio(work, tmp_path, capfd):
    """Any data directory will do: another sample rate, which is said once for all processes, no text."""
    texts = {"new-1": ["face", "bad"], "new-2": ["cab"]}
    data = synthetic.write_data(tmp_path / "new", texts, seed=9)
    (data / "text").unlink()
    samples, rate = soundfile.read(data / "new-1.wav")
    soundfile.write(data / "new-1.wav", np.interp(np.arange(2 * len(samples)) / 2, np.arange(len(samples)), samples), 2 * rate)  # fmt: skip # noqa: E501
    decode(data, work / "graph", work / "mono", tmp_path / "out", SCALES, nj=2)
    assert read_table(tmp_path / "out/text") == {key: " ".join(words) for key, words in texts.items()}
    assert capfd.readouterr().out.count("resampled 1 utterance from 16000 Hz to 8000 Hz") == 1


def test_command(work, tmp_path):
    command = [sys.executable, "-m", "steps.decode", "--config", "conf/search.yaml", "--scales.insertion_penalty", "1"]
    arguments = [work / "feats/dev", work / "graph", work / "mono", tmp_path / "out"]
    done = subprocess.run([*command, *arguments], cwd=synthetic.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "out: 35 utterances, " in done.stdout
    assert (about(tmp_path / "out")["insertion_penalty"], about(tmp_path / "out")["role"]) == (1, "test")
    done = subprocess.run([*command, *arguments, "--beam", "3"], cwd=synthetic.ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_role(work, tmp_path):
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", SCALES, role="pass")
    assert about(tmp_path / "out")["role"] == "pass"
    with pytest.raises(SystemExit, match="role is first; it has to be one of 'tune', 'test', 'pass'"):
        command(decode, ["data", "graph", "model", "out", "--role", "first"])


def test_goes_on_after_a_kill(work, tmp_path, monkeypatch, decoded):
    calls = []
    real = decoding.search_utterance

    def search(*arguments):
        calls.append(arguments)
        if len(calls) == 34:  # in the second block
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(decoding, "search_utterance", search)
    with pytest.raises(KeyboardInterrupt):
        decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", SCALES)
    assert not (tmp_path / "out").exists()
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", SCALES)
    assert len(calls) == 34 + 3  # the second block alone
    assert (tmp_path / "out/text").read_bytes() == (decoded / "text").read_bytes()
    # with other weights nothing of it counts
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", DecodingScales(0.11))
    assert len(calls) == 37 + 35


def test_unfinished_paths_are_listed(work, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(decoding, "search_utterance", lambda *_: Hypothesis([3], [1], False))
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", SCALES)
    assert "no complete path, the best unfinished one taken: dev-00 dev-01" in capsys.readouterr().out
    assert len(about(tmp_path / "out")["unfinished"]) == 35


def test_graph_of_another_model(work, tmp_path, copy):
    graph = copy("graph")
    facts = json.loads((graph / "graph.json").read_text())
    for change in ({"tree": "0123456789abcdef"}, {"transition_ids": 5}):
        (graph / "graph.json").write_text(json.dumps(facts | change))
        message = (
            rf"graph: the graph has {(facts | change)['transition_ids']} transition-ids of tree "
            rf"{(facts | change)['tree']}, but the model .*mono has {facts['transition_ids']} of tree {facts['tree']}; "
            r"make a graph for this model with steps\.make_graph"
        )
        with pytest.raises(InputError, match=message):
            decode(work / "feats/dev", graph, work / "mono", tmp_path / "out")


@pytest.mark.parametrize("content", ["{}", "[]", '{"lm": "bigram"}'])
def test_graph_json_that_says_too_little(work, tmp_path, copy, content):
    graph = copy("graph")
    (graph / "graph.json").write_text(content)
    with pytest.raises(
        InputError, match=r"graph\.json: (it lacks|no JSON object with) .*tree.*; remove it and make .*graph"
    ):
        decode(work / "feats/dev", graph, work / "mono", tmp_path / "out")


def test_words_are_read_by_their_numbers(work, tmp_path, copy, decoded):
    """The lines may come in any order, and with gaps between the numbers."""
    graph = copy("graph")
    symbols = read_symbols(graph / "words.txt")
    arrays = to_arrays(read_fst(graph / "HCLG.fst", ""))
    to_fst(replace(arrays, olabel=3 * arrays.olabel)).write(str(graph / "HCLG.fst"))
    lines = [f"{word} {3 * number}\n" for word, number in symbols.items()]
    (graph / "words.txt").write_text("".join(reversed(lines)))
    facts = json.loads((graph / "graph.json").read_text())
    (graph / "graph.json").write_text(json.dumps(facts | {"words": words_hash(graph / "words.txt")}))
    decode(work / "feats/dev", graph, work / "mono", tmp_path / "out", SCALES)
    assert (tmp_path / "out/text").read_bytes() == (decoded / "text").read_bytes()


def test_words_of_another_graph(work, tmp_path, copy):
    graph = copy("graph")
    symbols = read_symbols(graph / "words.txt")
    symbols["bad"], symbols["cab"] = symbols["cab"], symbols["bad"]
    write_symbols(graph / "words.txt", symbols)
    with pytest.raises(
        InputError, match=r"graph\.json and .*words\.txt: their tables of words .*; make the graph again"
    ):
        decode(work / "feats/dev", graph, work / "mono", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("HCLG.fst", r"HCLG\.fst: the graph is missing; make it again with steps\.make_graph"),
        ("graph.json", r"graph: not a graph directory, it has no graph\.json; make one with steps\.make_graph"),
        ("words.txt", r"words\.txt: there is no such file"),
    ],
)
def test_missing_file_of_the_graph(work, tmp_path, copy, name, message):
    graph = copy("graph")
    (graph / name).unlink()
    with pytest.raises(InputError, match=message):
        decode(work / "feats/dev", graph, work / "mono", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_graph(work, tmp_path, copy):
    graph = copy("graph")
    content = (graph / "HCLG.fst").read_bytes()
    (graph / "HCLG.fst").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"HCLG\.fst: the graph is damaged; make it again with steps\.make_graph"):
        decode(work / "feats/dev", graph, work / "mono", tmp_path / "out")


def test_no_model(work, tmp_path):
    with pytest.raises(InputError, match=r"lang: not a model directory, it has no model\.json; train one first"):
        decode(work / "feats/dev", work / "graph", work / "lang", tmp_path / "out")


def test_no_data(work, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: neither a wav.scp, nor features in it"):
        decode(tmp_path / "nowhere", work / "graph", work / "mono", tmp_path / "out")


def test_nothing_tuned(work, tmp_path):
    with pytest.raises(InputError, match=r"lang: it has no tune\.json; choose scales with steps\.tune first"):
        decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", tuned=work / "lang")


def test_not_a_word(work, tmp_path):
    wide, scales = SearchOptions(beam=1e5, max_active=10**6), DecodingScales(0.1, 1e4)
    with pytest.raises(InputError, match=r"not a word was recognised in 35 utterances with .*mono; are"):
        decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", scales, search=wide)
    assert not (tmp_path / "out").exists()


def test_narrow_search_still_finds_words(work, tmp_path):
    narrow = SearchOptions(beam=2, max_active=30, retry_beam=10)
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", SCALES, search=narrow)
    reference = read_table(work / "data/dev/text")
    assert score(reference, read_table(tmp_path / "out/text")).total.wer < 30


def test_utterance_shorter_than_a_frame(work, tmp_path, capsys):
    data = synthetic.write_data(tmp_path / "new", {"new-1": ["face"], "new-2": ["cab"]}, seed=9)
    soundfile.write(data / "new-2.wav", np.zeros(50), synthetic.RATE)
    decode(data, work / "graph", work / "mono", tmp_path / "out", SCALES)
    assert "left out, shorter than one frame: new-2" in capsys.readouterr().out
    assert read_table(tmp_path / "out/text") == {"new-1": "face"}


def test_earlier_result_is_replaced_as_a_whole(work, tmp_path, decoded):
    out = shutil.copytree(decoded, tmp_path / "out")
    (out / "score.json").write_text("of the earlier one")
    decode(work / "feats/dev", work / "graph", work / "mono", out, SCALES)
    assert not (out / "score.json").exists()
