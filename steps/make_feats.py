"""Features of all sets, from audio to Kaldi's archives."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nnet.ranges import Count
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import output_dir
from steps.base.parallel import Jobs, jobs, split_into_blocks
from steps.corpus.audio import resample
from steps.corpus.data_dir import (
    DataDir,
    data_dirs,
    left_out,
    read_data_dir,
    read_utterance_audio,
    subset,
    write_left_out,
)
from steps.corpus.sound import is_silent
from steps.corpus.tables import write_table
from steps.feats.ark import append_file, append_matrix, read_array
from steps.feats.cmvn import signal_to_noise, speaker_stats
from steps.feats.compute import compute_features
from steps.feats.options import FbankOptions, FeatureOptions, MfccOptions, check, to_json
from steps.feats.reader import SILENT, say_resampled, say_short, say_silent


def make_feats(
    data: Path, feats: Path, mfcc: MfccOptions, fbank: FbankOptions, nj: Count = 1, allow_commands: bool = False
) -> None:
    """Compute MFCC and log mel filterbanks of a data directory, or of each one in a folder.

    Writes FEATS/SET/mfcc and FEATS/SET/fbank: Kaldi data directories with feats.scp (neither normalised nor with
    deltas), cmvn.scp (statistics per speaker), utt2spk, spk2utt, text, utt2dur, utt2num_frames, utt2snr (the
    signal-to-noise ratio in dB), and feats.json with the options. A set that was there is replaced when the new one is
    whole; the results do not depend on --nj.

    Parameters
    ----------
    data : Path
        A data directory with wav.scp, or a folder of such.
    feats : Path
        Where the sets go, each in a folder of its name.
    mfcc : MfccOptions
        The features of the GMMs.
    fbank : FbankOptions
        The features of the networks.
    nj : int
        Number of processes.
    allow_commands : bool
        Run commands in wav.scp.

    Raises
    ------
    InputError
        For options that make no sense, and at the first recording that cannot be read.
    """
    sets = {name: read_data_dir(path) for name, path in data_dirs(data).items()}
    for name in sets:
        if (feats / name / "wav.scp").exists():
            raise InputError(f"{feats / name} is a data directory with audio, which features would replace")
    first = sets.get("train", next(iter(sets.values())))
    kinds = [check(_with_rate(check(options), first, allow_commands)) for options in (mfcc, fbank)]
    rates: Counter[int] = Counter()
    with jobs(nj) as run:
        for name, data_dir in sets.items():
            rates += make_set(data_dir, feats / name, kinds, run, allow_commands)
    for rate in sorted({options.sample_rate for options in kinds}):
        say_resampled(rates, rate)


def _with_rate(options: FeatureOptions, data: DataDir, allow_commands: bool) -> FeatureOptions:
    """Turn a sample rate of 0 into the rate of the first recording."""
    if options.sample_rate:
        return options
    _, rate = read_utterance_audio(data, data.utterances[0], allow_commands)
    return replace(options, sample_rate=rate)


def make_set(
    data: DataDir, out: Path, kinds: Sequence[FeatureOptions], run: Jobs, allow_commands: bool
) -> Counter[int]:
    """Compute the features of one data directory and give the number of utterances of each sample rate."""
    with output_dir(out, mark="mfcc") as part:
        for options in kinds:
            (part / options.type).mkdir()
        blocks = [subset(data, block) for block in split_into_blocks(data.utterances)]
        done = run(partial(_block, part, kinds, allow_commands), list(enumerate(blocks)), f"features of {out.name}")
        seconds = {utterance: value for block in done for utterance, value in block.seconds.items()}
        noise = {utterance: f"{value:.1f}" for block in done for utterance, value in block.noise.items()}
        short, silent = ([utt for block in done for utt in getattr(block, name)] for name in ("short", "silent"))
        say_short(data.path, short, len(seconds))
        say_silent(data.path, silent)
        lost = {**left_out(data.path), **{utt: data.text[utt] for utt in short if utt in data.text}}
        for options in kinds:
            pieces = [block.pieces[options.type] for block in done]
            _write_dir(part / options.type, out / options.type, subset(data, seconds), seconds, pieces, options, run)
            write_left_out(part / options.type, lost)
            write_table(part / options.type / "utt2snr", noise)
            if silent:
                write_table(part / options.type / SILENT, dict.fromkeys(silent, ""))
            (part / options.type / "feats.json").write_text(json.dumps(to_json(options), indent=1) + "\n")
    hours = sum(seconds.values()) / 3600
    print(f"{out}: {len(seconds)} utterances, {hours:.2f} h: {', '.join(options.type for options in kinds)}")
    return sum((block.rates for block in done), Counter())


@dataclass
class _Piece:
    """One type of features of a block of utterances."""

    ark: Path
    offsets: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)


@dataclass
class _Block:
    """What was computed of a block of utterances."""

    pieces: dict[str, _Piece]  # by type
    seconds: dict[str, float] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)  # signal-to-noise ratios, dB
    short: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    rates: Counter[int] = field(default_factory=Counter)


def _block(part: Path, kinds: Sequence[FeatureOptions], allow_commands: bool, numbered: tuple[int, DataDir]) -> _Block:
    number, data = numbered
    done = _Block({options.type: _Piece(part / options.type / f"feats.{number}.ark") for options in kinds})
    for utterance in data.utterances:
        samples, rate = read_utterance_audio(data, utterance, allow_commands)
        done.rates[rate] += 1
        resampled = {to_rate: resample(samples, rate, to_rate) for to_rate in {o.sample_rate for o in kinds}}
        features = {o.type: compute_features(resampled[o.sample_rate], o, utterance) for o in kinds}
        if any(len(matrix) == 0 for matrix in features.values()):
            done.short.append(utterance)
            continue
        if is_silent(samples):
            done.silent.append(utterance)
        done.seconds[utterance] = len(samples) / rate
        if (ratio := signal_to_noise(torch.from_numpy(features[kinds[-1].type]), kinds[-1])) is not None:
            done.noise[utterance] = ratio
        for kind, matrix in features.items():
            piece = done.pieces[kind]
            piece.offsets[utterance] = append_matrix(piece.ark, utterance, matrix)
            piece.frames[utterance] = len(matrix)
    return done


def _write_dir(
    part: Path,
    out: Path,
    data: DataDir,
    seconds: Mapping[str, float],
    pieces: Sequence[_Piece],
    options: FeatureOptions,
    run: Jobs,
) -> None:
    """Join the blocks' archives in `part` and write the tables, which name the place `out` that it gets later."""
    out = out.absolute()
    offsets: dict[str, int] = {}
    for piece in pieces:
        if piece.offsets:
            begin = append_file(part / "feats.ark", piece.ark)
            offsets |= {utterance: begin + offset for utterance, offset in piece.offsets.items()}
    blocks = split_into_blocks(
        [[offsets[utterance] for utterance in data.spk2utt[speaker]] for speaker in data.spk2utt]
    )
    done = run(partial(_stats_block, part / "feats.ark", options), blocks, f"statistics of {out.parent.name}")
    stats = dict(zip(data.spk2utt, (matrix for block in done for matrix in block), strict=True))
    cmvn = {speaker: append_matrix(part / "cmvn.ark", speaker, matrix) for speaker, matrix in sorted(stats.items())}
    write_table(part / "feats.scp", {utterance: f"{out}/feats.ark:{offset}" for utterance, offset in offsets.items()})
    write_table(part / "cmvn.scp", {speaker: f"{out}/cmvn.ark:{offset}" for speaker, offset in cmvn.items()})
    write_table(part / "utt2spk", data.utt2spk)
    write_table(part / "spk2utt", {speaker: " ".join(utterances) for speaker, utterances in data.spk2utt.items()})
    write_table(part / "utt2dur", {utterance: f"{value:.3f}" for utterance, value in seconds.items()})
    write_table(part / "utt2num_frames", {utt: str(n) for piece in pieces for utt, n in piece.frames.items()})
    if data.text:
        write_table(part / "text", data.text)


def _stats_block(ark: Path, options: FeatureOptions, speakers: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
    """Give the statistics of some speakers, each a list of where its utterances lie in the archive."""

    def features(offsets: Sequence[int]) -> Iterator[Tensor]:
        return (torch.tensor(read_array(f"{ark}:{offset}", ark.parent)) for offset in offsets)

    return [speaker_stats(features(offsets), options).numpy() for offsets in speakers]


if __name__ == "__main__":
    command(make_feats)
