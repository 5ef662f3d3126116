from pathlib import Path

import pytest

LONGEST = ["asgd", "test_end_to_end"]  # each starts in one of the two processes of tests/run.sh


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests of a file run in the same process, as they share fixtures, the longest first."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item.path)))
    items.sort(key=lambda item: [*LONGEST, group(item.path)].index(group(item.path)))


def group(path: Path) -> str:
    """The tests of training with many processes are one: some count these, and what is left in /dev/shm."""
    return "asgd" if path.parent.name == "asgd" else path.stem
