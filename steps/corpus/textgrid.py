"""TextGrid files, which Praat, ELAN and others show beside the audio."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from praatio.textgrid import IntervalTier, Textgrid

from steps.base.output import writing
from steps.corpus.ctm import Token


def write_textgrid(path: Path, tiers: Mapping[str, Sequence[Token]], end: float) -> None:
    """Write a TextGrid in Praat's long text format.

    Every tier goes from 0 to the end without a gap: where there is no token, the interval is empty.

    Parameters
    ----------
    path : Path
    tiers : mapping
        Name -> tokens in the order of time.
    end : float
        Of all tiers, in seconds.
    """
    end = round(end, 4)
    grid = Textgrid(0.0, end)
    for name, tokens in tiers.items():
        intervals = [(round(token.start, 4), round(token.end, 4), token.text) for token in tokens]
        grid.addTier(IntervalTier(name, intervals, 0.0, end))
    with writing(path) as part:
        grid.save(str(part), "long_textgrid", includeBlankSpaces=True, minimumIntervalLength=None)
