"""The mixture family: q(x_t | x_0) keeps the token with probability alpha(t), else draws it from pi(t)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..mixtures.parameters import frozen, whole_number
from ..paths.gaussian import positive
from .checks import Array, elementwise
from .process import Chain, Scheduled, point
from .schedules import Schedule, named


class Mixture(Chain):
    """A chain with q(x_t | x_0) = alpha(t) delta_{x_0} + b(t), b = (1 - alpha) pi.

    Such a chain has R[x, y] = g_y + (alpha'/alpha) delta_{xy} with g = b' - (alpha'/alpha) b, and exists
    where g >= 0.
    """

    def noise_law(self, t: float) -> Array:
        """Return b(t) = (1 - alpha(t)) pi(t), the part of q(x_t | x_0) that does not depend on x_0, (S,)."""
        return self._noise_law(self._time("t", t))

    def inflow(self, t: float) -> Array:
        """Return alpha(t) g(t), (S,): alpha times the rate of jumps into each state, finite where alpha = 0."""
        return self._inflow(self._time("t", t))

    def odds(self, t: float) -> Array:
        """Return b(t)/alpha(t), (S,): exactly 0 where pi is, infinite elsewhere where alpha = 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._odds(self._time("t", t))

    def split(self, s: float, t: float) -> tuple[float, Array]:
        """Return (stay, moved) of the transition from s to a later t, which is stay I + 1 moved^T.

        Both keep their relative accuracy for short steps. Raises ValueError unless 0 <= s <= t <= end.
        """
        s, t = self._time("s", s), self._time("t", t)
        if s > t:
            raise ValueError(f"s is {s!r} and t is {t!r}; the forward process runs from s to a later t: swap")
        return (1.0, np.zeros(self.states)) if s == t else self._split_at(s, t)

    @abstractmethod
    def _noise_law(self, t: float) -> Array: ...

    @abstractmethod
    def _inflow(self, t: float) -> Array: ...

    @abstractmethod
    def _odds(self, t: float) -> Array: ...

    @abstractmethod
    def _split_at(self, s: float, t: float) -> tuple[float, Array]: ...

    def _transition(self, s: float, t: float) -> Array:
        stay, moved = self._split_at(s, t)
        return stay * np.eye(self.states) + moved

    def _rates(self, t: float) -> Array:
        inflow = self._inflow(t)
        rates = np.where(inflow == 0, 0.0, inflow / float(self.alpha(t)))
        return np.tile(rates, (self.states, 1))

    def _reverse_rates(self, t: float, posterior: Array, observed: npt.NDArray) -> Array:
        # With p the posterior and x the token, R(y, x) times the posterior mean of q(y | v)/q(x | v) is
        #   alpha g_x [p_y / b_x + (b_y/alpha) ((1 - p_x) / b_x + p_x / (alpha + b_x))],
        # finite also where alpha = 0 and forward rates are not.
        b, inflow, odds = self._noise_law(t), self._inflow(t), self._odds(t)
        alpha = float(self.alpha(t))
        padded = np.concatenate([posterior, np.zeros((*posterior.shape[:-1], self.states))], axis=-1)
        padded = padded[..., : self.states]
        here = np.take_along_axis(padded, observed[..., None], axis=-1)
        b_x, gain = b[observed][..., None], inflow[observed][..., None]
        leave = (1 - here) / b_x + here / (alpha + b_x)
        rates = gain * (padded / b_x + odds * leave)
        return np.where(gain == 0, 0.0, rates)


class Fixed(Mixture, Scheduled):
    """A mixture whose pi does not depend on time."""

    @property
    def prior(self) -> Array:
        """The law pi, (S,)."""
        return self._pi

    @property
    @abstractmethod
    def _pi(self) -> Array: ...

    @property
    def _unit_rates(self) -> Array:
        return self._pi - np.eye(self.states)

    def _noise_law(self, t: float) -> Array:
        return float(self._schedule.noise(t)) * self._pi

    def _inflow(self, t: float) -> Array:
        return -float(self._schedule.d_alpha(t)) * self._pi

    def _odds(self, t: float) -> Array:
        # A NumPy scalar, so that alpha = 0 gives infinity.
        return np.where(self._pi == 0, 0.0, self._schedule.noise(t) / self._schedule.alpha(t) * self._pi)

    def _split_at(self, s: float, t: float) -> tuple[float, Array]:
        stay, moved = self._schedule.step(s, t)
        return stay, moved * self._pi

    def _rates(self, t: float) -> Array:
        return Scheduled._rates(self, t)


@dataclass(frozen=True)
class Absorbing(Fixed):
    """Masking: each token turns into the mask, the last state, and stays there.

    S = V + 1. Sampling starts at t = 1, where all is masked if alpha(1) = 0, and stops at 0.001.

    Parameters
    ----------
    vocabulary : int
        At least 1.
    schedule : Schedule or str
        alpha(t), the share of unmasked tokens; by default "linear".

    References
    ----------
    Austin et al. 2021 (D3PM), section 3.1; Shi et al. 2024 (MD4); Sahoo et al. 2024 (MDLM).
    """

    vocabulary: int
    schedule: Schedule | str = "linear"
    name: ClassVar[str] = "absorbing"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        object.__setattr__(self, "vocabulary", whole_number(self.vocabulary, "vocabulary", least=1))
        object.__setattr__(self, "schedule", named(self.schedule))

    @property
    def states(self) -> int:
        """Number of states, V + 1."""
        return self.vocabulary + 1

    @property
    def start(self) -> float:
        """Default time at which sampling starts, 1: the reverse rates are finite there."""
        return 1.0

    @property
    def _pi(self) -> Array:
        return point(self.states, self.vocabulary)


@dataclass(frozen=True)
class Uniform(Fixed):
    """Uniform noise: tokens are redrawn uniformly from the vocabulary, themselves included.

    S = V. Sampling starts at t = 1, or 0.999 if alpha(1) = 0 and reverse rates are infinite there, and stops
    at 0.001.

    Parameters
    ----------
    vocabulary : int
        At least 2.
    schedule : Schedule or str
        alpha(t), the probability that a token was never redrawn; by default "linear".

    References
    ----------
    Austin et al. 2021 (D3PM), appendix A.2.1; Lou, Meng and Ermon 2024 (SEDD), section 3.3.
    """

    vocabulary: int
    schedule: Schedule | str = "linear"
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        object.__setattr__(self, "vocabulary", whole_number(self.vocabulary, "vocabulary", least=2))
        object.__setattr__(self, "schedule", named(self.schedule))

    @property
    def states(self) -> int:
        """Number of states, V."""
        return self.vocabulary

    @property
    def _pi(self) -> Array:
        return frozen(np.full(self.vocabulary, 1 / self.vocabulary))


@dataclass(frozen=True)
class Hybrid(Mixture):
    """Masking with uniform noise on the way (GIDD): all data at t = 0, all masks at t = 1.

    With c = B t^(gamma/2) (1 - t)^(gamma/2) and B = 2^gamma p/(1 - p), the token is kept with probability
    alpha = (1 - t)/(1 + c), masked with t/(1 + c), and redrawn from the V tokens with c/(1 + c), which is p at
    t = 1/2. S = V + 1. Sampling starts at 0.999 and stops at 0.001.

    Parameters
    ----------
    vocabulary : int
        At least 2.
    p_uniform : float
        p, the share of uniform noise at t = 1/2; strictly between 0 and 1.
    gamma : float
        Above 0 and at most 2: beyond it uniform noise would have to be withdrawn as t -> 1, and no Markov
        chain has these marginals.

    Notes
    -----
    The rate to the mask is 1/((1 - t)(1 + c)), that to each token c (gamma + (2 - 2 gamma) t) / (2 V t (1 - t)
    (1 + c)). For gamma < 2 the latter is infinite at t = 0, though its integral is finite.

    References
    ----------
    von Rutte et al. 2025 (GIDD), section 4 (mixing schedule), in the authors' code's parametrisation.
    """

    vocabulary: int
    p_uniform: float
    gamma: float = 1.0
    name: ClassVar[str] = "hybrid"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        object.__setattr__(self, "vocabulary", whole_number(self.vocabulary, "vocabulary", least=2))
        if positive("p_uniform", self.p_uniform) >= 1:
            raise ValueError(f"p_uniform is {self.p_uniform!r}; pass a number between 0 and 1")
        if positive("gamma", self.gamma) > 2:
            raise ValueError(f"gamma is {self.gamma!r}, which no Markov chain allows; pass at most 2")

    @property
    def states(self) -> int:
        """Number of states, V + 1."""
        return self.vocabulary + 1

    @property
    def start(self) -> float:
        """Default time at which sampling starts, 0.999."""
        return 0.999

    @property
    def prior(self) -> Array:
        """The law at t = 1, all mask, (S,)."""
        return point(self.states, self.vocabulary)

    def alpha(self, t: npt.ArrayLike) -> Array:
        """Probability that a token is untouched at time t."""
        return elementwise(lambda t: (1 - t) / (1 + self._c(t)), "t", t)

    def d_alpha(self, t: npt.ArrayLike) -> Array:
        """Derivative of alpha in t; minus infinity at t = 0 for gamma < 2."""
        # (1 - t) c' = (gamma/2) (c/t) (1 - 2 t), which is finite at t = 1.
        return elementwise(
            lambda t: (
                -(1 + self._c(t) + self.gamma / 2 * self._c_over_t(t) * (1 - 2 * t)) / (1 + self._c(t)) ** 2
            ),
            "t",
            t,
        )

    @property
    def _scale(self) -> float:
        return float(2**self.gamma * self.p_uniform / (1 - self.p_uniform))

    def _c(self, t: Array) -> Array:
        return self._scale * (t * (1 - t)) ** (self.gamma / 2)

    def _c_over_t(self, t: Array) -> Array:
        return self._scale * t ** (self.gamma / 2 - 1) * (1 - t) ** (self.gamma / 2)

    def _spread(self, uniform: Array, mask: Array) -> Array:
        """Spread a uniform mass over the tokens, and put the other on the mask."""
        law = np.full(self.states, uniform / self.vocabulary)
        law[-1] = mask
        return law

    def _noise_law(self, t: float) -> Array:
        time = np.asarray(t, dtype=np.float64)
        c = self._c(time)
        return self._spread(c / (1 + c), time / (1 + c))

    def _inflow(self, t: float) -> Array:
        time = np.asarray(t, dtype=np.float64)
        norm = (1 + self._c(time)) ** 2
        slope = self._c_over_t(time) * (self.gamma + (2 - 2 * self.gamma) * time) / 2
        return self._spread(slope / norm, 1 / norm)

    def _odds(self, t: float) -> Array:
        time = np.asarray(t, dtype=np.float64)
        c_over_rest = self._scale * time ** (self.gamma / 2) * (1 - time) ** (self.gamma / 2 - 1)
        return self._spread(c_over_rest, time / (1 - time))

    def _split_at(self, s: float, t: float) -> tuple[float, Array]:
        first, last = np.asarray(s, dtype=np.float64), np.asarray(t, dtype=np.float64)
        half = self.gamma / 2
        norm = 1 + self._c(last)
        stay = (1 - last) / (1 - first) * (1 + self._c(first)) / norm
        # c(t) - c(s) (1 - t)/(1 - s), whose terms nearly cancel for short steps.
        if s == 0 or t == 1:
            uniform = self._c(last)
        else:
            kept = (1 - last) / (1 - first)
            shrunk = np.log(kept) if kept < 0.5 else np.log1p(-(last - first) / (1 - first))
            growth = half * np.log1p((last - first) / first) + (half - 1) * shrunk
            uniform = kept * self._c(first) * np.expm1(growth)
        return float(stay), self._spread(uniform / norm, (last - first) / (1 - first) / norm)
