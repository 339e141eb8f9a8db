"""How much is known of a sequence when each site is revealed at random: what masked sampling costs."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from ..mixtures.parameters import Floats, frozen, real_array, whole_number
from .markov import MarkovSequence

GOLDEN, GOLDEN_SECTIONS = (np.sqrt(5) - 1) / 2, 60


class InformationProfile:
    """Expected entropy of the revealed tokens when each site is revealed with one probability, independently.

    For a Markov chain only the gaps between neighbouring revealed sites count. With H_i the entropy of
    token i, G_d the sum over i of the conditional entropy of token i + d given token i, and r the
    probability of a site to be revealed,

        F(r) = sum_i r (1 - r)^i H_i + sum_d r^2 (1 - r)^(d - 1) G_d.

    For any law F'(r) is the sum over sites of the expected entropy of the token given those revealed among
    the others (each subset's weight differentiated site by site). So a step that reveals sites independently
    given what is seen, from r to s, costs (s - r) F'(r) - (F(s) - F(r)) nats: the expected conditional total
    correlation of the sites revealed together.

    Parameters
    ----------
    law : MarkovSequence
        With one transition matrix for all steps. Costs length * vocabulary^3 once.

    Raises
    ------
    TypeError, ValueError
        If law is another law, or has a matrix per step.
    """

    def __init__(self, law: MarkovSequence) -> None:
        if not isinstance(law, MarkovSequence):
            raise TypeError(f"law is {law!r}; give a MarkovSequence, whose gaps alone decide")
        if law.transition.ndim == 3:
            raise ValueError(
                f"law is {law!r} with a transition matrix for each step; give one matrix for all steps"
            )
        self.length = law.length
        self._singles = frozen(scipy.special.entr(law.marginals).sum(axis=1))
        heads = np.cumsum(law.marginals, axis=0)  # heads[k]: laws of the first k + 1 tokens, summed
        self._gaps = np.empty(law.length - 1)
        power = np.eye(law.vocabulary)
        for gap in range(1, law.length):
            power = power @ law.transition
            self._gaps[gap - 1] = heads[law.length - 1 - gap] @ scipy.special.entr(power).sum(axis=1)

    def entropy(self, revealed: ArrayLike) -> Floats:
        """Expected entropy F in nats of the revealed tokens; at 1 the entropy of the whole sequence.

        Parameters
        ----------
        revealed : (m,) array_like
            Probabilities of a site to be revealed, from 0 to 1.

        Returns
        -------
        (m,) float64 array

        Raises
        ------
        TypeError, ValueError
            If revealed is not one-dimensional or leaves [0, 1].
        """
        return self._derivative(_shares(revealed), 0)

    def slope(self, revealed: ArrayLike) -> Floats:
        """Derivative F', the sum over sites of the expected entropy of a token given the revealed others.

        Parameters, result and errors as in `entropy`.
        """
        return self._derivative(_shares(revealed), 1)

    def curvature(self, revealed: ArrayLike) -> Floats:
        """Second derivative F'', nowhere positive: how fast knowing more sites makes a token less uncertain.

        Parameters, result and errors as in `entropy`.
        """
        return self._derivative(_shares(revealed), 2)

    def _derivative(self, shares: Floats, order: int) -> Floats:
        """F or a derivative of it, (m,)."""
        gaps = _weighted_powers(shares, 2, self._gaps, order)
        return _weighted_powers(shares, 1, self._singles, order) + gaps

    def best_shares(self, steps: int) -> Floats:
        """Shares revealed after each step of the schedule with the least path KL, from 0 to 1.

        The sum of `step_costs` is stationary where (r_{k+1} - r_k) F''(r_k) = F'(r_k) - F'(r_{k-1}) at every
        inner share, which Newton's method solves from shares that equidistribute sqrt(-F'').

        Parameters
        ----------
        steps : int

        Returns
        -------
        (steps + 1,) float64 array
            Increasing. For many steps the path KL tends to (integral of sqrt(-F''))^2 / (2 steps).

        Raises
        ------
        TypeError, ValueError
            If steps is not an integer from 1.
        """
        steps = whole_number(steps, "steps", least=1)
        fine = np.linspace(0.0, 1.0, 8 * max(steps, 128) + 1)
        density = np.sqrt(np.maximum(-self.curvature(fine), 0.0))
        mass = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
        rounding = 1e-15 * self.length**3 * float(self._singles.max())  # F'' adds up terms of i^2, i < length
        if steps == 1 or density.max() ** 2 <= rounding:
            return np.linspace(0.0, 1.0, steps + 1)  # independent tokens: every schedule costs nothing
        shares = np.interp(np.linspace(0.0, mass[-1], steps + 1), mass, fine)
        for _ in range(100):
            inner, widths = shares[1:-1], np.diff(shares)
            slope, curvature = self.slope(shares), self.curvature(shares)
            residual = widths[1:] * curvature[1:-1] - (slope[1:-1] - slope[:-2])
            bands = np.zeros((3, steps - 1))
            bands[0, 1:] = curvature[1:-2]
            bands[1] = -2.0 * curvature[1:-1] + widths[1:] * self._derivative(inner, 3)
            bands[2, :-1] = curvature[1:-2]
            change = -scipy.linalg.solve_banded((1, 1), bands, residual)
            # a step that keeps the shares in order
            gap = np.diff(np.concatenate([[0.0], change, [0.0]]))
            shrinking = gap < 0
            largest = min(1.0, 0.5 * float(np.min(widths[shrinking] / -gap[shrinking], initial=2.0)))
            shares[1:-1] += largest * change
            if np.abs(change).max() < 1e-13:
                break
        return shares

    def jump_shares(self, steps: int) -> Floats:
        """Shares by Jump Your Steps: every interval is split where that saves most, again and again.

        A split of [a, b] at m saves (b - m) (F'(a) - F'(m)), which is the expected divergence that the paper's bound
        on a jump gains, without samples; m is found by golden sections, as there. All intervals are split in turn; of
        the last round, where steps is no power of two, those that save most.

        Parameters
        ----------
        steps : int

        Returns
        -------
        (steps + 1,) float64 array
            Increasing.

        Raises
        ------
        TypeError, ValueError
            If steps is not an integer from 1.

        References
        ----------
        Park, Lai, Hayakawa, Takida and Mitsufuji 2025 (Jump Your Steps), Algorithm 1.
        """
        steps = whole_number(steps, "steps", least=1)
        shares = np.array([0.0, 1.0])
        while len(shares) <= steps:
            left, right = shares[:-1], shares[1:]
            before = self.slope(left)

            def saving(m: Floats, right: Floats = right, before: Floats = before) -> Floats:
                return (right - m) * (before - self.slope(m))

            low, high = left.copy(), right.copy()
            for _ in range(GOLDEN_SECTIONS):
                first, second = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
                better = saving(first) > saving(second)
                low, high = np.where(better, low, first), np.where(better, second, high)
            middle = (low + high) / 2
            chosen = np.argsort(-saving(middle), kind="stable")[: steps + 1 - len(shares)]
            shares = np.sort(np.concatenate([shares, middle[chosen]]))
        return shares

    def step_costs(self, revealed: ArrayLike) -> Floats:
        """Expected conditional total correlation in nats of the sites revealed together, step by step.

        Their sum over a schedule from 0 to 1 is the path KL of masked ancestral sampling with the exact
        posterior.

        Parameters
        ----------
        revealed : (steps + 1,) array_like
            Probabilities of a site to be revealed, not decreasing, from 0 to 1.

        Returns
        -------
        (steps,) float64 array
            Absolute error about 1e-15 times the entropy of the sequence.

        Raises
        ------
        TypeError, ValueError
            If revealed has fewer than two entries, decreases or leaves [0, 1].
        """
        shares = _shares(revealed)
        if len(shares) < 2 or (np.diff(shares) < 0.0).any():
            raise ValueError(
                f"revealed is {shares.tolist()!r:.80}; give at least 2 shares that do not decrease"
            )
        return np.diff(shares) * self.slope(shares[:-1]) - np.diff(self.entropy(shares))


def _shares(revealed: ArrayLike) -> Floats:
    shares = real_array(revealed, "revealed")
    if shares.ndim != 1:
        raise ValueError(f"revealed has shape {shares.shape}; give a one-dimensional array of shares")
    outside = (shares < 0.0) | (shares > 1.0)
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(f"revealed[{index}] is {float(shares[index])!r}; give shares from 0 to 1")
    return shares


def _weighted_powers(shares: Floats, power: int, weights: Floats, order: int) -> Floats:
    """Derivative of r^power sum_m weights_m (1 - r)^m at every share, (shares,)."""
    count, m = len(weights), np.arange(len(weights))
    # (1 - r)^m, by products: a power of each costs several times as much
    hidden = np.ones((len(shares), count))
    hidden[:, 1:] = 1.0 - shares[:, None]
    np.multiply.accumulate(hidden, axis=1, out=hidden)
    total = np.zeros(len(shares))
    for j in range(min(order, power) + 1):
        rest = order - j  # times the other factor is differentiated
        if rest >= count:
            continue
        falling = scipy.special.poch(m[rest:] - rest + 1, rest)
        factor = scipy.special.comb(order, j) * scipy.special.poch(power - j + 1, j) * (-1.0) ** rest
        total += factor * shares ** (power - j) * (hidden[:, : count - rest] @ (falling * weights[rest:]))
    return total
