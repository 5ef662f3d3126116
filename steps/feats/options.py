"""What a feature is: the options of filterbanks and MFCC, as dataclasses, flags, YAML and JSON."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from steps.base.errors import InputError

Cmvn = Literal["speaker", "online", "global", "none"]
"""What features are normalised with."""


@dataclass(frozen=True)
class FrameOptions:
    """What filterbanks and MFCC share; the names and defaults are Kaldi's.

    Always as Kaldi's defaults have it, without an option: povey window, removal of each frame's mean, frames that lie
    wholly within the audio (``--snip-edges=true``), FFT size rounded up to a power of two, power spectrum, natural log.

    Parameters
    ----------
    sample_rate : int
        In Hz; audio of another rate is resampled. 0, for `make_feats` only: the rate of the first recording.
    frame_length_ms : float
        The analysis window.
    frame_shift_ms : float
        The step from one window to the next.
    preemphasis : float
        Coefficient of the pre-emphasis, 0 for none.
    dither : float
        Standard deviation of the Gaussian noise added to the audio, in units of a 16-bit sample; 0 for none. The noise
        is a function of the utterance's id alone. It is added to the signal, where Kaldi adds it to every frame.
    noise_floor : float
        No energy is lower than that of white noise of this standard deviation, in units of a 16-bit sample. Rounding
        to 16 bits makes noise of 0.29: what is quieter is digital silence, which would be far below any recording, and
        which Kaldi hides by dither. 0: float32's epsilon is the floor, as Kaldi's without dither.
    low_freq : float
        Where the mel filters begin, in Hz.
    high_freq : float
        Where they end; 0 or less counts from the Nyquist frequency.
    cmvn : {'speaker', 'online', 'global', 'none'}
        Normalise with the speaker's mean; with that of the utterance's last frames, which needs no later ones (Kaldi's
        online CMVN, see `steps.feats.online.online_cmvn`); with the training set's mean; or not at all.
    cmvn_frames : {'speech', 'all'}
        Which frames count in the statistics: those of speech with pauses of the usual length, so that no longer silence
        changes them (see `steps.feats.cmvn.speaker_stats`), or all, as in Kaldi.
    cmn_window : int
        With ``cmvn: online``, the number of frames whose statistics normalise a frame.
    global_frames : int
        With ``cmvn: online``, the number of frames that the training set's statistics count for, as long as the
        utterance's own leave room for them in the window.
    """

    type: ClassVar[str]

    sample_rate: int = 16000
    frame_length_ms: float = 25.0
    frame_shift_ms: float = 10.0
    preemphasis: float = 0.97
    dither: float = 0.0
    noise_floor: float = 0.3
    low_freq: float = 20.0
    high_freq: float = 0.0
    cmvn: Cmvn = "speaker"
    cmvn_frames: Literal["speech", "all"] = "speech"
    cmn_window: int = 600
    global_frames: int = 200


@dataclass(frozen=True)
class FbankOptions(FrameOptions):
    """Log mel filterbanks as in Kaldi's compute-fbank-feats: what the networks read.

    Parameters
    ----------
    num_mel_bins : int
        Number of filters, the feature's dimension.
    cmvn_norm_vars : bool
        Whether normalisation divides by the standard deviation as well.
    deltas : int
        Order of the differences appended on reading: 0, 1 (Δ) or 2 (Δ and ΔΔ).
    """

    type: ClassVar[str] = "fbank"

    num_mel_bins: int = 40
    cmvn_norm_vars: bool = True
    deltas: int = 0

    @property
    def dim(self) -> int:
        """Number of values in a stored frame, before deltas."""
        return self.num_mel_bins


@dataclass(frozen=True)
class MfccOptions(FrameOptions):
    """Mel-frequency cepstral coefficients as in Kaldi's compute-mfcc-feats: what the GMMs read.

    Parameters
    ----------
    num_mel_bins : int
        Number of mel filters below the cepstrum.
    num_ceps : int
        Number of coefficients including C0, the feature's dimension.
    cepstral_lifter : float
        Scales the coefficients to a similar range, 0 for none.
    use_energy : bool
        Put the frame's log energy (before pre-emphasis and window) in the place of C0.
    cmvn_norm_vars : bool
        Whether normalisation divides by the standard deviation as well.
    deltas : int
        Order of the differences appended on reading: 0, 1 (Δ) or 2 (Δ and ΔΔ).
    """

    type: ClassVar[str] = "mfcc"

    num_mel_bins: int = 23
    num_ceps: int = 13
    cepstral_lifter: float = 22.0
    use_energy: bool = False
    cmvn_norm_vars: bool = False
    deltas: int = 2

    @property
    def dim(self) -> int:
        """Number of values in a stored frame, before deltas."""
        return self.num_ceps


FeatureOptions = FbankOptions | MfccOptions

OPTIONS: dict[str, type[FbankOptions] | type[MfccOptions]] = {"fbank": FbankOptions, "mfcc": MfccOptions}
"""The options of each type of features; `steps.feats.registry.TYPES` has what computes it."""

NETWORK_TYPE = "fbank"
"""The type that networks read from a set that has several."""

APPLIED_ON_READING = ("cmvn", "cmvn_norm_vars", "cmn_window", "global_frames", "deltas")
"""The options that the stored matrices and statistics do not depend on."""

OF_TRAINING_SET = ("online", "global")
"""The kinds of ``cmvn`` that need the training set's statistics, which a model carries."""

