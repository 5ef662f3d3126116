"""Training of a monophone system: flat start, then EM with Viterbi alignments and growing mixtures."""

import json
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steps.errors import InputError
from steps.hmm.blocks import read_block
from steps.hmm.gmm import (
    DiagGmms,
    Stats,
    accumulate,
    estimate,
    log_likelihoods,
    single_gaussians,
    split,
    split_targets,
    sum_in_order,
    write_gmms,
)
from steps.hmm.transitions import TransitionModel, initial_transition_model, write_transition_model
from steps.hmm.viterbi import AlignOptions, align, equal_alignment
from steps.output import writing
from steps.parallel import Run


@dataclass(frozen=True)
class MonoOptions:
    """The schedule, with the defaults of Kaldi's ``train_mono.sh``.

    Parameters
    ----------
    num_iterations : int
        EM iterations.
    max_increase_iteration : int
        The mixtures grow in each iteration up to this one.
    num_gaussians : int
        Gaussians in all when they have grown.
    realign_iterations : list of int
        Iterations that begin with a new alignment; the others take the last one.
    power : float
        A pdf's share of the Gaussians goes with its number of frames to this power.
    boost_silence : float
        Likelihoods of silence are multiplied by this while aligning.
    initial_beam : float
        Beam of the first alignment; later ones take `align.beam`.
    min_occupancy : float
        A Gaussian with fewer frames is taken out; 3 in the very first iteration.
    max_failed : float
        The share of utterances that may fail to align before training stops.
    align : AlignOptions
        The search.
    """

    num_iterations: int = 40
    max_increase_iteration: int = 30
    num_gaussians: int = 1000
    realign_iterations: list[int] = field(
        default_factory=lambda: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 23, 26, 29, 32, 35, 38]
    )
    power: float = 0.25
    boost_silence: float = 1.0
    initial_beam: float = 6.0
    min_occupancy: float = 10.0
    max_failed: float = 0.1
    align: AlignOptions = field(default_factory=AlignOptions)


def train(
    folder: Path, blocks: list[Path], silence_phones: list[int], options: MonoOptions, seed: int, run: Run
) -> None:
    """Train, going on from the last finished iteration that `folder` holds.

    Parameters
    ----------
    folder : Path
        Holds ``topo`` and ``tree.json``; gets ``gmm.npz``, ``transitions.npz`` and ``iterations.jsonl``, and while
        training lasts its state.
    blocks : list of Path
        From `steps.hmm.blocks.write_block`.
    silence_phones : list of int
        Whose likelihoods `boost_silence` applies to.
    options : MonoOptions
    seed : int
        Of the flat start's paths and the directions in which Gaussians split.
    run : Run
        From `steps.parallel.jobs`.

    Raises
    ------
    InputError
        When more utterances fail to align than `max_failed` allows.
    """
    state = folder / "state.npz"
    if not state.exists():
        model = initial_transition_model(folder)
        _write_state(state, -1, _flat_gmms(blocks, model, run), model)
    done, gmms, model = _read_state(folder)
    if done >= 0:
        print(f"going on after iteration {done}")
    total = sum(len(read_utterances(block)) for block in blocks)
    named: set[str] = set()
    for iteration in range(done + 1, options.num_iterations):
        step = partial(_expect, folder=folder, iteration=iteration, options=options, silence=silence_phones, seed=seed)
        results = run(step, blocks, f"iteration {iteration}/{options.num_iterations - 1}")
        stats = sum_in_order([stats for stats, _ in results])
        failed = {utterance: reason for _, reasons in results for utterance, reason in reasons.items()}
        say_failed({utterance: reason for utterance, reason in failed.items() if utterance not in named})
        named |= set(failed)
        check_failed(failed, total, options.max_failed)
        gmms, model = _maximise(gmms, model, stats, iteration, options, seed)
        record = {
            "iteration": iteration,
            "log_likelihood": stats.log_likelihood / max(stats.frames, 1),
            "frames": stats.frames,
            "gaussians": gmms.num_gaussians,
            "failed": failed,
        }
        _log(folder / "iterations.jsonl", record)
        _write_state(state, iteration, gmms, model)
        print(
            f"iteration {iteration}: log likelihood per frame {record['log_likelihood']:.3f}, "
            f"{gmms.num_gaussians} Gaussians, {len(failed)} of {total} utterances not aligned",
            flush=True,
        )
    write_gmms(folder / "gmm.npz", gmms)
    write_transition_model(folder / "transitions.npz", model)
    for leftover in (*(_alignment_file(folder, block) for block in blocks), state):
        leftover.unlink(missing_ok=True)  # the state last: it says that training is done


def _write_state(path: Path, iteration: int, gmms: DiagGmms, model: TransitionModel) -> None:
    """All that the next iteration needs in one file, so that a killed run finds all of it from the same iteration."""
    with writing(path) as part, part.open("wb") as file:
        np.savez(file, iteration=iteration, log_prob=model.log_prob, **vars(gmms))


