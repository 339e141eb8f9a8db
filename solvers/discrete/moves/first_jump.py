"""A leap that is exact until a site's first jump."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit

from analytic import chains

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, Coefficients, Flow, endpoint, schedule_of
from ..model import messages_of_one
from ..model.cavities import Model
from ..model.every_state import Tables
from ..model.messages_by_block import Likelihood
from .gibbs import put_site
from .move import Move, Stream, Thread, Tokens, defined
from .pair import fill_flows
from .site import LEAP, fill_flow, step_row, uniforms
from .sites import Sites

NODES, NODES_SHORT = 12, 8  # of Gauss-Legendre, to panels of length 1 and 1/4 at most
REACH = 40.0  # integrated rates after which a masked site is masked with probability 4e-18
LONGEST = 745.0  # exp(-745) is the smallest float64


def hazard(noise: chains.Chain, t: float, s: float) -> float:
    """Return log((1 - alpha_t)/(1 - alpha_s)), the integral of -alpha'/(1 - alpha) from s to t.

    At s = 0 it is infinite: 745 is returned under a mask, where no float64 tells the two apart. ValueError for
    Uniform noise, beyond 40: each token would leave, whatever its posterior.
    """
    from_noise, to_noise = _noise(noise, t), _noise(noise, s)
    integral = math.inf if to_noise == 0 else math.log(from_noise / to_noise)
    if integral > REACH and noise.mask is None:
        raise ValueError(
            f"grid goes from {t!r} to {s!r}, over which the integrated rates of {noise!r} are {integral:g}: "
            "stop above 0, and use finalise"
        )
    return min(integral, LONGEST)


def _noise(process: Any, t: float) -> float:
    """1 - alpha(t), without cancellation."""
    return float(process.noise_law(t).sum())


@dataclass(frozen=True)
class FirstJump(Move):
    """The first jump at its time, one new evaluation there, and a leap to the step's end.

    In the clock u = log((1 - alpha_t)/(1 - alpha)) all rates of the frozen posterior are constant, so the law is
    an integral over the u of the first jump, done by Gauss-Legendre panels to rounding.

    Attributes
    ----------
    flow : Flow
        The posterior at the step's start.
    reach : float
        The step's length in that clock.
    """

    flow: Flow
    reach: float
    nfe: float = 2.0
    by_events: ClassVar[bool] = True

    @property
    def times(self) -> tuple[float, ...]:
        return (self.flow.t,)

    def push(self, weights: Array, tables: Tables) -> Array:
        flows = np.empty((tables.size, tables.length, tables.states))
        k, cavities = self.flow.coefficients, tables.cavities(self.flow.t)
        in_parallel(fill_flows, tables.size, k, tables.tokens, cavities, flows)
        flows = defined(flows, weights, tables, self.flow.t)
        total = flows.sum(axis=(1, 2))
        out = weights * np.exp(-total * self.reach)
        for u, width in self._nodes():
            waiting = weights * np.exp(-total * u) * width
            jumped = sum(
                put_site(waiting[:, None] * flows[:, site], site, tables) for site in range(tables.length)
            )
            out += Sites(self._at(u), "leap", self.reach - u).push(np.asarray(jumped), tables)
        return out

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        k, waits = self.flow.coefficients, np.empty(len(tokens))
        cavities = model.cavities(self.flow.t, tokens)
        in_parallel(_first_jump, len(tokens), k, tokens, cavities, waits, self.reach, *stream)
        active = np.flatnonzero(waits < self.reach)
        if len(active) == 0:
            return
        # 1 - alpha shrinks by exp(-u); alpha itself is formed without cancellation, since it may start at 0
        alpha = k.keep - np.expm1(-waits[active]) * self.level
        noise = np.exp(-waits[active]) * self.level
        prior = np.asarray(model.process.prior)
        moved = tokens[active]
        likelihood = noise[:, None, None] * np.broadcast_to(
            prior[moved][:, :, None], (*moved.shape, model.process.vocabulary)
        )
        likelihood += alpha[:, None, None] * (moved[:, :, None] == np.arange(model.process.vocabulary))
        try:
            cavities = model.data.cavity(likelihood)
        except ValueError as error:
            raise FloatingPointError(
                f"a jump after t = {self.flow.t:g} led to a state of probability 0, where the model is undefined: give "
                f"a target without zeros ({error})"
            ) from error
        in_parallel(
            _leap_on,
            len(active),
            k,
            tokens,
            active,
            cavities,
            alpha,
            noise[:, None] * prior,
            self.reach - waits[active],
            *stream,
        )

    def thread(self, model: Model) -> Thread | None:
        if model.transitions is None:
            return None
        L, V, S = model.sizes
        told = (self.flow.coefficients, self.reach, self.level, np.array(model.process.prior))
        scratch = {"cavities": (float, L, V), "held": (float, L, S)}
        return Thread(_carry, told, model.transitions, (model.likelihood(self.flow.t),), scratch)

    @property
    def level(self) -> float:
        """1 - alpha at the step's start."""
        return _noise(self.flow.process, self.flow.t)

    def _at(self, u: float) -> Flow:
        process = self.flow.process
        return endpoint(process, float(schedule_of(process).time_of_noise(self.level * math.exp(-u))))

    def _nodes(self) -> list[tuple[float, float]]:
        length = min(self.reach, REACH)
        panels = max(1, math.ceil(length))
        # rates add up to the sequence's length at most, posteriors have their poles pi away: good to 1e-15
        points, widths = np.polynomial.legendre.leggauss(NODES if length > 0.25 else NODES_SHORT)
        half = length / panels / 2
        return [
            (half * (2 * panel + 1 + x), half * w)
            for panel in range(panels)
            for x, w in zip(points.tolist(), widths.tolist(), strict=True)
        ]