BEFORE_THESE: dict[str, Any] = {"noise_floor": 0.0, "cmvn_frames": "all"}
"""What a model does that was made before there were these options."""


def to_json(options: FeatureOptions) -> dict[str, Any]:
    """Give the options as a plain dict with the feature's ``type``: what feats.json and a model carry.

    Example
    -------
    >>> to_json(MfccOptions(sample_rate=8000))["type"]
    'mfcc'
    >>> from_json(to_json(MfccOptions(sample_rate=8000))) == MfccOptions(sample_rate=8000)
    True
    """
    return {"type": options.type, **dataclasses.asdict(options)}


def from_json(values: dict[str, Any], where: str = "feature options") -> FeatureOptions:
    """Read what `to_json` wrote.

    Parameters
    ----------
    values : dict
        ``type`` and the options; those left out have their defaults, or the values of `BEFORE_THESE`.
    where : str
        The file, for the message.

    Raises
    ------
    InputError
        For an unknown type or option, or a value out of range.
    """
    values = BEFORE_THESE | values
    kind = OPTIONS.get(values.pop("type", ""))
    if kind is None:
        raise InputError(f"{where}: 'type' has to be one of {', '.join(OPTIONS)}")
    known = [field.name for field in dataclasses.fields(kind)]
    for name in values:
        if name not in known:
            raise InputError(f"{where}: unknown option '{name}' of {kind.type}; known are: {', '.join(known)}")
    return check(kind(**values), where)


def completed(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Give the feature options that a model carries with those that did not exist yet when it was made.

    Example
    -------
    >>> given = {"type": "fbank", "num_mel_bins": 23, "cmvn_stats": [[1.0]]}
    >>> found = completed(given, "model.json")
    >>> found["num_mel_bins"], found["noise_floor"], found["cmvn_stats"]
    (23, 0.0, [[1.0]])
    """
    return {**values, **to_json(from_json({name: values[name] for name in values if name != "cmvn_stats"}, where))}


def check(options: FeatureOptions, where: str = "feature options") -> FeatureOptions:
    """Give the options back if their values make sense.

    Raises
    ------
    InputError
        Naming the option, its value and the allowed range.
    """

    def require(ok: bool, name: str, wanted: str) -> None:
        if not ok:
            raise InputError(f"{where}: {options.type}.{name} is {getattr(options, name)}; it has to be {wanted}")

    for name, value in dataclasses.asdict(options).items():
        require(not isinstance(value, float) or math.isfinite(value), name, "a finite number")
    require(options.sample_rate >= 0, "sample_rate", "positive, or 0 for the rate of the first recording")
    require(options.frame_length_ms > 0, "frame_length_ms", "positive")
    require(options.frame_shift_ms > 0, "frame_shift_ms", "positive")
    require(0 <= options.preemphasis <= 1, "preemphasis", "between 0 and 1")
    require(options.dither >= 0, "dither", "0 or more")
    require(options.noise_floor >= 0, "noise_floor", "0 or more")
    require(options.cmvn in ("speaker", "online", "global", "none"), "cmvn", "speaker, online, global or none")
    require(options.cmvn_frames in ("speech", "all"), "cmvn_frames", "speech or all")
    require(options.cmn_window >= 1, "cmn_window", "1 or more")
    require(options.global_frames >= 1, "global_frames", "1 or more")
    require(options.deltas in (0, 1, 2), "deltas", "0, 1 or 2")
    require(options.num_mel_bins >= 3, "num_mel_bins", "3 or more")
    if isinstance(options, MfccOptions):
        require(options.cepstral_lifter >= 0, "cepstral_lifter", "0 or more")
        require(1 <= options.num_ceps <= options.num_mel_bins, "num_ceps", f"1 to num_mel_bins={options.num_mel_bins}")
    if options.sample_rate:
        samples = options.sample_rate / 1000
        require(options.frame_length_ms * samples >= 2, "frame_length_ms", "at least two samples long")
        require(options.frame_shift_ms * samples >= 1, "frame_shift_ms", "at least one sample long")
        nyquist = options.sample_rate / 2
        high = options.high_freq if options.high_freq > 0 else nyquist + options.high_freq
        require(0 <= options.low_freq < high, "low_freq", f"0 or more and below the highest frequency, {high:g} Hz")
        require(high <= nyquist, "high_freq", f"at most half the sample rate, {nyquist:g} Hz")
    return options
