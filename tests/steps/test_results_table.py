"""The table of results in a Markdown file, from work directories that hold no more than the files that it reads."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from steps.base.errors import InputError
from steps.results_table import results_table

ROW = {"set": "test", "lm": "bigram", "words": 200, "utts": 2, "seconds": 2.5, "missing": []}
ROW |= {"acoustic_scale": 0.125, "insertion_penalty": 0.0}
COMMIT = "a93661af3a6e5d2932a8f52af4ebc90285740361"
MADE_WITH = {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.2.6", "kaldi-decoder": "0.3.2"}
MADE_WITH |= {"cpu": "AMD EPYC, 2 cores", "git": COMMIT + "-dirty"}

HEADER = "| model | LM | set | WER % | 95 % interval | errors / words | sub / ins / del | CER % "
HEADER += "| scale / penalty | differs from * | decoding, s |"


def make_row(model, errors, seed, **values):
    counts = {"errors": errors, "sub": errors - 3, "ins": 1, "del": 2, "wer": errors / 2, "cer": errors / 4}
    interval = {"wer_low": errors / 2 - 1, "wer_high": errors / 2 + 1}
    return {**ROW, "model": model, "seed": seed, **counts, **interval, "chosen": False, "p_chosen": None, **values}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def make_work(work, seed=1, errors=(10, 20), options=(), p=0.0312):
    """Write what run.sh and its stages write: a network and monophones, decoded on test."""
    exp = work / "exp"
    rows = [make_row("lstmp", errors[0], seed, chosen=True), make_row("mono", errors[1], seed, p_chosen=p)]
    write_json(exp / "results.json", rows)
    (work / "data/test").mkdir(parents=True)
    (work / "data/test/text").write_text("a-1 one two\na-2 three\n")
    write_json(exp / "lstmp/model.json", {"epochs": [2]})
    lines = [{"epoch": e, "frames": e, "seconds": e, "accuracy": 0.4} for e in (1, 2, 3)]
    lines = [line | {"dev_accuracy": 0.5 + line["epoch"] / 10 + seed / 100} for line in lines]
    (exp / "lstmp/train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = "/home/me/project/conf/nnet/lstmp.yaml"
    (exp / "lstmp/cmd").write_text(
        f"/home/me/project/steps/train_nnet.py --config /home/me/project/conf/train_nnet.yaml --config {config} a b\n"
    )
    (exp / "lstmp/config.yaml").write_text("workers: 2\nthreads: 1\n")
    write_json(exp / "lstmp/environment.json", {"python": "3.11.7", "git": COMMIT + "-dirty", "cpu": "AVX2"})
    shapes = {"layers.0.W_x": (1000, 3), "output.bias": (7,)}
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, exp / "lstmp/model.safetensors")
    command = ["./run.sh", "--recipe", "an4", "--corpus", "my corpus", *options, "--seed", str(seed)]
    command += ["--workdir", str(work)]
    entries = {"data-data": 3.25, "nnet-exp-lstmp": 1000.0 * seed, "decode-exp-lstmp-decode": 5.0}
    entries |= {"decode-exp-mono-decode": 7.5, "lda_mllt-exp-lda_mllt": 60}
    for name, seconds in entries.items():
        entry = {"seconds": seconds, "ended": f"2026-11-2{seed}T10:00:00", "command": ["-m", "steps.x"]}
        write_json(exp / f".stages/{name}.json", entry | {"made_with": {"command": command, **MADE_WITH}})
    return work


@pytest.fixture
def work(tmp_path):
    return make_work(tmp_path / "one")


@pytest.fixture
def three(tmp_path):
    return [make_work(tmp_path / f"seed{seed}", seed, (10 + seed, 20)) for seed in (1, 2, 3)]


def refusal(*works, out):
    with pytest.raises(InputError) as error:
        results_table(list(works), out=out)
    return str(error.value)


def change(path, **values):
    write_json(path, json.loads(path.read_text()) | values)


def change_rows(work, **values):
    rows = json.loads((work / "exp/results.json").read_text())
    write_json(work / "exp/results.json", [row | values for row in rows])


def test_one_work_directory(work, tmp_path, capsys):
    out = tmp_path / "new/RESULTS.md"
    results_table([work], out=out)
    assert (
        out.read_text()
        == f"""\
<!-- results results -->

```sh
./run.sh --recipe an4 --corpus 'my corpus'
```

{HEADER}
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| lstmp * | bigram | test | 5.00 | 4.00 - 6.00 | 10 / 200 | 7 / 1 / 2 | 2.50 | 0.125 / 0 |  | 2.5 |
| mono | bigram | test | 10.00 | 9.00 - 11.00 | 20 / 200 | 17 / 1 / 2 | 5.00 | 0.125 / 0 | yes, p 0.031 | 2.5 |

`*`: chosen, the lowest WER on dev. differs: p < 0.05 in the matched-pairs test on the same utterances.