@njit(**COMPILED)
def jump_row(
    k: Any, tokens: Any, cavities: Any, reach: float, seed: Any, sample: int, step: int, flows: Any
) -> float:
    """Make the first jump of tokens (L,), in place, if it comes before `reach`; return its time.

    `flows` (L, S) is scratch.
    """
    L, S = flows.shape
    total = 0.0
    for i in range(L):
        fill_flow(k, tokens[i], cavities[i], flows[i])
        site = 0.0
        for y in range(S):
            site += flows[i, y]
        total += site
    u = uniforms(seed, sample, step, 0, 0)
    # never 0, where alpha could still be 0
    wait = -math.log(u[0]) / total if u[0] > 0.0 and total > 0.0 else math.inf
    if wait >= reach:
        return wait
    left = u[1] * total
    at, to = -1, -1
    for i in range(L):
        for y in range(S):
            if left >= 0.0 and flows[i, y] > 0.0:
                at, to = i, y
                left -= flows[i, y]
    tokens[at] = to
    return wait


@njit(**COMPILED)
def _first_jump(
    begin: int,
    end: int,
    k: Any,
    tokens: Any,
    cavities: Any,
    waits: Any,
    reach: float,
    seed: Any,
    first: int,
    step: int,
) -> None:
    """Fill waits (n,) with the times of the first jumps, and make those that come before the end."""
    flows = np.empty((tokens.shape[1], k.add.shape[0]))
    for r in range(begin, end):
        waits[r] = jump_row(k, tokens[r], cavities[r], reach, seed, first + r, step, flows)


@njit(**COMPILED)
def at_level(k: Any, alpha: float, noise: Any) -> Coefficients:
    """Return the posterior's coefficients at another level: alpha and the law (1 - alpha) pi, (S,)."""
    return Coefficients(
        alpha,
        noise,
        noise,
        k.own,
        k.base,
        k.here,
        k.direct,
        k.free,
        k.mean,
        k.seen,
        k.back,
        k.to,
        k.direct_to,
        k.free_from,
    )


@njit(**COMPILED)
def _leap_on(
    begin: int,
    end: int,
    k: Any,
    tokens: Any,
    rows: Any,
    cavities: Any,
    alpha: Any,
    noise: Any,
    reach: Any,
    seed: Any,
    first: int,
    step: int,
) -> None:
    """Leap with rows[begin:end] of tokens, each from its own level: alpha (m,) and the law (1 - alpha) pi, (m, S)."""
    law = np.empty(noise.shape[1])
    for m in range(begin, end):
        r = rows[m]
        level = at_level(k, alpha[m], noise[m])
        step_row(level, LEAP, reach[m], tokens[r], cavities[m], seed, first + r, step, 1, law)


def _carry(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    k, reach, level, prior = plan.told
    states, cavities, sample = plan.states[:, r], plan.scratch.cavities[:, :, r], plan.first + r
    expected, work = lines[0], lines[1]
    if not messages_of_one.cavities(model, plan.seen[0], states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    held = plan.scratch.held[:, :, r]
    wait = jump_row(k, states, cavities, reach, plan.seed, sample, plan.step, held)
    if wait >= reach:
        return
    # 1 - alpha shrinks by exp(-wait); alpha itself is formed without cancellation, since it may start at 0
    alpha, noise = k.keep - math.expm1(-wait) * level, math.exp(-wait) * level
    add, law, flat, peak = rows[0], rows[1], rows[2], rows[3]
    for x in range(add.shape[0]):
        add[x] = noise * prior[x]
        most = add[x] + alpha if x < cavities.shape[1] else add[x]
        flat[x] = add[x] / most if most > 0.0 else 0.0
        peak[x] = 1.0 if most > 0.0 else 0.0
    seen = Likelihood(flat, peak, plan.seen[0].table)
    if not messages_of_one.cavities(model, seen, states, cavities, expected, work):
        plan.failed[r, 0] = 1
        return
    level_now = at_level(k, alpha, add)
    step_row(level_now, LEAP, reach - wait, states, cavities, plan.seed, sample, plan.step, 1, law)
