"""Moves that follow the exact reverse process event by event, so that the grid costs no accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from analytic import chains, sequences

from ...numerics.jit import in_parallel
from ..flow import Array, Process, half_noised, schedule_of
from ..model.cavities import Model
from ..model.every_state import Tables
from .event_loop import EXCEEDED, IMPOSSIBLE, RULES, walk, walk_all
from .event_rates import HYBRID, MASKED, UNIFORM, Data, Noise, envelope, fill_all_rates, moment
from .move import Move, Stream, Thread, Tokens, check_possible

MOST_TABLE, MOST_LAW_STATES = 4096, 4096
_NEVER = -45.0  # log n at which masks are 3e-20 of what they were: n = 0 for the law


def noise_of(process: Process) -> Noise:
    """Return a process as compiled code knows it. Raises ValueError unless it is Absorbing, Uniform or Hybrid."""
    V = process.vocabulary
    if isinstance(process, chains.Absorbing):
        return Noise(MASKED, V, 0.0, 0.0)
    if isinstance(process, chains.Uniform):
        return Noise(UNIFORM, V, 0.0, 0.0)
    if isinstance(process, chains.Hybrid):
        p = process.p_uniform
        return Noise(HYBRID, V, float(2**process.gamma * p / (1 - p)), float(process.gamma))
    raise ValueError(
        f"noise is {process!r}, whose rates are not known in closed form between the grid's times: event-driven "
        "methods take chains.Absorbing, chains.Uniform or chains.Hybrid"
    )


def data_of(data: sequences.SequenceLaw) -> Data:
    """Return a law as compiled code knows it.

    Raises ValueError unless it is a MarkovSequence or a Product, or has at most 4096 sequences.
    """
    V, L, none = data.vocabulary, data.length, np.zeros(0)
    if isinstance(data, sequences.MarkovSequence):
        matrices = np.array(data.transition, order="C").reshape(-1, V, V)
        return Data(np.array(data.initial), matrices if L > 1 else np.zeros((1, V, V)), none)
    if isinstance(data, sequences.Product):
        laws = np.stack([np.array(data.marginal(i)) for i in range(L)])
        rows = np.repeat(laws[1:, None, :], V, axis=1)
        return Data(laws[0], rows if L > 1 else np.zeros((1, V, V)), none)
    if V**L > MOST_TABLE:
        raise ValueError(
            f"data is {data!r} with {V}^{L} sequences: event-driven methods draw from a MarkovSequence, a Product or a "
            f"law of at most {MOST_TABLE} sequences"
        )
    return Data(none, np.zeros((1, V, V)), np.array(data.pmf()).ravel())


def log_clock(process: Process, t: float) -> float:
    """Return the clock s of `event_rates` at time t; infinite where alpha or the noise is zero."""
    with np.errstate(divide="ignore"):
        if isinstance(process, chains.Hybrid):
            return float(np.log(t) - np.log1p(-t))
        schedule = schedule_of(process)
        level = np.log(schedule.noise(t))
        return float(level if isinstance(process, chains.Absorbing) else level - np.log(schedule.alpha(t)))


@dataclass(frozen=True)
class ReverseEquation:
    """The reverse Kolmogorov equation from t to s over all states: what all rules of `Events` follow."""

    process: Process
    t: float
    s: float

    def __call__(self, weights: Array, tables: Tables) -> Array:
        """Integrate weights (S^L,) by an explicit method of order 8."""
        from scipy.integrate import solve_ivp  # which is slow to import

        if tables.size > MOST_LAW_STATES:
            raise ValueError(
                f"data has {tables.size} states: the law of event-driven methods is integrated over at most "
                f"{MOST_LAW_STATES}; shorten the sequences, or draw samples"
            )
        noise, data = noise_of(self.process), data_of(tables.data)
        start, stop = (max(log_clock(self.process, t), _NEVER) for t in (self.t, self.s))
        if start <= stop:
            return weights
        shape = (tables.size, tables.length, tables.states)
        rates = np.empty(shape)
        fill_all_rates(data, noise, start, tables.tokens, rates)
        impossible: NDArray[np.bool_] = np.any(np.isnan(rates), axis=(1, 2))
        check_possible(weights, ~impossible, self.t, "give a target without zeros")

        def slope(elapsed: float, w: Array) -> Array:
            fill_all_rates(data, noise, start - elapsed, tables.tokens, rates)
            rates[impossible] = 0.0
            out = -w * rates.sum(axis=(1, 2))
            for i in range(tables.length):
                moved = (w[:, None] * rates[:, i]).reshape(tables.states**i, tables.states, -1, tables.states)
                out += np.moveaxis(moved.sum(axis=1), -1, 1).ravel()
            return out

        span = start - stop
        # rates are at most 1 a site, so a first step of 0.05 is seldom too long, and fine grids take one step each
        end = solve_ivp(
            slope,
            (0.0, span),
            weights,
            method="DOP853",
            rtol=1e-13,
            atol=1e-17,
            first_step=min(span, 0.05),
        )
        if not end.success:
            raise FloatingPointError(
                f"the reverse equation from t = {self.t:g} was not integrated: {end.message}"
            )
        return np.asarray(end.y[:, -1])


@dataclass(frozen=True)
class Events(Move):
    """The reverse process from t to s, exactly: candidate events at a bounded rate, thinned at their moments.

    In the clock of `event_rates` a site jumps at a rate of at most 1. Lewis and Shedler 1979 is why thinning is exact.

    Attributes
    ----------
    process : Absorbing, Uniform or Hybrid
    t, s : float
    rule : str
        "direct": one stream of candidates for all sites that can jump, at one rate each; "sites": a stream for
        each site; "uniformized": one stream at a rate that is constant in -log alpha (masks: in 1 - alpha, hybrid
        noise: in t) from t to s. Candidates that the noise alone rejects are not evaluated by the first two.
    """

    process: Process
    t: float
    s: float
    rule: str
    by_events: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check that clocks and bounds are finite. Raises ValueError if not, or for other noise."""
        masked = noise_of(self.process).kind == MASKED
        if not masked and log_clock(self.process, self.t) == math.inf:
            raise ValueError(
                f"grid has the time {self.t!r}, where the reverse rates of {self.process!r} are infinite: "
                f"start at {self.process.start:g}"
            )
        if log_clock(self.process, self.s) == -math.inf and not (masked and self.rule != "uniformized"):
            raise ValueError(
                f"grid has the time {self.s!r}, where the noise is zero and the bound on rates infinite: "
                f"stop at a later time, such as {self.process.stop:g}"
            )

    @property
    def ends(self) -> tuple[float, float]:
        """Where the rule's clock starts and stops."""
        if self.rule != "uniformized":
            return log_clock(self.process, self.t), log_clock(self.process, self.s)
        if isinstance(self.process, chains.Hybrid):
            return self.t, self.s
        schedule = schedule_of(self.process)
        masked = isinstance(self.process, chains.Absorbing)
        clock = schedule.noise if masked else schedule.integrated_rate
        return float(clock(self.t)), float(clock(self.s))

    @property
    def bound(self) -> float:
        """Rate of candidates for each site that can jump, in the rule's clock.

        By `event_rates`, rates per unit of s are at most 1 under masks and for hybrid noise and 1 - n/V under
        uniform noise, n = 1 - alpha. With ds/dw of uniformization's clock w they are at most 1/n, 1/n - 1/V, and
        1/(t(1 - t)): the first two are largest at s, the last, which is convex, at one of the ends.
        """
        if self.rule != "uniformized":
            return 1.0
        if isinstance(self.process, chains.Hybrid):
            return max(1.0 / (t * (1.0 - t)) for t in (self.t, self.s))
        least = 1.0 / float(schedule_of(self.process).noise(self.s))
        return least if isinstance(self.process, chains.Absorbing) else least - 1.0 / self.process.vocabulary

    def evaluations(self, length: int) -> float:
        """Expected evaluations of the model, from the marginal at t: the integral of the rate of candidates."""
        from scipy.integrate import quad  # which is slow to import

        first, last = self.ends
        if self.rule == "uniformized":
            return length * self.bound * (first - last)
        noise = noise_of(self.process)

        def rate(s: float) -> float:
            now = moment(noise, s)
            token = (1.0 - now.b_mask) * envelope(noise, now, 0)
            return float(token + now.b_mask * envelope(noise, now, noise.vocabulary))

        return length * float(quad(rate, last, first, epsabs=1e-11, epsrel=1e-11, limit=200)[0])

    def push(self, weights: Array, tables: Tables) -> Array:
        return tables.carried(ReverseEquation(self.process, self.t, self.s), weights.tobytes()).copy()

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        self.count(tokens, model, stream)

    def count(self, tokens: Tokens, model: Model, stream: Stream) -> NDArray[np.int64]:
        """Move tokens (n, L) in place; return the evaluations of the model that each sample took, (n,).

        Raises FloatingPointError for tokens that the data forbid.
        """
        counts = np.empty(len(tokens), dtype=np.int64)
        how = (RULES[self.rule], data_of(model.data), noise_of(self.process), *self.ends, self.bound)
        in_parallel(walk_all, len(tokens), *how, tokens, *stream, counts)
        if (counts == IMPOSSIBLE).any():
            raise self.impossible("")
        if (counts == EXCEEDED).any():
            raise self.no_law(int((counts == EXCEEDED).sum()))
        return counts

    def thread(self, model: Model) -> Thread | None:
        data, noise = data_of(model.data), noise_of(self.process)
        # two numbers at least: a column of one alone is contiguous, which interpreted code is compiled again for
        scratch = {"table": (float, max(2, data.table.shape[0])), "due": (float, model.data.length)}
        return Thread(_carry, (RULES[self.rule], noise, *self.ends, self.bound), data, (), scratch)

    def impossible(self, why: str) -> FloatingPointError:
        return FloatingPointError(
            f"a sample has probability 0 at t = {self.t:g}, where the model is undefined: start from tokens that "
            "the target allows"
        )

    def no_law(self, sites: int) -> FloatingPointError:
        return FloatingPointError(
            f"a rate exceeds its bound {self.bound:g} between {self.t:g} and {self.s:g}"
        )


