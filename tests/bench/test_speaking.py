"""The parts of the festival benchmark that need neither Festival nor the network."""

import os
import re

import pytest

from steps.base.errors import InputError
from tests.bench import speaking

PROSE = """HYPOTHESIS, n.  Either view of the matter will serve one
in immediate need of it.  He said "no" to that.  It was sold in 1911 to them.

    Verse is not prose, and it is left out.
        Nor is this line a sentence.

And that, too, is no half-hearted, idle man's dream; I know.  The U. S. are in it as well.
Short it is.  O what a thing!  Either view of the matter, will serve one in immediate need of it!
"""


def test_sentences_are_plain_prose_each_once():
    assert set(speaking.sentences(PROSE)) == {
        "Either view of the matter will serve one in immediate need of it.",
        "And that, too, is no half-hearted, idle man's dream; I know.",
        "O what a thing!",
    }


def test_order_of_sentences_depends_on_each_alone():
    texts = [f"The {word} is not like that." for word in ("cat", "dog", "hen", "owl", "fox", "pig", "cow", "eel")]
    ordered = speaking.sentences("\n".join(texts))
    assert sorted(ordered) == sorted(texts)
    assert speaking.sentences("\n".join(reversed(texts))) == ordered
    assert speaking.sentences("\n".join(texts[::2])) == [text for text in ordered if text in texts[::2]]


def fake_festival(folder, script):
    program = folder / "usr/bin/festival"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (folder / "usr/lib/x").mkdir(parents=True)
    (folder / "usr/lib/x/libestools.so.2").touch()
    return folder


def test_festival_is_run_with_its_own_libraries_and_home(tmp_path):
    festival = fake_festival(tmp_path / "festival", 'echo "$LD_LIBRARY_PATH $HOME $@" > said; touch a.wav a.lab')
    speaking.speak(festival, {"a": "What is it?"}, tmp_path / "out")
    libraries, home, *arguments = (tmp_path / "out/said").read_text().split()
    assert libraries == str(festival / "usr/lib/x")
    assert home == str(tmp_path / "out.partial")
    assert arguments[:2] == ["--datadir", str(festival / "usr/share/festival")]
    assert re.search(r'^\(speak "a" "What is it\?"\)$', (tmp_path / "out/speak.scm").read_text(), re.MULTILINE)


def test_sentences_that_festival_does_not_speak(tmp_path):
    festival = fake_festival(tmp_path / "festival", "touch a.wav a.lab b.wav; echo SIOD ERROR: unbound variable")
    with pytest.raises(InputError, match=r"1 of 2 sentences, the first 'No.': SIOD ERROR: unbound variable"):
        speaking.speak(festival, {"a": "Yes.", "b": "No."}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_libraries_but_those_that_are_there(tmp_path, monkeypatch):
    apt = tmp_path / "bin/apt-cache"
    apt.parent.mkdir()
    apt.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '*recurse*) [ "$4" = libestools2.5 ] && [ $# = 4 ] && '
        "printf 'libestools2.5\\n  Depends: libc6\\nlibc6\\nlibpulse0\\n  Depends: adduser\\nadduser\\n';;\n"
        "*) printf 'festival\\n  Depends: libc6\\n  Depends: libestools2.5\\n  Depends: adduser\\n';;\n"
        "esac\n"
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}{os.pathsep}{os.environ['PATH']}")
    assert speaking._libraries(tmp_path) == ["libestools2.5", "libpulse0"]


def test_download_without_apt(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="cannot download Festival: 'apt-cache' is not on this machine"):
        speaking.download_festival(tmp_path)
    assert not (tmp_path / "festival").exists()


def test_prose_that_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"devil.dict.dz: there is no such file"):
        speaking.read_prose(tmp_path / "devil.dict.dz")
