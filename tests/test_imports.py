"""What may import what, and that the compiled packages fit together."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# the rooms of steps/, each with those that it may import from; all may import from nnet
ROOMS = {
    "base": "",
    "corpus": "base",
    "feats": "base corpus",
    "lang": "base corpus",
    "scoring": "base corpus",
    "hmm": "base corpus lang",
    "tree": "base hmm",
    "ali": "base corpus feats lang scoring hmm",
    "gmm": "base corpus feats lang hmm tree ali",
    "acoustic": "base corpus feats lang hmm ali gmm",
    "search": "base corpus lang scoring hmm ali acoustic",
    "reporting": "base corpus scoring ali",
}


@pytest.mark.parametrize("order", ["kaldifst, kaldi_decoder", "kaldi_decoder, kaldifst"])
def test_kaldifst_and_kaldi_decoder_fit(order):
    """Versions that were not built for each other hang at import instead of failing."""
    code = f"import {order}; kaldi_decoder.FasterDecoder; kaldifst.StdVectorFst()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def imports(path: Path) -> set[str]:
    """Modules that a file imports, anywhere in it, by their full names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names |= {resolve(node.module, alias.name) for alias in node.names}
    return names


def resolve(module: str, name: str) -> str:
    """``from steps import decode`` imports steps.decode, ``from steps.base.cli import command`` steps.base.cli."""
    inner = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if inner.is_dir() or inner.with_suffix(".py").exists() else module


def own(path: Path) -> set[str]:
    return {name for name in imports(path) if name.split(".")[0] in ("steps", "nnet", "local", "tests")}


def python_files(folder: str, pattern: str) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted(ROOT.joinpath(folder).glob(pattern))]


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("file", python_files("nnet", "**/*.py"))
def test_nnet_knows_nothing_of_steps(file):
    assert {name for name in own(ROOT / file) if not within(name, "nnet")} == set()


@pytest.mark.parametrize("file", python_files("local", "**/*.py"))
def test_recipes_code_knows_corpus_and_language_only(file):
    allowed = ("local", "steps.corpus", "steps.lang", "steps.base", "nnet.ranges")
    assert {name for name in own(ROOT / file) if not within(name, *allowed)} == set()


@pytest.mark.parametrize("file", python_files("steps", "*/**/*.py"))
def test_rooms_import_the_rooms_below_them(file):
    room = Path(file).parts[1]
    allowed = [f"steps.{name}" for name in (room, *ROOMS[room].split())]
    assert {name for name in own(ROOT / file) if not within(name, "nnet", *allowed)} == set()


def test_no_room_is_above_and_below_another():
    """In the order in which they stand, each room imports from earlier ones only."""
    order = list(ROOMS)
    assert all(order.index(below) < order.index(room) for room in ROOMS for below in ROOMS[room].split())


@pytest.mark.parametrize("file", python_files("steps", "*.py"))
def test_commands_import_rooms_and_nnet_not_local(file):
    assert {name for name in own(ROOT / file) if not within(name, "steps", "nnet")} == set()


def test_the_test_sees_imports(tmp_path):
    file = tmp_path / "room.py"
    file.write_text(
        "import steps.score\ndef f():\n    from steps import score\n    from steps.base.cli import command\n"
    )
    assert own(file) == {"steps.score", "steps.base.cli"}