- lstmp: conf/nnet/lstmp.yaml, 3,007 parameters, 2 workers, dev frame accuracy 71.00 %
- seed 1
- seconds of each stage: data 3.2, lda_mllt 60, nnet 1,000, decode 12; 1,076 in all
- python 3.11.7, torch 2.13.0, numpy 2.2.6, kaldi-decoder 0.3.2
- cpu: AMD EPYC, 2 cores, AVX2
- commit a93661af3a6e (changed), 2026-11-21

<!-- end of results results -->
"""
    )
    assert capsys.readouterr().out == f"{out}: table 'results', 2 rows, work directories: {work}\n"


def test_several_seeds_are_means_with_their_range(three, tmp_path):
    results_table(three, out=tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    assert "```sh\n./run.sh --recipe an4 --corpus 'my corpus'\n```" in text
    assert "95 % interval" not in text
    assert "| lstmp * | bigram | test | 6.00 (5.50 to 6.50) | 12 / 200 | 9 / 1 / 2 | 3.00 (2.75 to 3.25) |" in text
    assert "| mono | bigram | test | 10.00 | 20 / 200 |" in text
    assert text.count("| yes |") == 1
    assert "Means of 3 runs, with the range where they differ." in text
    assert "3,007 parameters, 2 workers, dev frame accuracy 72.00 (71.00 to 73.00) %" in text
    assert "- seeds 1, 2, 3\n" in text
    assert "nnet 2,000 (1,000 to 3,000), " in text
    assert "- commit a93661af3a6e (changed), 2026-11-21 to 2026-11-23\n" in text


@pytest.mark.parametrize(("ps", "cell"), [((0.2, 0.3), "no"), ((0.2, 0.01), None), ((0.01, None), None)])
def test_a_difference_is_told_of_several_runs_where_all_agree(tmp_path, ps, cell):
    works = [make_work(tmp_path / f"seed{seed}", seed, p=p) for seed, p in enumerate(ps, 1)]
    results_table(works, out=tmp_path / "RESULTS.md")
    assert ("differs from *" in (tmp_path / "RESULTS.md").read_text()) == (cell is not None)
    assert f"| {cell} |" in (tmp_path / "RESULTS.md").read_text() or cell is None


def test_seeds_that_choose_different_models(three, tmp_path):
    rows = json.loads((three[2] / "exp/results.json").read_text())
    changed = [row | {"chosen": not row["chosen"], "p_chosen": None if row["p_chosen"] else 0.01} for row in rows]
    write_json(three[2] / "exp/results.json", changed)
    results_table(three, out=tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| lstmp (* in 2 of 3) |" in text
    assert "| mono (* in 1 of 3) |" in text
    assert "differs from *" not in text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_what_stands_between_the_lines_changes(work, tmp_path, newline):
    out = tmp_path / "RESULTS.md"
    around = ["# Results", "Ünïcode  ", "<!-- results an4 -->", "old", "<!-- end of results an4 -->", "", "end"]
    out.write_bytes(newline.join(around).encode())
    results_table([work], out=out, name="an4")
    first = out.read_bytes()
    lines = first.decode().split(newline)
    assert (lines[:3], lines[-3:]) == (around[:3], around[-3:])
    assert "old" not in lines
    assert newline == "\n" or first.count(b"\r\n") == first.count(b"\n")
    results_table([work], out=out, name="an4")
    assert out.read_bytes() == first
    change_rows(work, seconds=3.5)
    results_table([work], out=out, name="an4")
    changed = [(a, b) for a, b in zip(lines, out.read_bytes().decode().split(newline), strict=True) if a != b]
    assert [a.replace("| 2.5 |", "| 3.5 |") for a, _ in changed if "| 2.5 |" in a] == [b for _, b in changed]
    assert len(changed) == 2


def test_tables_of_other_names_stay(work, tmp_path):
    out = tmp_path / "RESULTS.md"
    out.write_text("<!-- results a -->\nA\n<!-- end of results a -->\n<!-- results b -->\n<!-- end of results b -->\n")
    results_table([work], out=out, name="b")
    assert out.read_text().startswith("<!-- results a -->\nA\n<!-- end of results a -->\n<!-- results b -->\n\n```sh")


BEGIN, END = "<!-- results results -->", "<!-- end of results results -->"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Results\n", f"there is no line '{BEGIN}' and no line '{END}'; add these lines where the table is to stand"),
        (f"{BEGIN}\n", f"there is no line '{END}'; add it where the table is to stand"),
        (f"{END}\n{BEGIN}\n", f"'{END}' (line 1) comes before '{BEGIN}' (line 2); exchange them"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n", f"'{BEGIN}' stands in lines 1, 2; leave one of them"),
        ("<!-- results an4 -->\n<!-- end of results an4 -->\n", f"there is no line '{BEGIN}' and no line '{END}'; add"),
    ],
)
def test_a_file_without_the_place_is_refused_and_stays(work, tmp_path, text, message):
    out = tmp_path / "RESULTS.md"
    out.write_text(text)
    assert refusal(work, out=out).startswith(f"{out}: {message}")
    assert out.read_text() == text


@pytest.mark.parametrize("name", ["", "a--b", "a -->"])
def test_names_that_a_comment_cannot_hold(work, tmp_path, name):
    with pytest.raises(InputError, match=r"--name is '.*'; it has to be words"):
        results_table([work], out=tmp_path / "RESULTS.md", name=name)


def test_work_directories_of_earlier_versions(work, tmp_path):
    """Without what made the stages, the interval and the comparison; the table leaves them out."""
    for file in (work / "exp/.stages").iterdir():
        change(file, made_with=None)
        entry = json.loads(file.read_text())
        del entry["made_with"]
        write_json(file, entry)
    rows = json.loads((work / "exp/results.json").read_text())
    new = ("wer_low", "wer_high", "p_chosen", "cer")
    write_json(work / "exp/results.json", [{k: v for k, v in row.items() if k not in new} for row in rows])
    results_table([work], out=tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| model | LM | set | WER % | errors / words | sub / ins / del | scale / penalty | decoding, s |" in text
    assert "run.sh" not in text
    assert "- python 3.11.7\n- cpu: AVX2\n- commit a93661af3a6e (changed), 2026-11-21\n" in text
    shutil.rmtree(work / "exp/lstmp")
    shutil.rmtree(work / "exp/.stages")
    results_table([work], out=tmp_path / "RESULTS.md")
    assert (tmp_path / "RESULTS.md").read_text().endswith("on dev.\n\n- seed 1\n\n<!-- end of results results -->\n")


def test_commands_of_several_language_models(work, tmp_path):
    command = ["./run.sh", "--lm-name", "unigram"]
    entry = {"seconds": 1.0, "ended": "2026-11-21T10:00:00", "command": []}
    path = work / "exp/.stages/decode-exp-mono-decode_unigram.json"
    write_json(path, entry | {"made_with": {"command": command, **MADE_WITH}})
    results_table([work], out=tmp_path / "RESULTS.md")
    assert " --corpus 'my corpus'\n./run.sh --lm-name unigram\n```" in (tmp_path / "RESULTS.md").read_text()


def test_the_average_of_epochs_has_no_accuracy(work, tmp_path):
    change(work / "exp/lstmp/model.json", epochs=[1, 2])
    results_table([work], out=tmp_path / "RESULTS.md")
    assert "3,007 parameters, 2 workers\n" in (tmp_path / "RESULTS.md").read_text()


def test_results_are_needed(work, tmp_path):
    (work / "exp/results.json").unlink()
    message = refusal(work, out=tmp_path / "RESULTS.md")
    assert message == f"{work}/exp/results.json: there are no results; run run.sh up to its stage score"
    assert not (tmp_path / "RESULTS.md").exists()


def test_damaged_files_are_named(work, tmp_path):
    (work / "exp/lstmp/model.safetensors").write_bytes(b"1234567890")
    assert "lstmp/model.safetensors is not a whole safetensors file" in refusal(work, out=tmp_path / "RESULTS.md")
    rows = json.loads((work / "exp/results.json").read_text())
    write_json(work / "exp/results.json", [{k: v for k, v in row.items() if k != "sub"} for row in rows])
    assert "results.json: a row lacks sub; score again" in refusal(work, out=tmp_path / "RESULTS.md")


def test_work_directories_of_different_configurations(tmp_path):
    one = make_work(tmp_path / "one", 1, options=["--workers", "1"])
    two = make_work(tmp_path / "two", 2, options=["--gmm", "tri"])
    assert refusal(one, two, out=tmp_path / "RESULTS.md") == (
        f"{one} and {two} have different options of run.sh: --workers 1 only in {one}; --gmm tri only in {two}"
    )
    assert refusal(one, one / "../one", out=tmp_path / "RESULTS.md") == (
        f"{one / '../one'} is given twice; the table is of different runs"
    )


def test_work_directories_of_different_results(three, tmp_path):
    first, second, _ = three
    rows = json.loads((second / "exp/results.json").read_text())
    write_json(second / "exp/results.json", rows[:1])
    assert refusal(*three, out=tmp_path / "RESULTS.md") == (
        f"{first} and {second} have different results: mono on test with bigram only in {first}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a-1 one two\nb-1 three\n", "different utterances: 2 are in one only, the first is a-2"),
        ("a-1 one two\na-2 four\n", "different words: in 1 utterances, the first is a-2"),
    ],
)
def test_sets_of_different_transcripts(three, tmp_path, text, message):
    (three[1] / "data/test/text").write_text(text)
    message = f"{three[0]} and {three[1]}: set test has {message}"
    assert refusal(*three, out=tmp_path / "RESULTS.md") == message


def test_sets_of_different_counts(three, tmp_path):
    shutil.rmtree(three[1] / "data")
    change_rows(three[1], words=201)
    assert refusal(*three, out=tmp_path / "RESULTS.md") == (
        f"{three[0]} and {three[1]}: set test has 200 words in one and 201 in the other"
    )
