"""How fast features are, beside kaldi-native-fbank: ``python -m tests.bench.features [FOLDER_OF_WAVS]``.

Both compute filterbanks (40) and MFCC (13) of the same recordings with one thread, from float32 samples to a matrix in
numpy, in turns; medians of the rounds count. The last line is JSON: the times real time and the ratio of the slower of
the two types, and the largest difference of any value. Recordings whose frames hold tones 95 dB above the rest
(telephone prompts made from clean speech) differ more than the synthetic corpus does: float32 itself is that imprecise,
and kaldi-native-fbank is as far from the same sums in float64 as it is from these.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import kaldi_native_fbank as knf
import numpy as np
from scipy.signal import lfilter

from steps.base.parallel import one_thread
from steps.corpus.audio import AudioSource, read_audio
from steps.feats.compute import compute_features
from steps.feats.frames import num_frames
from steps.feats.options import FbankOptions, FeatureOptions, MfccOptions

ROUNDS = 7


def speech_like(seconds: float, rate: int, seed: int) -> np.ndarray:
    """Voiced and unvoiced syllables with pauses and a noise floor, in 16-bit steps: (samples,) float32."""
    rng = np.random.default_rng(seed)
    pieces, left = [], round(seconds * rate)
    while left > 0:
        n = min(left, int(rate * rng.uniform(0.05, 0.3)))
        kind = rng.choice(["voiced", "unvoiced", "pause"], p=[0.6, 0.25, 0.15])
        pieces.append(_syllable(n, rate, kind, rng))
        left -= n
    signal = np.concatenate(pieces) + 3e-3 * rng.standard_normal(sum(map(len, pieces)))
    return (np.round(np.clip(signal, -1, 1) * 32767) / 32768).astype(np.float32)


def _syllable(n: int, rate: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind == "pause":
        return np.zeros(n)
    if kind == "voiced":
        phase = np.cumsum(np.linspace(*rng.uniform(90, 250, size=2), n) / rate)
        source = np.diff(np.floor(phase), prepend=0) + 0.01 * rng.standard_normal(n)
    else:
        source = 0.1 * rng.standard_normal(n)
    for formant in rng.uniform((250, 800, 2000), (900, 2300, 3200)):
        radius = np.exp(-np.pi * 90 / rate)
        source = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * formant / rate), radius**2], source)
    return np.hanning(n) * source / (np.abs(source).max() + 1e-9) * rng.uniform(0.1, 0.6)


def native(samples: np.ndarray, options: FeatureOptions) -> np.ndarray:
    """Compute the features with kaldi-native-fbank, in the fastest way found from Python: a list in, frames copied."""
    is_mfcc = isinstance(options, MfccOptions)
    native_options = knf.MfccOptions() if is_mfcc else knf.FbankOptions()
    native_options.frame_opts.samp_freq = options.sample_rate
    native_options.frame_opts.dither = 0
    native_options.mel_opts.num_bins = options.num_mel_bins
    native_options.mel_opts.low_freq, native_options.mel_opts.high_freq = options.low_freq, options.high_freq
    if is_mfcc:
        native_options.num_ceps, native_options.use_energy = options.num_ceps, options.use_energy
        native_options.cepstral_lifter = options.cepstral_lifter
    online = (knf.OnlineMfcc if is_mfcc else knf.OnlineFbank)(native_options)
    online.accept_waveform(options.sample_rate, (samples * 32768).tolist())
    online.input_finished()
    features = np.empty((online.num_frames_ready, online.dim), np.float32)
    for i in range(len(features)):
        features[i] = online.get_frame(i)
    return features


Recording = tuple[np.ndarray, int]


def synthetic_corpus() -> list[Recording]:
    """Five minutes in utterances of 1 to 20 seconds, most of 2 to 6."""
    lengths = np.random.default_rng(0).lognormal(1.3, 0.6, size=70).clip(1, 20)
    return [(speech_like(seconds, 16000, seed), 16000) for seed, seconds in enumerate(lengths)]


def corpus_of(folder: Path) -> list[Recording]:
    """Every wav file below a folder that is as long as a frame."""
    recordings = [read_audio(AudioSource(path=path)) for path in sorted(folder.rglob("*.wav"))]
    recordings = [(s, rate) for s, rate in recordings if num_frames(len(s), FbankOptions(sample_rate=rate))]
    if not recordings:
        raise SystemExit(f"error: {folder}: no wav files of at least 25 ms are there")
    return recordings


def measure(kind: Callable[..., FeatureOptions], corpus: Sequence[Recording]) -> tuple[float, float, float]:
    """Give times real time of ours, of kaldi-native-fbank, and the largest difference."""
    options = {rate: kind(sample_rate=rate, noise_floor=0) for _, rate in corpus}  # as Kaldi without dither
    seconds = sum(len(samples) / rate for samples, rate in corpus)

    def clock(function: Callable[[np.ndarray, FeatureOptions], np.ndarray]) -> float:
        start = time.perf_counter()
        for samples, rate in corpus:
            function(samples, options[rate])
        return time.perf_counter() - start

    differences = [np.abs(compute_features(s, options[rate]) - native(s, options[rate])).max() for s, rate in corpus]
    times = [(clock(compute_features), clock(native)) for _ in range(ROUNDS)]
    ours, theirs = (seconds / median(column) for column in zip(*times, strict=True))
    return ours, theirs, float(max(differences))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="wav files; default: a synthetic corpus")
    folder = parser.parse_args().folder
    one_thread()
    corpus = corpus_of(folder) if folder else synthetic_corpus()
    print(f"{len(corpus)} recordings, {sum(len(s) / rate for s, rate in corpus) / 60:.1f} min, one thread")
    results = []
    for kind in (FbankOptions, MfccOptions):
        ours, theirs, difference = measure(kind, corpus)
        print(
            f"{kind.type}: {ours:.0f} x real time, kaldi-native-fbank {theirs:.0f}, largest difference {difference:.1e}"
        )
        results.append((ours, ours / theirs, difference))
    speed, ratio, difference = zip(*results, strict=True)
    summary = {"times_real_time": round(min(speed)), "over_kaldi_native_fbank": round(min(ratio), 2)}
    print(json.dumps(summary | {"largest_difference": max(difference)}))


if __name__ == "__main__":
    main()
