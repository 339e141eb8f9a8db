"""Where a site's mass goes in one step: flows out of the present state, linear in what the model says.

With c the cavity of a site, x its present state and Z = sum_v c_v q_t(x | v), every flow here has the form

    flow_y = [gain_x (own c_y + base_y) + here_y c_x] / Z + direct c_y + free_y          (mixture noise)
    flow_y = back_xy (sum_v c_v to_vy) / Z + sum_v c_v direct_vy + free_xy               (any other noise)

for y != x. A flow is a probability, as of the bridge, or a rate. Both the exact law and the samplers read it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analytic import chains

Array = NDArray[np.float64]
Process = chains.SiteProcess


class Coefficients(NamedTuple):
    """What compiled code reads of a flow; arrays of the form that is not used are empty.

    Attributes
    ----------
    keep, add : float, (S,)
        q_t(x | v) = keep [x = v] + add_x.
    gain, base, here, free : (S,)
    own, direct : float
    mean : bool
        The posterior is put where the cavity belongs.
    seen : (S, V)
        q_t(x | v) by [x, v].
    back, to, direct_to, free_from : (S, S), (V, S), (V, S), (S, S)
    """

    keep: float
    add: Array
    gain: Array
    own: float
    base: Array
    here: Array
    direct: float
    free: Array
    mean: bool
    seen: Array
    back: Array
    to: Array
    direct_to: Array
    free_from: Array


@dataclass(frozen=True)
class Flow:
    """A flow at one time, with the level of noise it is evaluated at.

    Attributes
    ----------
    process : SiteProcess
    t : float
        Time of the model evaluation.
    coefficients : Coefficients
    """

    process: Process
    t: float
    coefficients: Coefficients

    @property
    def dense(self) -> bool:
        """True where the noise is no mixture and matrices are needed."""
        return self.coefficients.seen.size > 0

    def __mul__(self, factor: float) -> Flow:
        """Return the flow times a number."""
        c = self.coefficients
        scaled = {
            name: getattr(c, name) * factor
            for name in ("gain", "here", "direct", "free", "back", "direct_to", "free_from")
        }
        return replace(self, coefficients=c._replace(**scaled))

    __rmul__ = __mul__

    def __add__(self, other: Flow) -> Flow:
        """Add a flow at the same time; at most one of the two may have a gain.

        Raises ValueError where the sum leaves the form above.
        """
        a, b = self.coefficients, other.coefficients
        if (self.process, self.t, a.mean) != (other.process, other.t, b.mean):
            raise ValueError(
                "flows at different times or of different processes: add flows of one evaluation"
            )
        if (a.gain.any() and b.gain.any()) or (a.back.any() and b.back.any()):
            raise ValueError(
                "both flows have a gain: their sum is not of the form that sites are stepped with"
            )
        lead = a if a.gain.any() or a.back.any() else b
        added = {
            name: getattr(a, name) + getattr(b, name)
            for name in ("here", "direct", "free", "direct_to", "free_from")
        }
        return replace(self, coefficients=lead._replace(**added))


def bridge(process: Process, t: float, s: float, *, mean: bool = False) -> Flow:
    """Probabilities of x_s given x_t, averaged over x_0 with the exact posterior.

    With `mean` the posterior mean of x_0 is put into q(x_s | x_t, x_0) as if it were the law of x_0 without the
    site: what D3PM-like code does, biased unless the noise is a mask.

    References
    ----------
    Austin et al. 2021 (D3PM), eq. 3 and 4; Shi et al. 2024 (MD4), eq. 5.
    """
    if isinstance(process, chains.Mixture):
        _, moved = process.split(s, t)
        return _mixture(process, t, moved, float(process.alpha(s)), process.noise_law(s), mean=mean)
    s, t = clock(process, s), clock(process, t)
    return _dense(process, t, process.transition(s, t).T, noising(process, s), mean=mean)


def reverse_rates(process: chains.Chain, t: float) -> Flow:
    """Rates of the time-reversed process, R_t(y, x) p_t(x with y)/p_t(x).

    References
    ----------
    Campbell et al. 2022, proposition 1 and eq. 4.
    """
    _needs_rates(process)
    if isinstance(process, chains.Mixture):
        odds = process.odds(t)
        # one state of infinite odds is a mask, which nothing flows to
        if np.isinf(odds).sum() > 1:
            raise _infinite(process, t)
        return _mixture(process, t, process.inflow(t), 1.0, odds)
    if float(process.alpha(t)) == 0.0:
        raise _infinite(process, t)
    return _dense(process, t, process.rates(t).T, noising(process, t))


def forward_rates(process: chains.Chain, t: float) -> Flow:
    """Rates of the forward process, R_t(x, y): added to the reverse ones they leave p_t unchanged.

    References
    ----------
    Campbell et al. 2022, section 4.4.
    """
    _needs_rates(process)
    rates = process.rates(t)
    if isinstance(process, chains.Mixture):
        flow = _mixture(process, t, np.zeros(process.states), 0.0, np.zeros(process.states))
        # all rows are alike off the diagonal: rates into y, whatever the state left
        into = np.where(np.eye(process.states, dtype=bool), 0.0, rates).max(axis=0)
        return replace(flow, coefficients=flow.coefficients._replace(free=into))
    flow = _dense(process, t, np.zeros_like(rates), np.zeros((process.vocabulary, process.states)))
    return replace(flow, coefficients=flow.coefficients._replace(free_from=rates))


def endpoint(process: Process, t: float) -> Flow:
    """Probabilities p(x_0 = y | x_t) of the tokens other than the present state.

    Times -alpha'/(1 - alpha) they are the velocity of discrete flow matching. Raises ValueError unless the noise
    is Absorbing or Uniform: elsewhere pi changes in time, or the noise is no mixture.

    References
    ----------
    Gat et al. 2024 (discrete flow matching), mixture paths.
    """
    process = _fixed(process)
    return _mixture(process, t, process.noise_law(t), 1.0, np.zeros(process.states))


def arrival_rate(process: Process, t: float) -> float:
    """-alpha'/(1 - alpha): the rate at which flow matching moves a noisy site to its token.

    Raises ValueError unless the noise is Absorbing or Uniform, and where the rate is infinite.
    """
    process = _fixed(process)
    with np.errstate(divide="ignore"):
        rate = float(process.inflow(t).sum() / process.noise_law(t).sum())
    if not np.isfinite(rate):
        raise ValueError(f"grid has the time {t!r}, where the rates of {process!r} are infinite: start later")
    return rate


def velocity(process: Process, t: float, stochasticity: float = 0.0) -> Flow:
    """Rates of discrete flow matching, -alpha'/(1 - alpha) p(x_0 = y | x_t): p_t as by time reversal, other paths.

    They move a site to its token and never between noisy states; under a mask they are the time-reversed rates.
    With eta = `stochasticity`, rates in detailed balance with q_t(. | x_0) are added: eta from x_0 to each state
    that noise leads to, and eta q_t(x_0 | x_0)/q_t(x | x_0) back.

    References
    ----------
    Gat et al. 2024; Campbell et al. 2024 (discrete flow models), R* + eta R_DB.
    """
    process = _fixed(process)
    flow = endpoint(process, t)
    at = flow.coefficients
    flow = flow * arrival_rate(process, t)
    if stochasticity == 0.0:
        return flow
    # q_t(v | v) is alike for all tokens v, as is q_t(y | v) for y != v
    back = stochasticity * (at.keep + at.add[0]) * (process.prior > 0)
    gain = flow.coefficients.gain + back
    return replace(flow, coefficients=flow.coefficients._replace(gain=gain, here=back))


def resample(process: Process, t: float) -> Flow:
    """Probabilities of the site's own conditional law p_t(x_i | all other sites): one Gibbs update."""
    if isinstance(process, chains.Mixture):
        empty = np.zeros(process.states)
        flow = _mixture(process, t, empty, 0.0, empty)
        here = flow.coefficients._replace(direct=float(process.alpha(t)), free=process.noise_law(t))
        return replace(flow, coefficients=here)
    t = clock(process, t)
    flow = _dense(process, t, np.zeros((process.states,) * 2), np.zeros((process.vocabulary, process.states)))
    return replace(flow, coefficients=flow.coefficients._replace(direct_to=np.array(noising(process, t))))