def _carry(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    rule, noise, start, stop, bound = plan.told
    scratch = (lines[0], (lines[1], lines[2], plan.scratch.table[:, r]), rows[0], plan.scratch.due[:, r])
    count = walk(
        rule,
        model,
        noise,
        start,
        stop,
        bound,
        plan.states[:, r],
        plan.seed,
        plan.first + r,
        plan.step,
        scratch,
    )
    plan.failed[r, 0], plan.failed[r, 1] = count == IMPOSSIBLE, count == EXCEEDED


class FirstHitting(Events):
    """Masks are revealed one at a time, each at the time its site is first hit; the law by counting reveals.

    Of m masked sites, each is hit before s with probability 1 - n_s/n_t, n = 1 - alpha, and all orders are
    equally likely: the law is a binomial mixture of chains that reveal k sites one by one.

    References
    ----------
    Zheng et al. 2024 (first-hitting sampler).
    """

    def push(self, weights: Array, tables: Tables) -> Array:
        from scipy.stats import binom  # which is slow to import

        L, V = tables.length, tables.process.vocabulary
        schedule = schedule_of(self.process)
        stay = float(schedule.noise(self.s)) / float(schedule.noise(self.t))
        clear = half_noised(self.process)
        posteriors, masked = tables.cavities(clear), tables.tokens == V
        count = masked.sum(axis=1)
        check_possible(weights, tables.possible(clear), self.t, "give a target without zeros")
        out: Array = np.zeros(tables.size)
        for m in range(L + 1):
            now = np.where(count == m, weights, 0.0)
            for k in range(m + 1):
                out += binom.pmf(k, m, 1.0 - stay) * now
                now = self._reveal(now, masked, posteriors)
        return out

    @staticmethod
    def _reveal(weights: Array, masked: NDArray[np.bool_], posteriors: Array) -> Array:
        """Carry weights through the reveal of one of the masked sites, any with the same probability."""
        size, L, V = posteriors.shape
        out, share = np.zeros(size), weights / np.maximum(masked.sum(axis=1), 1)
        for i in range(L):
            from_states = np.flatnonzero(masked[:, i] & (weights != 0.0))
            for v in range(V):
                # one state leads to each of these by this site and token: nothing is added up twice
                out[from_states + (v - V) * (V + 1) ** (L - 1 - i)] += (
                    share[from_states] * posteriors[from_states, i, v]
                )
        return out
