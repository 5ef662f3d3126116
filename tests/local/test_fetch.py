import io
import tarfile

import pytest

from local.fetch import apt_download, run, unpack_tar
from steps.base.errors import InputError


def fake_apt(folder, script):
    folder.mkdir()
    (folder / "apt-get").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "apt-get").chmod(0o755)


def test_apt_download_fetches_private_lists_where_the_package_is_unknown(tmp_path, monkeypatch):
    fake_apt(
        tmp_path / "bin",
        'echo "$@" >> calls\n'
        'case "$*" in\n'
        "*Dir::State::lists*download*) touch a.deb;;\n"
        '*download*) echo "E: Unable to locate"; exit 100;;\n'
        "esac",
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    apt_download(["a"], tmp_path)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[-1 if "update" in call else -2] for call in calls] == ["download", "update", "download"]
    assert (tmp_path / "a.deb").exists()
    assert not (tmp_path / "apt").exists()


def test_apt_download_tells_what_apt_said(tmp_path, monkeypatch):
    fake_apt(tmp_path / "bin", 'echo "E: no network"; exit 100')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(InputError, match=r"^apt-get failed: E: no network$"):
        apt_download(["a"], tmp_path)


def test_program_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="'no-such-program' is not on this machine"):
        run(["no-such-program"], tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_archive_with_a_name_that_leads_out(tmp_path, name):
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(InputError, match=f"the name '{name}' leads out of the archive"):
        unpack_tar(archive, target)
    assert not (tmp_path / "outside").exists()


def test_damaged_archive(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(InputError, match=r"a.tar.gz: cannot be unpacked"):
        unpack_tar(tmp_path / "a.tar.gz", tmp_path)
