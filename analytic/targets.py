"""Named targets of rising difficulty, and a user's own data by its path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from .data import SUFFIXES, from_data, read
from .mixtures.gaussian_mixture import GaussianMixture
from .mixtures.parameters import Floats
from .names import unknown


@dataclass(frozen=True)
class Target:
    """A target that can be asked for by name.

    Attributes
    ----------
    name : str
    description : str
        One line for the list of targets.
    build : callable
        Takes nothing, gives the `GaussianMixture`.
    """

    name: str
    description: str
    build: Callable[[], GaussianMixture]


def load(name_or_path: str | os.PathLike[str]) -> GaussianMixture:
    """Build a named target, or the empirical law of the data in a .npy, .csv or .parquet file.

    For a kernel density of the data use `load(path).noised(1.0, bandwidth)`.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown (near names are given), the file is missing or does not hold finite numbers.
    """
    name = os.fspath(name_or_path)
    if name in catalogue:
        return _built(name)
    if Path(name).suffix in SUFFIXES:
        return from_data(read(name))
    raise unknown("target", name, catalogue, f"a file ends in {', '.join(SUFFIXES)}")


def table() -> list[tuple[str, int, int, str]]:
    """Rows (name, dim, components, description) of the named targets, by kind and rising difficulty."""
    rows = []
    for target in catalogue.values():
        mixture = _built(target.name)
        rows.append((target.name, mixture.dim, mixture.components, target.description))
    return rows


@cache
def _built(name: str) -> GaussianMixture:
    return catalogue[name].build()


def _on_line(weights: list[float], means: list[float], deviations: list[float]) -> GaussianMixture:
    return GaussianMixture(weights, means, np.square(deviations))


def _pair() -> GaussianMixture:
    return GaussianMixture([0.4, 0.6], [[-1.5, -0.5], [1.2, 0.8]], [0.3, 0.15])


def _rotated_three() -> GaussianMixture:
    covariances = []
    for angle, long, short in ((0.5, 1.0, 0.15), (1.9, 0.7, 0.1), (2.7, 0.5, 0.3)):
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        covariances.append((axes * [long**2, short**2]) @ axes.T)
    return GaussianMixture([0.5, 0.3, 0.2], [[-1.0, 0.5], [1.5, 1.0], [0.5, -1.5]], covariances)


def _nine() -> GaussianMixture:
    """Deveney et al. 2023: covariance 0.2 I about nine means, all scaled by 0.65; equal weights."""
    means = [(0, 0), (2, 2), (2, -2), (-2, 2), (-2, -2), (4, 0), (-4, 0), (0, 4), (0, -4)]
    return GaussianMixture(np.full(9, 1 / 9), 0.65 * np.array(means), 0.65**2 * 0.2)


def _grid() -> GaussianMixture:
    means = [(2.0 * i, 2.0 * j) for i in range(-2, 3) for j in range(-2, 3)]
    return GaussianMixture(np.full(25, 1 / 25), means, 0.1**2)


def _natural_variances(dim: int) -> Floats:
    """Eigenvalues 1/k, k = 1..dim, as natural images have.

    Their amplitude falls as 1 / frequency, their power as 1 / frequency^2 (Field 1987, J. Opt. Soc. Am. A 4,
    2379). In the plane the number of modes below a frequency grows as its square, so the k-th mode has power
    proportional to 1/k.
    """
    return 1.0 / np.arange(1.0, dim + 1.0)


def _spectrum(dim: int) -> GaussianMixture:
    """Axis-aligned, with means of half a standard deviation, so that errors of the mean are seen too."""
    variances = _natural_variances(dim)
    return GaussianMixture([1.0], 0.5 * np.sqrt(variances)[None, :], variances[None, :])


def _rotated_spectrum(dim: int) -> GaussianMixture:
    """`_spectrum` turned by a fixed random rotation, its mean included."""
    factor, triangle = np.linalg.qr(np.random.default_rng(dim).standard_normal((dim, dim)))
    # With a positive diagonal the factor is unique, whatever the linear-algebra library.
    rotation = factor * np.sign(np.diag(triangle))
    variances = _natural_variances(dim)
    covariance = (rotation * variances) @ rotation.T
    return GaussianMixture(
        [1.0], (rotation @ (0.5 * np.sqrt(variances)))[None, :], (covariance + covariance.T)[None] / 2
    )


def _pair_of_spectra(dim: int) -> GaussianMixture:
    """Two components that overlap, in every coordinate 0.8 deviations apart, the second of half the variance."""
    variances = _natural_variances(dim)
    means = 0.4 * np.sqrt(variances) * np.array([[-1.0], [1.0]])
    return GaussianMixture([0.4, 0.6], means, np.stack([variances, variances / 2]))


def _digits() -> GaussianMixture:
    # Imported here: scikit-learn takes a second, and only this target needs it.
    from sklearn.datasets import load_digits

    return from_data(load_digits().data / 8.0 - 1.0)


def _catalogue() -> Mapping[str, Target]:
    entries = [
        Target("gaussian-1d", "N(1, 0.25): variance 0.25", partial(_on_line, [1.0], [1.0], [0.5])),
        Target(
            "easy-1d",
            "two components that overlap well",
            partial(_on_line, [0.4, 0.6], [-1.0, 1.2], [0.5, 0.6]),
        ),
        Target(
            "unequal-1d",
            "weights 0.95 and 0.05, the light component apart",
            partial(_on_line, [0.95, 0.05], [-0.5, 2.5], [0.5, 0.4]),
        ),
        Target(
            "separated-1d",
            "two components 16 standard deviations apart",
            partial(_on_line, [0.3, 0.7], [-4.0, 4.0], [0.5, 0.5]),
        ),
        Target(
            "narrow-1d",
            "two narrow components, standard deviations 0.1 and 0.2",
            partial(_on_line, [0.45, 0.55], [-1.2, 1.3], [0.1, 0.2]),
        ),
        Target(
            "wide-and-narrow-1d",
            "a component of standard deviation 0.05 within one of 1",
            partial(_on_line, [0.5, 0.5], [0.3, 0.0], [0.05, 1.0]),
        ),
        Target(
            "hard-1d",
            "five components, standard deviations from 0.05 to 1",
            partial(
                _on_line,
                [0.1, 0.25, 0.3, 0.2, 0.15],
                [-5.0, -2.0, -1.5, 1.0, 4.0],
                [0.1, 0.5, 0.05, 1.0, 0.08],
            ),
        ),
        Target("pair-2d", "two isotropic components of unequal width", _pair),
        Target("rotated-2d", "three components with full, elongated covariances", _rotated_three),
        Target("nine-2d", "nine components on a diamond (Deveney et al. 2023)", _nine),
        Target("grid25-2d", "5 x 5 grid, spacing 2, standard deviation 0.1", _grid),
        *(
            Target(
                f"spectrum-{dim}",
                "Gaussian with a natural-image-like spectrum, eigenvalues 1/k",
                partial(_spectrum, dim),
            )
            for dim in (16, 100, 1000)
        ),
        Target("pair-16", "two components with the spectrum of spectrum-16", partial(_pair_of_spectra, 16)),
        Target("rotated-16", "spectrum-16 in a rotated basis", partial(_rotated_spectrum, 16)),
        Target("digits", "1797 handwritten digits, 8 x 8, scaled to [-1, 1], as atoms", _digits),
    ]
    return MappingProxyType({entry.name: entry for entry in entries})


catalogue = _catalogue()
