"""From the phones of an alignment to its words, and from frames to seconds.

Determinisation moves words along a graph's paths, and context moves them by a phone; so the phones are parsed again
against the lexicon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import kaldifst
import numpy as np

from steps.feats.frames import frame_length, frame_shift
from steps.feats.options import from_json
from steps.lang.fst_arrays import to_arrays, to_fst

INSIDE, SILENCE = 2**30, 2**30 + 1  # output labels that no word has: a phone after a word's first one, optional silence


@dataclass(frozen=True)
class FrameTimes:
    """Where frames lie in the audio: `shift` from one to the next, and their `length`, in seconds."""

    shift: float
    length: float

    def boundary(self, frame: int, frames: int) -> float:
        """Time of the boundary before a frame, in seconds.

        Frame t is the window from t s to t s + l (shift s, length l; Kaldi's ``snip_edges``). What changes between
        frames t - 1 and t is taken to change in the middle of what both of them see::

            (t s + (t - 1) s + l) / 2 = t s + (l - s) / 2

        An utterance begins at 0 and ends where its last frame does, (T - 1) s + l; up to one shift of the audio after
        that is in no frame.

        Parameters
        ----------
        frame : int
            From 0 to `frames`.
        frames : int
            Of the utterance.

        Example
        -------
        >>> times = FrameTimes(0.01, 0.025)
        >>> [round(times.boundary(frame, 100), 4) for frame in (0, 1, 99, 100)]
        [0.0, 0.0175, 0.9975, 1.015]
        """
        if frame == 0:
            return 0.0
        if frame == frames:
            return (frames - 1) * self.shift + self.length
        return frame * self.shift + (self.length - self.shift) / 2


def frame_times(features: dict[str, Any]) -> FrameTimes:
    """Where the frames lie of a model's feature options; in whole samples, as windows are cut.

    Example
    -------
    >>> frame_times({"type": "mfcc", "sample_rate": 8000})
    FrameTimes(shift=0.01, length=0.025)
    """
    options = from_json({name: value for name, value in features.items() if name != "cmvn_stats"})
    return FrameTimes(frame_shift(options) / options.sample_rate, frame_length(options) / options.sample_rate)


def phone_labels(lexicon: kaldifst.StdVectorFst) -> kaldifst.StdVectorFst:
    """Give every phone of L an output label: the word that it begins, `INSIDE` or `SILENCE`.

    Optional silence is what L can read before the first word.

    Parameters
    ----------
    lexicon : StdVectorFst
        L without disambiguation symbols, as `steps.lang.lexicon_fst` makes it.
    """
    arrays = to_arrays(lexicon)
    wordless = arrays.olabel == 0
    between = np.zeros(len(arrays.final), bool)  # states between words
    between[arrays.start] = True
    while not between[reached := arrays.dst[between[arrays.src] & wordless]].all():
        between[reached] = True
    labels = np.where(between[arrays.src], SILENCE, INSIDE)
    arrays.olabel = np.where(wordless & (arrays.ilabel > 0), labels, arrays.olabel)
    labelled = to_fst(arrays)
    kaldifst.arcsort(labelled, sort_type="olabel")
    return labelled


def divide(
    phones: Sequence[int], words: Sequence[int], labelled: kaldifst.StdVectorFst
) -> list[tuple[int, int]] | None:
    """Divide phones into the words of a transcript, with optional silence between them.

    Where the lexicon allows several divisions, that of the lowest cost is taken, which was on the alignment's path.

    Parameters
    ----------
    phones : sequence of int
        Phone-ids.
    words : sequence of int
        Word-ids of the transcript.
    labelled : StdVectorFst
        From `phone_labels`.

    Returns
    -------
    list of (int, int) or None
        First phone and number of phones of each word; None where the phones are no pronunciation of the words.
    """
    transcript = kaldifst.make_linear_acceptor(list(words))
    kaldifst.add_self_loops(transcript, [INSIDE, SILENCE], [INSIDE, SILENCE])
    pronunciations = kaldifst.StdVectorFst(kaldifst.compose(labelled, transcript))
    parsed = kaldifst.compose(kaldifst.make_linear_acceptor(list(phones)), pronunciations)
    best = kaldifst.shortest_path(parsed)
    if best.start < 0:
        return None
    _, _, labels, _ = kaldifst.get_linear_symbol_sequence(best)
    begins = [i for i, label in enumerate(labels) if label < INSIDE]
    spoken = [i for i, label in enumerate(labels) if label != SILENCE]
    counts = np.diff(np.searchsorted(spoken, [*begins, len(labels)]))  # silence cannot be within a word
    return list(zip(begins, counts.tolist(), strict=True))
