"""Which stages run again and which are skipped; how a run is started, listed and limited."""

import json
import os
import subprocess
import sys

import pytest

from steps.base.errors import InputError
from steps.base.plan import STAGES, read_plan
from tests.steps.base.conftest import ALL, FROM_MONO, FROM_NNET, ROOT

pytestmark = pytest.mark.usefixtures("default_signals")


def test_runs_all_and_then_nothing(runner, plan):
    assert runner.ran(plan()) == ALL
    assert (runner.work / "exp/results.json").read_text() == f"{runner.work}/data {runner.work}/exp"
    assert runner.ran(plan()) == []


def test_a_moved_work_directory_still_skips_all(runner, plan, done):
    assert runner.ran(plan()) == []


def test_the_second_run_takes_a_moment_as_nothing_heavy_is_imported():
    code = "import sys, steps.base.stages; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {"torch", "numpy", "jsonargparse", "scipy", "tqdm"}.isdisjoint(done.stdout.split())
    assert "steps" in done.stdout.split()


@pytest.mark.parametrize(
    ("file", "again"),
    [("feats", ALL[1:2] + ALL[4:]), ("mono", FROM_MONO), ("nnet", FROM_NNET), ("other", [])],
)
def test_changed_config_is_done_again_with_what_follows_and_nothing_before(runner, plan, conf, file, again, done):
    (conf / f"{file}.yaml").write_text("changed")
    assert runner.ran(plan()) == again
    assert runner.ran(plan()) == []


def test_changed_comments_of_a_config_change_nothing(runner, plan, conf):
    (conf / "mono.yaml").write_text("# a remark\nem: {iterations: 3}\n")
    runner.ran(plan())
    (conf / "mono.yaml").write_text("em:\n  iterations: 3 # another remark\n")
    assert runner.ran(plan()) == []
    (conf / "mono.yaml").write_text("em: {iterations: 4}\n")
    assert "exp/mono" in runner.ran(plan())


@pytest.mark.parametrize("content", ["1: a\nb: c\n", "day: 2026-01-01\n", "day: 2026-13-01\n", "a: [\n"])
def test_a_config_that_no_stage_takes_is_left_to_the_stage(runner, plan, conf, content):
    runner.ran(plan())
    (conf / "mono.yaml").write_text(content)
    assert runner.ran(plan()) == FROM_MONO


def test_touched_config_and_other_nj_change_nothing(runner, plan, conf, done):
    os.utime(conf / "mono.yaml", (1, 1))
    assert runner.ran(plan(nj=7)) == []


def test_changed_option_counts(runner, plan, done):
    assert runner.ran(plan(seed=2)) == FROM_MONO


def test_changed_corpus_is_prepared_again(runner, plan, done):
    corpus = done / "corpus"
    os.utime(corpus)  # the directory alone, as by listing it into a hidden file
    (corpus / ".hidden").write_text("")
    assert runner.ran(plan()) == []
    os.utime(corpus / "audio.wav", (1, 1))
    assert runner.ran(plan(), "--stop-stage", "lang") == ALL[:4]
    (corpus / "more.wav").write_text("sound")
    assert runner.ran(plan()) == ALL


def test_audio_that_a_wav_scp_names_counts(runner, tmp_path):
    corpus = tmp_path / "kaldi"
    corpus.mkdir()
    audio = [tmp_path / name for name in ("a.wav", "with space.wav", "c.flac")]
    for file in audio:
        file.write_text("sound")
    (corpus / "beside.wav").write_text("sound")
    entries = [audio[0], audio[1], f"flac -c -d -s {audio[2]} |", "beside.wav"]
    (corpus / "wav.scp").write_text(
        "".join(f"u{i}{blank}{entry}\n" for i, (blank, entry) in enumerate(zip(" \t \t", entries, strict=True)))
    )
    plan = [("data", "fake", "ok", corpus, runner.work / "data")]
    assert runner.ran(plan) == ["data"]
    assert runner.ran(plan) == []
    for file in audio:
        file.write_text("other sound")
        assert runner.ran(plan) == ["data"]


