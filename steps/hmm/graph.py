"""From graphs over phones to graphs over transition-ids: context, HMMs and self-loops."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import kaldifst
import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.hmm.transitions import TransitionModel
from steps.hmm.tree import Tree
from steps.lang.fst_arrays import FstArrays, to_arrays, to_fst

MAX_STATES = 20_000_000  # of a determinised graph


def compose(left: kaldifst.StdFst, right: kaldifst.StdFst) -> kaldifst.StdVectorFst:
    """Compose two FSTs; the arcs of `left` get sorted by output label."""
    left = kaldifst.StdVectorFst(left)
    kaldifst.arcsort(left, "olabel")
    return kaldifst.StdVectorFst(kaldifst.compose(left, right))


def determinize(fst: kaldifst.StdVectorFst, use_log: bool = False) -> None:
    """Remove epsilons and determinise in place (Kaldi's ``fstdeterminizestar``).

    Raises
    ------
    InputError
        When some words cannot be told apart, or the result grows past `MAX_STATES`.
    """
    try:
        kaldifst.determinize_star(fst, max_states=MAX_STATES, use_log=use_log)
    except RuntimeError as error:
        reason = str(error).rpartition("[E] ")[2]
        if "passed" in reason:  # "Determinization aborted since passed ... states"
            raise InputError(
                f"the graph has over {MAX_STATES:,} states after determinisation: the LM is too large"
            ) from error
        raise InputError(  # "FST was not functional"
            f"the graph cannot be determinised ({reason}): words of the same pronunciation lack disambiguation "
            "symbols; make the lang directory again with steps.prepare_lang"
        ) from error


def h_transducer(windows: Sequence[Sequence[int]], tree: Tree, model: TransitionModel) -> kaldifst.StdVectorFst:
    """Make H: transition-ids in, context windows out, without self-loops (Kaldi's ``make-h-transducer``).

    Parameters
    ----------
    windows : sequence of windows
        What the input labels of CLG stand for, as ``compose_context`` gives it: entry 0 is epsilon, ``[0]`` the start
        symbol, ``[-d]`` disambiguation symbol d, anything else phone-ids.
    tree, model
        The pdf-ids and the transition-ids.

    Raises
    ------
    InputError
        When a phone has no topology, as those of another lexicon than the model's.

    Returns
    -------
    StdVectorFst
        One state that is initial and final, from which each window's HMM leads back. Disambiguation symbols pass
        through as input label ``model.num_tids + index``. Costs are added later, by `with_costs`.
    """
    arcs: list[tuple[int, int, int, int]] = []  # src, dst, ilabel, olabel
    num_states = 1
    for index, window in enumerate(windows):
        if index == 0:
            continue
        if window[0] <= 0 and len(window) == 1:
            arcs.append((0, 0, model.num_tids + index, index))
            continue
        phone = window[tree.central_position]
        if phone not in model.topology:
            raise InputError(
                f"phone {phone} of the lexicon is none of the model's phones; use the lang directory of its training"
            )
        states = model.topology[phone]
        # HMM state k > 0 is reached by the arcs into number base + k; state 0 is entered from the loop state itself
        base, end = num_states - 1, len(states)
        for hmm_state, state in enumerate(states):
            transition_state = model.state_index[phone, hmm_state, tree.pdf(window, state.pdf_class)]
            for i, (dest, _) in enumerate(state.transitions):
                if dest == hmm_state:
                    continue
                tid = int(model.first_tid[transition_state]) + i
                source = base + hmm_state if hmm_state else 0
                arcs.append((source, 0 if dest == end else base + dest, tid, 0 if hmm_state else index))
        num_states += end - 1
    src, dst, ilabel, olabel = np.array(arcs, dtype=np.int32).reshape(-1, 4).T
    final = np.full(num_states, np.inf, np.float32)
    final[0] = 0
    return to_fst(FstArrays(0, final, src, dst, ilabel, olabel, np.zeros(len(arcs), np.float32)))


def without_disambiguation(fst: FstArrays, num_tids: int) -> FstArrays:
    """Turn input labels past the last transition-id into epsilons (Kaldi's ``fstrmsymbols``)."""
    return replace(fst, ilabel=np.where(fst.ilabel > num_tids, 0, fst.ilabel))


def add_self_loops(fst: FstArrays, model: TransitionModel) -> FstArrays:
    """Put each HMM state's self-loop behind the arcs that leave it (Kaldi's ``add-self-loops --reorder=true``).

    A graph state can hold a self-loop only when all arcs into it belong to one transition-state. Where they differ,
    each of them gets a state of its own with an epsilon arc to the old one.
    """
    num_states = len(fst.final)
    klass = np.where(fst.ilabel > 0, model.tid_to_state[fst.ilabel] + 1, 0)  # 0: epsilon
    lowest = np.full(num_states, np.iinfo(np.int64).max)
    highest = np.full(num_states, -1)
    for bound, ufunc in ((lowest, np.minimum), (highest, np.maximum)):
        ufunc.at(bound, fst.dst, klass)
        ufunc.at(bound, [fst.start], 0)  # the start is reached without any arc, as if by an epsilon
    mixed = lowest != highest
    split = np.flatnonzero(mixed[fst.dst] & (klass > 0))
    pairs, new = np.unique(np.stack([fst.dst[split], klass[split]]), axis=1, return_inverse=True)
    count = pairs.shape[1]
    dst = fst.dst.copy()
    dst[split] = num_states + new.ravel()
    bridges = np.arange(num_states, num_states + count)
    before = np.concatenate([np.where(mixed | (highest < 0), 0, highest), pairs[1]])  # class of each state's in-arcs
    loops = np.flatnonzero(before > 0)
    tids = model.self_loop_tid[before[loops] - 1]
    loops, tids = loops[tids > 0], tids[tids > 0]
    zeros = np.zeros(count + len(loops), np.int32)
    return FstArrays(
        fst.start,
        np.concatenate([fst.final, np.full(count, np.inf, np.float32)]),
        np.concatenate([fst.src, bridges, loops]).astype(np.int32),
        np.concatenate([dst, pairs[0], loops]).astype(np.int32),
        np.concatenate([fst.ilabel, zeros[:count], tids]).astype(np.int32),
        np.concatenate([fst.olabel, zeros]).astype(np.int32),
        np.concatenate([fst.weight, zeros]).astype(np.float32),
    )


def with_costs(fst: FstArrays, costs: NDArray[Any]) -> FstArrays:
    """Add each transition-id's cost (`TransitionModel.costs`) to the arcs that carry it."""
    return replace(fst, weight=fst.weight + costs[fst.ilabel])


def expand_phones(
    phones: kaldifst.StdVectorFst,
    disambiguation: Sequence[int],
    tree: Tree,
    model: TransitionModel,
    optimise: bool,
) -> FstArrays:
    """Expand a graph with phones as input labels to one with transition-ids, self-loops and no transition costs.

    Parameters
    ----------
    phones : StdVectorFst
        LG, or the phones of one utterance's transcript.
    disambiguation : sequence of int
        Phone-ids of #0, #1, ...
    tree, model
        The pdf-ids and transition-ids.
    optimise : bool
        Determinise and minimise, as ``mkgraph.sh`` does. For the graph of one transcript it does not pay.
    """
    clg, windows = kaldifst.compose_context(
        disambig_syms=list(disambiguation),
        context_width=tree.context_width,
        central_position=tree.central_position,
        ifst=phones,
    )
    kaldifst.arcsort(clg, "ilabel")
    graph = compose(h_transducer(windows, tree, model), clg)
    if optimise:
        determinize(graph)
    arrays = without_disambiguation(to_arrays(graph), model.num_tids)
    if optimise:
        graph = to_fst(arrays)
        kaldifst.minimize_encoded(graph)  # epsilons stay: taking out the back-off arcs would multiply G's arcs
        arrays = to_arrays(graph)
    return add_self_loops(arrays, model)


def hclg(
    lexicon: kaldifst.StdVectorFst,
    grammar: kaldifst.StdVectorFst,
    disambiguation: Sequence[int],
    tree: Tree,
    model: TransitionModel,
) -> kaldifst.StdVectorFst:
    """Build the decoding graph (Kaldi's ``mkgraph.sh``).

    Parameters
    ----------
    lexicon, grammar : StdVectorFst
        L with disambiguation symbols, and G.
    disambiguation : sequence of int
        Phone-ids of #0, #1, ...
    tree, model
        The pdf-ids and transition-ids; transition probabilities enter with scale 1, those of self-loops with the
        self-loop scale of the states.

    Returns
    -------
    StdVectorFst
        Transition-ids in, word-ids out, arcs sorted by input label.
    """
    kaldifst.arcsort(grammar, "ilabel")
    lg = compose(lexicon, grammar)
    if lg.start < 0:
        raise InputError("the decoding graph is empty: the lexicon and the language model have no word in common")
    determinize(lg, use_log=True)
    kaldifst.minimize_encoded(lg)
    arrays = expand_phones(lg, disambiguation, tree, model, optimise=True)
    graph = to_fst(with_costs(arrays, model.costs()))
    kaldifst.arcsort(graph, "ilabel")
    return graph
