"""Features as models read them: normalised, with deltas, from files or straight from audio."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steps.base.errors import InputError
from steps.base.files import read_json
from steps.corpus.data_dir import DataDir, left_out, read_data_dir, read_utterance_audio
from steps.corpus.sound import is_silent
from steps.corpus.tables import read_table
from steps.feats.ark import read_array
from steps.feats.cmvn import add_stats, apply_cmvn, speaker_stats
from steps.feats.compute import check_finite, compute_features, utterance_samples
from steps.feats.deltas import add_deltas
from steps.feats.online import online_cmvn
from steps.feats.options import (
    APPLIED_ON_READING,
    OF_TRAINING_SET,
    OPTIONS,
    Cmvn,
    FeatureOptions,
    from_json,
    to_json,
)

SILENT = "silent"  # a list of the utterances that hold (almost) nothing but zeros


@dataclass(frozen=True, eq=False)
class Features(Mapping[str, NDArray[Any]]):
    """Utterance id -> matrix (T, dim) of float32, computed or read at each access; can be sent to other processes.

    Parameters
    ----------
    options : FbankOptions or MfccOptions
    utt2spk : mapping
        Utterance id -> speaker id, sorted, of the utterances that have features.
    raw : callable
        Gives the features of an utterance before normalisation and deltas.
    stats : mapping
        Speaker id -> what to normalise with; empty for none.
    from_audio : bool
        Whether they are computed from audio: to open them again would take another pass over all of it.
    """

    options: FeatureOptions
    utt2spk: Mapping[str, str]
    raw: Callable[[str], NDArray[Any]]
    stats: Mapping[str, Tensor]
    from_audio: bool = False

    @property
    def utterances(self) -> list[str]:
        """The ids, sorted by code point."""
        return list(self.utt2spk)

    @property
    def dim(self) -> int:
        """Number of values in a frame, deltas included."""
        return self.options.dim * (self.options.deltas + 1)

    def __getitem__(self, utterance: str) -> NDArray[Any]:
        speaker = self.utt2spk[utterance]
        features = torch.from_numpy(self.raw(utterance))
        if self.stats:
            features = self._normalised(features, self.stats[speaker])
        return add_deltas(features, self.options.deltas).numpy()

    def _normalised(self, features: Tensor, stats: Tensor) -> Tensor:
        if self.options.cmvn == "online":
            return online_cmvn(features, stats, self.options)
        return apply_cmvn(features, stats, self.options.cmvn_norm_vars)

    def __contains__(self, utterance: object) -> bool:
        return utterance in self.utt2spk

    def __iter__(self) -> Iterator[str]:
        return iter(self.utt2spk)

    def __len__(self) -> int:
        return len(self.utt2spk)


def load_features(data_dir: str | Path, options: dict[str, Any], allow_commands: bool = False) -> Features:
    """Open the features of a data directory, with normalisation and deltas applied utterance by utterance on access.

    They are read from feats.scp where `data_dir` or ``data_dir/TYPE`` holds what `steps.make_feats` wrote, and computed
    from wav.scp otherwise; for that all audio is gone through once, for the speakers' statistics and to leave out, by
    name, what is shorter than a frame.

    Parameters
    ----------
    data_dir : path
        A data directory with audio or features, or the folder of a set that `steps.make_feats` wrote.
    options : dict
        From `training_options`, as a model carries them.
    allow_commands : bool
        Run commands in wav.scp.

    Returns
    -------
    Features
        A mapping of utterance id to numpy.ndarray (T, dim), float32.

    Raises
    ------
    InputError
        When the features were made with other options, the statistics for ``cmvn: global`` or ``online`` are
        missing, a file is missing or damaged.
    """
    data_dir, values = Path(data_dir), dict(options)
    stored_stats = values.pop("cmvn_stats", None)
    wanted = from_json(values)
    if not wanted.sample_rate:
        raise InputError(
            f"{data_dir}: the feature options say sample_rate 0, which only steps.make_feats can turn into the rate of "
            "the first recording; give the rate in Hz"
        )
    folder = _made_folder(data_dir, wanted.type)
    if folder is None:
        features = _from_audio(read_data_dir(data_dir), wanted, allow_commands)
    else:
        _check_same(read_options(folder), wanted, folder)
        features = _from_files(folder, wanted)
    if wanted.cmvn == "none":
        return replace(features, stats={})
    if wanted.cmvn in OF_TRAINING_SET:
        if stored_stats is None:
            raise InputError(
                f"{data_dir}: cmvn is {wanted.cmvn}, but the feature options hold no statistics of the training set "
                "(cmvn_stats, see training_options)"
            )
        total = torch.tensor(stored_stats, dtype=torch.float64)
        return replace(features, stats=dict.fromkeys(features.utt2spk.values(), total))
    if missing := sorted(set(features.utt2spk.values()) - set(features.stats)):
        raise InputError(f"{folder}: speaker '{missing[0]}' is in utt2spk, but not in cmvn.scp")
    return features


def training_options(data_dir: str | Path, kind: str, cmvn: Cmvn | None = None) -> dict[str, Any]:
    """Give the options that a model trained on a set carries.

    They are those of the set's features and, where ``cmvn`` is global or online, the set's statistics, which every
    other set is then normalised with too.

    Parameters
    ----------
    data_dir : path
        A set that `steps.make_feats` wrote, or one of the folders in it, which says of which type it is.
    kind : str
        Which of the set's types to take: fbank, mfcc.
    cmvn : str, optional
        Instead of the kind of normalisation that the features were made with; the stored features are the same.

    Raises
    ------
    InputError
        When there are no such features; lists the known types when there is no such type.
    """
    if kind not in OPTIONS:
        raise InputError(f"there are no features of type '{kind}'; the types are {', '.join(OPTIONS)}")
    folder = _made_folder(Path(data_dir), kind)
    if folder is None:
        raise InputError(f"{data_dir}: there are no {kind} features; make them with steps.make_feats")
    options = read_options(folder)
    if cmvn is not None:
        options = replace(options, cmvn=cmvn)
    values = to_json(options)
    if options.cmvn in OF_TRAINING_SET:
        stats = _from_files(folder, options).stats
        values["cmvn_stats"] = add_stats(stats[speaker] for speaker in sorted(stats)).tolist()
    return values


def read_options(folder: Path) -> FeatureOptions:
    """Read feats.json, which says how a folder's features were made."""
    return from_json(read_json(folder / "feats.json"), str(folder / "feats.json"))