def schedule_of(process: Process) -> chains.schedules.Schedule:
    """Return alpha(t) of masks or uniform noise; ValueError for other noise."""
    return chains.schedules.named(_fixed(process).schedule)


def half_noised(process: Process) -> float:
    """Return a time at which masks and tokens both occur; under masks posteriors are the same at all of them."""
    schedule = schedule_of(process)
    return float(schedule.time_of_noise(0.5 * schedule.noise(process.end)))


def _fixed(process: Process) -> chains.Absorbing | chains.Uniform:
    if not isinstance(process, chains.Absorbing | chains.Uniform):
        raise ValueError(
            f"noise is {process!r}, which is no mixture with a fixed law: flow matching takes chains.Absorbing "
            "or chains.Uniform"
        )
    return process


def _infinite(process: chains.Chain, t: float) -> ValueError:
    return ValueError(
        f"grid has the time {t!r}, where the reverse rates of {process!r} are infinite: start at "
        f"{min(process.start, 0.999):g}"
    )


def noising(process: Process, t: float) -> Array:
    """Law of a site's state at t for every token, q_t(y | v) by [v, y], (V, S)."""
    return np.asarray(process.transition(0, clock(process, t))[: process.vocabulary])


def shown(process: Process, t: float) -> Array:
    """What a state tells of the token: `noising` up to a factor for each state, which no posterior sees.

    Where alpha = 0 a state that only its own token leads to, as under a mask, never occurs by noise; it still tells
    its token, by the limit alpha -> 0. So partly revealed sequences may start where all would be masked.
    """
    law = noising(process, t)
    if isinstance(process, chains.Mixture) and float(process.alpha(t)) == 0.0:
        law = law.copy()
        own = np.flatnonzero(process.noise_law(t)[: process.vocabulary] == 0.0)
        law[own, own] = 1.0
    return law


