"""What is timed: samplers of mixtures and of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np

from analytic import GaussianMixture, chains, paths, sequences
from solvers import catalogue, grids, reductions, sample
from solvers.continuous.tableau import Tableau
from solvers.discrete import Kernel

from . import limits

PATH = paths.VP()
STEPS = {"ddpm": 100, "heun": 50, "dpm-solver++-2m": 50, "masked": 64, "uniform": 64}
NOISES: Mapping[str, Callable[[int], chains.Absorbing | chains.Uniform]] = {
    "masked": chains.Absorbing,
    "uniform": chains.Uniform,
}


class Work(Protocol):
    """A sampler to time.

    Attributes
    ----------
    unit : str
        What times are given for.
    units : int
        How many of them a sample takes.
    samples : int
        Drawn at a time, so that a call takes a few tenths of a second.
    reduction : Reduction
        What is kept where samples are not.
    """

    unit: ClassVar[str]

    @property
    def units(self) -> int: ...

    @property
    def samples(self) -> int: ...

    @property
    def reduction(self) -> Any: ...

    def sampler(self) -> Callable[..., Any]:
        """Return draw(n, **keywords), which is `solvers.sample`."""

    def bound(self) -> float:
        """Return nanoseconds a unit that the multiplications alone take here, nan where they are not counted."""


def isotropic(components: int, dim: int) -> GaussianMixture:
    """Return an isotropic mixture with means drawn at random, seed 0."""
    rng = np.random.default_rng(0)
    means = 2.0 * rng.standard_normal((components, dim))
    weights = rng.uniform(0.5, 1.0, components)
    variances = np.repeat(rng.uniform(0.05, 0.2, (components, 1)), dim, axis=1)
    return GaussianMixture(weights / weights.sum(), means, variances)


def chain_of(vocabulary: int, length: int) -> sequences.MarkovSequence:
    """Return a chain with random transitions between 0.15 and 0.7 before rows are normalised, seed 1."""
    matrix = np.random.default_rng(1).uniform(0.15, 0.7, (vocabulary, vocabulary))
    start = np.full(vocabulary, 1 / vocabulary)
    return sequences.MarkovSequence(start, matrix / matrix.sum(axis=1, keepdims=True), length)


@dataclass(frozen=True)
class Workload:
    """A sampler of a mixture: method, components and dimensions of the target, float type, steps."""

    method: str
    components: int
    dim: int
    dtype: str
    steps: int

    unit: ClassVar[str] = "sample and step"

    @property
    def target(self) -> GaussianMixture:
        """The mixture."""
        return isotropic(self.components, self.dim)

    @property
    def tableau(self) -> Tableau:
        """The method on an even grid of times."""
        return catalogue[self.method].tableau(PATH, grids.uniform(PATH, self.steps))

    @property
    def units(self) -> int:
        """Steps."""
        return self.steps

    @property
    def samples(self) -> int:
        """How many are drawn at a time, so that a call takes a few tenths of a second."""
        return int(np.clip(2**25 / (4 + self.components * self.dim), 8192, 2**21))

    @property
    def reduction(self) -> reductions.Moments:
        """Mean and covariance."""
        return reductions.Moments()

    def sampler(self) -> Callable[..., Any]:
        """Return draw(n, **keywords), which is `solvers.sample`."""
        return partial(sample, self.tableau, self.target, dtype=self.dtype, initial="prior")

    def bound(self) -> float:
        """Return nanoseconds a sample and step that the multiplications take at the peak measured now."""
        peak = limits.fused_multiplications(self.dtype)
        return 1e9 * limits.multiplications(self.tableau, self.target, self.dtype) / peak

    def __str__(self) -> str:
        return f"{self.method}, K = {self.components}, d = {self.dim}, {self.dtype}"


@dataclass(frozen=True)
class Tokens:
    """Ancestral sampling of a Markov chain's tokens: noise, vocabulary, length, steps."""

    noise: str
    vocabulary: int
    length: int
    steps: int

    unit: ClassVar[str] = "token and step"

    @property
    def data(self) -> sequences.MarkovSequence:
        """The chain."""
        return chain_of(self.vocabulary, self.length)

    @property
    def process(self) -> chains.Absorbing | chains.Uniform:
        """The noise, with its linear schedule."""
        return NOISES[self.noise](self.vocabulary)

    @property
    def kernel(self) -> Kernel:
        """The method on an even grid of times."""
        process = self.process
        return catalogue["tweedie-tau-leaping"].kernel(process, grids.uniform(process, self.steps))

    @property
    def units(self) -> int:
        """Sites times steps."""
        return self.length * self.steps

    @property
    def samples(self) -> int:
        """How many are drawn at a time, so that a call takes a few tenths of a second."""
        return max(64, (2**19 if self.noise == "masked" else 2**16) // self.length)

    @property
    def reduction(self) -> reductions.Ngrams:
        """Pairs of neighbours."""
        return reductions.Ngrams(2, self.process.states)

    def sampler(self) -> Callable[..., Any]:
        """Return draw(n, **keywords), which is `solvers.sample`."""
        return partial(sample, self.kernel, self.data, initial="prior")

    def bound(self) -> float:
        """Return nan: what its arithmetic allows is not counted."""
        return float("nan")

    def __str__(self) -> str:
        return f"{self.noise}, V = {self.vocabulary}, L = {self.length}, {self.steps} steps"
