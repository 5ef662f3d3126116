"""Options on the command line and in YAML files, and the messages for wrong ones."""

import importlib
import inspect
import re
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import docstring_parser
import pytest

from nnet.errors import ModelError
from nnet.ranges import range_of
from steps.align_files import align_files
from steps.base.cli import command
from steps.base.errors import InputError
from steps.decode import decode
from steps.feats.options import FrameOptions
from steps.train_mono import train_mono
from steps.train_nnet import train_nnet
from steps.tune import tune

ROOT = Path(__file__).parents[3]


@dataclass
class FbankOptions:
    """Filterbanks.

    Parameters
    ----------
    num_mel_bins
        number of filters
    """

    num_mel_bins: int = 40
    dither: float = 0.0

    def __post_init__(self):
        if self.num_mel_bins < 1:
            raise InputError(f"num_mel_bins is {self.num_mel_bins}; it has to be 1 or more")


@pytest.fixture
def call():
    """Run a step with a line of arguments and give the values that arrived."""

    def run(line, error=None):
        got = {}

        def make_feats(
            data: Path,
            feats: Path,
            fbank: FbankOptions = FbankOptions(),
            nj: int = 1,
            allow_commands: bool = False,
            out: Path | None = None,
        ) -> None:
            """Make features.

            Parameters
            ----------
            data
                a data directory
            feats
                where they go
            """
            got.update(locals())
            if error is not None:
                raise error

        command(make_feats, line.split())
        return {name: got[name] for name in ("data", "feats", "fbank", "nj", "allow_commands", "out")}

    return run


@pytest.fixture
def yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(content, name="feats.yaml"):
        Path(name).write_text(content)
        return name

    return write


def test_defaults(call):
    assert call("data/train feats/train") == {
        "data": Path("data/train"),
        "feats": Path("feats/train"),
        "fbank": FbankOptions(),
        "nj": 1,
        "allow_commands": False,
        "out": None,
    }


def test_flags_stand_anywhere_with_dashes_or_underscores(call):
    expected = {"fbank": FbankOptions(num_mel_bins=23), "nj": 3, "out": Path("a-b__c"), "allow_commands": True}
    for line in (
        "--nj 3 d-1 --allow-commands f --out=a-b__c --fbank.num-mel-bins 23",
        "d-1 f --nj=3 --allow_commands true --out a-b__c --fbank.num_mel_bins=23",
        "--allow-commands=true d-1 f --nj 3 --out a-b__c --fbank.num-mel-bins=23",
    ):
        assert call(line) == {"data": Path("d-1"), "feats": Path("f"), **expected}
    assert call("d f --allow-commands false")["allow_commands"] is False


def test_config_file_gives_defaults_that_flags_replace(call, yaml):
    file = yaml("nj: 3\nfbank:\n  num_mel_bins: 30\n")
    assert call(f"d f --config {file}")["fbank"] == FbankOptions(num_mel_bins=30)
    assert call(f"--config={file} d f --nj 2")["nj"] == 2


@pytest.mark.parametrize("content", ["", "# nothing yet\n"])
def test_an_empty_config_file_says_nothing(call, yaml, content):
    file = yaml(content)
    assert call(f"d f --config {file}") == call(f"d f --fbank {file}") == call("d f")


def test_a_key_given_twice_in_a_file_of_one_group_is_refused(call, yaml):
    with pytest.raises(SystemExit, match="'dither' is given twice"):
        call(f"d f --fbank {yaml('dither: 1.0')} --fbank {yaml('dither: 1.0' + chr(10) + 'dither: 0.5')}")


