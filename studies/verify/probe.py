"""A sampler taken apart by probing: on a Gaussian it is affine, and law and levels come without random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, paths
from solvers import grids

from .subject import Denoise, Noise, Ran, Subject

Array = NDArray[np.float64]
NORMAL = GaussianMixture([1.0], [[1.0]], [[0.25]])
STEPS = (8, 16, 32, 64, 128, 256)
LOWEST, HIGHEST = -2.5, 1.5  # log-SNR between which orders are measured, as far as the path reaches


def ends(path: paths.Gaussian) -> tuple[float, float]:
    """Return the times between which orders are measured."""
    low, high = (float(path.log_snr(t)) for t in (path.start, path.stop))
    wanted = np.array([max(low, LOWEST), min(high, HIGHEST)])
    first, last = (float(t) for t in path.time_of_log_snr(wanted))
    return (path.start if low >= LOWEST else first), (path.stop if high <= HIGHEST else last)


def nodes_of(path: paths.Gaussian, grid: str, steps: int) -> Array:
    """Return a grid by its name in `GRIDS`, between the ends of orders."""
    start, stop = ends(path)
    if grid == "uneven":  # every other step three times as long: smooth grids hide what equal steps assume
        shares = np.where(np.arange(steps) % 2 == 0, 3.0, 1.0)
        low, high = (float(path.log_snr(t)) for t in (start, stop))
        levels = low + (high - low) * np.cumsum(shares)[:-1] / shares.sum()
        return np.concatenate([[start], np.asarray(path.time_of_log_snr(levels)), [stop]])
    return np.asarray(grids.catalogue[grid](path, steps, start=start, stop=stop))


def ladder(subject: Subject, more: int = 0) -> tuple[int, ...]:
    """Return the numbers of steps at which orders are measured: STEPS, and `more`, in whole groups of steps."""
    group = getattr(subject.function, "group", 1)
    return tuple(-(-(steps + more) // group) * group for steps in STEPS)


GRIDS = ("log-snr", "karras", "uneven")


def exact(subject: Subject, target: GaussianMixture) -> Denoise:
    """Return a target's own denoiser on the subject's path."""
    path = subject.path
    return lambda x, t: np.asarray(target.denoise(x, float(path.alpha(t)), float(path.sigma(t))))


@dataclass(frozen=True)
class Affine:
    """A sampler on one Gaussian: y = offset + scale x + sum of noise_k z_k, if it is linear."""

    offset: float
    scale: float
    noise: Array
    linear: bool

    def deviation(self, start: float) -> float:
        """Return the deviation of what comes out where that of the start is given."""
        return float(np.hypot(self.scale * start, np.linalg.norm(self.noise)))

    def error(self, subject: Subject, nodes: Array, node: int = -1) -> float:
        """Return W2 of the law that comes out from the true marginal at a node."""
        path = subject.path
        (a0, a1), (s0, s1) = ([float(f(t)) for t in nodes[[0, node]]] for f in (path.alpha, path.sigma))
        mean, own = float(NORMAL.means[0, 0]), float(NORMAL.variances[0, 0])
        spread = self.scale**2 * (a0**2 * own + s0**2) + float(self.noise @ self.noise)
        gap = self.offset + self.scale * a0 * mean - a1 * mean
        return float(np.hypot(gap, np.sqrt(spread) - np.sqrt(a1**2 * own + s1**2)))


def _of_normal(path: paths.Gaussian) -> Denoise:
    """Return the denoiser of NORMAL, written out."""
    mean, own = float(NORMAL.means[0, 0]), float(NORMAL.variances[0, 0])

    def denoise(x: Array, t: float) -> Array:
        alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
        return mean + own * alpha / (alpha**2 * own + sigma**2) * (x - alpha * mean)

    return denoise


def probe(subject: Subject, nodes: Array, model: Denoise | None = None) -> Affine:
    """Take a sampler apart on a Gaussian, where the model is affine: by its outputs at unit inputs."""
    return taken_apart(subject, nodes, model or _of_normal(subject.path))[0]


def taken_apart(subject: Subject, nodes: Array, model: Denoise) -> tuple[Affine, list[tuple[float, Affine]]]:
    """Return a sampler, and every sample that it asks the model about with the time, as affine functions."""
    if len(nodes) not in subject.draws:
        subject.draws[len(nodes)] = len(subject.run(model, np.zeros((1, 1)), nodes).drawn)
    return parts(lambda x, noise: subject.run(model, x, nodes, noise), subject.draws[len(nodes)])


def parts(run: Callable[[Array, Noise], Ran], drawn: int) -> tuple[Affine, list[tuple[float, Affine]]]:
    """Return what a run from given samples and noise, of `drawn` draws, gives and asks as affine functions of both."""
    rows = 3 + drawn
    x = np.zeros((rows, 1))
    x[1], x[-1] = 1.0, 0.7
    mixed = np.random.default_rng(1).standard_normal(drawn)

    def noise(k: int, shape: tuple[int, ...]) -> Array:
        z = np.zeros(shape)
        if k < drawn:
            z[2 + k], z[-1] = 1.0, mixed[k]
        return z

    def affine(found: Any) -> Affine:
        y = np.asarray(found, dtype=np.float64)[:, 0]
        by = y - y[0]
        expected = 0.7 * by[1] + mixed @ by[2:-1]
        size = max(1.0, float(np.abs(y).max()))
        return Affine(float(y[0]), float(by[1]), by[2:-1], bool(abs(by[-1] - expected) < 1e-7 * size))

    ran = run(x, noise)
    return affine(ran.x), [(t, affine(places)) for t, places in ran.asked]
