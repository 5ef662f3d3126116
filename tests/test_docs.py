"""The documents: links lead somewhere, commands run, and what is quoted from the code is the code."""

import ast
import os
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from steps.base.errors import ADVICE, os_error_text
from tests.small_project import ROOT, add_own_data, make_project, run

GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RECIPES = sorted((ROOT / "recipes").glob("*/README.md"))
DOCUMENTS = [*GUIDES, *RECIPES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
SHELL = ("bash", "sh", "console")
COMMENT = re.compile(r"<!-- (?P<what>not run|dry run|from)(?:: | )(?P<rest>.+?) *-->")


class Block(NamedTuple):
    """A fenced block: its language, text, line, and the comment in the line before it."""

    document: Path
    line: int
    language: str
    text: str
    comment: str

    @property
    def name(self):
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document):
    """The fenced blocks of a document."""
    found, lines = [], document.read_text().splitlines()
    fence = None
    for number, line in enumerate(lines):
        if line.startswith("```"):
            if fence is None:
                fence = number
                continue
            before = lines[fence - 1].strip() if fence else ""
            text = "\n".join(lines[fence + 1 : number])
            found.append(Block(document, fence + 1, lines[fence][3:].strip(), text, before))
            fence = None
    assert fence is None, f"{document}:{fence}: a block without an end"
    return found


