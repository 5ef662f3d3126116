"""Decoding of a data directory in blocks, with one or several weightings of the scores."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import kaldifst
from numpy.typing import NDArray

from steps.acoustic.model import AcousticModel, load_acoustic_model, model_features
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.output import writing
from steps.base.parallel import Run
from steps.corpus.split import cut
from steps.hmm.joins import tree_hash, tree_phones
from steps.lang.fst_arrays import FstArrays, read_fst, to_arrays, to_fst
from steps.lang.symbols import read_symbols
from steps.lang.table_hash import PHONES, WORDS, check_labels, check_same, words_hash
from steps.search.beam import SearchOptions, Weights, penalised, search_utterance


@dataclass(frozen=True)
class Source:
    """What is decoded with what: a data directory, a graph directory, a model directory, the speakers' transforms."""

    data: Path
    graph: Path
    model: Path
    allow_commands: bool = False
    speakers: Path | None = None


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
        Utterance -> the transition-id of each frame, where they were asked for.
    """

    text: dict[str, str]
    unfinished: list[str]
    seconds: float
    audio_seconds: float
    alignments: dict[str, list[int]] = field(default_factory=dict)


def check_source(source: Source) -> AcousticModel:
    """Load the model and check that the graph belongs to it.

    Raises
    ------
    InputError
        When the graph was made for another tree, number of transition-ids or other phones, or its words.txt is of
        another graph.
    """
    about, model = read_graph_json(source.graph), load_acoustic_model(source.model)
    advice = "make a graph for this model with steps.make_graph"
    if about["tree"] != tree_hash(source.model) or about["transition_ids"] != model.transitions.num_tids:
        raise InputError(
            f"{source.graph}: the graph has {about['transition_ids']} transition-ids of tree {about['tree']}, but the "
            f"model {source.model} has {model.transitions.num_tids} of tree {tree_hash(source.model)}; {advice}"
        )
    description, tree, words = source.graph / "graph.json", source.model / "tree.json", source.graph / "words.txt"
    check_same(PHONES, description, about.get("phones"), tree, tree_phones(source.model), advice)
    if "words" in about:
        check_same(WORDS, description, about["words"], words, words_hash(words), "make the graph again")
    return model


def read_graph_json(graph: Path) -> dict[str, Any]:
    """Read what a graph directory says of itself."""
    if not (graph / "graph.json").is_file():
        raise InputError(f"{graph}: not a graph directory, it has no graph.json; make one with steps.make_graph")
    return read_json(graph / "graph.json", "lm", "tree", "transition_ids")


def decode_all(
    source: Source,
    weights: Sequence[Weights],
    options: SearchOptions,
    folder: Path,
    run: Run,
    desc: str,
    alignments: bool = False,
) -> list[Decoded]:
    """Decode all utterances with each of several weightings.

    A block's results lie in `folder` from the moment it is done, so that a killed run does not decode it again.

    Returns
    -------
    list of Decoded
        One for each element of `weights`.
    """
    for cached in (_load, _graph):
        cached.cache_clear()  # the files may have changed since an earlier call in this process
    model = load_acoustic_model(source.model)
    features = model_features(source.data, model, source.allow_commands, source.speakers)
    utterances = list(features)
    step = partial(_decode_block, source, features, list(weights), options, folder, alignments)
    blocks = run(step, list(enumerate(cut(utterances))), desc)
    results = []
    for i in range(len(weights)):
        parts = [Decoded(**block[i]) for block in blocks]
        text = {utterance: words for part in parts for utterance, words in part.text.items()}
        unfinished = [utterance for part in parts for utterance in part.unfinished]
        seconds, audio_seconds = (sum(getattr(part, name) for part in parts) for name in ("seconds", "audio_seconds"))
        tids = {utterance: path for part in parts for utterance, path in part.alignments.items()}
        results.append(Decoded(text, unfinished, seconds, audio_seconds, tids))
    if not any(words for result in results for words in result.text.values()):
        raise InputError(
            f"{source.data}: not a word was recognised in {len(utterances)} utterances with {source.model}; "
            "are model, graph and audio of the same kind?"
        )
    return results


@lru_cache(maxsize=1)
def _load(source: Source) -> tuple[AcousticModel, FstArrays, dict[int, str]]:
    model, graph, words = load_acoustic_model(source.model), source.graph / "HCLG.fst", source.graph / "words.txt"
    arrays = to_arrays(read_fst(graph, "steps.make_graph"))
    check_labels(arrays.olabel, graph, words)
    return model, arrays, {number: word for word, number in read_symbols(words).items()}


@lru_cache(maxsize=1)
def _graph(source: Source, insertion_penalty: float) -> kaldifst.StdVectorFst:
    return to_fst(penalised(_load(source)[1], insertion_penalty))


def _decode_block(
    source: Source,
    features: Mapping[str, NDArray[Any]],
    weights: list[Weights],
    options: SearchOptions,
    folder: Path,
    alignments: bool,
    item: tuple[int, list[str]],
) -> list[dict[str, Any]]:
    """Decode a block with all weightings; the order spares scoring frames and changing graphs over and over."""
    index, utterances = item
    done = folder / f"block.{index}.json"
    wanted = [vars(w) for w in weights]
    if done.exists():
        kept = read_json(done)
        if kept["utterances"] == utterances and kept["weights"] == wanted:
            return kept["results"]
    model, _, words = _load(source)
    results: dict[Weights, Decoded] = {}
    for deweight in sorted({w.silence_deweight for w in weights}):
        start = time.perf_counter()
        matrices = model.log_likelihoods([features[u] for u in utterances], silence_deweight=deweight)
        scores = dict(zip(utterances, matrices, strict=True))
        scoring = time.perf_counter() - start
        audio_seconds = sum(map(len, matrices)) * model.features["frame_shift_ms"] / 1000
        group = [w for w in weights if w.silence_deweight == deweight]
        for w in sorted(group, key=lambda w: w.insertion_penalty):
            start = time.perf_counter()
            text, unfinished, paths = {}, [], {}
            for utterance in utterances:
                graph = _graph(source, w.insertion_penalty)
                found = search_utterance(graph, scores[utterance], w.acoustic_scale, model.transitions, options)
                text[utterance] = " ".join(words[word] for word in found.words)
                if alignments and found.tids:
                    paths[utterance] = found.tids
                if not found.finished:
                    unfinished.append(utterance)
            results[w] = Decoded(text, unfinished, scoring + time.perf_counter() - start, audio_seconds, paths)
    listed = [vars(results[w]) for w in weights]
    with writing(done) as part:
        part.write_text(json.dumps({"utterances": utterances, "weights": wanted, "results": listed}), encoding="utf-8")
    return listed