def test_a_config_file_that_is_not_utf8_is_named(call, tmp_path):
    file = tmp_path / "latin.yaml"
    file.write_bytes("nj: 2 # für alle".encode("latin-1"))
    with pytest.raises(SystemExit, match=r"error: .*latin\.yaml: not UTF-8 text: invalid start byte at byte 9"):
        call(f"d f --config {file}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("d f --njj 3", "error: unrecognized arguments: --njj 3; did you mean 'nj'?"),
        ("d f --fbank.num_mel_bin 3", "--fbank.num_mel_bin 3; did you mean 'fbank.num_mel_bins'?"),
        ("d f --num-mel-bins 3", "did you mean 'fbank.num_mel_bins'?"),
        (
            "d f --zzz",
            "--zzz; known are: allow_commands, data, fbank, fbank.dither, fbank.num_mel_bins, feats, nj, out",
        ),
        ("d f --allow", "unrecognized arguments: --allow"),
        ("d f g", "unrecognized arguments: g"),
        ("d", "required: feats"),
        ("d f --nj three", "error: nj is three; it has to be of type int"),
        ("d f --nj", "argument --nj: expected one argument"),
        ("d f --fbank.num_mel_bins 0", "error: num_mel_bins is 0; it has to be 1 or more"),
        ("d f --config none.yaml", "none.yaml"),
        ("d.yaml f --njj 3", "error: unrecognized"),
    ],
)
def test_wrong_arguments(call, line, message):
    with pytest.raises(SystemExit) as stop:
        call(line)
    assert message in stop.value.code
    assert stop.value.code.startswith("error: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("njj: 3", "Option 'njj' is not accepted; did you mean 'nj'?"),
        ("fbank: {num_mel_bin: 3}", "does not accept option 'num_mel_bin'; did you mean 'fbank.num_mel_bins'?"),
        ("fbank: {zzz: 3}", "Group 'fbank' does not accept option 'zzz'; known are: allow_commands, data,"),
        ("fbank: {num_mel_bins: many}", "fbank.num_mel_bins is many; it has to be of type int"),
        ("fbank: [", "Problems parsing config"),
        ("nj: 1\nfbank: {num_mel_bins: 30}\nnj: 2\n", "'nj' is given twice\n  in \"<unicode string>\", line 3"),
        ("fbank:\n  num_mel_bins: 30\n  num_mel_bins: 31\n", "'num_mel_bins' is given twice"),
    ],
)
@pytest.mark.parametrize("flag", ["--config ", "--config="])
def test_wrong_config_files_are_named(call, yaml, content, message, flag):
    with pytest.raises(SystemExit) as stop:
        call(f"d f {flag}{yaml(content)}")
    assert stop.value.code.startswith("error: feats.yaml: ")
    assert message in stop.value.code


def test_a_wrong_flag_beside_a_config_file_is_not_the_files_fault(call, yaml):
    with pytest.raises(SystemExit, match=r"^error: unrecognized arguments: --njj"):
        call(f"d f --config {yaml('nj: 2')} --njj 3")


@pytest.mark.parametrize("kind", [InputError, ModelError])
def test_errors_of_the_user_are_one_line(call, kind):
    with pytest.raises(SystemExit) as stop:
        call("d f", error=kind("wav.scp:3: no such file"))
    assert stop.value.code == "error: wav.scp:3: no such file"


def test_other_errors_keep_their_traceback(call):
    with pytest.raises(ZeroDivisionError):
        call("d f", error=ZeroDivisionError())


def test_help_is_the_docstring(call, capsys):
    with pytest.raises(SystemExit) as stop:
        call("--help")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "Make features." in text
    assert "a data directory" in text
    assert "number of filters" in text
    assert "Parameters" not in text


@pytest.fixture
def call_with_lists():
    """Run a step with lists and keyword-only parameters and give the values that arrived."""

    def run(line):
        got = {}

        def align(
            files: list[Path], *, model: Path, out: Path, nj: int = 1, words: list[str] | None = None, oov: bool = False
        ) -> None:
            """Align.

            Parameters
            ----------
            files
                recordings
            model
                a trained one
            words
                only these
            """
            got.update(locals())

        command(align, line.split())
        return {name: got[name] for name in ("files", "model", "out", "nj", "words", "oov")}

    return run


def test_lists_and_flags_that_have_to_be_given(call_with_lists):
    expected = {
        "files": [Path("a"), Path("b")],
        "model": Path("m"),
        "out": Path("o"),
        "nj": 1,
        "words": None,
        "oov": False,
    }
    assert call_with_lists("a b --model m --out=o") == expected
    assert call_with_lists("--model m --oov a b --out o") == expected | {"oov": True}
    assert call_with_lists("--words x a b --words=y-z --model m --out o") == expected | {"words": ["x", "y-z"]}
    for line, lacking in (("a --out o", "model"), ("a --model m", "out"), ("--model m --out o", "files")):
        with pytest.raises(SystemExit, match=f"^error: the following arguments are required: {lacking}\n"):
            call_with_lists(line)
    with pytest.raises(SystemExit, match=r"argument --words.*: expected one argument"):
        call_with_lists("a --model m --out o --words")
    with pytest.raises(SystemExit, match=r"unrecognized arguments: --mode; did you mean 'model'\?|--mode m"):
        call_with_lists("a --mode m --model m --out o")


def test_lists_in_a_config_file(call_with_lists, yaml):
    assert call_with_lists(f"a --model m --out o --config {yaml('words: [x, y]')}")["words"] == ["x", "y"]


def test_help_of_lists(call_with_lists, capsys):
    with pytest.raises(SystemExit):
        call_with_lists("--help")
    text = capsys.readouterr().out
    for help_text in ("recordings One or more.", "a trained one (required", "only these"):
        assert help_text in text


