"""Laws on the line whose density is a product of powers of mixtures' densities, by quadrature to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from .mixtures.gaussian_mixture import GaussianMixture
from .mixtures.parameters import Floats, real_number

NODES = 16
POINTS, WEIGHTS = legendre.leggauss(NODES)
FAR = 80.0  # nats below its top at which a density is left out: 1e-35
_TOLERANCE = 1e-14  # of the whole, that halving a panel may change
_WIDTH = 4.0  # deviations of a Gaussian that 16 nodes of a panel integrate to rounding


class Tilted:
    """Law on the line with a density proportional to prod_i p_i(x)^powers_i of Gaussian mixtures p_i.

    p^(1 - w) p_c^w is the law that guidance of scale w aims at, p(x) p(c | x)^w up to its constant; p q the product of
    two laws, p / q^w a law with another taken out. Powers of a mixture are no mixture: all is by quadrature on panels
    of 16 Gauss-Legendre nodes, halved until nothing changes.

    Parameters
    ----------
    parts : sequence of one-dimensional GaussianMixture
        With a density: no component without variance.
    powers : sequence of float
        One for each part, of any sign.

    Attributes
    ----------
    log_normaliser : float
        Log of the integral of prod_i p_i^powers_i.

    Raises
    ------
    ValueError
        Parts that are not on the line or have no density, other numbers of powers than of parts, or a product that
        cannot be normalised: it falls no faster than the widest parts' quotient, which grows.
    """

    def __init__(self, parts: Sequence[GaussianMixture], powers: Sequence[float]) -> None:
        self.parts, self.powers = tuple(parts), tuple(float(power) for power in powers)
        if not self.parts or len(self.parts) != len(self.powers):
            raise ValueError(
                f"powers has {len(self.powers)} numbers for {len(self.parts)} parts; give one for each"
            )
        if not np.isfinite(self.powers).all():
            raise ValueError(f"powers is {powers!r}; give finite numbers")
        for part in self.parts:
            if part.dim != 1:
                raise ValueError(f"parts has {part!r}; a law by quadrature needs parts on the line, dim = 1")
            if not part.variances.all():
                raise ValueError(
                    f"parts has {part!r} with a component of variance 0; give parts with a density"
                )
        # far out a mixture falls as its widest component does
        precision = sum(a / part.variances.max() for a, part in zip(self.powers, self.parts, strict=True))
        if precision <= 0:
            raise ValueError(
                f"powers is {powers!r}, with which the product does not fall far out: parts with negative powers must "
                "fall more slowly than the others"
            )
        self._left, self._right = self._panels(np.inf)
        values = self._mass(self._left, self._right)
        self.log_normaliser = self._top + float(np.log(values.sum()))

    @classmethod
    def towards(cls, target: GaussianMixture, labels: int | Sequence[int], scale: float) -> Tilted:
        """Law proportional to p(x) p(c | x)^scale, c being that the component is among `labels`."""
        return cls((target, target.condition(labels)), (1.0 - scale, scale))

    @staticmethod
    def draw_towards(
        target: GaussianMixture, labels: int | Sequence[int], scale: float, n: int, seed: int = 0
    ) -> Floats:
        """Draw (n, dim) samples of the law proportional to p(x) p(c | x)^scale, in any dimension; scale >= 1.

        Samples of p(x | c) are kept with probability p(c | x)^(scale - 1). Raises ValueError for a smaller scale, or
        one so large that fewer than one in 10,000 is kept.
        """
        if not (np.isfinite(scale) and scale >= 1):
            raise ValueError(f"scale is {scale}; give at least 1, below which samples cannot be kept or not")
        part, kept, tried = target.condition(labels), [np.empty((0, target.dim))], 0
        share = np.log(target.weights[np.atleast_1d(labels)].sum())
        rng = np.random.default_rng(seed)
        while (found := sum(map(len, kept))) < n:
            if tried > 10_000 * (found + 100):
                raise ValueError(
                    f"scale is {scale}, at which {found} of {tried} samples are kept; give a smaller one"
                )
            x = part.sample(max(n, 10_000), int(rng.integers(2**62)))
            log = share + part.log_density(x) - target.log_density(x)  # of p(c | x), by Bayes' rule
            kept.append(x[np.log(rng.random(len(x))) < (scale - 1) * log])
            tried += len(x)
        return np.concatenate(kept)[:n]

    def __repr__(self) -> str:
        return f"Tilted({self.parts!r}, {self.powers!r})"

    def log_density(self, x: ArrayLike) -> Floats:
        """Log-density at places of any shape, in nats."""
        return np.asarray(self._log(np.asarray(x, dtype=np.float64)) - self.log_normaliser)

    def cdf(self, x: ArrayLike) -> Floats:
        """P(X <= x), for x of any shape; absolute accuracy about 1e-14."""
        places = np.asarray(x, dtype=np.float64)
        left, right = self._left, self._right
        below = np.concatenate([[0.0], np.cumsum(self._mass(left, right))])
        flat = np.clip(places.ravel(), left[0], right[-1])
        owner = np.clip(np.searchsorted(left, flat, side="right") - 1, 0, len(left) - 1)
        part = self._mass(left[owner], flat)
        return np.asarray(np.minimum((below[owner] + part) / below[-1], 1.0)).reshape(places.shape)

    @cached_property
    def mean(self) -> float:
        """Mean."""
        return float(self.atoms().mean()[0])

    @cached_property
    def variance(self) -> float:
        """Variance."""
        return float(self.atoms().covariance()[0, 0])

    def atoms(self, finest: float = np.inf) -> GaussianMixture:
        """Return the nodes of a quadrature as atoms: to rounding this law, seen through noise of sigma/alpha >= finest.

        So its denoiser, score and marginals at such levels are those of the law itself. Raises ValueError for a finest
        that is not positive.
        """
        if not finest > 0:
            raise ValueError(f"finest is {finest!r}; give a positive sigma/alpha")
        left, right = self._panels(_WIDTH * finest)
        nodes = _nodes(left, right)
        mass = (np.exp(self._log(nodes) - self._top) * ((right - left) / 2)[:, None] * WEIGHTS).ravel()
        kept = mass > np.exp(-FAR) * mass.max()
        weights = mass[kept] / mass[kept].sum()
        return GaussianMixture(weights / weights.sum(), nodes.ravel()[kept], 0.0)

    def noised(self, alpha: float, sigma: float) -> GaussianMixture:
        """Law of alpha x + sigma eps, to rounding; TypeError or ValueError unless both are positive."""
        alpha, sigma = real_number(alpha, "alpha"), real_number(sigma, "sigma")
        if alpha == 0.0 or sigma == 0.0:
            raise ValueError(f"alpha is {alpha} and sigma is {sigma}; give a level with signal and noise")
        return self.atoms(sigma / alpha).noised(alpha, sigma)

    def _log(self, x: Floats) -> Floats:
        flat = x.reshape(-1, 1)
        total = np.zeros(len(flat))
        for power, part in zip(self.powers, self.parts, strict=True):
            if power:
                total += power * part.log_density(flat)
        return total.reshape(x.shape)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Where the density is `FAR` below its top, and the top itself on the way."""
        means = np.concatenate([part.means[:, 0] for part in self.parts])
        widths = np.concatenate([np.sqrt(part.variances[:, 0]) for part in self.parts])
        low, high = float((means - 8 * widths).min()), float((means + 8 * widths).max())
        middle, reach = (low + high) / 2, (high - low) / 2
        for _ in range(60):
            x = np.linspace(middle - reach, middle + reach, 20_001)
            logs = self._log(x)
            if max(logs[0], logs[-1]) < logs.max() - FAR:
                seen = np.flatnonzero(logs > logs.max() - FAR)
                return float(x[max(seen[0] - 1, 0)]), float(x[min(seen[-1] + 1, len(x) - 1)])
            reach *= 1.5
        raise ValueError(f"powers is {self.powers!r}: the product's tails reach too far to be integrated")

    @cached_property
    def _top(self) -> float:
        return float(self._log(np.linspace(*self._ends, 20_001)).max())

    def _mass(self, left: Floats, right: Floats) -> Floats:
        """Integrals of the density, in units of its top, between ends (P,)."""
        values = np.exp(self._log(_nodes(left, right)) - self._top)
        return np.asarray((right - left) / 2 * (values @ WEIGHTS))

    def _panels(self, widest: float) -> tuple[Floats, Floats]:
        """Panels no wider than `widest`, halved until their integrals no longer change."""
        low, high = self._ends
        count = max(64, int(np.ceil((high - low) / widest)))
        edges = np.linspace(low, high, count + 1)
        left, right = edges[:-1], edges[1:]
        done: list[tuple[Floats, Floats]] = []
        whole = float(self._mass(left, right).sum())
        for _ in range(50):
            middle = (left + right) / 2
            finer = self._mass(left, middle) + self._mass(middle, right)
            bad: NDArray[np.bool_] = np.abs(finer - self._mass(left, right)) > _TOLERANCE * whole
            done.append((left[~bad], right[~bad]))
            if not bad.any():
                break
            left = np.stack([left[bad], middle[bad]], axis=1).ravel()
            right = np.stack([middle[bad], right[bad]], axis=1).ravel()
        else:
            raise ValueError(
                f"parts has {self.parts!r}: their density is rough on every scale; give wider parts"
            )
        starts, stops = (np.concatenate(ends) for ends in zip(*done, strict=True))
        order = np.argsort(starts)
        return starts[order], stops[order]


def _nodes(left: Floats, right: Floats) -> Floats:
    return np.asarray((left + right)[:, None] / 2 + (right - left)[:, None] / 2 * POINTS)
