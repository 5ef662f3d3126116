"""Viterbi alignment: the best transition-id for each frame, given the transcript."""

from dataclasses import dataclass
from typing import Any

import kaldifst
import numpy as np
from numpy.typing import NDArray

from nnet.ranges import NotNegative, Positive
from steps.base.options import Options
from steps.hmm.best_path import BestPath, best_path
from steps.hmm.training_graph import searchable
from steps.hmm.transitions import TransitionModel
from steps.lang.fst_arrays import FstArrays, to_fst

RANDOM_PATHS = 100  # tried for a flat start; those through much silence are too long for a short utterance


@dataclass(frozen=True)
class AlignOptions(Options):
    """How to search for an alignment.

    Parameters
    ----------
    acoustic_scale : float
        Weight of acoustic log likelihoods against the transition costs, for a frame of the features. An output of
        states at a lower rate stands for `skip` frames and weighs as much as these.
    beam : float
        Paths worse than the best one by this much are dropped. The beam is doubled until a wider one changes nothing.
    retry_beam : float
        The widest beam.
    self_loop_scale : float, optional
        Weight of the probabilities of staying in a state and of leaving it (see `TransitionModel.costs`); without it,
        that of the states: 0.1, or 1 for those of steps.build_tree.
    transition_scale : float
        Weight of the probabilities of the transitions between states.
    """

    acoustic_scale: Positive = 0.1
    beam: Positive = 10.0
    retry_beam: Positive = 40.0
    self_loop_scale: NotNegative | None = None
    transition_scale: NotNegative = 1.0


@dataclass(frozen=True)
class Alignment:
    """The best path.

    Attributes
    ----------
    tids : (T,) int array
        Transition-ids.
    words : list of int
        Word-ids.
    cost : float
        Acoustic and graph cost, scales included.
    pruned : bool
        The widest beam still found a better path than the one before: a wider one may find yet another.
    """

    tids: NDArray[Any]
    words: list[int]
    cost: float
    pruned: bool = False


def align(
    graph: FstArrays, log_likelihoods: NDArray[Any], model: TransitionModel, options: AlignOptions
) -> Alignment | str:
    """Find the best path through a training graph (Kaldi's ``gmm-align-compiled``).

    Parameters
    ----------
    graph : FstArrays
        From `training_graph`.
    log_likelihoods : (T, num_pdfs) array
        Natural logarithms, or anything proportional to them up to a constant a frame.
    model : TransitionModel
    options : AlignOptions

    Returns
    -------
    Alignment or str
        The reason in words, where there is none.
    """
    costs = model.costs(options.transition_scale, options.self_loop_scale)
    fst, tids = searchable(graph, costs)
    scores = np.ascontiguousarray(log_likelihoods[:, model.tid_to_pdf[tids]], dtype=np.float32)
    scores *= options.acoustic_scale * model.rate.skip  # in place: these are the largest arrays of a long recording
    path, pruned = widened(fst, scores, options.beam, options.retry_beam)
    if path is None:
        return too_short(graph, len(scores)) or (
            f"no path survives a beam of {options.retry_beam:g}; does the transcript match the audio?"
        )
    local, words, cost = path
    return Alignment(tids[np.asarray(local) - 1], words, cost, pruned)


def widened(
    fst: kaldifst.StdVectorFst, scores: NDArray[Any], beam: float, widest: float
) -> tuple[BestPath | None, bool]:
    """Find the best path by a beam that is doubled until a wider one changes nothing.

    A path that survives a beam need not be the best one: that may have been worse than others for a while, as where a
    pause is long. See `best_path` for the parameters.

    Returns
    -------
    path : BestPath or None
    pruned : bool
        Whether the last beam changed it.
    """
    path, pruned = best_path(fst, scores, beam), False
    while beam < widest:
        beam = min(2 * beam, widest)
        before, path = path, best_path(fst, scores, beam)
        pruned = path is not None and (before is None or path[2] < before[2])
        if path is not None and not pruned:
            break
    return path, pruned


def shortest_path_frames(graph: FstArrays) -> int:
    """The least number of frames that a training graph can take."""
    counting = FstArrays(
        graph.start,
        np.where(np.isfinite(graph.final), 0, graph.final).astype(np.float32),
        graph.src,
        graph.dst,
        graph.ilabel,
        graph.olabel,
        (graph.ilabel > 0).astype(np.float32),
    )
    _, inputs, _, _ = kaldifst.get_linear_symbol_sequence(kaldifst.shortest_path(to_fst(counting)))
    return len(inputs)


def too_short(graph: FstArrays, num_frames: int) -> str | None:
    """Say by how much an utterance is too short for its graph, if it is."""
    shortest = shortest_path_frames(graph)
    return f"{num_frames} frames, but its shortest state path takes {shortest}" if shortest > num_frames else None


def equal_alignment(graph: FstArrays, num_frames: int, seed: int) -> NDArray[Any] | str:
    """Spread the frames evenly over a random path (Kaldi's ``align-equal-compiled``), to start training from.

    Returns
    -------
    (T,) int array or str
        The reason in words, where no path of so few frames is found.
    """
    ok, path = kaldifst.equal_align(to_fst(graph), num_frames, seed % 2**31, RANDOM_PATHS)  # it takes an int of C
    if not ok:
        return too_short(graph, num_frames) or f"none of {RANDOM_PATHS} random paths fits into {num_frames} frames"
    return np.array(kaldifst.get_linear_symbol_sequence(path)[1])