def test_a_table_that_no_option_names_counts_but_is_no_argument(runner, plan, done):
    (done / "corrections.tsv").write_text("correction")
    assert runner.ran(plan(), "--stop-stage", "data") == ["data"]
    assert (done / "data/file").read_text() == f"{done}/corpus word"
    assert runner.ran(plan(), "--stop-stage", "data") == []


def test_words_are_no_paths(runner, tmp_path):
    """A language 'it' is not the folder 'it' of the current directory, which grows with the run."""
    (tmp_path / "it").mkdir()
    plan = [("data", "fake", "ok", "--language", "it", runner.work / "data")]
    assert runner.ran(plan, cwd=tmp_path) == ["data"]
    (tmp_path / "it/file").write_text("")
    assert runner.ran(plan, cwd=tmp_path) == []


def test_deleted_output_is_made_again_with_what_follows(runner, plan, done):
    (runner.work / "exp/nnet").unlink()
    assert runner.ran(plan()) == FROM_NNET
    (runner.work / "exp/results.json").unlink()
    assert runner.ran(plan()) == ["exp/results.json"]


def test_second_language_model_retrains_nothing(runner, plan, done):
    scored = ["exp/results.json"]
    decoded = ["exp/graph_unigram", "exp/mono/decode_unigram", "exp/decode_unigram_nnet"]
    assert runner.ran(plan(lm="unigram")) == ["data/lm_unigram", *decoded, *scored]
    assert runner.ran(plan(lm="bigram")) == scored


def test_second_network_trains_that_alone(runner, plan, done):
    assert runner.ran(plan(nnet="other")) == ["exp/other", "exp/decode_bigram_other", "exp/results.json"]


def test_stage_runs_that_one_again_and_what_follows_from_it(runner, plan, done):
    assert runner.ran(plan(), "--stage", "score") == ["exp/results.json"]
    assert runner.ran(plan(), "--stage", "nnet") == FROM_NNET
    assert runner.ran(plan(), "--stage", "3", "--stop-stage", "mono") == ["exp/mono"]
    assert runner.ran(plan()) == FROM_MONO[1:]
    assert runner.ran(plan()) == []


def test_stage_takes_what_is_before_as_it_is(runner, plan, conf, done):
    (conf / "mono.yaml").write_text("changed")
    assert runner.ran(plan(), "--stage", "nnet") == FROM_NNET
    assert runner.ran(plan()) == FROM_MONO


def test_stop_stage(runner, plan):
    assert runner.ran(plan(), "--stop-stage", "lang") == ALL[:4]
    assert runner.ran(plan(), "--stop-stage", "10") == ALL[4:7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--stage", "tri"],
            "error: stage 4 tri is not part of this run; its stages are 0 data, 1 feats, 2 lang, 3 mono, 8",
        ),
        (["--stop-stage", "12"], "error: stage 12 rescore is not part of this run; its stages are 0 data"),
        (["--stage", "triphones"], "error: there is no stage 'triphones'; the stages of this run are 0 data"),
        (["--stop-stage", "17"], "error: there is no stage '17'; the stages of this run are 0 data"),
        (["--stage", "mono", "--stop-stage", "lang"], "error: --stop-stage lang comes before --stage mono"),
        (["--stage", "nnet"], "error: stage data has not been run, or "),
    ],
)
def test_wrong_stages_are_refused_before_anything_runs(runner, plan, options, message):
    status, out, errors = runner(plan(), *options)
    assert status == 1
    assert errors.startswith(message)
    assert errors.count("\n") == 1
    assert out == ""
    assert not (runner.work / "data").exists()


def test_list(runner, plan, conf):
    assert [line.split()[2:4] for line in runner(plan(), "--list")[1].splitlines()] == [["not", "done"]] * len(ALL)
    assert not (runner.work / "exp").exists()
    runner.ran(plan(), "--stop-stage", "nnet")
    (conf / "mono.yaml").write_text("changed")
    lines = runner(plan(), "--list")[1].splitlines()
    assert [line.split()[0:3:2] + line.split()[-1:] for line in lines[:4]] == [
        [number, "done", output] for number, output in zip("0122", ALL, strict=False)
    ]
    assert ["done again" in line for line in lines] == [output in ("exp/mono", "exp/nnet") for output in ALL]
    assert all("not done" in line for line in lines[6:])


