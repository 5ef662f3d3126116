"""Beam search over a decoding graph: from frame scores to words."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import kaldifst
import numpy as np
from numpy.typing import NDArray

from nnet.ranges import Number, Positive, Range
from steps.base.options import Options
from steps.hmm.best_path import best_path
from steps.hmm.transitions import TransitionModel
from steps.lang.fst_arrays import FstArrays


@dataclass(frozen=True)
class SearchOptions(Options):
    """How wide to search.

    Parameters
    ----------
    beam : float
        Paths worse than the best one by this cost are dropped.
    max_active : int
        Maximum number of active tokens per frame; it has to exceed 20.
    retry_beam : float
        Beam of a second search, when no path reaches a final state. Where it reaches none either, the best unfinished
        path is taken and the utterance listed.
    """

    beam: Positive = 13.0
    max_active: Annotated[int, Range(above=20)] = 7000
    retry_beam: Positive = 20.0


@dataclass(frozen=True, order=True)
class DecodingScales(Options):
    """The scales of a path's costs, which are chosen on dev.

    Parameters
    ----------
    acoustic_scale : float
        Weight of the acoustic log likelihoods; that of the graph is 1.
    insertion_penalty : float
        Cost of each word.
    silence_deweight : float
        The count of silence frames is divided by this in a network's priors.
    """

    acoustic_scale: Positive = 0.1
    insertion_penalty: Number = 0.0
    silence_deweight: Positive = 1.0


@dataclass(frozen=True)
class Hypothesis:
    """The best path of an utterance.

    Attributes
    ----------
    words : list of int
        Word-ids.
    tids : list of int
        Transition-ids, one a row of the scores.
    finished : bool
        False when it does not reach a final state.
    """

    words: list[int]
    tids: list[int]
    finished: bool


def penalised(graph: FstArrays, insertion_penalty: float) -> FstArrays:
    """Add the insertion penalty to each arc that begins a word."""
    penalty = np.where(graph.olabel > 0, np.float32(insertion_penalty), np.float32(0))
    return replace(graph, weight=graph.weight + penalty)


def search_utterance(
    graph: kaldifst.StdVectorFst,
    log_likelihoods: NDArray[Any],
    acoustic_scale: float,
    model: TransitionModel,
    options: SearchOptions,
) -> Hypothesis:
    """Find the words of an utterance.

    Parameters
    ----------
    graph : StdVectorFst
        HCLG: transition-ids in, word-ids out.
    log_likelihoods : (N, num_pdfs) float32
        At the rate of the states.
    acoustic_scale : float
    model : TransitionModel
        Of the graph.
    options : SearchOptions
    """
    scores = np.ascontiguousarray(acoustic_scale * log_likelihoods[:, model.tid_to_pdf[1:]], dtype=np.float32)
    for beam in (options.beam, options.retry_beam):
        path = best_path(graph, scores, beam, options.max_active)
        if path is not None:
            return Hypothesis(path[1], path[0], True)
    path = best_path(graph, scores, options.retry_beam, options.max_active, complete=False)
    return Hypothesis(path[1], path[0], False) if path else Hypothesis([], [], False)
