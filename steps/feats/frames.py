"""From samples to the power spectrum of windowed frames."""

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from steps.feats.options import FrameOptions

SCALE = 32768.0  # samples come in [-1, 1); Kaldi's features are those of 16-bit integers
BLOCK = 256  # frames at a time: their 512 samples of float32 fill half a megabyte and stay in the processor's cache


def frame_length(options: FrameOptions) -> int:
    """Give the window's length in samples, cut as in Kaldi's ``FrameExtractionOptions::WindowSize``."""
    return int(options.sample_rate * 0.001 * options.frame_length_ms)


def frame_shift(options: FrameOptions) -> int:
    """Give the step from frame to frame in samples."""
    return int(options.sample_rate * 0.001 * options.frame_shift_ms)


def fft_size(options: FrameOptions) -> int:
    """Give the power of two that holds a frame.

    Example
    -------
    >>> fft_size(FrameOptions(sample_rate=16000)), fft_size(FrameOptions(sample_rate=8000))
    (512, 256)
    """
    return 1 << (frame_length(options) - 1).bit_length()


def num_frames(samples: int, options: FrameOptions) -> int:
    """Count the frames that lie wholly within the audio (Kaldi's ``NumFrames`` with ``snip_edges``).

    Example
    -------
    >>> [num_frames(n, FrameOptions()) for n in (399, 400, 559, 560)]
    [0, 1, 1, 2]
    """
    return max(0, 1 + (samples - frame_length(options)) // frame_shift(options))


@lru_cache
def povey_window(length: int) -> Tensor:
    """Kaldi's window, a Hann window to the power of 0.85: (length,), float32."""
    angle = torch.arange(length, dtype=torch.float64) * (2 * math.pi / max(length - 1, 1))
    return (0.5 - 0.5 * angle.cos()).pow(0.85).float()


def power_spectra(samples: Tensor, options: FrameOptions) -> Iterator[tuple[slice, Tensor]]:
    """Compute the spectrum of each frame, a block of frames at a time.

    Removing a frame's mean m and pre-emphasis, x[i] - a x[i-1] with x[-1] = x[0] at the frame's start, are linear:
    the whole signal is pre-emphasised once, and each frame then loses (1 - a) m.

    Parameters
    ----------
    samples : Tensor (N,)
        float32, in [-1, 1).
    options : FrameOptions

    Yields
    ------
    rows : slice
        Which frames.
    squares : Tensor (frames, fft_size + 2)
        Squared real and imaginary part of each frequency, side by side; the power is their sum, which the mel filters
        take along with theirs.
    """
    length, shift = frame_length(options), frame_shift(options)
    a = torch.tensor(options.preemphasis).item()  # as float32 has it: with another 1 - a, some of the mean would stay
    total = num_frames(len(samples), options)
    emphasised = samples.clone()
    emphasised[1:].sub_(samples[:-1], alpha=a)
    frames, emphasised = samples.unfold(0, length, shift), emphasised.unfold(0, length, shift)
    window = povey_window(length) * SCALE
    padded = torch.zeros(min(BLOCK, total), fft_size(options))
    for start in range(0, total, BLOCK):
        rows = slice(start, min(start + BLOCK, total))
        block = padded[: rows.stop - start]
        windowed = block[:, :length]
        mean = frames[rows].mean(1).mul_(1 - a)
        torch.sub(emphasised[rows], mean[:, None], out=windowed)
        torch.sub((1 - a) * frames[rows, 0], mean, out=windowed[:, 0])
        windowed.mul_(window)
        spectrum = torch.view_as_real(torch.fft.rfft(block)).flatten(1)
        yield rows, spectrum.mul_(spectrum)


def log_energy(samples: Tensor, options: FrameOptions) -> Tensor:
    """Log energy of each frame without its mean, before pre-emphasis and window (Kaldi's ``raw_energy``): (T,)."""
    frames = samples.unfold(0, frame_length(options), frame_shift(options))
    blocks = [(block - block.mean(1, keepdim=True)).square_().sum(1) for block in torch.split(frames, BLOCK)]
    floor = torch.tensor(options.noise_floor**2 * frame_length(options))
    return floored_log(torch.cat(blocks) * SCALE**2, floor)


def noise_power(options: FrameOptions) -> Tensor:
    """Power spectrum that white noise of standard deviation `noise_floor` is expected to have: (fft_size / 2 + 1,).

    The window w and pre-emphasis, whose response is 1 - a exp(-iω), make it σ² Σ w² |1 - a exp(-iω)|².
    """
    size, a = fft_size(options), options.preemphasis
    omega = torch.arange(size // 2 + 1, dtype=torch.float64) * (2 * math.pi / size)
    window = povey_window(frame_length(options)).double().square().sum()
    return options.noise_floor**2 * window * (1 + a * a - 2 * a * omega.cos())


def floored_log(energies: Tensor, floor: Tensor) -> Tensor:
    """Natural logarithm in place, of at least `floor` and of float32's epsilon, which is Kaldi's floor."""
    return torch.maximum(energies, floor.clamp(min=torch.finfo(torch.float32).eps), out=energies).log_()
