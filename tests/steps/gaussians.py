"""Mixtures and frames for tests, and scipy's likelihoods of them."""

import numpy as np
from scipy.special import softmax
from scipy.stats import multivariate_normal

from steps.gmm.gmm import DiagGmms


def mixtures(seed, pdfs=3, components=4, dim=5):
    random = np.random.default_rng(seed)
    weights = random.dirichlet(np.ones(components), pdfs)
    means = random.normal(0, 3, (pdfs, components, dim))
    return DiagGmms(weights, means, random.uniform(0.2, 4, (pdfs, components, dim)))


def padded(gmms, more=2):
    """The same mixtures with Gaussians that are not in use."""
    means, variances = (
        np.pad(array, ((0, 0), (0, more), (0, 0)), constant_values=1) for array in (gmms.means, gmms.variances)
    )
    return DiagGmms(np.pad(gmms.weights, ((0, 0), (0, more))), means, variances)


def data(seed, frames=400, dim=5):
    random = np.random.default_rng(seed)
    return (random.normal(0, 3, (8, dim))[random.integers(8, size=frames)] + random.normal(size=(frames, dim))).astype(
        np.float32
    )


def sample(gmms, frames, seed):
    """Frames of pdfs drawn at random, float32, and their pdf-ids."""
    random = np.random.default_rng(seed)
    pdfs = random.integers(gmms.num_pdfs, size=frames)
    components = np.array([random.choice(gmms.weights.shape[1], p=gmms.weights[pdf]) for pdf in pdfs])
    noise = random.normal(size=(frames, gmms.means.shape[2]))
    x = gmms.means[pdfs, components] + np.sqrt(gmms.variances[pdfs, components]) * noise
    return x.astype(np.float32), pdfs


def scipy_joint(gmms, x):
    return np.stack(
        [
            [np.log(w) + multivariate_normal(m, np.diag(v)).logpdf(x) for w, m, v in zip(*mixture, strict=True) if w]
            for mixture in zip(gmms.weights, gmms.means, gmms.variances, strict=True)
        ]
    )  # (P, M, T)


def scipy_posteriors(gmms, x, pdfs):
    """Posteriors of the Gaussians of each frame's pdf, (T, M)."""
    return softmax(scipy_joint(gmms, x)[pdfs, :, np.arange(len(x))], axis=1)
