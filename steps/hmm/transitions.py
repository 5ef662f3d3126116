"""The transition model: transition-ids, what each stands for, and their probabilities.

As in Kaldi, a *transition-state* is a (phone, HMM state, pdf) and a *transition-id* one arc that leaves it. Ids count
from 1, so that 0 stays free for epsilon in graphs; index 0 of every array below is unused.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnet.steps import nearest_steps
from steps.base.errors import InputError
from steps.base.files import read_arrays, write_arrays
from steps.hmm.joins import FEATURE_RATE, Rate
from steps.hmm.topology import Topology, read_topo
from steps.hmm.tree import Tree, read_tree

MODEL_FILES = ("topo", "tree.json", "transitions.npz")  # what transition-ids mean


@dataclass(frozen=True)
class TransitionModel:
    """Transition-ids and their probabilities.

    Attributes
    ----------
    states : list of (int, int, int)
        (phone-id, HMM state, pdf-id) of each transition-state, sorted.
    first_tid : (num_states + 1,) int array
        First transition-id of each transition-state; the last entry is one past the last id.
    tid_to_state, tid_to_pdf, tid_to_phone, tid_to_hmm_state, tid_to_next : (num_tids + 1,) int arrays
        Transition-state, pdf-id, phone-id, HMM state and the HMM state that follows.
    log_prob : (num_tids + 1,) float64
        Log probability of each transition given its transition-state.
    topology : Topology
        The topologies that the ids are made from.
    rate : Rate
        Of the states.
    """

    states: list[tuple[int, int, int]]
    first_tid: NDArray[Any]
    tid_to_state: NDArray[Any]
    tid_to_pdf: NDArray[Any]
    tid_to_phone: NDArray[Any]
    tid_to_hmm_state: NDArray[Any]
    tid_to_next: NDArray[Any]
    log_prob: NDArray[Any]
    topology: Topology
    rate: Rate = FEATURE_RATE

    @property
    def num_tids(self) -> int:
        """Number of transition-ids, which are 1 to this number."""
        return len(self.log_prob) - 1

    @property
    def num_pdfs(self) -> int:
        """One more than the largest pdf-id."""
        return 1 + max(pdf for _, _, pdf in self.states)

    @cached_property
    def state_index(self) -> dict[tuple[int, int, int], int]:
        """The number of each transition-state."""
        return {state: i for i, state in enumerate(self.states)}

    @cached_property
    def is_self_loop(self) -> NDArray[Any]:
        """True where a transition-id stays in its HMM state."""
        loops: NDArray[Any] = (self.tid_to_next == self.tid_to_hmm_state) & (np.arange(len(self.log_prob)) > 0)
        return loops

    @cached_property
    def self_loop_tid(self) -> NDArray[Any]:
        """The transition-id of each transition-state's self-loop, 0 where it has none."""
        result = np.zeros(len(self.states), int)
        tids = np.flatnonzero(self.is_self_loop)
        result[self.tid_to_state[tids]] = tids
        return result

    @cached_property
    def tid_to_pdf_class(self) -> NDArray[Any]:
        """The pdf class of each transition-id's HMM state."""
        pairs = zip(self.tid_to_phone[1:].tolist(), self.tid_to_hmm_state[1:].tolist(), strict=True)
        return np.array([-1, *(self.topology[phone][state].pdf_class for phone, state in pairs)], dtype=np.int32)

    @cached_property
    def leaves_phone(self) -> NDArray[Any]:
        """True where a transition-id leads out of its phone."""
        lengths = [len(self.topology[phone]) for phone in self.tid_to_phone[1:].tolist()]
        leaves: NDArray[Any] = self.tid_to_next == np.array([-1, *lengths])
        return leaves

    def pdfs_of(self, phones: Collection[int]) -> NDArray[Any]:
        """The pdf-ids of some phones' states, sorted."""
        return np.array(sorted({pdf for phone, _, pdf in self.states if phone in phones}), dtype=int)

    def costs(self, transition_scale: float = 1.0, self_loop_scale: float | None = None) -> NDArray[Any]:
        """Cost of each transition-id in a graph, with Kaldi's two scales (``add-self-loops``, ``make-h-transducer``).

        A stay of n frames in a state costs ``(n-1) s log p + s log (1-p)`` for its loop (probability p, self-loop
        scale s), and the way out ``t log (q / (1-p))`` (probability q, transition scale t), all negated. The second
        and third part occur once a stay, so they stand together on the transition out. Without a self-loop scale, that
        of the states counts.

        Returns
        -------
        (num_tids + 1,) float32
        """
        if self_loop_scale is None:
            self_loop_scale = self.rate.self_loop_scale
        probability = np.exp(self.log_prob)
        stay = np.where(self.self_loop_tid > 0, probability[self.self_loop_tid], 0.0)
        log_leave = np.log(np.maximum(1 - stay, 1e-10))[self.tid_to_state]
        out = transition_scale * (self.log_prob - log_leave) + self_loop_scale * log_leave
        costs = -np.where(self.is_self_loop, self_loop_scale * self.log_prob, out)
        costs[0] = 0
        return costs.astype(np.float32)

    def updated(self, counts: NDArray[Any], floor: float = 0.01, min_count: float = 5.0) -> "TransitionModel":
        """Estimate the probabilities from how often each transition-id was taken.

        Matches Kaldi's ``TransitionModel::MleUpdate``: transition-states seen less than `min_count` times keep their
        probabilities, none falls below `floor` (but for the rest of what flooring adds to the sum of one).
        """
        totals = np.add.reduceat(counts[1:], self.first_tid[:-1] - 1)
        share = counts[1:] / np.maximum(totals, 1e-30)[self.tid_to_state[1:]]
        for _ in range(3):  # flooring takes from the sum of one, so normalise, floor again, as Kaldi does
            share = np.maximum(share, floor)
            share = share / np.add.reduceat(share, self.first_tid[:-1] - 1)[self.tid_to_state[1:]]
        seen = (totals >= min_count)[self.tid_to_state[1:]]
        log_prob = self.log_prob.copy()
        log_prob[1:] = np.where(seen, np.log(share), log_prob[1:])
        return replace(self, log_prob=log_prob)


