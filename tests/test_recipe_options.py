"""A recipe declares its own options in recipes/NAME/options: adding one changes no other file."""

import shutil

import pytest

from tests.scripts import ROOT, call

OPTIONS = """# an option, its value, its help
--speaker  ann|bob  whose recordings
--audio    DIR      the audio
--raw      -        as it is
--nj       =        it computes
--lm-name  small    comes with it"""


@pytest.fixture
def run(tmp_path):
    """Read a command line with one more recipe: gives the status, some of the variables, and the last error."""
    for name in ("options.sh", "conf/nnet", "recipes/an4", "recipes/custom"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    (tmp_path / "recipes/mine").mkdir()
    (tmp_path / "recipes/mine/options").write_text(OPTIONS)

    def call_options(*options):
        show = f'source "{tmp_path}/options.sh" "$@"; echo "$recipe|${{own[*]}}|$subfolder|$lm_name"'
        status, out, errors = call("bash", "-c", show, "bash", *options, cwd=tmp_path)
        return status, out.rstrip("\n"), errors.rstrip("\n").split("\n")[-1]

    return call_options


@pytest.mark.parametrize(
    ("options", "own"),
    [
        ("", "--nj 3||bigram"),
        ("--raw --speaker=ann", "--raw --speaker ann --nj 3||bigram"),
        ("--speaker bob --lm-name small", "--speaker bob --nj 3|bob|small"),
    ],
)
def test_declared_options_reach_the_data_stage(run, options, own):
    assert run("--nj", "3", "--recipe", "mine", *options.split()) == (0, f"mine|{own}", "")


def test_paths_are_absolute(run, tmp_path):
    assert run("--recipe", "mine", "--nj", "3", "--audio", "conf")[1] == f"mine|--audio {tmp_path}/conf --nj 3||bigram"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--speaker eve", "--speaker is 'eve'; there are ann bob"),
        ("--speaker", "--speaker needs a value (see --help)"),
        ("--audio nowhere", "--audio needs a file or directory; there is no 'nowhere' (see --help)"),
        ("--corpus conf", "recipe mine has no option --corpus; it has --speaker --audio --raw"),
        ("--lm-name corpus", "--lm-name is 'corpus'; recipe mine has unigram bigram trigram, 1gram to 9gram, small"),
        ("--recipe an4 --raw", "recipe an4 has no option --raw; it has --corpus"),
    ],
)
def test_what_is_not_declared_is_refused(run, options, message):
    assert run("--recipe", "mine", *options.split()) == (2, "", f"error: {message}")


def test_help_has_the_options(run):
    _, out, _ = run("--help")
    assert out.partition("recipe mine:\n")[2].split("\n") == [
        "  --speaker ann|bob           whose recordings",
        "  --audio DIR                 the audio",
        "  --raw                       as it is",
        "  --lm-name small             comes with it",
    ]


def test_a_missing_declaration_says_what_is_missing(run, tmp_path):
    file = tmp_path / "recipes/mine/options"
    file.unlink()
    message = (
        "error: recipe mine declares no options: recipes/mine/options is missing; make it, empty if there are none"
    )
    assert run("--recipe", "mine") == (2, "", message)
    file.touch()
    assert run("--recipe", "mine") == (0, "mine|||bigram", "")
    assert run("--recipe", "mine", "--raw")[2].startswith("error: unknown option '--raw'")


@pytest.mark.parametrize("line", ["speaker DIR whose", "--speaker", "--Speaker DIR whose"])
def test_a_line_that_declares_nothing_is_refused(run, tmp_path, line):
    (tmp_path / "recipes/mine/options").write_text(line)
    _, out, error = run("--recipe", "mine")
    assert out == ""
    assert error.startswith(f"error: recipes/mine/options: '{line.removesuffix(' whose')}")
    assert error.endswith("is not an option and its value; see options.sh")
