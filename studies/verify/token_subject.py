"""A sampler of tokens as it comes: a step (posterior, x, t, s) -> tokens or probabilities, or a method by its law."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import chains, sequences
from solvers.discrete.flow import noising

from .adapters.shared import Instead, replaced
from .forms import taken_step

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]
Posterior = Callable[[Any, Any], Array]
Uniform = Callable[..., Array]
NOISES: Mapping[str, Callable[[int], chains.Chain]] = {"masked": chains.Absorbing, "uniform": chains.Uniform}


def states_of(states: int, length: int) -> Tokens:
    """Return all sequences, (states^length, length), the last site fastest."""
    return np.stack(np.unravel_index(np.arange(states**length), (states,) * length), axis=1).astype(np.int64)


@dataclass
class Stepped:
    """What one step did: what it returned, and the times at which it asked the posterior."""

    given: Any
    asked: list[float] = field(default_factory=list)
    uniforms: int = 0


@dataclass(frozen=True)
class TokenSubject:
    """A sampler of tokens to verify.

    Its step is `step(posterior, x, t, s)`, or `step(posterior, x, t, s, uniform)`: `posterior(x, t)` is the exact law
    P(x_0 = v | x_t = x) of each site, (n, L, V); x (n, L) are the tokens at time t, 0 .. V - 1 and V for a mask; s < t
    is the time to go to, and alpha(t) = 1 - t the share of tokens without noise. It returns the tokens at s, drawn with
    `uniform(*shape)` or with numpy's or torch's own, or each site's probabilities (n, L, states), whose law is exact.

    Attributes
    ----------
    where : str
        As `Subject.where`.
    noise : str
        "masked" or "uniform".
    order : float or None
        Of the law in total variation; inf for an exact sampler.
    exact : bool
        Whether the law of a sequence of one token is exact, as that of ancestral sampling is.
    nfe : float or None
        Evaluations a step.
    jumps : int or None
        The most sites that change in a step.
    corrector : bool
        A step from t to t that leaves the marginal as it is.
    given : callable, optional
    """

    where: str
    noise: str = "masked"
    order: float | None = 1.0
    exact: bool = False
    nfe: float | None = None
    jumps: int | None = None
    corrector: bool = False
    given: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return f"{self.where}, {self.noise}"

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The step, or what has a law of its own."""
        return taken_step(self.where) if self.given is None else self.given

    @property
    def steps_at_once(self) -> bool:
        """Whether there is a step to ask, not a law alone."""
        return not hasattr(self.function, "law")

    def process(self, vocabulary: int) -> chains.Chain:
        """Return the noise, linear in time."""
        return NOISES[self.noise](vocabulary)

    def states(self, vocabulary: int) -> int:
        """Return how many states a site has."""
        return int(self.process(vocabulary).states)

    def step(
        self, data: sequences.SequenceLaw, x: Tokens, t: float, s: float, uniform: Uniform | None = None
    ) -> Stepped:
        """Take one step from given tokens."""
        stepped = Stepped(None)
        process = self.process(data.vocabulary)

        def asked(places: Any, time: Any) -> Array:
            stepped.asked.append(float(time))
            return posterior(data, process, np.asarray(places), float(time))

        def drawn(*shape: Any) -> Array:
            stepped.uniforms += 1
            return (uniform or np.random.default_rng(stepped.uniforms).random)(_shape(shape))

        function = self.function
        extra = {"uniform": drawn} if "uniform" in inspect.signature(function).parameters else {}
        with _drawn_by(function, drawn):
            stepped.given = function(asked, x, t, s, **extra)
        return stepped

    def law(self, data: sequences.SequenceLaw, grid: Array) -> Array | None:
        """Return the exact law at the end from the exact one at the start, (states,) * L; None if tokens come back."""
        process = self.process(data.vocabulary)
        if hasattr(self.function, "law"):
            return np.asarray(self.function.law(process, data, grid))
        weights = marginal(data, process, float(grid[0])).ravel()
        states = states_of(int(process.states), data.length)
        for t, s in zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True):
            reached = weights > 0
            given = np.asarray(self.step(data, states[reached].copy(), t, s).given)
            if given.dtype.kind in "iu":
                return None
            matrix = np.zeros((len(states), len(states)))
            matrix[reached] = product(given)
            weights = weights @ matrix
        return weights.reshape((int(process.states),) * data.length)

    def samples(self, data: sequences.SequenceLaw, grid: Array, n: int, seed: int) -> Array:
        """Return shares of n samples at the grid's end, (states,) * L, from the exact law at its start."""
        process, rng = self.process(data.vocabulary), np.random.default_rng(seed)
        size = int(process.states)
        states = states_of(size, data.length)
        weights = marginal(data, process, float(grid[0])).ravel()
        x = states[rng.choice(len(states), n, p=weights)]
        for t, s in zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True):
            x = np.asarray(self.step(data, x, t, s, rng.random).given)
        shape = (size,) * data.length
        counted = np.bincount(np.ravel_multi_index(tuple(x.T), shape), minlength=len(states))
        return np.asarray(counted.reshape(shape) / n)


