"""What solvers ask of the things they are handed; anything with these methods will do."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@runtime_checkable
class Clock(Protocol):
    """A process in time: t = 0 at the data, larger t with more noise."""

    @property
    def start(self) -> float:
        """Default time at which sampling starts."""

    @property
    def stop(self) -> float:
        """Default time at which sampling stops, below `start`."""

    @property
    def end(self) -> float:
        """Largest time a grid may have; may be infinite."""


@runtime_checkable
class Path(Clock, Protocol):
    """A Gaussian path x_t = alpha(t) x_0 + sigma(t) eps; methods are elementwise on floats and arrays."""

    def alpha(self, t: npt.ArrayLike) -> Array:
        """Scale of the data."""

    def sigma(self, t: npt.ArrayLike) -> Array:
        """Scale of the noise."""

    def d_alpha(self, t: npt.ArrayLike) -> Array:
        """Derivative of alpha in t."""

    def d_sigma(self, t: npt.ArrayLike) -> Array:
        """Derivative of sigma in t."""

    def log_snr(self, t: npt.ArrayLike) -> Array:
        """log(alpha/sigma), strictly decreasing in t; +inf at sigma = 0, -inf at alpha = 0."""

    def d_log_snr(self, t: npt.ArrayLike) -> Array:
        """Derivative of the log-SNR in t."""

    def time_of_log_snr(self, log_snr: npt.ArrayLike) -> Array:
        """Inverse of `log_snr`."""

    def f(self, t: npt.ArrayLike) -> Array:
        """Drift rate alpha'/alpha of the forward SDE."""

    def g2(self, t: npt.ArrayLike) -> Array:
        """Squared diffusion of the forward SDE."""

    def prior_deviation(self, t: npt.ArrayLike) -> Array:
        """Standard deviation of the conventional prior when sampling starts at t."""


def noising(path: object) -> bool:
    """True for a path from data to noise, False for another process, which says so by its `process`."""
    return process_of(path) == "noising"


def process_of(path: object) -> str:
    """Name of what methods must be made for to run on a path."""
    return getattr(path, "process", "noising")


def a_process(process: str) -> str:
    """Return a process by its name, in words."""
    return f"{'an' if process[0] in 'aeiou' else 'a'} {process} process"


def matched(tableau: Any, model: Any) -> None:
    """Raise ValueError for a tableau on an interpolant and a model that is not of it, or the other way round."""
    if tableau.process == "interpolant" and process_of(model) != "interpolant":
        raise ValueError(
            f"model is {model!r}, but {tableau.name} is on an interpolant, whose steps ask for its velocity: give "
            "analytic.Interpolated(joint, path), or solvers.flow_model(network, path)"
        )
    if process_of(model) == "interpolant":
        if tableau.process != "interpolant":
            raise ValueError(
                f"model is {model!r}, but {tableau.name} is on a {tableau.process} path: build it on model.path"
            )
        if tableau.path is not None and tableau.path != model.path:
            raise ValueError(
                f"model is on {model.path!r}, but {tableau.name} on {tableau.path!r}: give one path to both"
            )


class Spectrum(Protocol):
    """A Gaussian in its eigenbasis: covariance = basis diag(variances) basis^T, basis None for the axes."""

    @property
    def mean(self) -> Array:
        """Mean in the original coordinates, (dim,)."""

    @property
    def variances(self) -> Array:
        """Eigenvalues of the covariance, (dim,)."""

    @property
    def basis(self) -> Array | None:
        """Eigenvectors as columns, (dim, dim), or None."""


class GaussianTarget(Protocol):
    """What `law` and `strong` ask of a target."""

    def spectrum(self) -> Spectrum:
        """Mean and covariance in the eigenbasis; ValueError if the target is not Gaussian."""


class Target(Protocol):
    """What `sample` asks of a target: a Gaussian mixture's parameters, for the score compiled into the loop."""

    @property
    def weights(self) -> Array:
        """Component weights, (K,)."""

    @property
    def means(self) -> Array:
        """Component means, (K, dim)."""

    @property
    def variances(self) -> Array:
        """Eigenvalues of the components' covariances, (K, dim)."""

    @property
    def rotations(self) -> Array | None:
        """Eigenvectors as columns, (K, dim, dim), or None."""

    def noised(self, alpha: float, sigma: float) -> Target:
        """Return the law of alpha x_0 + sigma eps."""

    def sample(self, n: int, seed: int = 0) -> Array:
        """Draw (n, dim) samples."""
