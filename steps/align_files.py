"""Align recordings with their transcripts, without a data directory."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from nnet.ranges import Count, Positive
from steps.acoustic.adapting import adapt_to
from steps.acoustic.aligning import POSTERIOR_SCALE, AlignmentInputs, align_utterances
from steps.acoustic.model import describe_model, training_lang
from steps.ali.directory import Aligned, doubts_of
from steps.ali.export import write_labels
from steps.ali.labels import Labels, read_labeller
from steps.ali.word_times import frame_times
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.fields import BLANK, split_fields
from steps.base.output import only_writer
from steps.base.parallel import jobs
from steps.corpus.audio import AudioSource, audio_info, read_audio, resample, write_audio
from steps.corpus.ctm import Token
from steps.corpus.data_dir import DataDir, file_name, write_data_dir
from steps.corpus.sound import count_sounding
from steps.corpus.spelling import say_respelled
from steps.corpus.split import normalise_transcript
from steps.hmm.training_graph import TrainingLexicon, read_training_lexicon
from steps.hmm.viterbi import AlignOptions
from steps.lang.lines import listing

Recordings = dict[str, tuple[Path, Path]]
"""Name -> audio and transcript."""

WIDE = AlignOptions(beam=40.0, retry_beam=1280.0)
"""In a long recording the best path may be worse than others for a long time."""

CANCELLED = 0.01  # the mean of channels that is fainter than the loudest of them by this factor (40 dB) is not sound


def align_files(
    files: list[Path],
    *,
    model: Path,
    out: Path,
    lang: Path | None = None,
    align: AlignOptions = WIDE,
    posterior_scale: Positive = POSTERIOR_SCALE,
    oov_to_unk: bool = False,
    nj: Count = 1,
) -> None:
    """Align recordings with their transcripts: AUDIO TEXT AUDIO TEXT ...

    Prints a table of the words with their times and confidences, and writes OUT/textgrid/NAME.TextGrid for each
    recording, NAME being that of the audio file without its suffix, OUT/words.ctm and OUT/phones.ctm (see
    steps.export_ctm). Files of these names are replaced, others stay. Spaces and bytes that are not UTF-8 are replaced
    in names, and the end of a name that is too long; a printed line says so.

    A speaker-adapted (SAT) model is adapted to each recording first; a recording that is too short for that is aligned
    with its alignment model (EXP/NAME/NAME_si).

    A printed warning names recordings with a part that does not fit its transcript.

    Audio is what libsndfile reads (wav, flac, ogg, mp3, ...) at any sampling rate; channels are averaged. A transcript
    is a text file in UTF-8 with the words as the lexicon spells them.

    Parameters
    ----------
    files : list
        Recordings, each followed by its transcript.
    model : Path
        Acoustic model: a GMM system or a network.
    out : Path
        The directory to write into.
    lang : Path
        Language directory; the one of the model's training where none is given.
    align : AlignOptions
        The search.
    posterior_scale : float
        Scale of the log likelihoods in confidences.
    oov_to_unk : bool
        Take words without a pronunciation as the unknown word instead of refusing them.
    nj : int
        Number of processes.
    """
    recordings = name_pairs(files)
    if out.is_file():
        raise InputError(f"{out}: a file, not a directory to write into")
    with only_writer(out):
        _align_files(recordings, model, out, lang, align, posterior_scale, oov_to_unk, nj)


def _align_files(
    recordings: Recordings,
    model: Path,
    out: Path,
    lang: Path | None,
    align: AlignOptions,
    posterior_scale: float,
    oov_to_unk: bool,
    nj: int,
) -> None:
    features = describe_model(model).features
    lang = training_lang(model) if lang is None else lang
    lexicon = read_training_lexicon(lang, oov_to_unk)
    text = {name: read_words(transcript, lexicon) for name, (_, transcript) in recordings.items()}
    labeller = read_labeller(lang, model, frame_times(features))
    with tempfile.TemporaryDirectory() as folder:
        copy_recordings(recordings, text, Path(folder), features["sample_rate"], labeller.times.length)
        inputs = AlignmentInputs(data=Path(folder), lang=lang, model_dir=model, oov_to_unk=oov_to_unk)
        aligned, failed = align_adapted(recordings, inputs, align, posterior_scale, nj)
    labels = {name: labeller.labels(name, text[name], aligned[name]) for name in recordings if name in aligned}
    unwritten = write_labels(out, labels, labeller) if labels else {}
    print_labels(recordings, labels)
    for name, doubt in doubts_of(aligned).items():
        print(f"\nwarning: {recordings[name][0]} is doubtful: {doubt}")
    check_results(recordings, failed, unwritten)
    print(f"\n{out}: words.ctm, phones.ctm and textgrid/ are written")


def copy_recordings(
    recordings: Recordings, text: dict[str, str], folder: Path, sample_rate: int, shortest: float
) -> None:
    """Make a data directory of recordings, each a speaker of its own; for the last two parameters see `copy_audio`."""
    wav = {name: str(folder / f"{i}.wav") for i, name in enumerate(recordings)}
    for name, (audio, _) in recordings.items():
        copy_audio(audio, Path(wav[name]), sample_rate, shortest)
    write_data_dir(folder, DataDir(folder, wav, text, utt2spk={name: name for name in recordings}))


def align_adapted(
    recordings: Recordings, inputs: AlignmentInputs, options: AlignOptions, posterior_scale: float, nj: int
) -> tuple[dict[str, Aligned], dict[str, str]]:
    """Align recordings, after adaptation to each where the model is a speaker-adapted (SAT) one.

    Returns
    -------
    aligned, failed
        See `align_utterances`. What is too short for a transform has the alignment of the alignment model.
    """
    adapted = adapt_to(inputs, inputs.data, options, posterior_scale, nj)
    if adapted:
        unadapted, inputs = inputs, replace(inputs, speakers=adapted.speakers)
        inputs.take_features(unadapted)
    with jobs(nj, inputs) as run:
        aligned, failed = align_utterances(inputs, options, posterior_scale, run)
    if adapted:
        for name in adapted.unadapted({name: name for name in recordings}):
            print(f"{recordings[name][0]}: too little speech to adapt to, aligned by {adapted.model}")
            aligned.pop(name, None)
            failed.pop(name, None)
            if name in adapted.first:
                aligned[name] = adapted.first[name]
            if name in adapted.failed:
                failed[name] = adapted.failed[name]
    return aligned, failed


def print_labels(recordings: Recordings, labels: Mapping[str, Labels]) -> None:
    """Print the words of each recording, and how it is named where its own name could not be kept."""
    for name, found in labels.items():
        print(f"\n{recordings[name][0]}\n{table(found.words)}")
        if (called := file_name(name, "TextGrid")) != f"{recordings[name][0].stem}.TextGrid":
            print(f"named {name} in the CTM files; its TextGrid is {called}")


def check_results(recordings: Recordings, failed: Mapping[str, str], unwritten: Mapping[str, str]) -> None:
    """Raise an InputError that lists the recordings without an alignment, and those without a TextGrid, and why."""
    lines = []
    for reasons, what in (
        (failed, "could not be aligned"),
        (unwritten, "have no TextGrid: it could not be written"),
    ):
        if reasons:
            lines.append(f"{len(reasons)} of {len(recordings)} recordings {what}:")
            lines += [f"{recordings[name][0]}: {reason}" for name, reason in reasons.items()]
    if lines:
        raise InputError("\n".join(lines))


def name_pairs(files: Sequence[Path]) -> Recordings:
    """Name each recording by its file; give its audio and its transcript.

    Raises
    ------
    InputError
        When a file has no partner, or two recordings have the same name.

    Example
    -------
    >>> list(name_pairs([Path("a/one two.wav"), Path("a/12.txt")]))
    ['one_two']
    """
    if len(files) % 2:
        raise InputError(
            f"{len(files)} files are given, which cannot be recordings each followed by its transcript: "
            f"AUDIO TEXT AUDIO TEXT ...; the last one is {files[-1]}"
        )
    pairs: Recordings = {}
    for audio, transcript in zip(files[::2], files[1::2], strict=True):
        # a name that is not UTF-8 could be in no table; the bytes that are not stand as \xe9
        name = re.sub(f"[{BLANK}]", "_", os.fsencode(audio.stem).decode("utf-8", "backslashreplace"))
        if name in pairs:
            raise InputError(f"{pairs[name][0]} and {audio} would both be called {name}; rename one of them")
        pairs[name] = audio, transcript
    return pairs


def read_words(path: Path, lexicon: TrainingLexicon) -> str:
    """Read a transcript, on one line.

    Raises
    ------
    InputError
        When there is no such file or it is no text, holds no word, or one without a pronunciation.
    """
    try:
        words = split_fields(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not text in UTF-8 (byte {error.start}); the recording comes first, then its transcript"
        ) from error
    if not words:
        raise InputError(f"{path}: there is no word in it")
    if unknown := [word for word in dict.fromkeys(words) if word not in lexicon.words]:
        try:
            lexicon.word_ids(str(path), " ".join(words))
        except InputError as error:
            message = str(error).removeprefix("utterance ")
            raise InputError(f"{message}{_other_spellings(unknown, lexicon)}") from error
        print(f"{path}: taken as the unknown word: {listing(unknown)}")
    say_respelled(path, lexicon.words.respelled(words), "the lexicon")
    return " ".join(words)


def _other_spellings(unknown: Sequence[str], lexicon: TrainingLexicon) -> str:
    """Say which of some words the lexicon has in another case, or without punctuation."""
    known = {normalise_transcript(word): word for word in sorted(lexicon.words)}
    found = [f"{known[key]} for {word}" for word in unknown if (key := normalise_transcript(word)) in known]
    return f". The lexicon has {', '.join(found)}" if found else ""


def copy_audio(audio: Path, copy: Path, rate: int, shortest: float) -> None:
    """Write a recording as one channel at the model's rate, and say what was done to it.

    Parameters
    ----------
    audio, copy : Path
    rate : int
        In Hz.
    shortest : float
        Seconds that it has to last.
    """
    source = AudioSource(path=audio)
    info = audio_info(source)
    channels = [read_audio(source, channel)[0] for channel in range(info.channels)]
    seconds = len(channels[0]) / info.rate
    if seconds < shortest:
        raise InputError(f"{audio}: it lasts {seconds:.3f} s, which is less than a frame's {shortest:g} s")
    mixed = np.mean(channels, axis=0)
    if fault := no_sound(channels, mixed, int(shortest * info.rate)):
        raise InputError(f"{audio}: {fault}")
    write_audio(copy, resample(mixed, info.rate, rate), rate, "FLOAT")
    lacking = info.announced / info.rate - seconds
    done = [f"{lacking:.3f} s less than its header announces"] if lacking > 0 else []
    done += [f"{info.channels} channels averaged"] if info.channels > 1 else []
    done += [f"resampled from {info.rate} Hz to {rate} Hz"] if info.rate != rate else []
    print(f"{audio}: {', '.join([f'{seconds:.2f} s', *done])}")


def no_sound(channels: Sequence[NDArray[Any]], mixed: NDArray[Any], least: int) -> str | None:
    """Say why a recording holds no sound; None where there is some.

    Parameters
    ----------
    channels : sequence of (samples,) arrays
    mixed : (samples,) array
        Their mean.
    least : int
        How many samples have to differ from the one before.
    """
    if all(count_sounding(channel) < least for channel in channels):
        return "there is no sound in it: (almost) all its samples are zeros"
    loudest = max(float(np.std(channel)) for channel in channels)
    if count_sounding(mixed) < least or np.std(mixed) < CANCELLED * loudest:
        return (
            f"its {len(channels)} channels hold sound, but cancel each other when they are averaged (opposite phase); "
            "give a file with one of the channels alone"
        )
    return None


def table(words: Sequence[Token]) -> str:
    """Lay out words, their times in seconds and their confidences."""
    rows = [[word.text, f"{word.start:.2f}", f"{word.end:.2f}", f"{word.confidence:.2f}"] for word in words]
    header = ["word", "start", "end", "confidence"]
    return tabulate(rows, header, disable_numparse=True, colalign=("left", "right", "right", "right"))


if __name__ == "__main__":
    command(align_files)