def transition_model(topology: Topology, tree: Tree) -> TransitionModel:
    """Number the transitions of a tree's pdfs; the probabilities are the topology's."""
    states = tree.tuples(topology)
    columns: list[tuple[int, int, int, int, int, float]] = [(-1, -1, -1, -1, -2, 0.0)]
    first = []
    for index, (phone, hmm_state, pdf) in enumerate(states):
        first.append(len(columns))
        for dest, probability in topology[phone][hmm_state].transitions:
            columns.append((index, pdf, phone, hmm_state, dest, float(np.log(probability))))
    first.append(len(columns))
    *integers, log_probs = zip(*columns, strict=True)
    to_state, to_pdf, to_phone, to_hmm_state, to_next = (np.array(column, dtype=np.int32) for column in integers)
    return TransitionModel(
        states,
        np.array(first),
        to_state,
        to_pdf,
        to_phone,
        to_hmm_state,
        to_next,
        log_prob=np.array(log_probs),
        topology=topology,
        rate=tree.rate,
    )


def write_transition_model(path: str | Path, model: TransitionModel) -> None:
    """Write ``transitions.npz``: the log probabilities; the ids follow from ``topo`` and ``tree.json`` beside it."""
    write_arrays(Path(path), log_prob=model.log_prob)


def initial_transition_model(folder: str | Path) -> TransitionModel:
    """Number the transitions of a directory's ``topo`` and ``tree.json``; the probabilities are the topology's."""
    return transition_model(read_topo(Path(folder, "topo")), read_tree(Path(folder, "tree.json")))


def read_transition_model(folder: str | Path) -> TransitionModel:
    """Read the transition model of a model or alignment directory (``topo``, ``tree.json``, ``transitions.npz``).

    Raises
    ------
    InputError
        When one of these files is missing, or the probabilities belong to other transition-ids.
    """
    folder = Path(folder)
    for name in MODEL_FILES:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: neither a model nor an alignment directory, it has no {name}")
    model = initial_transition_model(folder)
    (log_prob,) = read_arrays(folder / "transitions.npz", "log_prob")
    if log_prob.shape != model.log_prob.shape:
        raise InputError(
            f"{folder}: transitions.npz has {len(log_prob) - 1} transition-ids, but topo and tree.json have "
            f"{model.num_tids}; they belong to different models"
        )
    return replace(model, log_prob=log_prob)


def split_phones(model: TransitionModel, tids: Sequence[int] | NDArray[Any]) -> list[tuple[int, int, int]]:
    """Split an alignment into phones.

    Graphs here are Kaldi's "reordered" ones: a state's self-loops come after its transition out. A phone therefore
    ends with the last self-loop that follows a transition to its final state.

    Of states that are slower than the features, every `skip`-th frame from the first one on makes the path, and the
    other frames belong to the nearest of them.

    Parameters
    ----------
    model : TransitionModel
    tids : (T,) int
        One transition-id a frame.

    Returns
    -------
    list of (int, int, int)
        Phone-id, first frame and number of frames.
    """
    frames, skip = len(tids), model.rate.skip
    if not frames:
        return []
    tids = np.asarray(tids)[::skip]
    leaves = model.leaves_phone[tids]
    loops = model.is_self_loop[tids]
    # a new phone starts where a frame is not a self-loop and the last frame that was not one left its phone
    moves = np.flatnonzero(~loops)
    starts = [0, *moves[1:][leaves[moves[:-1]]]]
    bounds = [max(0, int(start) * skip - skip // 2) for start in starts]
    phones = model.tid_to_phone[tids[starts]].tolist()
    return [(phone, a, b - a) for phone, (a, b) in zip(phones, pairwise([*bounds, frames]), strict=True)]


def path_at_frames(model: TransitionModel, path: NDArray[Any], frames: int) -> NDArray[Any]:
    """Bring a path from the rate of the states to that of the features: each frame is in the nearest step.

    Parameters
    ----------
    model : TransitionModel
    path : (N,) array
        A transition-id, or another value, of each step.
    frames : int
        T, of the utterance.

    Returns
    -------
    (T,) array
    """
    return path if model.rate.skip == 1 else path[nearest_steps(frames, model.rate.skip)]
