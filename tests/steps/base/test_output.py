"""Outputs are whole or not there, whatever ends the process."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from steps.base.errors import InputError
from steps.base.output import fingerprint, locked, only_writer, output_dir, state, writing

ROOT = Path(__file__).parents[3]


def broken_off(output, **content):
    """Fail within the block, after the files of `content` were written to a directory, or "half" to a file."""
    with output as part:
        for name, text in content.items():
            (part / name).write_text(text)
        if not content:
            part.write_text("half")
        raise RuntimeError("broken")


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_writing_renames_when_whole(tmp_path):
    target = tmp_path / "new" / "folder" / "words.txt"
    with writing(target) as part:
        part.write_text("half")
        assert not target.exists()
        assert part.parent == target.parent  # the same file system, so that the rename is atomic
    assert target.read_text() == "half"
    assert files(tmp_path) == ["new/folder/words.txt"]


def test_writing_leaves_the_old_file_when_it_fails(tmp_path):
    target = tmp_path / "words.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="broken"):
        broken_off(writing(target))
    assert target.read_text() == "old"
    assert files(tmp_path) == ["words.txt"]


def test_output_dir_replaces_what_was_there(tmp_path):
    target = tmp_path / "exp" / "mono"
    for name in ("first", "second"):
        with output_dir(target, key=name) as part:
            (part / name).write_text(name)
        assert files(tmp_path) == [f"exp/mono/{name}"]


def test_what_a_kill_between_the_renames_left_is_removed(tmp_path):
    (tmp_path / "mono.old").mkdir()
    (tmp_path / "mono.partial").mkdir()
    with output_dir(tmp_path / "mono", "k") as part:
        (part / "model").write_text("new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mono"]


def test_a_failed_output_dir_leaves_the_old_one(tmp_path):
    with output_dir(tmp_path / "mono") as part:
        (part / "model").write_text("old")
    with pytest.raises(RuntimeError, match="broken"):
        broken_off(output_dir(tmp_path / "mono"), model="half")
    assert (tmp_path / "mono" / "model").read_text() == "old"


def test_resume_with_the_same_key_only(tmp_path, capsys):
    partial = tmp_path / "mono.partial"

    def left_after(key, name):
        with pytest.raises(RuntimeError, match="broken"):
            broken_off(output_dir(tmp_path / "mono", key), **{name: ""})
        return [name for name in files(partial) if name != ".key"]

    assert left_after("a", "1") == ["1"]
    assert left_after("a", "2") == ["1", "2"]
    assert left_after("b", "3") == ["3"]
    assert left_after(None, "4") == ["4"]
    assert left_after("b", "5") == ["5"]  # what was left without a key belongs to no key
    with output_dir(tmp_path / "mono", "b"):
        pass
    assert files(tmp_path) == ["mono/5"]
    said = capsys.readouterr().out
    assert (
        said.count(
            f"{partial}: left by a failed or stopped run with other settings or inputs; starting from the beginning"
        )
        >= 1
    )


KILLED = """
import sys, time
from pathlib import Path
from steps.base.errors import InputError
from steps.base.output import output_dir, writing
with output_dir(Path(sys.argv[1]) / "mono", key="k") as part, writing(part / "model") as file:
    file.write_text("half")
    (part / "checkpoint").write_text("3")
    print("ready", flush=True)
    time.sleep(60)