def product(rows: Array) -> Array:
    """Return laws of sequences whose sites are independent, (n, states^L), from each site's, (n, L, states)."""
    out = np.ones((len(rows), 1))
    for site in range(rows.shape[1]):
        out = (out[:, :, None] * rows[:, site, None, :]).reshape(len(rows), -1)
    return out


def posterior(data: sequences.SequenceLaw, process: chains.Chain, x: Tokens, t: float) -> Array:
    """Return P(x_0 = v at each site | x_t = x) by Bayes' rule over all sequences, (n, L, V); each state once."""
    V, L, S = data.vocabulary, data.length, int(process.states)
    numbers, back = np.unique(np.ravel_multi_index(tuple(x.T), (S,) * L), return_inverse=True)
    seen = np.stack(np.unravel_index(numbers, (S,) * L), axis=1)
    tokens, q = states_of(V, L), noising(process, t)
    joint = data.pmf().ravel()[None, :] * np.ones((len(seen), 1))
    for site in range(L):
        joint = joint * q[tokens[:, site]][:, seen[:, site]].T
    evidence = joint.sum(axis=1)
    if np.any(evidence == 0):
        raise FloatingPointError(
            f"tokens that cannot be at t = {t:.4g} are asked about: {seen[evidence == 0][0]}"
        )
    joint = joint / evidence[:, None]
    laws = np.stack(
        [np.stack([joint[:, tokens[:, l] == v].sum(axis=1) for v in range(V)], axis=1) for l in range(L)],
        axis=1,
    )
    return np.asarray(laws[back.ravel()])


def marginal(data: sequences.SequenceLaw, process: chains.Chain, t: float) -> Array:
    """Return the law of the noised sequence, (states,) * L."""
    out, q = data.pmf(), noising(process, t)
    for site in range(data.length):
        out = np.moveaxis(np.tensordot(out, q, axes=(site, 0)), -1, site)
    return np.asarray(out)


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Return a shape given as numbers or as one sequence of them."""
    return tuple(int(n) for n in (shape[0] if len(shape) == 1 and np.ndim(shape[0]) else shape))


def _drawn_by(function: Callable[..., Any], uniform: Uniform) -> Any:
    """Replace torch.rand and rand_like, and numpy.random's random and rand, of a function's own module."""
    import sys
    from contextlib import nullcontext

    home = sys.modules.get(getattr(function, "__module__", ""))
    if home is None or not {"torch", "np"} & set(vars(home)):
        return nullcontext()
    names: dict[str, Any] = {
        "np": Instead(np, {"random": Instead(np.random, {"random": uniform, "rand": uniform})})
    }
    if "torch" in vars(home):
        import torch

        def rand(*shape: Any, dtype: Any = None, **_: Any) -> Any:
            u, dtype = uniform(*shape), dtype or torch.get_default_dtype()
            # as torch draws them: multiples of 2^-24 or 2^-53, below 1
            bits = 2.0 ** (24 if dtype == torch.float32 else 53)
            return torch.from_numpy(np.minimum(np.floor(u * bits), bits - 1) / bits).to(dtype)

        names["torch"] = Instead(
            torch, {"rand": rand, "rand_like": lambda x, **k: rand(*x.shape, dtype=k.get("dtype") or x.dtype)}
        )
    return replaced([home], names)
