"""One line turns a step's function into its command line."""

import difflib
import inspect
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

import docstring_parser
import jsonargparse
import yaml
from jsonargparse import get_loader

from nnet.errors import ModelError
from nnet.ranges import out_of_range
from steps.base.errors import InputError, os_error_text


class _Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest known name for an unknown one."""

    files = ""  # the config files on the command line, for the message

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        message = _plain(message)
        of_arguments = message.startswith(("unrecognized arguments", "the following arguments", "argument --"))
        place = "" if of_arguments else self.files
        sys.exit(f"error: {place}{message}{_suggestion(message, _option_names(self))}\n(--help lists all options)")

    def format_help(self, *formatter: Any) -> str:
        text = super().format_help(*formatter).replace("`", "")  # the docstrings' marks of code
        return re.sub(r"Annotated\[(\w+),(\s+[^]]+)\]", r"\1,\2", text)


_WRONG_VALUE = (
    r"""Parser key "([\w.]+)":\s+Expected a (?:<class '(\w+)'>|typing\.Literal\[([^]]+)\])\. """
    r"Got value: (.*)"
)


def _plain(message: str) -> str:
    """Say jsonargparse's error about a wrong value in the words of the other errors."""

    def said(found: re.Match[str]) -> str:
        name, kind, choices, value = found.groups()
        return f"{name} is {value}; it has to be {f'one of {choices}' if choices else f'of type {kind}'}"

    return re.sub(_WRONG_VALUE, said, message)


def _option_names(parser: jsonargparse.ArgumentParser) -> list[str]:
    return sorted({action.dest for action in parser._actions} - {"help", "config", "print_config", "print_shtab"})


def _suggestion(message: str, known: Sequence[str]) -> str:
    if not re.search(r"not accept|unrecognized", message):
        return ""
    leaves = {name.rsplit(".", 1)[-1]: name for name in known}
    # a file's key comes last in the message: "Group 'fbank' does not accept option 'num_bin'"
    unknown = re.findall(r"--([\w.]+)", message) or re.findall(r"'([\w.]+)'", message)[-1:]
    for name in unknown:
        near = difflib.get_close_matches(name.rsplit(".", 1)[-1], leaves, n=1)
        if near:
            return f"; did you mean '{leaves[near[0]]}'?"
    return f"; known are: {', '.join(known)}"


def _normalise(arguments: Sequence[str], switches: set[str]) -> list[str]:
    """Accept ``--sample-rate`` for ``--sample_rate``, and a bare ``--fix`` for ``--fix true``."""
    result = []
    for i, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            name = name.replace("-", "_").replace("__", "--", 1)
            following = arguments[i + 1] if i + 1 < len(arguments) else ""
            if name[2:] in switches and not equals and following not in ("true", "false"):
                equals, value = "=", "true"
            argument = name + equals + value
        result.append(argument)
    return result


_yaml_as_it_is = get_loader("yaml")


def _load_yaml(text: str) -> Any:
    """Read YAML with each key once; a file without any says nothing."""
    root = yaml.compose(text, yaml.SafeLoader)
    _refuse_duplicates(root)
    return {} if root is None else _yaml_as_it_is(text)


def _refuse_duplicates(node: yaml.Node | None) -> None:
    keys: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name = str(key.value)
        if name in keys:
            raise yaml.MarkedYAMLError(problem=f"'{name}' is given twice", problem_mark=key.start_mark)
        keys.add(name)
        _refuse_duplicates(value)


jsonargparse.set_loader("yaml", _load_yaml, (yaml.YAMLError,))


def _config_files(arguments: Sequence[str]) -> list[str]:
    words = [word for argument in arguments for word in argument.split("=", argument.startswith("--config="))]
    return [following for word, following in pairwise(words) if word == "--config"]


