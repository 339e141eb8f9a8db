"""Chains that respect the order of the tokens, and chains with a rate matrix of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy

from ..mixtures.parameters import frozen, whole_number
from ..paths.gaussian import positive
from .checks import Array, generator
from .exponential import common_row, exponential, settled
from .process import Scheduled, point
from .schedules import Schedule, named


class Generated(Scheduled):
    """A chain whose transitions are exponentials of its rate matrix."""

    def _transition(self, s: float, t: float) -> Array:
        stay, moved = self._schedule.step(s, t)
        if stay == 0:
            return self._limit
        # The elapsed integrated rate, by whichever of its two forms does not cancel.
        amount = -np.log1p(-moved) if moved < 0.5 else -np.log(stay)
        return exponential(self._unit_rates, float(amount))

    @property
    def _limit(self) -> Array:
        return np.tile(self.prior, (self.states, 1))


class Ordinal(Generated):
    """A walk to the neighbours with S = V states, reversible, its slowest mode decaying as alpha(t)."""

    vocabulary: int

    @property
    def states(self) -> int:
        """Number of states, V."""
        return self.vocabulary


def nearest_neighbour(log_law: Array) -> Array:
    """Return the rates of a walk that is reversible with respect to a law, its spectral gap set to one.

    A step to the neighbour with more probability has rate 1 and its reverse the ratio of the two, before both
    are divided by the gap.
    """
    up = np.exp(np.minimum(np.diff(log_law), 0.0))
    down = np.exp(np.minimum(-np.diff(log_law), 0.0))
    rates = np.diag(up, 1) + np.diag(down, -1)
    exits = rates.sum(axis=1)
    # In the symmetric form of a reversible chain, off the diagonal is the geometric mean of the two rates.
    decay = scipy.linalg.eigvalsh_tridiagonal(exits, -np.sqrt(up * down), select="i", select_range=(1, 1))
    return frozen((rates - np.diag(exits)) / decay[0])


@dataclass(frozen=True)
class BirthDeath(Ordinal):
    """A symmetric walk to the nearest neighbours with reflecting ends; its stationary law is uniform.

    S = V. Rates are such that the slowest mode of the chain decays as alpha(t), so each neighbour is visited at
    beta(t) / (4 sin^2(pi/2V)) with beta = -alpha'/alpha. Sampling starts at t = 1, or 0.999 if alpha(1) = 0,
    and stops at 0.001.

    Parameters
    ----------
    vocabulary : int
        At least 2.
    schedule : Schedule or str
        alpha(t) = exp(-integrated rate); by default "linear".

    References
    ----------
    Campbell et al. 2022 (tauLDR), appendix E, whose time scale is another.
    """

    vocabulary: int
    schedule: Schedule | str = "linear"
    name: ClassVar[str] = "birth-death"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        object.__setattr__(self, "vocabulary", whole_number(self.vocabulary, "vocabulary", least=2))
        object.__setattr__(self, "schedule", named(self.schedule))

    @property
    def prior(self) -> Array:
        """The uniform law, (S,)."""
        return frozen(np.full(self.vocabulary, 1 / self.vocabulary))

    @cached_property
    def _unit_rates(self) -> Array:
        near = np.ones(self.vocabulary - 1)
        rates = np.diag(near, 1) + np.diag(near, -1)
        rates -= np.diag(rates.sum(axis=1))
        return frozen(rates / (4 * np.sin(np.pi / (2 * self.vocabulary)) ** 2))


@dataclass(frozen=True)
class GaussianOrdinal(Ordinal):
    """A walk to the nearest neighbours whose stationary law is a Gaussian on the tokens, centred on them.

    S = V, and pi_x is proportional to exp(-(x - (V - 1)/2)^2 / (2 width^2)), with which the rates are in
    detailed balance; inwards they are constant. The slowest mode decays as alpha(t). Sampling starts at t = 1,
    or 0.999 if alpha(1) = 0, and stops at 0.001.

    Parameters
    ----------
    vocabulary : int
        At least 2.
    width : float
        Standard deviation of the Gaussian in tokens, above 0.
    schedule : Schedule or str
        alpha(t) = exp(-integrated rate); by default "linear".

    References
    ----------
    Campbell et al. 2022 (tauLDR), appendix E, there with jumps beyond the nearest neighbour too.
    """

    vocabulary: int
    width: float
    schedule: Schedule | str = "linear"
    name: ClassVar[str] = "gaussian-ordinal"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        object.__setattr__(self, "vocabulary", whole_number(self.vocabulary, "vocabulary", least=2))
        object.__setattr__(self, "width", positive("width", self.width))
        object.__setattr__(self, "schedule", named(self.schedule))

    @cached_property
    def _log_prior(self) -> Array:
        x = np.arange(self.vocabulary) - (self.vocabulary - 1) / 2
        return -((x / self.width) ** 2) / 2

    @cached_property
    def prior(self) -> Array:
        """The stationary law, (S,)."""
        law = np.exp(self._log_prior - self._log_prior.max())
        return frozen(law / law.sum())

    @cached_property
    def _unit_rates(self) -> Array:
        return nearest_neighbour(self._log_prior)


@dataclass(frozen=True)
class PureDeath(Scheduled):
    """Blackout: a token is a count whose units die one by one, so x_t given x_0 is binomial(x_0, alpha(t)).

    S = V, counts 0 to V - 1; at alpha = 0 all is 0. Sampling starts at t = 1 and stops at 0.001.

    Parameters
    ----------
    vocabulary : int
        At least 2, at most 1024.
    schedule : Schedule or str
        alpha(t), the probability that a unit is alive; by default "linear". "constant" is the paper's clock.

    References
    ----------
    Santos et al. 2023 (Blackout diffusion), section 3.
    """

    vocabulary: int
    schedule: Schedule | str = "linear"
    name: ClassVar[str] = "pure-death"

    def __post_init__(self) -> None:
        """Validate the parameters."""
        object.__setattr__(self, "vocabulary", whole_number(self.vocabulary, "vocabulary", least=2))
        if self.vocabulary > 1024:
            raise ValueError(f"vocabulary is {self.vocabulary}; pass at most 1024, or General(Q) beyond")
        object.__setattr__(self, "schedule", named(self.schedule))

    @property
    def states(self) -> int:
        """Number of states, V."""
        return self.vocabulary

    @property
    def start(self) -> float:
        """Default time at which sampling starts, 1: the reverse rates are finite there."""
        return 1.0

    @property
    def prior(self) -> Array:
        """The law at alpha = 0, all dead, (S,)."""
        return point(self.states, 0)

    @property
    def _unit_rates(self) -> Array:
        counts = np.arange(self.states, dtype=np.float64)
        return np.diag(counts[1:], -1) - np.diag(counts)

    def _transition(self, s: float, t: float) -> Array:
        alive, dead = self._schedule.step(s, t)
        before, after = np.indices((self.states, self.states))
        gone = np.maximum(before - after, 0)
        return np.where(after <= before, scipy.special.comb(before, after) * alive**after * dead**gone, 0.0)

    def _reverse_rates(self, t: float, posterior: Array, observed: npt.NDArray) -> Array:
        # Births at -alpha'/(1 - alpha) (E[x_0] - x): finite at alpha = 0, where death rates are not.
        pace = -self._schedule.d_alpha(t) / self._schedule.noise(t)
        mean = posterior @ np.arange(self.vocabulary)
        up = observed[..., None] + 1 == np.arange(self.states)
        lacking = np.maximum(mean - observed, 0.0)[..., None]
        return np.where(up, pace * lacking, 0.0)


class General(Generated):
    """A chain with a rate matrix of one's own, scaled by the rate of a schedule.

    R_t = beta(t) Q with beta = -alpha'/alpha, so P(s, t) = exp(Q log(alpha(s)/alpha(t))). Sampling starts at
    t = 1, or 0.999 if alpha(1) = 0, and stops at 0.001.

    Parameters
    ----------
    Q : (S, S) array_like
        Rates, Q[x, y] of jumps x -> y: non-negative off the diagonal, rows summing to zero (1e-12 of the
        row's largest rate); ValueError if not.
    schedule : Schedule or str
        alpha(t) = exp(-integrated rate); by default "linear".
    vocabulary : int, optional
        Number of tokens, S by default; S - 1 makes the last state a mask.

    Notes
    -----
    Equality and hash go by the numbers in Q.
    """

    name: ClassVar[str] = "general"
    Q: Array
    vocabulary: int

    def __init__(
        self, Q: npt.ArrayLike, schedule: Schedule | str = "linear", vocabulary: int | None = None
    ) -> None:
        rates = frozen(generator("Q", Q))
        tokens = len(rates) if vocabulary is None else whole_number(vocabulary, "vocabulary", least=1)
        if tokens not in (len(rates), len(rates) - 1):
            raise ValueError(
                f"vocabulary is {tokens} for {len(rates)} states; pass {len(rates)}, or {len(rates) - 1} with "
                "the last state a mask"
            )
        vars(self).update(Q=rates, schedule=named(schedule), vocabulary=tokens)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: chains are immutable."""
        raise AttributeError(f"cannot assign to {name!r}: chains are immutable, build another one")

    def __delattr__(self, name: str) -> None:
        """Refuse: chains are immutable."""
        raise AttributeError(f"cannot delete {name!r}: chains are immutable, build another one")

    def __eq__(self, other: object) -> bool:
        """Equal rates, schedule and vocabulary."""
        if not isinstance(other, General):
            return NotImplemented
        same = self.schedule == other.schedule and self.vocabulary == other.vocabulary
        return same and np.array_equal(self.Q, other.Q)

    def __hash__(self) -> int:
        """Hash of the parameters."""
        return hash((self.Q.tobytes(), self.schedule, self.vocabulary))

    def __repr__(self) -> str:
        """Show the parameters, Q by its shape."""
        return f"General(Q={self.Q.shape}, schedule={self.schedule!r}, vocabulary={self.vocabulary})"

    @property
    def states(self) -> int:
        """Number of states, S."""
        return len(self.Q)

    @property
    def prior(self) -> Array:
        """The stationary law, (S,); ValueError where it depends on the state the chain starts from."""
        return frozen(common_row("Q", self._limit))

    @cached_property
    def _limit(self) -> Array:
        # One mean holding time of the busiest state, over and over.
        return settled(exponential(self.Q, 1 / max(float(-np.diag(self.Q).min()), 1e-300)))

    @property
    def _unit_rates(self) -> Array:
        return self.Q