"""


def started(program, folder):
    """A process that has come to the middle of its work."""
    process = subprocess.Popen([sys.executable, "-c", program, folder], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("earlier", [False, True])
def test_a_killed_process_leaves_nothing_that_looks_finished(tmp_path, earlier):
    if earlier:
        with output_dir(tmp_path / "mono", key="k") as part:
            (part / "model").write_text("old")
    process = started(KILLED, tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "mono").exists() == earlier
    if earlier:
        assert (tmp_path / "mono" / "model").read_text() == "old"
    with output_dir(tmp_path / "mono", key="k") as part:  # started again, it goes on from the checkpoint
        assert (part / "checkpoint").read_text() == "3"
        assert not (part / "model").exists()
        with writing(part / "model") as file:
            file.write_text("whole")
    assert (tmp_path / "mono" / "model").read_text() == "whole"
    assert not list(tmp_path.glob("mono.*"))
    assert files(tmp_path) == ["mono/checkpoint", "mono/model"]


def test_a_second_process_is_refused_until_the_first_one_ends_however_it_does(tmp_path):
    first = started(KILLED, tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for target in (tmp_path / "mono", tmp_path / "link/mono"):
        message = (
            rf"^{target}: another command is writing it \(process {first.pid}\); wait for it, or give another place"
        )
        with pytest.raises(InputError, match=message), output_dir(target, key="other"):
            pytest.fail("the work begins")
        with pytest.raises(InputError, match=message), only_writer(target):
            pytest.fail("the work begins")
    assert (tmp_path / "mono.partial/checkpoint").read_text() == "3"
    with output_dir(tmp_path / "tri"):  # beside it there is no one
        pass
    first.send_signal(signal.SIGKILL)
    first.communicate()
    for _ in range(2):
        with output_dir(tmp_path / "mono", key="other"):
            pass
    assert not list(tmp_path.glob(".*"))


def test_a_link_to_the_directory_does_not_evade_the_lock(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for first, second in (("real", "link"), ("link", "real")):
        message = rf"{second}: another command is writing it \(process {os.getpid()}\)"
        with (
            only_writer(tmp_path / first),
            pytest.raises(InputError, match=message),
            only_writer(tmp_path / second),
        ):
            pytest.fail("both write")
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


@pytest.fixture
def refusing(monkeypatch):
    """Let the system refuse to open what lies directly in a folder (permissions do not stop root)."""
    original = Path.open

    def refuse(folder, number):
        def opened(path, *args, **kwargs):
            if path.parent == folder:
                raise OSError(number, os.strerror(number), str(path))
            return original(path, *args, **kwargs)

        monkeypatch.setattr(Path, "open", opened)

    return refuse


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_directory_beside_which_nothing_can_be_written_holds_its_lock(tmp_path, refusing, number):
    out = tmp_path / "out"
    out.mkdir()
    refusing(tmp_path, number)
    with only_writer(out):
        assert files(tmp_path) == ["out/.lock"]
        with (
            pytest.raises(InputError, match=rf"^{out}: another command is writing it \(process {os.getpid()}\)"),
            only_writer(out),
        ):
            pytest.fail("both write")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "there"), [(errno.ENOSPC, "out/old"), (errno.EACCES, ".out.lock"), (errno.EACCES, "other/old")]
)
def test_a_lock_is_not_put_elsewhere_for_other_reasons(tmp_path, refusing, number, there):
    """On a full disk; where another user has a lock; where there is no directory yet."""
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()
    refusing(tmp_path, number)
    with pytest.raises(OSError, match=r"\.out\.lock"), only_writer(tmp_path / "out"):
        pytest.fail("the work begins")
    assert files(tmp_path) == [there]


def test_a_lock_file_that_is_removed_while_it_is_opened_is_made_again(tmp_path, monkeypatch):
    lock, flock = tmp_path / "lock", fcntl.flock

    def late(file, operation):
        monkeypatch.undo()
        lock.unlink()  # as the process does that has held it until now
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(lock, "busy", "go away"):
        assert lock.read_text() == f"{os.getpid()}\n"
        with (
            pytest.raises(InputError, match=rf"^busy \(process {os.getpid()}\); wait for it, or go away$"),
            locked(lock, "busy", "go away"),
        ):
            pytest.fail("both hold it")
    assert not lock.exists()


def test_a_lock_file_that_is_removed_while_it_is_looked_at_is_made_again(tmp_path, monkeypatch):
    lock, fstat = tmp_path / "lock", os.fstat

    def late(descriptor):
        monkeypatch.undo()
        lock.unlink()
        return fstat(descriptor)

    monkeypatch.setattr(os, "fstat", late)
    with locked(lock, "busy", "go away"):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_fingerprint_takes_the_state_of_files_and_the_value_of_the_rest(tmp_path):
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "text").write_text("u1 ONE\n")
    config = {"beam": 10, "scales": [0.1, 0.2]}
    first = fingerprint(folder, config)
    assert first == fingerprint(folder, {"scales": [0.1, 0.2], "beam": 10})
    assert first != fingerprint(folder, {**config, "beam": 11})
    (folder / ".hidden").write_text("")
    (folder / ".hidden_folder").mkdir()
    (folder / ".hidden_folder" / "file").write_text("")
    assert first == fingerprint(folder, config)
    (folder / "train" / "text").write_text("u1 TWO!\n")
    assert first != fingerprint(folder, config)


def test_fingerprint_sees_the_time_of_a_file(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"12")
    os.utime(file, ns=(1, 1))
    first = fingerprint(file)
    os.utime(file, ns=(2, 2))
    assert fingerprint(file) != first
    os.utime(file, ns=(1, 1))
    assert fingerprint(file) == first


def test_fingerprint_does_not_depend_on_where_a_folder_lies(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("u1 ONE\n")
        os.utime(tmp_path / name / "text", ns=(1, 1))
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")


def test_state_follows_links_and_passes_over_dead_ones(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "text").write_text("u1 ONE\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "data" / "dead").symlink_to(tmp_path / "nowhere")
    assert [name for name, *_ in state(tmp_path / "data")] == ["linked/text"]


def test_state_of_nothing():
    assert state(Path("/nowhere")) == []


@pytest.mark.parametrize("there", ["directory", "file"])
def test_what_is_not_of_this_kind_is_not_replaced(tmp_path, there):
    target = tmp_path / "ali"
    mine = target / "thesis.txt" if there == "directory" else target
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with (
        pytest.raises(InputError, match=r"ali: is there already, with other things in it; give the name of a new"),
        output_dir(target, mark="ali.scp"),
    ):
        pytest.fail("the work begins")
    assert files(tmp_path) == [str(mine.relative_to(tmp_path))]


def test_what_is_of_this_kind_is_replaced_and_so_is_an_empty_directory(tmp_path):
    (tmp_path / "ali").mkdir()
    for name in ("first", "second"):
        with output_dir(tmp_path / "ali", mark="ali.scp") as part:
            (part / "ali.scp").write_text("")
            (part / name).write_text("")
        assert files(tmp_path) == ["ali/ali.scp", f"ali/{name}"]


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "talk.txt").write_text("mine")
    with pytest.raises(InputError, match=r"talk\.txt/new: this directory cannot be made \(Not a directory\)"):
        broken_off(writing(tmp_path / "talk.txt/new/report.md"))