def utterance_text(data_dir: str | Path) -> dict[str, str]:
    """Utterance id -> transcript, of a data directory or of a set that `steps.make_feats` wrote."""
    return _table_of(Path(data_dir), "text")


def reference_text(data_dir: str | Path) -> dict[str, str]:
    """As `utterance_text`, with the transcripts of utterances that could not be used (see `left_out`)."""
    places = [Path(data_dir), *(Path(data_dir) / kind for kind in OPTIONS)]
    return {**utterance_text(data_dir), **next(filter(None, map(left_out, places)), {})}


def silent_utterances(data_dir: str | Path, utterances: Iterable[str], allow_commands: bool = False) -> set[str]:
    """Find those of some utterances that hold (almost) nothing but zeros, as `steps.make_feats` noted or by audio."""
    data_dir = Path(data_dir)
    if (data_dir / "wav.scp").exists():
        data = read_data_dir(data_dir)
        return {utt for utt in utterances if is_silent(read_utterance_audio(data, utt, allow_commands)[0])}
    notes = [place / SILENT for place in (data_dir, *(data_dir / kind for kind in OPTIONS))]
    noted = next((read_table(note) for note in notes if note.is_file()), {})
    return noted.keys() & set(utterances)


def utterance_speakers(data_dir: str | Path) -> dict[str, str]:
    """Utterance id -> speaker id, of a data directory or of a set that `steps.make_feats` wrote."""
    return _table_of(Path(data_dir), "utt2spk")


def _table_of(data_dir: Path, name: str) -> dict[str, str]:
    places = [data_dir, *(data_dir / kind for kind in OPTIONS)]
    return read_table(next((place / name for place in places if (place / name).exists()), data_dir / name))


def _made_folder(data_dir: Path, kind: str) -> Path | None:
    """Where the features lie; None when there is audio to compute them from."""
    places = [place for place in (data_dir, data_dir / kind) if (place / "feats.scp").exists()]
    made = next((place for place in places if (place / "feats.json").exists()), None)
    if made is None and not (data_dir / "wav.scp").exists():
        if places:
            raise InputError(f"{places[0]}: feats.json is missing, so nothing says how the features were made")
        raise InputError(f"{data_dir}: neither a wav.scp, nor features in it or in {kind}/: not a data directory")
    return made


