import shutil
import subprocess

import pytest

from steps.base import environment

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A repository that holds a file, in which the code seems to lie."""
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        (tmp_path / "file").write_text("1")
        subprocess.run([*GIT, *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    return tmp_path


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_changed_checkout_is_marked(copy):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=copy, capture_output=True, text=True, check=True)
    assert environment.git_hash() == head.stdout.strip()
    (copy / "new").write_text("not of the repository")
    assert environment.git_hash() == head.stdout.strip()
    (copy / "file").write_text("2")
    assert environment.git_hash() == head.stdout.strip() + "-dirty"


def test_no_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.git_hash() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.git_hash() is None


def test_versions_and_processor():
    found = environment.environment()
    assert set(found) == {"python", "torch", "numpy", "kaldi-decoder", "cpu", "git"}
    assert found["cpu"].endswith((" core", " cores"))
