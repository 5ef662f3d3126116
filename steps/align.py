"""Align transcripts with audio."""

import json
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from steps.cli import command
from steps.corpus.split import cut
from steps.errors import InputError
from steps.feats.reader import utterance_text
from steps.hmm.acoustic_model import AcousticModel, load_acoustic_model, model_features
from steps.hmm.alignments import check_failed, copy_model_files, say_failed, write_alignments
from steps.hmm.training_graph import Pronouncer, read_pronouncer, training_graph
from steps.hmm.transforms import write_transform
from steps.hmm.tree import Tree, read_tree
from steps.hmm.viterbi import AlignOptions, align
from steps.output import output_dir, writing
from steps.parallel import jobs


def align_data(
    data: Path,
    lang: Path,
    model: Path,
    ali: Path,
    align: AlignOptions = AlignOptions(),
    max_failed: float = 0.1,
    oov_to_unk: bool = False,
    speakers: Path | None = None,
    allow_commands: bool = False,
    nj: int = 1,
) -> None:
    """Align the transcripts of a data directory with its audio (Kaldi's align_si.sh).

    Writes ALI/ali.scp with a vector of transition-ids an utterance, the files that give them a meaning, and failed.json
    with the utterances that could not be aligned and why.

    Parameters
    ----------
    data : Path
        A data directory with audio and text, or its features from steps.make_feats.
    lang : Path
        Language directory.
    model : Path
        Acoustic model: a GMM system or a network.
    ali : Path
        Alignment directory to write.
    align : AlignOptions
        The search.
    max_failed : float
        Stop when a larger share of the utterances cannot be aligned.
    oov_to_unk : bool
        Take words without a pronunciation as the unknown word instead of refusing them.
    speakers : Path
        Speakers' transforms, from steps.adapt, for a model that was trained with such ones.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    features = model_features(data, load_acoustic_model(model), allow_commands, speakers)
    texts = utterance_text(data)
    utterances = [utterance for utterance in features if utterance in texts]
    if not utterances:
        raise InputError(f"{data}: no utterance has both audio and text")
    _load.cache_clear()  # the files may have changed since an earlier call in this process
    with output_dir(ali) as folder, jobs(nj) as run:
        step = partial(_align_block, (data, lang, model, oov_to_unk, allow_commands, speakers), align)
        results: dict[str, np.ndarray | str] = {}
        for part in run(step, cut(utterances), f"aligning {data.name}"):
            results.update(part)
        failed = {utterance: reason for utterance, reason in results.items() if isinstance(reason, str)}
        say_failed(failed)
        check_failed(failed, len(utterances), max_failed)
        write_alignments(folder, ali, {u: found for u, found in results.items() if u not in failed})
        copy_model_files(model, folder)
        if not features.transform.does_nothing:
            write_transform(folder, features.transform)
        with writing(folder / "failed.json") as file:
            file.write_text(json.dumps(failed, indent=1))
    print(f"{ali}: {len(utterances) - len(failed)} of {len(utterances)} utterances aligned")


@lru_cache(maxsize=1)
def _load(
    data: Path, lang: Path, model: Path, oov_to_unk: bool, allow_commands: bool, speakers: Path | None
) -> tuple[Mapping[str, np.ndarray], Mapping[str, str], Pronouncer, AcousticModel, Tree]:
    acoustic = load_acoustic_model(model)
    features = model_features(data, acoustic, allow_commands, speakers)
    return features, utterance_text(data), read_pronouncer(lang, oov_to_unk), acoustic, read_tree(model / "tree.json")


def _align_block(source: tuple[Any, ...], options: AlignOptions, utterances: list[str]) -> dict[str, np.ndarray | str]:
    features, texts, pronouncer, model, tree = _load(*source)
    # the silence's prior counts in full here: it is deweighted for decoding alone
    scores = model.log_likelihoods([features[utterance] for utterance in utterances])
    results: dict[str, np.ndarray | str] = {}
    for utterance, matrix in zip(utterances, scores, strict=True):
        words = pronouncer.word_ids(utterance, texts[utterance])
        graph = training_graph(words, pronouncer.lexicon, tree, model.transitions)
        found = align(graph, matrix, model.transitions, options)
        results[utterance] = found if isinstance(found, str) else found.tids
    return results


if __name__ == "__main__":
    command(align_data)