def test_every_stage_has_one_number_for_ever():
    """A number that was printed or written into a script means the same stage in all versions."""
    assert list(enumerate(STAGES))[:15] == [
        *((0, "data"), (1, "feats"), (2, "lang"), (3, "mono"), (4, "tri"), (5, "lda_mllt"), (6, "sat"), (7, "align")),
        *((8, "nnet"), (9, "realign"), (10, "graph"), (11, "decode"), (12, "rescore"), (13, "score"), (14, "report")),
    ]


def test_a_stage_stands_anywhere_in_the_plan_whatever_its_number(runner, plan, done):
    """The order is that of the plan: a stage that came later has a high number and may still be an early one."""
    stages = plan()
    extra = runner.work / "exp/aligned"
    stages[5:6] = [("report", "fake", "ok", runner.work / "exp/mono", extra), (*stages[5][:-1], extra, stages[5][-1])]
    assert runner.ran(stages, "--stop-stage", "14") == ["exp/aligned"]
    assert runner.ran(stages) == FROM_NNET
    assert runner.ran(stages, "--stage", "report", "--stop-stage", "nnet") == ["exp/aligned", "exp/nnet"]
    assert runner.ran(stages, "--stage", "14") == ["exp/aligned", *FROM_NNET]
    status, _, errors = runner(stages, "--stage", "nnet", "--stop-stage", "report")
    assert (status, errors) == (1, "error: --stop-stage report comes before --stage nnet\n")
    dry = runner(stages, "--dry-run", "--stage", "report", "--stop-stage", "nnet")[1]
    assert [line.partition(":")[0] for line in dry.splitlines()] == ["14 report", "8 nnet"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["data", "tri4"], "the plan has a stage 'tri4'; add it to STAGES in steps.base.plan"),
        (["data", "nnet", "data"], "the plan has stage data again after stage nnet; put its steps together"),
    ],
)
def test_plans_with_other_stages_or_a_stage_in_two_places_are_refused(lines, message):
    with pytest.raises(InputError, match=message):
        read_plan("".join(f"{name}\0fake\0/out\0\0" for name in lines))


def test_list_into_a_closed_pipe_ends_quietly(runner, plan):
    process = runner.start(plan(), "--list")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()


def test_dry_run_prints_the_commands_and_runs_none(runner, plan):
    status, out, _ = runner(plan(), "--dry-run", "--stage", "2", "--stop-stage", "mono")
    assert status == 0
    assert [line.partition(" directory ")[0] for line in out.splitlines()] == [
        "2 lang: python -m fake",
        "2 lang: python -m fake",
        "3 mono: python -m fake",
    ]
    assert not (runner.work / "exp").exists()


def test_work_directory_that_cannot_be_written(runner, plan):
    runner.work.write_text("a file")
    status, _, errors = runner(plan())
    assert status == 1
    assert errors == f"error: {runner.work}/exp/.stages: this directory cannot be made (Not a directory)\n"


def test_entries_tell_the_command_and_the_time(runner, plan):
    runner.ran(plan(), "--stop-stage", "data")
    entry = json.loads((runner.work / "exp/.stages/data-data.json").read_text())
    assert entry["command"][:3] == ["-m", "fake", "directory"]
    assert entry["seconds"] >= 0
    assert entry["started"] <= entry["ended"]


def test_entries_tell_with_what_the_stage_was_run(runner, plan):
    def made_with(name):
        return json.loads((runner.work / f"exp/.stages/{name}.json").read_text())["made_with"]

    run_sh = ["./run.sh", "--recipe", "an4", "--corpus", "my corpus"]
    runner.ran(plan(), "--stop-stage", "1", run_sh=run_sh)
    assert made_with("data-data")["command"] == run_sh
    assert {"python", "torch", "cpu", "git"} <= made_with("data-data").keys()
    # another command that skips the stage, as the result is the same, is not the one that made it
    runner.ran(plan(), "--stop-stage", "2", run_sh=["./run.sh", "--nj", "2"])
    assert made_with("data-data")["command"] == run_sh
    assert made_with("lang-data-lang")["command"] == ["./run.sh", "--nj", "2"]
