"""The start of a monophone system from transcripts alone."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnet.ranges import Count, Positive, Whole
from steps.base.parallel import Jobs
from steps.gmm.blocks import read_block
from steps.gmm.em import EmOptions, Training
from steps.gmm.gmm import DiagGmms, single_gaussians, sum_in_order
from steps.gmm.system import System, write_block_alignments, write_system
from steps.gmm.transforms import Transform
from steps.hmm.transitions import TransitionModel, initial_transition_model
from steps.hmm.viterbi import equal_alignment


@dataclass(frozen=True)
class MonoOptions(EmOptions):
    """The schedule, with the defaults of Kaldi's ``train_mono.sh``; see `EmOptions`."""

    num_iterations: Count = 40
    max_increase_iteration: Whole = 30
    num_gaussians: Count = 1000
    realign_iterations: list[Whole] = field(
        default_factory=lambda: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 23, 26, 29, 32, 35, 38]
    )
    initial_beam: Positive = 6.0


def flat_start(training: Training) -> None:
    """Spread each utterance evenly over its graph, and give every pdf the Gaussian of all data (``gmm-init-mono``)."""
    model = initial_transition_model(training.folder)
    training.run(partial(_align_evenly, seed=training.seed), training.blocks)
    gmms = _flat_gmms(training.blocks, model, training.run)
    write_system(training.state, System(gmms, model, Transform()))


def _align_evenly(block: Path, seed: int) -> None:
    content = read_block(block)
    pairs = enumerate(zip(content.graphs, content.features, strict=True))
    alignments = [equal_alignment(graph, len(features), seed + i) for i, (graph, features) in pairs]
    write_block_alignments(block, content.utterances, alignments)


def _flat_gmms(blocks: list[Path], model: TransitionModel, run: Jobs) -> DiagGmms:
    frames, first, second = vars(sum_in_order(run(_moments, blocks))).values()
    mean = first / frames
    return single_gaussians(mean, second / frames - mean**2, model.num_pdfs)


@dataclass(frozen=True)
class _Moments:
    """Number of frames, and the sums of their features and of the squares, (D,)."""

    frames: int
    first: NDArray[Any]
    second: NDArray[Any]


def _moments(block: Path) -> _Moments:
    x = np.concatenate(read_block(block).features).astype(np.float64)
    return _Moments(len(x), x.sum(0), (x**2).sum(0))
