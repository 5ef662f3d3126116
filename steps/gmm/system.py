"""A GMM system in training: what EM estimates, and what it does with a block of utterances."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.base.files import read_arrays, write_arrays
from steps.gmm.adaptation import BySpeaker, speaker_statistics
from steps.gmm.blocks import read_block
from steps.gmm.gmm import DiagGmms, Stats, accumulate, log_likelihoods
from steps.gmm.mllt import MlltStats, accumulate_mllt
from steps.gmm.transforms import ARRAYS, Transform, from_arrays, to_arrays
from steps.hmm.transitions import TransitionModel, initial_transition_model
from steps.hmm.viterbi import AlignOptions, align


@dataclass(frozen=True)
class System:
    """What EM estimates."""

    gmms: DiagGmms
    transitions: TransitionModel
    transform: Transform


def write_system(path: Path, system: System, iteration: int = -1) -> None:
    """Write a system in one file, so that a killed run finds all of it from the same iteration."""
    arrays = {"iteration": np.array(iteration), "log_prob": system.transitions.log_prob}
    write_arrays(path, **arrays, **vars(system.gmms), **to_arrays(system.transform))


def read_system(path: Path) -> tuple[System, int]:
    """Read a system, and the iteration that led to it; ``topo`` and ``tree.json`` lie beside the file."""
    names = ("iteration", "log_prob", "weights", "means", "variances", *ARRAYS)
    iteration, log_prob, weights, means, variances, *transform = read_arrays(path, *names)
    transitions = replace(initial_transition_model(path.parent), log_prob=log_prob)
    return System(DiagGmms(weights, means, variances), transitions, from_arrays(*transform)), int(iteration)


def alignment_file(block: Path) -> Path:
    """Where the alignments of a block are."""
    return block.with_name(f"alignment.{block.name}")


def write_block_alignments(block: Path, utterances: Sequence[str], alignments: Sequence[NDArray[Any] | str]) -> None:
    """Write the transition-ids of each utterance of a block, or the reason why there are none."""
    reasons = {u: a for u, a in zip(utterances, alignments, strict=True) if isinstance(a, str)}
    tids = [np.zeros(0, int) if isinstance(a, str) else a for a in alignments]
    joined, lengths = np.concatenate(tids).astype(np.int32), [len(a) for a in tids]
    write_arrays(alignment_file(block), tids=joined, lengths=lengths, failed=json.dumps(reasons))


def read_block_alignments(block: Path) -> tuple[list[NDArray[Any]], dict[str, str]]:
    """Read the alignments of a block, empty where there is none, and the reasons."""
    tids, lengths, failed = read_arrays(alignment_file(block), "tids", "lengths", "failed")
    return np.split(tids, np.cumsum(lengths)[:-1]), json.loads(str(failed))


def aligned_utterances(block: Path, transform: Transform) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Speaker-id, transformed features (T, D) and transition-ids (T,) of each utterance that has an alignment."""
    content, (alignments, _) = read_block(block), read_block_alignments(block)
    for speaker, features, tids in zip(content.speakers, content.features, alignments, strict=True):
        if len(tids):
            yield speaker, transform(features, speaker), tids


def aligned_frames(block: Path, transform: Transform) -> tuple[NDArray[Any], NDArray[Any]]:
    """Transformed features (N, D) and transition-ids (N,) of all utterances of a block that have an alignment."""
    found = [(features, tids) for _, features, tids in aligned_utterances(block, transform)]
    if not found:
        speaker, features = read_block(block).speakers[0], read_block(block).features[0]
        return transform(features, speaker)[:0], np.zeros(0, np.int32)
    features, tids = zip(*found, strict=True)
    return np.concatenate(features), np.concatenate(tids)


# what is done with a block; the system is at `path`


def align_block(block: Path, path: Path, search: AlignOptions, silence: Sequence[int], boost: float) -> None:
    """Align the utterances and write the alignments beside the block."""
    (gmms, transitions, transform), content = vars(read_system(path)[0]).values(), read_block(block)
    alignments: list[NDArray[Any] | str] = []
    for graph, features, speaker in zip(content.graphs, content.features, content.speakers, strict=True):
        needed = np.unique(transitions.tid_to_pdf[graph.ilabel[graph.ilabel > 0]])
        scores = log_likelihoods(gmms, transform(features, speaker), needed)
        scores = boosted(scores, transitions, silence, boost)
        found = align(graph, scores, transitions, search)
        alignments.append(found if isinstance(found, str) else found.tids)
    write_block_alignments(block, content.utterances, alignments)


def boosted(scores: NDArray[Any], model: TransitionModel, silence: Sequence[int], factor: float) -> NDArray[Any]:
    """Multiply the likelihoods of the silence phones' pdfs by a factor (Kaldi's ``gmm-boost-silence``)."""
    if factor == 1:
        return scores
    scores = scores.copy()
    scores[:, model.pdfs_of(silence)] += np.log(factor)
    return scores


def statistics(block: Path, path: Path) -> tuple[Stats, dict[str, str]]:
    """Collect the statistics for the Gaussians, and the reasons for utterances without an alignment."""
    system, _ = read_system(path)
    features, tids = aligned_frames(block, system.transform)
    stats = accumulate(system.gmms, features, tids, system.transitions.tid_to_pdf)
    return stats, read_block_alignments(block)[1]


def unadapted_statistics(block: Path, path: Path) -> Stats:
    """Collect the same from features without fMLLR, with the Gaussians' shares of those with it.

    Matches Kaldi's ``gmm-acc-stats-twofeats``: the result aligns speakers without a transform.
    """
    system, _ = read_system(path)
    features, tids = aligned_frames(block, system.transform)
    unadapted, _ = aligned_frames(block, system.transform.without_speakers())
    return accumulate(system.gmms, features, tids, system.transitions.tid_to_pdf, moments_of=unadapted)


def mllt_statistics(block: Path, path: Path, silence: Sequence[int]) -> MlltStats:
    """Collect the statistics for MLLT, of all frames but those of silence."""
    system, _ = read_system(path)
    features, tids = aligned_frames(block, system.transform)
    pdfs = system.transitions.tid_to_pdf[tids]
    speech = ~np.isin(pdfs, system.transitions.pdfs_of(silence))
    return accumulate_mllt(system.gmms, features[speech], pdfs[speech])


def fmllr_statistics(block: Path, path: Path, silence: Sequence[int], silence_weight: float) -> BySpeaker:
    """Collect the statistics for fMLLR."""
    system, _ = read_system(path)
    aligned, silence_pdfs = aligned_utterances(block, system.transform), system.transitions.pdfs_of(silence)
    return speaker_statistics(system.gmms, system.transitions, aligned, silence_pdfs, silence_weight)