def _item_type(annotation: Any) -> type | None:
    """What the items of a list are, or of a list that may be None; None for what is no list."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if get_origin(kind) is list]
    return get_args(kinds[0])[0] if kinds else None


def _repeatable(argument: str, names: Collection[str]) -> str:
    """Let every ``--name`` of a list add to it, where jsonargparse would keep the last.

    Example
    -------
    >>> [_repeatable(argument, {"test"}) for argument in ("--test", "a", "--test=b", "--tests")]
    ['--test+', 'a', '--test+=b', '--tests']
    """
    flag, equals, value = argument.partition("=")
    return f"{flag}+{equals}{value}" if flag.startswith("--") and flag[2:] in names else argument


def command(function: Callable[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run a step as a command: its parameters are the arguments, its docstring the help.

    Parameters without a default are positional arguments in their order, the others flags; keyword-only ones are flags
    that have to be given where they have no default. A list without a default takes one word or more and has to be the
    last of the positional arguments; other lists are flags that may be given again and again. Parameters that are
    dataclasses are groups of flags (``--fbank.num_mel_bins 40``) that ``--config FILE.yaml`` can set as well.

    Parameters
    ----------
    function : callable
        A function with type hints and a NumPy docstring.
    arguments : sequence of str, optional
        Instead of ``sys.argv[1:]``.

    Raises
    ------
    SystemExit
        With a one-line ``error: ...`` for wrong options and for every `InputError`, `ModelError` and `OSError`.
    """
    with _ending_with_the_reader(), _errors_in_a_line():
        _call(function, sys.argv[1:] if arguments is None else arguments)


@contextmanager
def _errors_in_a_line() -> Iterator[None]:
    """End with a line for what the user, the files or the machine can cause; other errors are bugs."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except (InputError, ModelError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            raise
        sys.exit(f"error: {os_error_text(error)}")
    except UnicodeEncodeError as error:
        if "surrogates" not in error.reason:
            raise
        name = error.object[max(0, error.start - 40) : error.end + 40].strip()
        sys.exit(f"error: '{name}': a name that is not UTF-8, which the files to write are; rename it")


@contextmanager
def _ending_with_the_reader() -> Iterator[None]:
    """End quietly, with the status that SIGPIPE gives, when nobody reads the output any more: as before ``| head``."""
    if sys.stdout is None:  # closed (``>&-``); this takes descriptor 1, so that no other file does
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (open to the end)
    try:
        yield
        sys.stdout.flush()
    except SystemExit:  # its status and message say more than an error here
        try:
            sys.stdout.flush()
        except OSError:
            _no_more_output()
        raise
    except OSError as error:  # the other errors have been seen to
        _no_more_output()
        if isinstance(error, BrokenPipeError):
            sys.exit(128 + signal.SIGPIPE)
        error.filename = "standard output"
        sys.exit(f"error: {os_error_text(error)}")


def _nobody_reads() -> bool:
    """Whether the process that standard output goes to has closed it."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _no_more_output() -> None:
    """Let Python find nothing wrong when it flushes standard output at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _call(function: Callable[..., Any], arguments: Sequence[str]) -> None:
    """Parse the arguments and run the step."""
    parameters = inspect.signature(function).parameters.values()
    switches = {p.name for p in parameters if p.annotation is bool}
    lists = {p.name: item for p in parameters if p.default is p.empty and (item := _item_type(p.annotation))}
    repeated = {p.name for p in parameters if p.name not in lists and _item_type(p.annotation)}
    needed_flags: set[str | int] = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    description = inspect.getdoc(function) or ""
    # without abbreviations: a misspelt option must not pass for the beginning of another
    parser = _Parser(description=description.split("\nParameters\n")[0].strip(), allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    parser.add_function_arguments(function, as_positional=True, fail_untyped=True, skip={*lists, *needed_flags})
    if needed_flags:
        others: set[str | int] = {p.name for p in parameters if p.name not in needed_flags}
        parser.add_function_arguments(function, as_group=False, fail_untyped=True, skip=others)
    helps = {p.arg_name: p.description or "" for p in docstring_parser.parse(description).params}
    for name, item in lists.items():  # jsonargparse would want such a list as one word, "[a, b]"
        parser.add_argument(name, nargs="+", type=item, help=f"{helps.get(name, '')} One or more.".strip())
    arguments = [_repeatable(argument, repeated) for argument in _normalise(arguments, switches)]
    parser.files = "".join(f"{file}: " for file in _config_files(arguments))
    try:
        options = parser.parse_args(arguments)
    except UnicodeDecodeError as error:
        sys.exit(f"error: {parser.files}not UTF-8 text: {error.reason} at byte {error.start}")
    if fault := out_of_range(vars(options), function):
        given = {argument.partition("=")[0].rstrip("+") for argument in arguments}
        sys.exit(f"error: {'' if f'--{fault.split()[0]}' in given else parser.files}{fault}")
    values = parser.instantiate(options)
    values.pop("config", None)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once; what has to save before sets its own
    function(**vars(values))
