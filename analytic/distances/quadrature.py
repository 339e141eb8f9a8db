"""Adaptive Clenshaw-Curtis quadrature of several functions at once, with an error."""

import math
from collections.abc import Callable

import numpy as np

from .checks import EPSILON, FloatArray


def _clenshaw_curtis(intervals: int) -> FloatArray:
    """Weights of the rule at cos(k pi / intervals), k = 0 .. intervals, even (Waldvogel 2006)."""
    k, j = np.arange(intervals + 1), np.arange(1, intervals // 2 + 1)
    b, c = np.where(j == intervals // 2, 1, 2), np.where(k % intervals == 0, 1, 2)
    return c / intervals * (1 - np.cos(2 * np.pi * np.outer(k, j) / intervals) @ (b / (4 * j**2 - 1)))


# Nested rules with the ends among their nodes: a jump between an end and the first inner node still shows.
POINTS = 17
_NODES = -np.cos(np.pi * np.arange(POINTS) / (POINTS - 1))
_FINE = _clenshaw_curtis(POINTS - 1)
_FINE_MINUS_COARSE = _FINE.copy()
_FINE_MINUS_COARSE[::2] -= _clenshaw_curtis((POINTS - 1) // 2)

Integrand = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


class Panels:
    """Clenshaw-Curtis sums of several functions over the panels between increasing edges.

    The integrand maps (n,) points to (values, noise), both (channels, n). Channel 0 is the wanted integral;
    the others are there to be resolved, so that a jump or peak which channel 0 does not show is still found.
    Noise is the rounding of a value, below which a disagreement of the two rules is no reason to refine.
    """

    def __init__(self, integrand: Integrand, edges: FloatArray) -> None:
        self.integrand, self.edges = integrand, edges
        self.values, self.noise = self._sample(edges[:-1], edges[1:])
        self.stuck = False

    def _sample(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, noise = self.integrand(_nodes(left, right))
        return values.reshape(len(values), -1, POINTS), noise.reshape(len(noise), -1, POINTS)

    def _apply(self, weights: FloatArray, values: FloatArray) -> FloatArray:
        return values @ weights * (0.5 * np.diff(self.edges))

    @property
    def nodes(self) -> FloatArray:
        """All points, (panels * POINTS,), in the order of the values; ends shared by two panels come twice."""
        return _nodes(self.edges[:-1], self.edges[1:])

    @property
    def integrals(self) -> FloatArray:
        """Integrals (channels, panels)."""
        return self._apply(_FINE, self.values)

    @property
    def sums(self) -> list[float]:
        """Integral of each channel."""
        return [math.fsum(channel) for channel in self.integrals]

    @property
    def error(self) -> float:
        """Disagreement of the two rules plus rounding: a pessimistic error of the sum of channel 0."""
        return float((self._disagreement[0] + self._apply(_FINE, self.noise[0])).sum())

    @property
    def unresolved(self) -> float:
        """What the other channels still disagree on: zero once refinement came to its end by itself."""
        return float(np.maximum(self._disagreement - self._floor, 0.0)[1:].sum()) if self.stuck else 0.0

    @property
    def _disagreement(self) -> FloatArray:
        return np.abs(self._apply(_FINE_MINUS_COARSE, self.values))

    @property
    def _floor(self) -> FloatArray:
        return self._apply(_FINE, self.noise + 50 * EPSILON * np.abs(self.values))

    def refine(self) -> None:
        """Bisect until every channel is resolved to 1e-12 of the integral of channel 0, or to rounding."""
        limit = 4 * len(self.edges) + 20_000
        # Narrower than this, a panel's own points are no longer told apart well enough to be worth halving.
        narrowest = 32 * EPSILON * float(np.abs(self.edges).max())
        while True:
            # Tolerance by a panel's share: the sum over panels then stays below the whole.
            magnitude = float(self._apply(_FINE, np.abs(self.values[0])).sum())
            excess = self._disagreement - np.maximum(self._floor, 1e-12 * magnitude / (len(self.edges) - 1))
            excess[:, np.diff(self.edges) <= narrowest] = 0.0
            # The worst first: noise spread over many panels must not use up the limit before a jump is followed.
            bad = np.any((excess > 0) & (excess >= 0.01 * excess.max(axis=1, keepdims=True)), axis=0)
            if not bad.any():
                return
            if len(self.edges) + bad.sum() > limit:
                self.stuck = True
                return
            left, right = self.edges[:-1][bad], self.edges[1:][bad]
            middle = 0.5 * (left + right)
            halves = self._sample(np.concatenate([left, middle]), np.concatenate([middle, right]))
            edges = np.concatenate([self.edges[:-1][~bad], left, middle])
            order = np.argsort(edges)
            self.values = np.concatenate([self.values[:, ~bad], halves[0]], axis=1)[:, order]
            self.noise = np.concatenate([self.noise[:, ~bad], halves[1]], axis=1)[:, order]
            self.edges = np.append(edges[order], self.edges[-1])


def resolve(integrand: Integrand, edges: FloatArray, panels: int) -> Panels:
    """Refined panels, begun with at least `panels` of them, each interval between edges cut alike."""
    pieces = -(-panels // (len(edges) - 1))
    starts = edges[:-1, None] + np.diff(edges)[:, None] * np.arange(pieces) / pieces
    resolved = Panels(integrand, np.append(starts.ravel(), edges[-1]))
    resolved.refine()
    return resolved


def _nodes(left: FloatArray, right: FloatArray) -> FloatArray:
    return ((0.5 * (left + right))[:, None] + (0.5 * (right - left))[:, None] * _NODES).ravel()
