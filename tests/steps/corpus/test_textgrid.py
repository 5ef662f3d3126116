from praatio import textgrid

from steps.corpus.ctm import Token
from steps.corpus.textgrid import write_textgrid

WORDS = [Token('say "so"', 0.1075, 0.5), Token("später", 0.5, 0.75), Token("#", 0.9, 1.015)]


def test_tiers_have_no_gaps(tmp_path):
    path = tmp_path / "textgrid" / "a.TextGrid"
    write_textgrid(path, {"words": WORDS, "phones": []}, 1.015)
    found = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    assert found.tierNames == ("words", "phones")
    assert (found.minTimestamp, found.maxTimestamp) == (0, 1.015)
    assert [tuple(entry) for entry in found.getTier("words").entries] == [
        (0, 0.1075, ""),
        (0.1075, 0.5, 'say "so"'),
        (0.5, 0.75, "später"),
        (0.75, 0.9, ""),
        (0.9, 1.015, "#"),
    ]
    assert [tuple(entry) for entry in found.getTier("phones").entries] == [(0, 1.015, "")]


def test_long_text_format(tmp_path):
    write_textgrid(tmp_path / "a.TextGrid", {"words": WORDS[:1]}, 0.5)
    lines = (tmp_path / "a.TextGrid").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']
    stripped = [line.strip() for line in lines]
    assert 'text = "say ""so"""' in stripped  # Praat doubles quotes
    assert stripped[-3:] == ["xmin = 0.1075", "xmax = 0.5", 'text = "say ""so"""']


def test_times_are_rounded(tmp_path):
    write_textgrid(tmp_path / "a.TextGrid", {"words": [Token("a", 0.1 + 0.2, 1 / 3)]}, 1 / 3)
    assert "0.30000000000000004" not in (tmp_path / "a.TextGrid").read_text()
    found = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
    assert [tuple(entry) for entry in found.getTier("words").entries] == [(0, 0.3, ""), (0.3, 0.3333, "a")]
