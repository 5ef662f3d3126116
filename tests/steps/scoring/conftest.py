import shutil

import pytest

from local.fetch import apt_download, unpack_deb
from steps.base.errors import InputError


@pytest.fixture(scope="session")
def sclite(tmp_path_factory) -> str:
    """The installed sclite, or that of Debian's package, which is only unpacked; sc_stats lies beside it."""
    found = shutil.which("sclite", path="/usr/lib/sctk/bin") or shutil.which("sclite")
    if found:
        return found
    folder = tmp_path_factory.mktemp("sctk")
    try:
        apt_download(["sctk"], folder)
        unpack_deb(next(folder.glob("sctk_*.deb")), folder)
    except InputError as error:
        pytest.skip(f"sclite is not installed (apt-get install sctk), nor can it be downloaded here: {error}")
    return str(folder / "usr/lib/sctk/bin/sclite")