def described(function):
    """Each parameter of a function and, where it is a dataclass, each field of that: (name, description)."""
    documented = function.__mro__[-2::-1] if is_dataclass(function) else [function]
    parsed = [docstring_parser.parse(inspect.getdoc(part)).params for part in documented]
    texts = {p.arg_name: p.description for params in parsed for p in params}
    names = (
        [field.name for field in fields(function)] if is_dataclass(function) else inspect.signature(function).parameters
    )
    for name in names:
        yield f"{function.__name__}.{name}", texts.get(name)
    for kind in get_type_hints(function).values():
        if is_dataclass(kind):
            yield from described(kind)


def commands():
    """The function of every command."""
    for file in sorted([*ROOT.glob("steps/*.py"), *ROOT.glob("local/*.py")]):
        if name := re.search(r"^    command\((\w+)\)$", file.read_text(), re.MULTILINE):
            yield getattr(importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)), name[1])


COMMANDS = pytest.mark.parametrize("function", list(commands()), ids=lambda function: function.__name__)


@COMMANDS
def test_every_option_of_every_command_is_explained(function):
    texts = dict(described(function))
    assert texts
    assert [option for option, text in texts.items() if not text] == []


def without_range(kind):
    """The numbers of any size among a function's parameters or a dataclass's fields, its dataclasses' included."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if range_of(hint) is None and {int, float} & {hint, *get_args(hint)}:
            yield f"{kind.__name__}.{name}"
        if is_dataclass(hint) and not issubclass(
            hint, FrameOptions
        ):  # which check these together: `feats.options.check`
            yield from without_range(hint)


@COMMANDS
def test_every_number_of_every_command_has_a_range(function):
    assert list(without_range(function)) == []


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (decode, "d g m o --scales.silence-deweight 0", "scales.silence_deweight is 0.0; it has to be above 0"),
        (decode, "d g m o --scales.silence-deweight -1", "scales.silence_deweight is -1.0; it has to be above 0"),
        (decode, "d g m o --scales.acoustic-scale -1", "scales.acoustic_scale is -1.0; it has to be above 0"),
        (
            decode,
            "d g m o --scales.insertion-penalty .nan",
            "scales.insertion_penalty is nan; it has to be a finite number",
        ),
        (decode, "d g m o --search.beam -1", "search.beam is -1.0; it has to be above 0"),
        (decode, "d g m o --nj 0", "nj is 0; it has to be 1 or more"),
        (tune, "d g m o --grid.acoustic-scales [0.1,0]", "grid.acoustic_scales holds 0.0; each has to be above 0"),
        (
            align_files,
            "a t --model m --out o --align.retry-beam -40",
            "align.retry_beam is -40.0; it has to be above 0",
        ),
        (train_mono, "f l e --mono.align.beam 0", "mono.align.beam is 0.0; it has to be above 0"),
        (train_mono, "f l e --mono.max-failed 2", "mono.max_failed is 2.0; it has to be at least 0 and at most 1"),
        (train_mono, "f l e --seed -1", f"seed is -1; it has to be at least 0 and below {2**63}"),
        (train_nnet, f"f f l a a e --seed {2**63}", f"seed is {2**63}; it has to be at least 0 and below {2**63}"),
        (train_nnet, "f f l a a e --workers 0", "workers is 0; it has to be 1 or more"),
        (train_nnet, "f f l a a e --training.masks.gaps -1", "training.masks.gaps is -1; it has to be 0 or more"),
        (train_nnet, "f f l a a e --asgd.stuck-seconds 0", "asgd.stuck_seconds is 0.0; it has to be above 0"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_read(function, options, message):
    with pytest.raises(SystemExit) as stop:
        command(function, options.split())
    assert stop.value.code == f"error: {message}"


def test_a_number_of_a_config_file_out_of_range_is_refused(yaml):
    with pytest.raises(SystemExit, match=r"^error: feats\.yaml: search\.beam is -1\.0; it has to be above 0$"):
        command(decode, ["d", "g", "m", "o", "--config", yaml("search: {beam: -1}")])


def test_a_wrong_choice_lists_the_choices():
    def step(role: Literal["tune", "test"] = "test") -> None:
        """Decode."""

    with pytest.raises(SystemExit, match="error: role is dev; it has to be one of 'tune', 'test'"):
        command(step, ["--role", "dev"])


def test_help_is_without_the_docstrings_marks_of_code(capsys):
    def step(device: str = "cpu") -> None:
        """Train on a device.

        Parameters
        ----------
        device : str
            One of ``cpu`` and `cuda`.
        """

    with pytest.raises(SystemExit):
        command(step, ["--help"])
    assert "One of cpu and cuda." in capsys.readouterr().out


def test_help_tells_the_range(capsys):
    with pytest.raises(SystemExit):
        command(train_mono, ["--help"])
    assert re.search(r"--seed SEED .*type:\s+int, at\s+least\s+0\s+and\s+below", capsys.readouterr().out, re.DOTALL)
