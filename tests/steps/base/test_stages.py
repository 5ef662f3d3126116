"""Which stages run again and which are skipped, and what failed, interrupted and killed runs leave behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# a stage: writes its arguments and what the files among them hold; the first argument says how it behaves
FAKE = """
import os, signal, subprocess, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the commands do
how, *arguments, out = sys.argv[1:]
print("working on", Path(out).name, "éжß")
if how == "fail":
    sys.exit("error: no good")
if how == "killed":
    os.kill(os.getpid(), 9)
if how == "hang":
    child = subprocess.Popen(["sleep", "60"])
    Path(out + ".pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)
if how == "saves":
    def save(*_):
        Path(out + ".saved").touch()
        print("saved")
        sys.exit(130)
    signal.signal(signal.SIGINT, save)
    Path(out + ".pids").write_text(f"{os.getpid()} {os.getpid()}")
    time.sleep(60)
if how == "directory":
    Path(out).mkdir(parents=True, exist_ok=True)
    out = f"{out}/file"
Path(out).parent.mkdir(parents=True, exist_ok=True)
Path(out).write_text(" ".join(arguments))
"""


@pytest.fixture(autouse=True)
def signals_are_heard():
    """What was started in the background or by nohup ignores some signals, and so would all that it starts."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Runner:
    """Runs plans of fake stages in a work directory."""

    def __init__(self, folder: Path):
        self.work = folder / "work"
        self.modules = folder / "modules"
        self.modules.mkdir()
        (self.modules / "fake.py").write_text(FAKE)
        self.env = {**os.environ, "PYTHONPATH": f"{ROOT}:{self.modules}", "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}

    def start(self, plan, *options, cwd=None):
        text = "".join("".join(f"{field}\0" for field in map(str, stage)) + "\0" for stage in plan)
        process = subprocess.Popen(
            [sys.executable, "-m", "steps.base.stages", *options, str(self.work)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=self.env,
            start_new_session=True,  # a process group to send Ctrl-C to
        )
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
        return process

    def __call__(self, plan, *options, cwd=None):
        """The status, what was said and what was complained of."""
        process = self.start(plan, *options, cwd=cwd)
        out, errors = process.communicate(timeout=30)
        return process.returncode, out, errors

    def ran(self, plan, *options, cwd=None):
        """The outputs of the stages that were run."""
        status, out, errors = self(plan, *options, cwd=cwd)
        assert (status, errors) == (0, "")
        lines = [line for line in out.splitlines() if line[0].isdigit()]
        return [line.split()[-3].removesuffix(":") for line in lines if line.endswith(" s")]


def conf_files(folder):
    folder.mkdir()
    for name in ("feats", "mono", "nnet", "other"):
        (folder / f"{name}.yaml").write_text(name)
    return folder


def make_plan(work, conf, lm="bigram", nnet="nnet", nj=2, seed=1):
    """Shaped as that of run.sh."""
    data, exp = work / "data", work / "exp"
    mono, net = exp / "mono", exp / nnet
    return [
        ("data", "fake", "directory", work / "corpus", f"@{work}/corrections.tsv", "word", data),
        ("feats", "fake", "directory", conf / "feats.yaml", "--nj", nj, data, data / "feats"),
        ("lang", "fake", "directory", data / "train", data / "lang"),
        ("lang", "fake", "directory", "--lm", lm, data / "lang", data / f"lm_{lm}"),
        ("mono", "fake", "directory", conf / "mono.yaml", "--seed", seed, data / "feats/train", data / "lang", mono),
        ("nnet", "fake", "ok", conf / f"{nnet}.yaml", "--threads", nj, data / "feats/train", mono, net),
        ("graph", "fake", "ok", data / "lang", data / f"lm_{lm}", mono, exp / f"graph_{lm}"),
        ("decode", "fake", "ok", data / "feats/test", exp / f"graph_{lm}", mono, mono / f"decode_{lm}"),
        ("decode", "fake", "ok", data / "feats/test", exp / f"graph_{lm}", net, exp / f"decode_{lm}_{nnet}"),
        ("score", "fake", "ok", data, exp, exp / "results.json"),
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A work directory in which all is done; the fixture ``done`` has a copy of it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "work/corpus").mkdir(parents=True)
    (folder / "work/corpus/audio.wav").write_text("sound")
    runner = Runner(folder)
    assert runner.ran(make_plan(runner.work, conf_files(folder / "conf"))) == ALL
    return runner.work


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


@pytest.fixture
def done(runner, finished):
    return shutil.copytree(finished, runner.work)


@pytest.fixture
def conf(tmp_path):
    return conf_files(tmp_path / "conf")


@pytest.fixture
def plan(runner, conf):
    return lambda **options: make_plan(runner.work, conf, **options)


ALL = ["data", "data/feats", "data/lang", "data/lm_bigram", "exp/mono", "exp/nnet", "exp/graph_bigram"]
ALL += ["exp/mono/decode_bigram", "exp/decode_bigram_nnet", "exp/results.json"]
FROM_NNET = ["exp/nnet", "exp/decode_bigram_nnet", "exp/results.json"]
FROM_MONO = ALL[4:]


def test_runs_all_and_then_nothing(runner, plan):
    assert runner.ran(plan()) == ALL
    assert (runner.work / "exp/results.json").read_text() == f"{runner.work}/data {runner.work}/exp"
    assert runner.ran(plan()) == []


def test_a_moved_work_directory_still_skips_all(runner, plan, done):
    assert runner.ran(plan()) == []


def test_the_second_run_takes_a_moment_as_nothing_heavy_is_imported():
    code = "import sys, steps.base.stages; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {"torch", "numpy", "yaml", "jsonargparse", "scipy", "tqdm"}.isdisjoint(done.stdout.split())
    assert "steps" in done.stdout.split()


@pytest.mark.parametrize(
    ("file", "again"),
    [("feats", ALL[1:2] + ALL[4:]), ("mono", FROM_MONO), ("nnet", FROM_NNET), ("other", [])],
)
def test_changed_config_is_done_again_with_what_follows_and_nothing_before(runner, plan, conf, file, again, done):
    (conf / f"{file}.yaml").write_text("changed")
    assert runner.ran(plan()) == again
    assert runner.ran(plan()) == []


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
    assert runner.ran(plan(), "--stop-stage", "5") == ALL[4:7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stage", "tri"], "error: there is no stage 'tri'; the stages are 0 data, 1 feats, 2 lang, 3 mono, 4 nnet"),
        (["--stop-stage", "17"], "error: there is no stage '17'; the stages are 0 data"),
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


def test_failed_stage_tells_its_log_and_stops_the_run(runner, plan):
    broken = plan()
    broken[5] = ("nnet", "fake", "fail", *broken[5][3:])
    status, out, errors = runner(broken)
    log = runner.work / "exp/log/nnet-exp-nnet.log"
    assert status == 1
    assert f"error: stage nnet ended with status 1 (log: {log})" in errors
    assert "Traceback" not in out + errors
    assert "graph" not in out
    assert "error: no good" in log.read_text(encoding="utf-8")
    assert "working on nnet éжß" in log.read_text(encoding="utf-8")
    assert "  working on nnet éжß\n" in out
    assert runner.ran(plan()) == ALL[5:]


def test_stage_that_is_killed_is_not_done(runner, plan):
    broken = plan()
    broken[5] = ("nnet", "fake", "killed", *broken[5][3:])
    status, _, errors = runner(broken)
    assert status == 1
    assert "stage nnet was ended by SIGKILL; the machine may be out of memory" in errors
    assert runner.ran(plan()) == ALL[5:]


def test_a_stage_that_is_run_again_and_fails_is_not_done(runner, plan, done):
    """What it wrote earlier may be half overwritten."""
    broken = plan()
    broken[5] = ("nnet", "fake", "fail", *broken[5][3:])
    assert runner(broken)[0] == 1
    assert (done / "exp/nnet").exists()
    assert runner.ran(plan()) == FROM_NNET


@pytest.fixture
def hanging(runner, plan, request):
    """A run that has come to a stage that hangs: the run, the processes of the stage, and the plan mended."""
    stages = plan()
    stages[4] = ("mono", "fake", getattr(request, "param", "hang"), *stages[4][3:])
    file = runner.work / "exp/mono.pids"
    process = runner.start(stages)
    wait_for(lambda: file.exists() and len(file.read_text().split()) == 2)
    yield process, [int(pid) for pid in file.read_text().split()]
    for pipe in (process.stdout, process.stderr):
        pipe.close()
    kill(process.pid)
    process.wait()
    for pid in map(int, file.read_text().split()):
        kill(pid)


def kill(pid):
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_interrupt_ends_all_with_a_short_message(runner, plan, hanging):
    process, pids = hanging
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "interrupted; the same command (without --stage) goes on from here\n"
    assert "Traceback" not in out
    wait_for(lambda: not any(map(alive, pids)))
    assert runner.ran(plan()) == FROM_MONO


@pytest.mark.parametrize("hanging", ["saves"], indirect=True)
def test_interrupt_lets_a_stage_save(runner, hanging):
    process, pids = hanging
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out.endswith("saved\n")
    assert "saved" in (runner.work / "exp/log/mono-exp-mono.log").read_text(encoding="utf-8")
    assert (runner.work / "exp/mono.saved").exists()
    assert not alive(pids[0])


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_runner_leaves_no_stage_at_work(runner, plan, hanging, ending):
    process, pids = hanging
    process.send_signal(ending)
    process.wait(timeout=20)
    wait_for(lambda: not alive(pids[0]))
    assert runner.ran(plan()) == FROM_MONO


def test_second_run_in_a_work_directory_is_refused(runner, plan, hanging):
    process, _ = hanging
    status, out, errors = runner(plan())
    assert (status, out) == (1, "")
    message = (
        f"error: another run.sh is at work in {runner.work} (process {process.pid}); wait for it, or give another "
    )
    assert errors == f"{message}--workdir\n"
    assert runner(plan(), "--list")[0] == 0


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
