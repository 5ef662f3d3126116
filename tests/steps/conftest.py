import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from steps.align import align_data
from steps.prepare_lang import prepare_lang
from tests.steps import synthetic


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus and all that is made of it up to a monophone model and its graph. Tests only read it."""
    path = tmp_path_factory.mktemp("synthetic")
    synthetic.write_corpus(path)
    synthetic.train(path)
    return path


@pytest.fixture(scope="session")
def ali(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dev set's alignment. Tests only read it."""
    path = tmp_path_factory.mktemp("ali") / "mono_ali"
    align_data(work / "feats/dev", work / "lang", work / "mono", path)
    return path


@pytest.fixture(scope="session")
def exchanged(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lang directory with the words and phones of `work`, but other numbers of the phones. Tests only read it."""
    path = tmp_path_factory.mktemp("exchanged")
    shutil.copytree(work / "dict", path / "dict")
    (path / "dict/nonsilence_phones.txt").write_text("F\nE\nD\nC\nB\nA\n")
    prepare_lang(work / "data/train", path / "dict", path / "lang")
    return path / "lang"


@pytest.fixture
def old(work: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Give a copy of a directory of `work` without hashes of symbol tables, as an earlier version made it."""

    def copied(name: str) -> Path:
        folder = Path(shutil.copytree(work / name, tmp_path / "old" / name))
        for file in folder.glob("*.json"):
            about = json.loads(file.read_text())
            for table in ("phones", "words"):
                about.pop(table, None)
            if "lang" in about:
                about["lang"] = str(work / "lang")
            file.write_text(json.dumps(about))
        return folder

    return copied


@pytest.fixture
def copy(work: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Give a copy of a directory of `work`, to be damaged."""
    return lambda name: Path(shutil.copytree(work / name, tmp_path / name))


@pytest.fixture
def kill(work: Path) -> Callable[[str, Path, Callable[[], bool]], None]:
    """Start a step in a process of its own and kill it with SIGKILL as soon as a condition holds."""

    def run(step: str, out: Path, condition: Callable[[], bool]) -> None:
        command = [sys.executable, "-m", "tests.steps.synthetic", step, str(work), str(out)]
        with subprocess.Popen(command, cwd=synthetic.ROOT, stdout=subprocess.DEVNULL) as process:
            while not condition():
                assert process.poll() is None, "the step ended before it could be killed"
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        assert not out.exists()

    return run
