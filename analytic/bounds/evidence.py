"""An evidence bound, term by term, beside the exact log-likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..mixtures.parameters import Floats


@dataclass(frozen=True, eq=False)
class Evidence:
    """The exact log-likelihood of sequences and the evidence lower bound of a sampler, in nats.

    Attributes
    ----------
    length : int
        Tokens in a sequence.
    log_likelihood : (n,) float64 array
        Exact log p(x_0).
    initial : (n,) float64 array
        KL divergence of the law of x at the first time, given x_0, from the law the sampler starts with.
    path : (n, steps) float64 array
        Expected KL divergence of each step; one column in continuous time, the integral.
    reconstruction : (n,) float64 array
        Expected -log p(x_0 | x at the last time), zero if that is time 0.
    error : (n,) float64 array
        Standard error of the bound by Monte Carlo, or the time integral's error estimate; zero for finite sums.
    """

    length: int
    log_likelihood: Floats
    initial: Floats
    path: Floats
    reconstruction: Floats
    error: Floats

    @property
    def bound(self) -> Floats:
        """The evidence lower bound, minus the sum of all terms, (n,)."""
        return -(self.initial + self.path.sum(axis=1) + self.reconstruction)

    @property
    def gap(self) -> Floats:
        """Exact log-likelihood less the bound, (n,).

        Its mean over the data is the divergence of the sampler's path from the true one, never below zero. Single
        sequences can fall below: what is bounded is their log-likelihood under the sampler, which for some is larger.
        """
        return self.log_likelihood - self.bound

    @property
    def exact_bits(self) -> Floats:
        """Exact bits per token, -log2 p(x_0) / length, (n,)."""
        return -self.log_likelihood / (self.length * np.log(2.0))

    @property
    def bound_bits(self) -> Floats:
        """Bits per token by the bound, (n,): what papers report as an upper bound."""
        return -self.bound / (self.length * np.log(2.0))