def _needs_rates(process: Process) -> None:
    if not isinstance(process, chains.Chain):
        raise ValueError(
            f"noise is {process!r}, which has no rates in continuous time: use tweedie-tau-leaping or plug-in-posterior"
        )


def clock(process: Process, t: float) -> Any:
    """Times of a chain in discrete time are whole numbers."""
    if isinstance(process, chains.D3PM):
        if t != int(t):
            raise ValueError(
                f"grid has the time {t!r}, but {process!r} has whole times only: use grids.explicit"
            )
        return int(t)
    return float(t)


def _mixture(
    process: chains.Mixture, t: float, gain: Array, own: float, base: Array, *, mean: bool = False
) -> Flow:
    states = process.states
    gain, base = np.array(gain, dtype=np.float64), np.array(base, dtype=np.float64)
    sources = np.flatnonzero(gain)
    # Where alpha = 0 the odds of a state are infinite, but nothing flows to it if it alone can be left.
    if len(sources) == 0:
        base[:] = 0.0
    elif len(sources) == 1:
        base[sources] = 0.0
    none = np.zeros((0, 0))
    return Flow(
        process,
        float(t),
        Coefficients(
            keep=float(process.alpha(t)),
            add=np.array(process.noise_law(t)),
            gain=gain,
            own=float(own),
            base=base,
            here=np.zeros(states),
            direct=0.0,
            free=np.zeros(states),
            mean=mean,
            seen=none,
            back=none,
            to=none,
            direct_to=none,
            free_from=none,
        ),
    )


def _dense(process: Process, t: float, back: Array, to: Array, *, mean: bool = False) -> Flow:
    none, seen = np.zeros(0), noising(process, t).T
    matrices = (np.array(m, dtype=np.float64, order="C") for m in (seen, back, to))
    seen, back, to = matrices
    return Flow(
        process,
        float(t),
        Coefficients(
            keep=0.0,
            add=none,
            gain=none,
            own=0.0,
            base=none,
            here=none,
            direct=0.0,
            free=none,
            mean=mean,
            seen=seen,
            back=back,
            to=to,
            direct_to=np.zeros_like(to),
            free_from=np.zeros_like(back),
        ),
    )
