"""What pytest collects everywhere in the project."""

import importlib.util
import re
from pathlib import Path

USES_RAY = re.compile(r"^(import|from) (ray|grpc)\b", re.MULTILINE)
HAS_RAY = importlib.util.find_spec("ray") is not None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave the examples in docstrings out where the module needs Ray and Ray is not installed.

    Tests that need Ray skip themselves and say so (``pytest.importorskip``).
    """
    if HAS_RAY or collection_path.suffix != ".py" or collection_path.name.startswith("test_"):
        return None
    return True if USES_RAY.search(collection_path.read_text(encoding="utf-8")) else None
