"""What the operating system refuses is told in a line, with the file; a reader that goes away is no error."""

import errno
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import kaldifst
import numpy as np
import pytest
import torch

from nnet.files import write_tensors
from steps.base.cli import command
from steps.base.errors import InputError, os_error_text
from steps.base.output import output_dir, writing
from steps.base.parallel import jobs
from steps.corpus.audio import write_audio
from steps.lang.fst_arrays import to_arrays
from steps.lang.lexicon_fst import write_fst

ROOT = Path(__file__).parents[2]
FULL = "File too large"  # what the system says where a file's size is limited, as "No space left" on a full disk


@contextmanager
def small_files():
    """Let no file grow above 4 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def said(work):
    """What a command says that does the work."""

    def step() -> None:
        """Work."""
        work()

    with pytest.raises(SystemExit) as stop:
        command(step, [])
    return stop.value.code


def write_text(path):
    with writing(path) as part:
        part.write_text("x" * 9000)


def write_into(path):
    with output_dir(path) as folder, (folder / "ark").open("wb") as file:
        file.write(bytes(9000))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_text, f"{{path}}: {FULL}"),
        (write_into, f"{{path}}.partial: {FULL}"),
        (lambda path: write_tensors(path, {"x": torch.zeros(9000)}), f"{{path}}: {FULL}"),
    ],
)
def test_a_full_disk(tmp_path, write, message):
    path = tmp_path / "out"
    with small_files():
        text = said(lambda: write(path))
    assert text == f"error: {message.format(path=path)}"
    assert not path.exists()


def test_a_full_disk_for_the_libraries_that_write(tmp_path, monkeypatch, capfd):
    fst = kaldifst.StdVectorFst()
    for _ in range(5000):
        fst.add_state()
    fst.start = 0
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with small_files():
        with pytest.raises(InputError, match=r"HCLG\.fst: the graph could not be written; is the disk full\?"):
            write_fst(tmp_path / "HCLG.fst", fst)
        with pytest.raises(InputError, match="a graph could not be written there; is the disk full"):
            to_arrays(fst)
        with pytest.raises(InputError, match=r"a\.wav: the audio cannot be written \(System error\.\); is the disk"):
            write_audio(tmp_path / "a.wav", np.zeros(9000), 8000, "PCM_16")


def test_files_that_cannot_be_read_or_written(tmp_path):
    (tmp_path / "talk.txt").write_text("")
    assert said(lambda: tmp_path.read_text()) == f"error: {tmp_path}: Is a directory"
    assert said(lambda: (tmp_path / "talk.txt/x").read_text()) == f"error: {tmp_path}/talk.txt/x: Not a directory"
    (tmp_path / "taken").mkdir()
    assert said(lambda: write_text(tmp_path / "taken")) == f"error: {tmp_path}/taken: Is a directory"
    long = tmp_path / ("x" * 256)
    assert said(lambda: write_text(long)) == f"error: {long}: File name too long; give it a shorter name"
    write_text(tmp_path / ("x" * 255))


def test_what_is_said_without_a_file():
    def fail():
        raise OSError(errno.EMFILE, "Too many open files")

    reason = "Too many open files; allow more open files (ulimit -n) or give a smaller --nj"
    assert said(fail).startswith(f"error: {reason} (in test_os_errors.py, line ")
    assert os_error_text(OSError("the library's own words")) == "the library's own words"


def test_a_broken_connection_is_not_taken_for_the_reader_of_the_output():
    def fail():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    assert said(fail).startswith("error: Broken pipe (in test_os_errors.py, line ")


def test_a_name_that_is_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    message = said(lambda: (tmp_path / "wav.scp").write_text(f"caf {name}\n", encoding="utf-8"))
    assert message == f"error: 'caf {name}': a name that is not UTF-8, which the files to write are; rename it"
    with pytest.raises(UnicodeEncodeError):  # any other is a bug
        said(lambda: "я".encode("ascii"))


def test_processes_that_share_nothing_for_a_read_only_dev_shm(monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    def work():
        with jobs(2):
            pytest.fail("the work begins")

    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", refuse)
    assert said(work) == "error: /dev/shm: Read-only file system"


PRINTING = """
import sys
from steps.base.cli import command
from steps.base.errors import InputError

def show(lines: int, fail: bool = False) -> None:
    '''Show lines.'''
    for i in range(lines):
        print(f"line {i}")
    if fail:
        raise InputError("that is too much")

command(show)
"""


def shell(line):
    """The statuses of a pipeline's commands, and what was complained of; $0 is Python and $1 the program."""
    script = f"exec 3>&1; {{ {line}; echo ${{PIPESTATUS[*]}} >&3; }} > /dev/null"
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, PRINTING],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("line", "statuses", "complaints"),
    [
        ('"$0" -c "$1" 100000 | head -n 1', "141 0", ""),
        ('(sleep 0.3; "$0" -c "$1" 1) | true', "141 0", ""),  # only what is left in the buffer
        ('(sleep 0.3; "$0" -c "$1" --help) | true', "0 0", ""),
        ('(sleep 0.3; "$0" -c "$1" 1 --fail) | true', "1 0", "error: that is too much\n"),
        ('"$0" -c "$1" 1 > /dev/full', "1", "error: standard output: No space left on device; make room on its disk\n"),
        ('"$0" -c "$1" 3 | cat', "0 0", ""),
        ('"$0" -c "$1" 3 >&-', "0", ""),
        ('"$0" -c "$1" --help >&-', "0", ""),
        ('"$0" -c "$1" 1 --fail >&-', "1", "error: that is too much\n"),
    ],
)
def test_a_reader_that_goes_away(line, statuses, complaints):
    assert shell(line) == (statuses, complaints)
