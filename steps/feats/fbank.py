"""Log mel filterbanks, as Kaldi's compute-fbank-feats."""

from functools import lru_cache

import torch
from torch import Tensor

from steps.base.errors import InputError
from steps.feats.frames import fft_size, floored_log, noise_power, num_frames, power_spectra
from steps.feats.options import FeatureOptions


def fbank(samples: Tensor, options: FeatureOptions) -> Tensor:
    """Compute the log energies of mel filters.

    Parameters
    ----------
    samples : Tensor (N,)
        float32, in [-1, 1), of `options.sample_rate`.
    options : FbankOptions or MfccOptions

    Returns
    -------
    Tensor (T, num_mel_bins)
        float32; T is 0 when the audio is shorter than a frame.

    Example
    -------
    >>> from steps.feats.options import FbankOptions
    >>> fbank(torch.zeros(16000), FbankOptions()).shape
    torch.Size([98, 40])
    """
    T = num_frames(len(samples), options)
    energies = torch.empty(T, options.num_mel_bins)
    if T == 0:
        return energies
    filters = _filters_of_squares(options)
    for rows, squares in power_spectra(samples, options):
        torch.mm(squares, filters, out=energies[rows])
    return floored_log(energies, noise_energies(options))


def fbank_levels(features: Tensor, options: FeatureOptions) -> Tensor:
    """Give the mean of the log mel energies of each frame: (T,)."""
    return features.mean(1)


@lru_cache
def noise_energies(options: FeatureOptions) -> Tensor:
    """Energy of the noise floor in each filter: (num_mel_bins,), float32.

    Example
    -------
    >>> from steps.feats.options import FbankOptions
    >>> (fbank(torch.zeros(400), FbankOptions()) == noise_energies(FbankOptions()).log()).all().item()
    True
    """
    return (noise_power(options) @ mel_filters(options).double()).float()


@lru_cache
def _filters_of_squares(options: FeatureOptions) -> Tensor:
    """Each filter's row twice, for the squares of the real and of the imaginary part."""
    return mel_filters(options).repeat_interleave(2, dim=0)


def mel(frequency: Tensor | float) -> Tensor:
    """Mel scale of a frequency in Hz: 1127 ln(1 + f / 700)."""
    return 1127.0 * torch.log1p(torch.as_tensor(frequency, dtype=torch.float64) / 700.0)


@lru_cache
def mel_filters(options: FeatureOptions) -> Tensor:
    """Make the triangular filters, evenly spaced in mel (Kaldi's ``MelBanks``).

    Returns
    -------
    Tensor (fft_size / 2 + 1, num_mel_bins)
        float32; the Nyquist frequency has no weight.

    Raises
    ------
    InputError
        When a filter is too narrow to hold any frequency of the FFT.
    """
    size, nyquist = fft_size(options), options.sample_rate / 2
    low, high = mel(options.low_freq), mel(options.high_freq + (nyquist if options.high_freq <= 0 else 0))
    corners = low + (high - low) / (options.num_mel_bins + 1) * torch.arange(options.num_mel_bins + 2)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    frequency = mel(torch.arange(size // 2 + 1) * (options.sample_rate / size))[:, None]
    rising, falling = (frequency - left) / (centre - left), (right - frequency) / (right - centre)
    filters = torch.minimum(rising, falling).clamp_(min=0)
    filters[-1] = 0
    empty = (filters.sum(0) == 0).nonzero().flatten()
    if len(empty):
        raise InputError(
            f"{options.type}: {options.num_mel_bins} mel filters are too many for a spectrum of {size // 2} frequencies"
            f" at {options.sample_rate} Hz: filter {int(empty[0]) + 1} holds none; take fewer num_mel_bins"
        )
    return filters.float()
