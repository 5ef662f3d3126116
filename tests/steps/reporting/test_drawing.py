import pytest
from matplotlib.figure import Figure

from steps.base.errors import InputError
from steps.reporting.drawing import check_format, save_figure


@pytest.mark.parametrize(("name", "begin"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.b.svg", b"<?xml")])
def test_format_by_name(tmp_path, name, begin):
    check_format(tmp_path / name)
    save_figure(Figure(), tmp_path / name, dpi=10)
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a", "a.docx", "png"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"its name has to end in one of \.eps, .*\.png"):
        check_format(tmp_path / name)
