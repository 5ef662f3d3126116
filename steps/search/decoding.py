"""Decoding of a data directory in blocks, with one or several settings of the scales."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.base.files import read_arrays, read_json, write_arrays
from steps.base.output import writing
from steps.base.parallel import SharedJobs, split_into_blocks
from steps.hmm.transitions import path_at_frames
from steps.search.beam import DecodingScales, SearchOptions, search_utterance
from steps.search.inputs import DecodingInputs

KEPT_SCORES = 4 * 10**9
"""Bytes of scores that are kept on disk at most, in all blocks together; those of other blocks are computed again."""


@dataclass(frozen=True)
class Decoded:
    """Hypotheses of a data directory.

    Attributes
    ----------
    text : dict
        Utterance -> words.
    unfinished : list of str
        Utterances whose path did not reach a final state.
    seconds : float
        Time taken, summed over processes.
    audio_seconds : float
        Length of what was decoded.
    alignments : dict
        Utterance -> the transition-id of each frame of the features, where they were asked for.
    """

    text: dict[str, str]
    unfinished: list[str]
    seconds: float
    audio_seconds: float
    alignments: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What all blocks of a decoding have in common.

    Attributes
    ----------
    scales : list of DecodingScales
        The utterances are decoded with each of them.
    options : SearchOptions
    folder : Path
        A block's results lie here from the moment it is done, so that a killed run does not decode it again.
    scores : Path, optional
        A folder where the model's scores are kept, up to `KEPT_SCORES`, for other decodings of the same utterances with
        this model.
    alignments : bool
        Whether to give the transition-ids of the best paths.
    """

    scales: Sequence[DecodingScales]
    options: SearchOptions
    folder: Path
    scores: Path | None = None
    alignments: bool = False


def decode_all(inputs: DecodingInputs, task: Task, run: SharedJobs[DecodingInputs], desc: str) -> list[Decoded]:
    """Decode all utterances with each of several settings of the scales.

    Parameters
    ----------
    inputs : DecodingInputs
    task : Task
    run : SharedJobs
        From `steps.base.parallel.jobs`, which shares `inputs`.
    desc : str
        What the progress bar says.

    Returns
    -------
    list of Decoded
        One for each of ``task.scales``.
    """
    utterances = list(inputs.features)
    items = list(enumerate(split_into_blocks(utterances)))
    blocks = run(partial(_decode_block, task=task, kept=KEPT_SCORES // len(items)), items, desc)
    results = [_joined([block[i] for block in blocks]) for i in range(len(task.scales))]
    if not any(words for result in results for words in result.text.values()):
        raise InputError(
            f"{inputs.data}: not a word was recognised in {len(utterances)} utterances with {inputs.model_dir}; "
            "are model, graph and audio of the same kind?"
        )
    return results


def _joined(parts: Sequence[Decoded]) -> Decoded:
    return Decoded(
        {utterance: words for part in parts for utterance, words in part.text.items()},
        [utterance for part in parts for utterance in part.unfinished],
        sum(part.seconds for part in parts),
        sum(part.audio_seconds for part in parts),
        {utterance: path for part in parts for utterance, path in part.alignments.items()},
    )


def _decode_block(inputs: DecodingInputs, item: tuple[int, list[str]], task: Task, kept: int) -> list[Decoded]:
    """Decode a block with all scales, or take the results that a killed run left; keep its scores up to a size."""
    index, utterances = item
    done = task.folder / f"block.{index}.json"
    header = {"utterances": utterances, "scales": [vars(scales) for scales in task.scales]}
    if done.exists():
        before = read_json(done)
        if all(before.get(name) == value for name, value in header.items()):
            return [Decoded(**result) for result in before["results"]]
    scores = _block_scores(inputs, utterances, task.scores and task.scores / f"block.{index}.npz", kept)
    results: dict[DecodingScales, Decoded] = {}
    for scales in sorted(task.scales, key=lambda s: (s.silence_deweight, s.insertion_penalty)):  # few changes of graph
        results[scales] = _search_block(inputs, utterances, scores, scales, task)
    listed = [results[scales] for scales in task.scales]
    with writing(done) as part:
        part.write_text(json.dumps(header | {"results": [vars(result) for result in listed]}), encoding="utf-8")
    return listed


@dataclass(frozen=True)
class _Scores:
    """What a model gives for a block, before priors, the frames of each utterance, and the seconds that it took."""

    matrices: list[NDArray[Any]]
    frames: list[int]
    seconds: float


def _block_scores(inputs: DecodingInputs, utterances: list[str], file: Path | None, kept: int) -> _Scores:
    """Compute the scores of a block, or read those in a file; write them there if they have `kept` bytes at most."""
    if file and file.exists():
        names, frames, scores, seconds = read_arrays(file, "utterances", "frames", "scores", "seconds")
        if names.tolist() == utterances:
            rows = -(-frames // inputs.model.transitions.rate.skip)
            return _Scores(np.split(scores, np.cumsum(rows)[:-1]), frames.tolist(), float(seconds))
    start = time.perf_counter()
    features = [inputs.features[utterance] for utterance in utterances]
    matrices = inputs.model.scores(features)
    found = _Scores(matrices, [len(x) for x in features], time.perf_counter() - start)
    if file and sum(matrix.nbytes for matrix in matrices) <= kept:
        joined = np.concatenate(matrices)
        write_arrays(file, utterances=np.array(utterances), frames=found.frames, scores=joined, seconds=found.seconds)
    return found


def _search_block(
    inputs: DecodingInputs, utterances: list[str], scores: _Scores, scales: DecodingScales, task: Task
) -> Decoded:
    """Find the best paths of a block with one setting of the scales."""
    start, model = time.perf_counter(), inputs.model
    matrices = model.to_log_likelihoods(scores.matrices, scales.silence_deweight)
    graph = inputs.penalised_graph(scales.insertion_penalty)
    text, unfinished, paths = {}, [], {}
    for utterance, matrix, frames in zip(utterances, matrices, scores.frames, strict=True):
        found = search_utterance(graph, matrix, scales.acoustic_scale, model.transitions, task.options)
        text[utterance] = " ".join(inputs.words[word] for word in found.words)
        if task.alignments and found.tids:
            paths[utterance] = path_at_frames(model.transitions, np.array(found.tids), frames).tolist()
        if not found.finished:
            unfinished.append(utterance)
    audio_seconds = sum(scores.frames) * model.features["frame_shift_ms"] / 1000
    return Decoded(text, unfinished, scores.seconds + time.perf_counter() - start, audio_seconds, paths)
