"""Several networks as one acoustic model: their log posteriors are averaged frame by frame."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steps.acoustic.model import AcousticModel, ModelDescription, Scorer
from steps.base.errors import InputError
from steps.feats.options import completed
from steps.gmm.transforms import same_for_all
from steps.hmm.joins import check_states


def check_alike(first: ModelDescription, others: Sequence[ModelDescription]) -> None:
    """Check that the scores of several models can be averaged.

    Raises
    ------
    InputError
        When one is no network, or its states or features are not those of the first.
    """
    for other in others:
        for model in (first, other):
            if not model.is_network:
                raise InputError(f"{model.folder}: a GMM system; --also averages the outputs of networks")
        check_states(other.folder, first.folder, "--also needs networks that were trained on the same alignments")
        if not _same_features(other, first):
            raise InputError(
                f"{other.folder}: its features are not those of {first.folder}; --also needs networks that were "
                "trained on the same features"
            )


def _same_features(one: ModelDescription, other: ModelDescription) -> bool:
    """Whether two networks get the same features of any data."""
    stats = [None if model.input_stats is None else model.input_stats.tolist() for model in (one, other)]
    options = [completed(model.features, str(model.folder)) for model in (one, other)]
    transforms_alike = same_for_all(one.transform, other.transform) and one.gmm == other.gmm
    return options[0] == options[1] and stats[0] == stats[1] and transforms_alike


def averaged(models: Sequence[AcousticModel]) -> AcousticModel:
    """Average the outputs of networks that `check_alike` has found to go together; one model stays as it is.

    The log posterior of a pdf is the mean of the networks' log posteriors, normalised over the pdfs: their geometric
    mean (Kaldi's steps/nnet3/decode_score_fusion.sh, which does not normalise). Priors and transition model are those
    of the first.
    """
    first, *others = models
    return replace(first, scores=partial(_mean_scores, [model.scores for model in models])) if others else first


def _mean_scores(scorers: Sequence[Scorer], features: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The mean of what several networks give for some utterances, each (T, num_pdfs)."""
    utterances = zip(*(scores(features) for scores in scorers), strict=True)
    return [torch.from_numpy(np.mean(matrices, axis=0)).log_softmax(-1).numpy() for matrices in utterances]
