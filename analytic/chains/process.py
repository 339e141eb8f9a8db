"""What all noise processes on a finite set of states share: laws, likelihoods, bridges, reverse rates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt

from ..mixtures.parameters import frozen
from .checks import Array, probabilities, time, tokens_below
from .schedules import Schedule


class SiteProcess(ABC):
    """A Markov process that noises each token of a sequence by itself, given by its transition matrices.

    Attributes
    ----------
    vocabulary : int
        Number of tokens V that data may hold: 0, ..., V - 1.
    states : int
        Number of states S of the process, V or, with a mask, V + 1. State v < V is token v.
    mask : int or None
        The state that is no token, always the last one, or None.
    start, stop : float
        Default times at which sampling starts and stops.
    end : float
        Largest time; 0 is the data.
    """

    name: ClassVar[str]
    vocabulary: int

    @property
    @abstractmethod
    def states(self) -> int: ...

    @property
    @abstractmethod
    def start(self) -> float: ...

    @property
    @abstractmethod
    def stop(self) -> float: ...

    @property
    @abstractmethod
    def end(self) -> float: ...

    @property
    @abstractmethod
    def prior(self) -> Array: ...

    @property
    def mask(self) -> int | None:
        """The state that is no token, or None."""
        return self.vocabulary if self.states > self.vocabulary else None

    def transition(self, s: float, t: float) -> Array:
        """Return P[x, y] = P(x_t = y | x_s = x), (S, S), rows summing to one.

        Raises TypeError and ValueError unless 0 <= s <= t <= end.
        """
        s, t = self._time("s", s), self._time("t", t)
        if s > t:
            raise ValueError(f"s is {s!r} and t is {t!r}; the forward process runs from s to a later t: swap")
        if s == t:
            return np.eye(self.states)
        with np.errstate(all="ignore"):
            matrix = self._transition(s, t)
        # Division rounds each sum once more; twice brings rows to one within an ulp or two.
        for _ in range(2):
            matrix = matrix / matrix.sum(axis=1, keepdims=True)
        return matrix

    def marginal(self, t: float, p0: npt.ArrayLike) -> Array:
        """Return the law of a site at time t, (..., S), when its token has the law p0, (..., V).

        Raises ValueError for a p0 that is not made of probabilities summing to one within 1e-12.
        """
        start = probabilities("p0", p0, self.vocabulary)
        return start @ self.transition(0, t)[: self.vocabulary]

    def likelihood(self, t: float, tokens: npt.ArrayLike) -> Array:
        """Return q(x_t = tokens | x_0 = v) for all v, (n, L, V) for (n, L) tokens, or any other shape.

        Raises TypeError and ValueError for tokens that are no states of the process.
        """
        noising = np.ascontiguousarray(self.transition(0, t)[: self.vocabulary].T)
        return noising[tokens_below("tokens", tokens, self.states)]

    def bridge(self, s: float, t: float) -> Array:
        """Return the law of x_s between its ends, B[x_t, x_0, x_s] = q(x_s | x_t, x_0), (S, V, S).

        Rows [x_t, x_0] that no path joins are zero; all others sum to one.
        """
        first = self.transition(0, s)[: self.vocabulary]
        last = self.transition(s, t)
        joint = first[None, :, :] * last.T[:, None, :]
        evidence = joint.sum(axis=-1, keepdims=True)
        return np.divide(joint, evidence, out=np.zeros_like(joint), where=evidence > 0)

    def score_ratios(self, t: float, cavity: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
        """Return p_t(x with state y at the site) / p_t(x) for all y, (..., S).

        Parameters
        ----------
        t : float
        cavity : (..., V) array_like
            Law of x_0 at the site given x_t at all other sites.
        tokens : (...) array_like of integers
            x_t at the site.

        Raises
        ------
        ValueError
            If a cavity does not sum to one, or gives the token probability zero at that time.
        """
        given, observed = self._pair("cavity", cavity, tokens)
        law = given @ self.transition(0, t)[: self.vocabulary]
        here = np.take_along_axis(law, observed[..., None], axis=-1)
        if not (here > 0).all():
            where = int(observed[here[..., 0] == 0].flat[0])
            raise ValueError(
                f"tokens holds {where} where the cavity gives it probability 0 at t = {t!r}; pass tokens that "
                "the process can reach from the data"
            )
        return law / here

    def _pair(self, name: str, law: npt.ArrayLike, tokens: npt.ArrayLike) -> tuple[Array, npt.NDArray]:
        """Return a law per site and its token, checked."""
        given = probabilities(name, law, self.vocabulary)
        observed = tokens_below("tokens", tokens, self.states)
        if given.shape[:-1] != observed.shape:
            raise ValueError(
                f"tokens has shape {observed.shape} and {name} {given.shape}; pass one law per token, "
                f"{(*observed.shape, self.vocabulary)}"
            )
        return given, observed

    def _time(self, name: str, value: object) -> float:
        return time(name, value, self.end)

    @abstractmethod
    def _transition(self, s: float, t: float) -> Array:
        """Transition matrix for s < t; rows may be off one by rounding."""


class Chain(SiteProcess):
    """A continuous-time Markov chain on t in [0, 1].

    Sampling stops at 0.001 by default, and starts at 1 where the reverse rates are finite there, else at
    0.999. Chains are immutable, and equal if of one class with equal parameters.
    """

    @property
    def end(self) -> float:
        """Largest time, 1."""
        return 1.0

    @property
    def start(self) -> float:
        """Default time at which sampling starts."""
        return 1.0

    @property
    def stop(self) -> float:
        """Default time at which sampling stops."""
        return 1e-3

    @abstractmethod
    def alpha(self, t: npt.ArrayLike) -> Array: ...

    @abstractmethod
    def d_alpha(self, t: npt.ArrayLike) -> Array: ...

    def rates(self, t: float) -> Array:
        """Return the generator R[x, y], rate of jumps x -> y at time t, (S, S), rows summing to zero.

        Raises ValueError where the rates are infinite, as where alpha(t) = 0.
        """
        t = self._time("t", t)
        with np.errstate(all="ignore"):
            matrix = self._rates(t)
        if not np.isfinite(matrix).all():
            raise ValueError(f"t is {t!r}, where the rates of {self!r} are infinite; pass a t in (0, 1)")
        np.fill_diagonal(matrix, 0.0)
        np.fill_diagonal(matrix, -matrix.sum(axis=1))
        return matrix

    def reverse_rates(self, t: float, posterior: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
        """Return the rates of the time-reversed process out of x_t, one site at a time, from posteriors.

        The rate of x -> y is R_t(y, x) p_t(x with y)/p_t(x), and the ratio is the posterior mean of
        q_t(y | x_0)/q_t(x | x_0).

        Parameters
        ----------
        t : float
            Above 0, where the posterior no longer decides the rates.
        posterior : (..., V) array_like
            Law of x_0 at the site given all of x_t.
        tokens : (...) array_like of integers
            x_t at the site.

        Returns
        -------
        (..., S) float64 array
            Rates to each state; the entry of the present state is minus the sum of the others.

        Raises
        ------
        ValueError
            If a posterior does not sum to one, or the rates are infinite at that time.

        References
        ----------
        Campbell et al. 2022, proposition 1 and eq. 4.
        """
        given, observed = self._pair("posterior", posterior, tokens)
        t = self._time("t", t)
        with np.errstate(all="ignore"):
            rates = self._reverse_rates(t, given, observed)
        return self._outflow(t, rates, observed)

    def reverse_rates_from_cavity(self, t: float, cavity: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
        """Return what `reverse_rates` does, from cavities: R_t(y, x) times `score_ratios`.

        It holds at t = 0 too, where rates are finite; raises ValueError as `rates` and `score_ratios` do.
        """
        ratios = self.score_ratios(t, cavity, tokens)
        observed = np.asarray(tokens)
        return self._outflow(t, self.rates(t).T[observed] * ratios, observed)

    def _outflow(self, t: float, rates: Array, observed: npt.NDArray) -> Array:
        """Set the present state's entry to minus the sum of the others, which must be finite."""
        np.put_along_axis(rates, observed[..., None], 0.0, axis=-1)
        if not np.isfinite(rates).all():
            raise ValueError(
                f"t is {t!r}, where reverse rates of {self!r} are infinite for these posteriors; pass a t "
                f"between 0 and {self.start:g}, and posteriors computed at that t"
            )
        np.put_along_axis(rates, observed[..., None], -rates.sum(axis=-1, keepdims=True), axis=-1)
        return rates

    def _reverse_rates(self, t: float, posterior: Array, observed: npt.NDArray) -> Array:
        noising = self.transition(0, t)[: self.vocabulary]
        here = noising.T[observed]
        # A token that cannot be noised to x has posterior 0 and no part in the mean.
        weights = np.where(posterior > 0, posterior / here, 0.0)
        return self.rates(t).T[observed] * (weights @ noising)

    @abstractmethod
    def _rates(self, t: float) -> Array:
        """Rate matrix; its diagonal is not looked at."""


class Scheduled(Chain):
    """A chain whose rates are a constant matrix times the rate of a schedule."""

    schedule: Schedule | str

    @property
    def _schedule(self) -> Schedule:
        return cast(Schedule, self.schedule)  # named() has made it one

    def alpha(self, t: npt.ArrayLike) -> Array:
        """exp(-integrated rate) of the schedule at time t."""
        return self._schedule.alpha(t)

    def d_alpha(self, t: npt.ArrayLike) -> Array:
        """Derivative of alpha in t."""
        return self._schedule.d_alpha(t)

    @property
    def start(self) -> float:
        """Default time at which sampling starts: 1, or 0.999 if alpha(1) = 0."""
        return 1.0 if self._schedule.alpha(1.0) > 0 else 0.999

    def _rates(self, t: float) -> Array:
        # Not 0 times infinity where a rate is absent.
        unit = self._unit_rates
        return np.where(unit == 0, 0.0, unit * self._schedule.rate(t))

    @property
    @abstractmethod
    def _unit_rates(self) -> Array:
        """The rate matrix in the clock of the integrated rate."""


def point(states: int, state: int) -> Array:
    """Return the law that sits on one state."""
    law = np.zeros(states)
    law[state] = 1.0
    return frozen(law)
