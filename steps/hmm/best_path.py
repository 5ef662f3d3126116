"""Viterbi beam search for the best path of a graph, which alignment and decoding share."""

from typing import Any

import kaldi_decoder
import kaldifst
from numpy.typing import NDArray

BestPath = tuple[list[int], list[int], float]
"""Input labels, output labels and cost."""


def best_path(
    fst: kaldifst.StdVectorFst,
    scores: NDArray[Any],
    beam: float,
    max_active: int = 2**31 - 1,
    complete: bool = True,
) -> BestPath | None:
    """Search a graph and give the input labels, the output labels and the cost of its best path.

    Parameters
    ----------
    fst : StdVectorFst
        Input label k consumes a frame with column k - 1 of the scores; label 0 consumes none.
    scores : (T, K) float32
        Log likelihoods, scaled.
    beam, max_active
        Pruning by cost and by number of tokens.
    complete : bool
        Whether the path has to end in a final state.

    Returns
    -------
    BestPath or None
        None when no such path survives.
    """
    options = kaldi_decoder.FasterDecoderOptions(beam=beam, max_active=max_active)
    decoder = kaldi_decoder.FasterDecoder(fst, options)
    decoder.decode(kaldi_decoder.DecodableCtc(scores))
    if complete and not decoder.reached_final():
        return None  # get_best_path would give an incomplete path without a word
    ok, lattice = decoder.get_best_path()
    if not ok:
        return None
    _, inputs, outputs, weight = kaldifst.get_linear_symbol_sequence(lattice)
    return inputs, outputs, weight.value1 + weight.value2
