"""Plans of fake stages, and a runner of them."""

import os
import shutil
import signal
import subprocess
import sys
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


@pytest.fixture
def default_signals():
    """Handle signals as usual: what was started in the background or by nohup ignores some, and so do its children."""
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

    def start(self, plan, *options, cwd=None, run_sh=()):
        text = "".join("".join(f"{field}\0" for field in map(str, stage)) + "\0" for stage in plan)
        process = subprocess.Popen(
            [sys.executable, "-m", "steps.base.stages", *options, str(self.work), "--", *run_sh],
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

    def __call__(self, plan, *options, cwd=None, run_sh=()):
        """The status, what was said and what was complained of."""
        process = self.start(plan, *options, cwd=cwd, run_sh=run_sh)
        out, errors = process.communicate(timeout=30)
        return process.returncode, out, errors

    def ran(self, plan, *options, cwd=None, run_sh=()):
        """The outputs of the stages that were run."""
        status, out, errors = self(plan, *options, cwd=cwd, run_sh=run_sh)
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
