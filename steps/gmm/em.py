"""Training of GMM-HMMs: EM with Viterbi alignments, growing mixtures and optional feature transforms."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from nnet.ranges import Count, NotNegative, Positive, Share, Whole
from steps.ali.directory import check_failed, say_failed
from steps.base.options import Options
from steps.base.output import writing
from steps.base.parallel import Jobs
from steps.gmm.adaptation import speaker_maps
from steps.gmm.blocks import read_utterances
from steps.gmm.gmm import Stats, estimate, split, split_targets, sum_in_order
from steps.gmm.mllt import estimate_mllt, transform_means
from steps.gmm.system import (
    System,
    align_block,
    alignment_file,
    fmllr_statistics,
    mllt_statistics,
    read_system,
    statistics,
    unadapted_statistics,
    write_system,
)
from steps.hmm.viterbi import AlignOptions

R = TypeVar("R")

STATE = "state.npz"  # the system after the last finished iteration
LOG = "iterations.jsonl"
FLAT_MIN_OCCUPANCY = 3.0  # of a Gaussian after the flat start, as Kaldi has it


@dataclass(frozen=True)
class EmOptions(Options):
    """The schedule, with the defaults of Kaldi's ``train_deltas.sh``.

    Parameters
    ----------
    num_iterations : int
        EM iterations.
    max_increase_iteration : int
        The mixtures grow in each iteration up to this one.
    num_gaussians : int
        Total number of Gaussians after the mixtures have grown.
    realign_iterations : list of int
        Iterations that begin with a new alignment; the others use the last one.
    mllt_iterations : list of int
        Iterations in which the features are decorrelated by MLLT.
    fmllr_iterations : list of int
        Iterations in which each speaker's features are moved towards the model (fMLLR).
    silence_weight : float
        Weight of silence frames when fMLLR is estimated.
    min_frames : float
        A speaker with no more (weighted) frames than this gets no transform.
    power : float
        A pdf's share of the Gaussians is proportional to its number of frames to this power.
    boost_silence : float
        Likelihoods of silence are multiplied by this while aligning.
    initial_beam : float
        Beam of an alignment in the first iteration; later ones take `align.beam`.
    min_occupancy : float
        A Gaussian with fewer frames is removed.
    max_failed : float
        The share of utterances that may fail to align before training stops.
    align : AlignOptions
        The search.
    """

    num_iterations: Count = 35
    max_increase_iteration: Whole = 25
    num_gaussians: Count = 5000
    realign_iterations: list[Whole] = field(default_factory=lambda: [10, 20, 30])
    mllt_iterations: list[Whole] = field(default_factory=list)
    fmllr_iterations: list[Whole] = field(default_factory=list)
    silence_weight: NotNegative = 0.0
    min_frames: NotNegative = 500.0
    power: NotNegative = 0.25
    boost_silence: Positive = 1.0
    initial_beam: Positive = 10.0
    min_occupancy: NotNegative = 10.0
    max_failed: Share = 0.1
    align: AlignOptions = field(default_factory=AlignOptions)


@dataclass(frozen=True)
class Training:
    """What stays the same through all iterations.

    Attributes
    ----------
    folder : Path
        Holds ``topo`` and ``tree.json`` and, while training lasts, its state and alignments.
    blocks : list of Path
        From `steps.gmm.blocks.write_block`.
    silence : list of int
        Silence phones.
    options : EmOptions
    seed : int
        Of the directions in which Gaussians split.
    run : Jobs
        From `steps.base.parallel.jobs`.
    """

    folder: Path
    blocks: list[Path]
    silence: list[int]
    options: EmOptions
    seed: int
    run: Jobs

    @property
    def state(self) -> Path:
        """The file of the system after the last finished iteration."""
        return self.folder / STATE

    def over_blocks(
        self, step: Callable[..., Any], system: System, desc: str | None = None, **arguments: Any
    ) -> list[Any]:
        """Call ``step(block, path, **arguments)`` for each block; `path` is a file with the system."""
        current = self.folder / "current.npz"
        write_system(current, system)
        return self.run(partial(step, path=current, **arguments), self.blocks, desc)


def expect_maximise(training: Training) -> System:
    """Run the iterations after that of ``training.state``.

    Every utterance has to have an alignment, from `steps.gmm.system.write_block_alignments`.

    Returns
    -------
    System
        The final one; ``iterations.jsonl`` in the folder has a line for each iteration.

    Raises
    ------
    InputError
        When more utterances fail to align than `max_failed` allows.
    """
    options = training.options
    system, done = read_system(training.state)
    if (training.folder / LOG).exists():
        print(f"going on after iteration {done}")
    for iteration in range(done + 1, options.num_iterations):
        desc = f"iteration {iteration}/{options.num_iterations - 1}"
        if iteration in options.realign_iterations:
            search = replace(options.align, beam=options.initial_beam) if iteration == 1 else options.align
            boost = {"silence": training.silence, "boost": options.boost_silence}
            training.over_blocks(align_block, system, f"{desc}, aligning", search=search, **boost)
        system = _transformed(training, system, iteration, desc)
        results = training.over_blocks(statistics, system, desc)
        stats = sum_in_order([stats for stats, _ in results])
        failed = {utterance: reason for _, reasons in results for utterance, reason in reasons.items()}
        system = _maximised(system, stats, iteration, options, training.seed)
        _finish(training, iteration, system, stats, failed)
    return system


def _transformed(training: Training, system: System, iteration: int, desc: str) -> System:
    """Estimate MLLT and fMLLR in the iterations that the options name."""
    options = training.options
    if iteration in options.mllt_iterations:
        mllt = sum_in_order(training.over_blocks(mllt_statistics, system, f"{desc}, MLLT", silence=training.silence))
        matrix, objectives = estimate_mllt(mllt)
        print(f"MLLT: objective per frame {objectives[0] / mllt.beta:.3f}, then {objectives[-1] / mllt.beta:.3f}")
        gmms = transform_means(system.gmms, matrix)
        system = replace(system, gmms=gmms, transform=system.transform.multiplied(matrix))
    if iteration in options.fmllr_iterations:
        weights = {"silence": training.silence, "silence_weight": options.silence_weight}
        parts = training.over_blocks(fmllr_statistics, system, f"{desc}, fMLLR", **weights)
        maps, gain = speaker_maps(parts, options.min_frames)
        print(f"fMLLR: {len(maps)} speakers, {gain:.3f} in log likelihood per frame")
        system = replace(system, transform=system.transform.adapted(maps))
    return system


def _maximised(system: System, stats: Stats, iteration: int, options: EmOptions, seed: int) -> System:
    transitions = system.transitions.updated(stats.transitions)
    gmms = estimate(system.gmms, stats, options.min_occupancy if iteration else FLAT_MIN_OCCUPANCY)
    if 0 < iteration <= options.max_increase_iteration:
        increase = max(options.num_gaussians - gmms.num_pdfs, 0) * iteration // options.max_increase_iteration
        total = gmms.num_pdfs + increase
        targets = split_targets(stats.occupancy.sum(1), total, options.power, min_count=20)
        gmms = split(gmms, targets, seed + iteration)
    return replace(system, gmms=gmms, transitions=transitions)


def _finish(training: Training, iteration: int, system: System, stats: Stats, failed: dict[str, str]) -> None:
    """Print and log the results of an iteration, and write its system."""
    log = training.folder / LOG
    earlier = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    earlier = [record for record in earlier if record["iteration"] < iteration]  # a killed run may have logged it
    named = {utterance for record in earlier for utterance in record["failed"]}
    say_failed({utterance: reason for utterance, reason in failed.items() if utterance not in named})
    total = sum(len(read_utterances(block)) for block in training.blocks)
    check_failed(failed, total, training.options.max_failed)
    record = {
        "iteration": iteration,
        "log_likelihood": stats.log_likelihood / max(stats.frames, 1),
        "frames": stats.frames,
        "gaussians": system.gmms.num_gaussians,
        "failed": failed,
    }
    with writing(log) as part:
        part.write_text("".join(json.dumps(line) + "\n" for line in [*earlier, record]))
    write_system(training.state, system, iteration)
    print(
        f"iteration {iteration}: log likelihood per frame {record['log_likelihood']:.3f}, "
        f"{record['gaussians']} Gaussians, {len(failed)} of {total} utterances not aligned",
        flush=True,
    )


def estimate_alignment_model(training: Training, system: System) -> System:
    """Estimate the alignment model: of features without fMLLR, for speakers without a transform."""
    stats = sum_in_order(training.over_blocks(unadapted_statistics, system, "alignment model"))
    gmms = estimate(system.gmms, stats, training.options.min_occupancy)
    return replace(system, gmms=gmms, transform=system.transform.without_speakers())


def clean_up(training: Training) -> None:
    """Remove the files that only training needs; the state comes last, because without it training is done."""
    for block in training.blocks:
        alignment_file(block).unlink(missing_ok=True)
        block.unlink()
    (training.folder / "current.npz").unlink(missing_ok=True)
    training.state.unlink()