def _check_same(made: FeatureOptions, wanted: FeatureOptions, folder: Path) -> None:
    have, want = to_json(made), to_json(wanted)
    for name in want:
        if name not in APPLIED_ON_READING and have.get(name) != want[name]:
            raise InputError(
                f"{folder}/feats.json: the features were made with {name} {have.get(name)}, but the model wants "
                f"{want[name]}; make features with the model's options, or train it again on these"
            )


def _from_files(folder: Path, options: FeatureOptions) -> Features:
    entries = read_table(folder / "feats.scp", min_fields=2, verbatim=True)
    speakers = read_table(folder / "cmvn.scp", min_fields=2, verbatim=True)
    utt2spk = read_table(folder / "utt2spk", min_fields=2)
    if missing := sorted(set(entries) - set(utt2spk)):
        raise InputError(f"{folder}: utterance '{missing[0]}' is in feats.scp, but not in utt2spk")
    utt2spk = {utterance: utt2spk[utterance] for utterance in sorted(entries)}
    raw = partial(_stored_features, entries, folder, options.dim)
    stats = {}
    for speaker, entry in speakers.items():
        matrix = _stored(entry, folder, (2, options.dim + 1), f"speaker '{speaker}'", np.float64)
        if not np.isfinite(matrix).all():
            for utterance in (utterance for utterance, its_speaker in utt2spk.items() if its_speaker == speaker):
                raw(utterance)  # names the utterance and the frame that they come from
            raise InputError(
                f"{folder}/cmvn.scp: the statistics of speaker '{speaker}' are NaN or infinite; make them again"
            )
        stats[speaker] = torch.from_numpy(matrix)
    return Features(options, utt2spk, raw, stats)


def _stored_features(entries: Mapping[str, str], folder: Path, dim: int, utterance: str) -> NDArray[Any]:
    what = f"utterance '{utterance}'"
    return check_finite(_stored(entries[utterance], folder, (None, dim), what, np.float32), f"{folder}: {what}")


def _stored(
    entry: str, folder: Path, shape: tuple[int | None, int], what: str, dtype: type[np.floating]
) -> NDArray[Any]:
    """Read a matrix of the given shape."""
    matrix = read_array(entry, folder).astype(dtype)
    if matrix.shape[1] != shape[1] or (shape[0] or matrix.shape[0]) != matrix.shape[0]:
        raise InputError(f"{folder}: {what} has a matrix of {matrix.shape}, where {shape[1]} columns are expected")
    return matrix


def _from_audio(data: DataDir, options: FeatureOptions, allow_commands: bool) -> Features:
    kept: dict[str, str] = {}
    short: list[str] = []
    rates: Counter[int] = Counter()

    def long_enough(speaker: str) -> Iterator[Tensor]:
        for utterance in data.spk2utt[speaker]:
            samples, rate = utterance_samples(data, utterance, options.sample_rate, allow_commands)
            rates[rate] += 1
            features = torch.from_numpy(compute_features(samples, options, utterance))
            if len(features):
                kept[utterance] = speaker
                yield features
            else:
                short.append(utterance)

    stats = {speaker: speaker_stats(long_enough(speaker), options) for speaker in data.spk2utt}
    say_resampled(rates, options.sample_rate)
    say_short(data.path, sorted(short), len(kept))
    raw = partial(_audio_features, data, options, allow_commands)
    return Features(options, dict(sorted(kept.items())), raw, stats, from_audio=True)


def _audio_features(data: DataDir, options: FeatureOptions, allow_commands: bool, utterance: str) -> NDArray[Any]:
    samples, _ = utterance_samples(data, utterance, options.sample_rate, allow_commands)
    return compute_features(samples, options, utterance)


def say_resampled(rates: Mapping[int, int], to_rate: int) -> None:
    """Print how many utterances had another rate than the features', one line per rate."""
    for rate, count in sorted(rates.items()):
        if rate != to_rate:
            print(f"resampled {count} utterance{'s'[: count > 1]} from {rate} Hz to {to_rate} Hz")


def say_silent(where: Path, silent: Sequence[str]) -> None:
    """Name the utterances that hold (almost) nothing but zeros."""
    if silent:
        print(f"{where}: warning: (almost) nothing but zeros: {' '.join(silent)}")


def say_short(where: Path, short: Sequence[str], kept: int) -> None:
    """Name the utterances that hold no frame; an error when no others are there."""
    if short:
        print(f"{where}: left out, shorter than one frame: {' '.join(short)}")
    if not kept:
        raise InputError(f"{where}: none of the {len(short)} utterances is as long as one frame of features")
