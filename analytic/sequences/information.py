"""How much is known of a sequence when each site is revealed at random: what masked sampling costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from analytic.mixture_parameters import Floats, frozen, real_array
from analytic.sequences.markov import MarkovSequence


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
        self._singles = frozen(entr(law.marginals).sum(axis=1))
        heads = np.cumsum(law.marginals, axis=0)  # heads[k]: laws of the first k + 1 tokens, summed
        self._gaps = np.empty(law.length - 1)
        power = np.eye(law.vocabulary)
        for gap in range(1, law.length):
            power = power @ law.transition
            self._gaps[gap - 1] = heads[law.length - 1 - gap] @ entr(power).sum(axis=1)

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
        shares = _shares(revealed)[:, None]
        sites = np.arange(self.length)
        singles = shares * (1.0 - shares) ** sites
        gaps = shares**2 * (1.0 - shares) ** sites[:-1]
        return singles @ self._singles + gaps @ self._gaps

    def slope(self, revealed: ArrayLike) -> Floats:
        """Derivative F', the sum over sites of the expected entropy of a token given the revealed others.

        Parameters, result and errors as in `entropy`.
        """
        shares = _shares(revealed)[:, None]
        sites = np.arange(self.length)
        hidden, before = (1.0 - shares) ** sites, (1.0 - shares) ** np.maximum(sites - 1, 0)
        singles = hidden - shares * sites * before
        gaps = (2.0 * shares * hidden - shares**2 * sites * before)[:, :-1]
        return singles @ self._singles + gaps @ self._gaps

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