def _read_state(folder: Path) -> tuple[int, DiagGmms, TransitionModel]:
    with np.load(folder / "state.npz") as state:
        gmms = DiagGmms(state["weights"], state["means"], state["variances"])
        model = replace(initial_transition_model(folder), log_prob=state["log_prob"])
        return int(state["iteration"]), gmms, model


def say_failed(failed: dict[str, str]) -> None:
    """Name the utterances that are left out, with the reasons."""
    for utterance, reason in failed.items():
        print(f"{utterance} not aligned: {reason}")


def check_failed(failed: dict[str, str], total: int, max_failed: float) -> None:
    """Stop when too many utterances could not be aligned.

    Raises
    ------
    InputError
        Names the first of them with the reason.
    """
    if len(failed) > max_failed * total or len(failed) == total:
        utterance, reason = next(iter(failed.items()))
        raise InputError(
            f"{len(failed)} of {total} utterances cannot be aligned, more than the share of {max_failed:g} allowed; "
            f"the first is {utterance}: {reason}"
        )


def read_utterances(block: Path) -> list[str]:
    """The utterances of a block, without reading the rest of it."""
    with np.load(block) as arrays:
        return [str(utterance) for utterance in arrays["utterances"]]


def _flat_gmms(blocks: list[Path], model: TransitionModel, run: Run) -> DiagGmms:
    """One Gaussian a pdf, all with the mean and variance of the training set."""
    sums = run(_moments, blocks)
    frames, first, second = (sum(values) for values in zip(*sums, strict=True))
    mean = first / frames
    return single_gaussians(mean, second / frames - mean**2, model.num_pdfs)


def _moments(block: Path) -> tuple[int, np.ndarray, np.ndarray]:
    x = np.concatenate(read_block(block).features).astype(np.float64)
    return len(x), x.sum(0), (x**2).sum(0)


def _expect(
    block: Path, folder: Path, iteration: int, options: MonoOptions, silence: list[int], seed: int
) -> tuple[Stats, dict[str, str]]:
    """Align a block, if it is this iteration's turn, and collect its statistics."""
    _, gmms, model = _read_state(folder)
    content = read_block(block)
    path = _alignment_file(folder, block)
    if iteration == 0 or iteration in options.realign_iterations:
        alignments: list[np.ndarray | str] = []
        beam = options.initial_beam if iteration == 1 else options.align.beam
        search = replace(options.align, beam=beam)
        for i, (features, graph) in enumerate(zip(content.features, content.graphs, strict=True)):
            if iteration == 0:
                alignments.append(equal_alignment(graph, len(features), seed + i))
                continue
            scores = boosted(log_likelihoods(gmms, features), model, silence, options.boost_silence)
            found = align(graph, scores, model, search)
            alignments.append(found if isinstance(found, str) else found.tids)
        reasons = {u: a for u, a in zip(content.utterances, alignments, strict=True) if isinstance(a, str)}
        tids = [np.zeros(0, int) if isinstance(a, str) else a for a in alignments]
        with writing(path) as part, part.open("wb") as file:
            lengths = [len(a) for a in tids]
            np.savez(file, tids=np.concatenate(tids).astype(np.int32), lengths=lengths, failed=json.dumps(reasons))
    with np.load(path) as arrays:
        tids, lengths, reasons = arrays["tids"], arrays["lengths"], json.loads(str(arrays["failed"]))
    used = [features for features, length in zip(content.features, lengths, strict=True) if length]
    x = np.concatenate(used) if used else np.zeros((0, gmms.means.shape[2]), np.float32)
    return accumulate(gmms, x, tids, model.tid_to_pdf), reasons


def boosted(scores: np.ndarray, model: TransitionModel, silence_phones: list[int], factor: float) -> np.ndarray:
    """Multiply the likelihoods of the silence phones' pdfs by a factor (Kaldi's ``gmm-boost-silence``)."""
    if factor == 1:
        return scores
    pdfs = sorted({pdf for phone, _, pdf in model.states if phone in silence_phones})
    scores = scores.copy()
    scores[:, pdfs] += np.log(factor)
    return scores


def _maximise(
    gmms: DiagGmms, model: TransitionModel, stats: Stats, iteration: int, options: MonoOptions, seed: int
) -> tuple[DiagGmms, TransitionModel]:
    model = model.updated(stats.transitions)
    gmms = estimate(gmms, stats, options.min_occupancy if iteration else 3.0)
    if iteration and iteration <= options.max_increase_iteration:
        increase = (options.num_gaussians - gmms.num_pdfs) * iteration // options.max_increase_iteration
        total = gmms.num_pdfs + increase
        targets = split_targets(stats.occupancy.sum(1), total, options.power, min_count=20)
        gmms = split(gmms, targets, seed + iteration)
    return gmms, model


def _alignment_file(folder: Path, block: Path) -> Path:
    return folder / f"alignment.{block.name}"


def _log(path: Path, record: dict[str, Any]) -> None:
    """Put a record behind those of earlier iterations; one that a killed run had logged already is written anew."""
    lines = path.read_text().splitlines()[: record["iteration"]] if path.exists() else []
    with writing(path) as part:
        part.write_text("\n".join([*lines, json.dumps(record), ""]))
