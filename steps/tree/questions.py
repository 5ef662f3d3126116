"""The questions that a decision tree may ask about a phone of the context: sets of phones that sound alike."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from steps.base.errors import InputError
from steps.hmm.phone_sets import check_partition, spaced, those
from steps.hmm.topology import Topology, num_pdf_classes
from steps.tree.clustering import merges
from steps.tree.stats import TreeStats

OUTSIDE = 0  # the phone-id of what is outside the utterance


def phone_questions(
    stats: TreeStats,
    topology: Topology,
    sets: Sequence[AbstractSet[int]],
    context_independent: AbstractSet[int],
    extra: Sequence[AbstractSet[int]] = (),
) -> list[frozenset[int]]:
    """Find sets of phones to ask about by clustering the phones on the sound of their middles.

    Starting from one cluster a phone set, with the frames of its middle pdf class, the two clusters whose merger loses
    the least likelihood are merged until one is left. The questions are all clusters on the way, the phone sets
    themselves, the context-independent phones as one, and these together with what is outside the utterance. Kaldi's
    ``cluster-phones`` has the same questions but divides from the top, by k-means from random starts; merging needs
    no randomness.

    Parameters
    ----------
    stats : TreeStats
    topology : Topology
        Its pdf classes; the middle one of C is C // 2.
    sets : sequence of sets of int
        Phones that are always asked about together, like the variants of one phone by its position in a word; each
        phone of the topology is in one of them.
    context_independent : set of int
        The phones whose context does not count, silence.
    extra : sequence of sets of int
        More questions, like the phones at the end of a word; they may divide the sets.

    Returns
    -------
    list of frozenset of int
        The largest first: of questions that divide what was seen alike, a tree takes the first, so that a phone never
        seen in some context goes with those it sounds like.

    Raises
    ------
    InputError
        When the sets do not divide the topology's phones, or the statistics have other phones.
    """
    check_sets(sets, topology, context_independent, stats)
    middle = np.zeros(1 + max(topology), dtype=int)
    for phone, states in topology.items():
        middle[phone] = num_pdf_classes(states) // 2
    central = stats.windows[:, stats.central_position]
    used = stats.pdf_classes == middle[central]
    members = np.array([np.isin(central, list(phones)) & used for phones in sets], dtype=np.float64)
    sums = members @ stats.sums
    seen = np.flatnonzero(sums[:, 0])
    clusters = [frozenset(sets[i]) for i in seen]
    silence = frozenset(context_independent)
    questions = {*map(frozenset, [*sets, *extra]), silence, silence | {OUTSIDE}} - {frozenset()}
    for kept, gone in merges(sums[seen]):
        clusters[kept] |= clusters[gone]
        questions.add(clusters[kept])
    return sorted(questions, key=lambda phones: (-len(phones), sorted(phones)))


def check_sets(
    sets: Sequence[AbstractSet[int]], topology: Topology, context_independent: AbstractSet[int], stats: TreeStats
) -> None:
    """Check that each phone is in one set, with others of its kind, and that the statistics have no other phone.

    Raises
    ------
    InputError
        Names the phone and what is wrong.
    """
    check_partition(sets, topology)
    for phones in map(sorted, sets):
        if 0 < len(context_independent & set(phones)) < len(phones):
            raise InputError(f"phones {spaced(phones)} are one set, but only some of them are context-independent")
    if strange := sorted(set(np.unique(stats.windows).tolist()) - {OUTSIDE} - set(topology)):
        raise InputError(f"{those(strange)} in the statistics, but not in the topology; align with the same lang")