def prose(document):
    """A document without its blocks and its code."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda code: code[0].replace("[", " ").replace("(", " "), text)


def anchors(document):
    """The anchors that GitHub gives to the headings."""
    found = []
    for heading in re.findall(r"(?m)^#+ +(.+?) *$", prose(document)):
        text = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{text}-{found.count(text)}" if text in found else text)
    return found


SHELL_BLOCKS = [block for guide in GUIDES for block in blocks(guide) if block.language in SHELL]
QUOTES = [block for guide in GUIDES for block in blocks(guide) if block.comment.startswith("<!-- from ")]


# --------------------------------------------------------------------------------------------------- links and sizes


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_resolves(document):
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_readme_leads_to_every_document():
    readme = (ROOT / "README.md").read_text()
    assert [path.name for path in GUIDES[1:] if f"](docs/{path.name})" not in readme] == []


def test_named_files_of_the_project_are_there():
    """A file of `steps/`, `conf/` and so on that a document names exists, and so does the module of `python -m ...`."""
    wrong = []
    for document in DOCUMENTS:
        if document.name == "CHANGELOG.md":  # it names what was
            continue
        text = document.read_text()
        names = re.findall(r"(?<![\w/.])(?:steps|nnet|local|tests|conf|docs)/[\w/.-]*\.(?:py|yaml|md)\b", text)
        names += [
            f"{name.replace('.', '/')}.py" for name in re.findall(r"python -m ((?:steps|local|tests)[\w.]*\w)", text)
        ]
        names = [name for name in names if "NAME" not in name]
        wrong += [f"{document.name}: {name}" for name in names if not (ROOT / name).exists()]
    assert wrong == []


# ------------------------------------------------------------------------------------------------- what the code says


@pytest.mark.parametrize("block", QUOTES, ids=lambda block: block.name)
def test_quoted_code_is_the_code(block):
    file = ROOT / COMMENT.match(block.comment)["rest"]
    assert block.text.strip() in file.read_text(), f"{block.name}: copy it from {file.relative_to(ROOT)} again"


@cache
def message_patterns():
    """Each message in the code as a pattern of all its words in order; where a value goes, anything matches."""
    messages = set()
    for file in [file for folder in ("steps", "nnet", "local") for file in sorted((ROOT / folder).rglob("*.py"))]:
        messages |= python_messages(file.read_text())
    for file in sorted(ROOT.glob("*.sh")):
        for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', file.read_text()):
            pieces = re.split(r"(\$\([^)]*\)|\$\{[^}]*\}|\$[\w*@]+)", text)
            messages.add(tuple(None if piece.startswith("$") else piece for piece in pieces))
    return [
        re.compile("".join(".*" if part is None else re.escape(part) for part in parts))
        for parts in messages
        if sum(len(part or "") for part in parts) >= 12
    ]


def python_messages(source):
    """The strings of some code, each as its fixed parts, with None for a value. (Python joins adjacent strings.)"""
    nodes = list(ast.walk(ast.parse(source)))
    formatted = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in formatted for part in node.values}
    plain = [node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in parts]
    return {(value,) for value in plain if isinstance(value, str)} | {
        tuple(part.value if isinstance(part, ast.Constant) else None for part in node.values) for node in formatted
    }


def messages():
    lines = [
        (f"troubleshooting.md:{block.line + number}", line)
        for block in blocks(ROOT / "docs/troubleshooting.md")
        if block.language == "text"
        for number, line in enumerate(block.text.splitlines(), start=1)
    ]
    assert len(lines) > 20
    return [pytest.param(line, id=place) for place, line in lines]


def said_by_the_code(message):
    """Whether one message of the code is all of this one, but for its values and who prints it."""
    words = re.sub("^(error|warning): ", "", message)
    place = words.partition(": ")[0]
    by_system = {os_error_text(OSError(code, os.strerror(code), place)) for code in ADVICE}
    return words in by_system or any(pattern.fullmatch(words) for pattern in message_patterns())


@pytest.mark.parametrize("message", messages())
def test_messages_are_printed_so(message):
    assert said_by_the_code(message), f"no such message in the code: {message}"


@pytest.mark.parametrize(
    "message",
    [
        "error: exp/mono: the machine has no more cores; buy others, and the same command goes on",
        "error: 6 utterances are too few for 8 workers today",
        "error: 16 workers do not fit into the cluster: its 2 nodes have 8 cores, room for 8",
        "error: exp/mono: No space left on device; make room elsewhere",
    ],
)
def test_a_message_that_is_not_printed_is_seen(message):
    assert not said_by_the_code(message)


def test_adjacent_strings_are_one_message():
    source = 'x = ("the graph has " f"{number} states" ", too many")\ny = "a" "b"'
    assert python_messages(source) == {("the graph has ", None, " states, too many"), ("ab",)}


# ------------------------------------------------------------------------------------------------------ shell blocks


def script(block):
    """What a test runs of a block: all of it, or with --dry-run wherever it calls a run.sh."""
    lines = [line.removeprefix("$ ") for line in block.text.splitlines()]
    if block.comment.startswith("<!-- dry run: "):
        lines = [re.sub(r"^(\S*run\.sh\b[^#]*?)( *)(#|$)", r"\1 --dry-run\2\3", line) for line in lines]
        assert any("--dry-run" in line for line in lines), f"{block.name}: there is no run.sh in it"
    return "\n".join(["source path.sh", *lines])


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """The project with a tiny corpus, after `./run.sh`, and with a user's own data beside."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    done = run("./run.sh", folder)
    assert done.returncode == 0, done.stdout
    assert "* chosen: the lowest WER on dev" in done.stdout
    add_own_data(folder)
    return folder


def test_every_mark_of_a_block_gives_a_reason():
    marked = [block for block in SHELL_BLOCKS if block.comment.startswith("<!--")]
    assert [block.name for block in marked if not COMMENT.match(block.comment)] == []


@pytest.mark.parametrize(
    "block",
    [block for block in SHELL_BLOCKS if not block.comment.startswith("<!-- not run: ")],
    ids=lambda block: block.name,
)
def test_shell_block_runs(block, project):
    done = run(script(block), project)
    assert done.returncode == 0, f"{block.name} ended with status {done.returncode}:\n{done.stdout}"


def test_a_block_that_fails_is_seen(project):
    block = Block(ROOT / "README.md", 1, "bash", "python -m steps.decode --unheard_of\necho done", "")
    done = run(script(block), project)
    assert done.returncode
    assert "--unheard_of" in done.stdout
    assert "done" not in done.stdout.splitlines()


def test_what_the_documents_say_is_written(project):
    """The files that README and docs/results.md name."""
    exp = project / "recipes/asterisk/exp"
    decoded = exp / "lstmp/decode_bigram_test"
    for file in (exp / "results.json", exp / "lstmp/train.jsonl", decoded / "wer", decoded / "summary.json"):
        assert file.is_file()
