"""Corpora from the network: Debian packages without root, and archives with a checksum."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from steps.base.errors import InputError

TIMEOUT = 60  # seconds without a byte


def run(command: Sequence[str | Path], cwd: Path) -> str:
    """Run a program and give its output.

    Raises
    ------
    InputError
        When it is not there or fails, with the end of what it said.
    """
    program = str(command[0])
    if shutil.which(program) is None:
        raise InputError(f"'{program}' is not on this machine")
    done = subprocess.run(
        command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if line.strip()]
        raise InputError(f"{program} failed: {' '.join(said[-2:])}")
    return done.stdout


def apt_download(packages: Sequence[str], folder: Path) -> None:
    """Download Debian packages into a folder with apt-get, which checks them; needs no root and installs nothing.

    Where the machine's own package lists know nothing of them, as before the first ``apt-get update``, the lists are
    fetched into a private place first.

    Raises
    ------
    InputError
        When both ways fail.
    """
    # the user _apt, as whom root's apt-get would download, cannot write into the folder
    apt = ["apt-get", "-q", "-o", "APT::Sandbox::User=root"]
    try:
        run([*apt, "download", *packages], folder)
        return
    except InputError as error:
        first = str(error)
    private = (folder / "apt").absolute()
    for name in ("lists/partial", "cache/archives/partial"):
        (private / name).mkdir(parents=True, exist_ok=True)
    own = [*apt, "-o", f"Dir::State::lists={private}/lists", "-o", f"Dir::Cache={private}/cache"]
    try:
        run([*own, "update"], folder)
        run([*own, "download", *packages], folder)
    except InputError as error:
        second = str(error)
        raise InputError(first if second == first else f"{first}; with fresh package lists: {second}") from error
    finally:
        shutil.rmtree(private)


def unpack_deb(package: Path, folder: Path) -> None:
    """Unpack the files of a Debian package into a folder.

    Raises
    ------
    InputError
        When dpkg-deb is missing, or the package is damaged.
    """
    try:
        run(["dpkg-deb", "-x", package.absolute(), folder.absolute()], folder)
    except InputError as error:
        raise InputError(f"{package}: {error}") from error


def download(url: str, path: Path, sha512: str) -> None:
    """Download a file and check it.

    Raises
    ------
    InputError
        When it cannot be had, or is not the file that the checksum was made of.
    """
    digest = hashlib.sha512()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, open(path, "wb") as file:
            while block := answer.read(1 << 20):
                digest.update(block)
                file.write(block)
    except (OSError, urllib.error.URLError) as error:
        raise InputError(f"{url}: {getattr(error, 'reason', error)}") from error
    if digest.hexdigest() != sha512:
        path.unlink()
        raise InputError(f"{url}: the file's SHA-512 is {digest.hexdigest()[:16]}..., not {sha512[:16]}... as known")


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack the regular files of a tar archive into a folder, and nothing outside of it.

    Raises
    ------
    InputError
        When a name in the archive leads out of the folder, or the archive is damaged.
    """
    root = folder.resolve()
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                target = (root / member.name).resolve()
                if not target.is_relative_to(root):
                    raise InputError(f"{archive}: the name '{member.name}' leads out of the archive")
                if member.isfile():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with tar.extractfile(member) as source, open(target, "wb") as file:  # type: ignore[union-attr]
                        shutil.copyfileobj(source, file)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error})") from error
