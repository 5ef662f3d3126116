import pytest

# those that take minutes come first, so that neither of the two processes of tests/run.sh is left alone with one
FIRST = ["test_cluster.py", "test_faults.py", "test_end_to_end.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: [*FIRST, item.path.name].index(item.path.name))
