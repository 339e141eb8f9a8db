"""Write a method as its paper does; get its tableau.

::

    trace = Trace("my-euler", path, grid)
    for step in trace.steps():
        (x,) = step.registers
        D = step.denoise(x, step.now)
        step.close(step.next.sigma / step.now.sigma * x + ... * D)
    return trace.tableau()

`trace.run(first, last)` hands out a whole run of steps of one shape at once: coefficients are then arrays
with one entry a step, and the same formulas build the run in one go.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import reprs

from .. import grids
from ..protocols import Path, process_of
from .tableau import Block, Tableau

Array = NDArray[np.float64]
Symbol = tuple[str, int]
ENDS = ("full", "lower", "as-published")
FEW = 15


@dataclass(frozen=True)
class Level:
    """Noise levels of a run of steps, arrays of one entry a step; t is nan off the path."""

    t: Array
    alpha: Array
    sigma: Array
    log_snr: Array

    __repr__ = reprs.brief

    @property
    def kappa(self) -> Array:
        """sigma/alpha, the noise level of x/alpha."""
        return self.sigma / self.alpha

    def scaled(self, factor: ArrayLike) -> Level:
        """Return the level with the same alpha and `factor` times the sigma; it is off the path."""
        factor = np.asarray(factor, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return Level(
                np.full_like(self.t, np.nan), self.alpha, self.sigma * factor, self.log_snr - np.log(factor)
            )


class Combination:
    """A linear combination of registers, evaluations and noises, with a coefficient a step."""

    __array_ufunc__ = None
    __slots__ = ("terms",)

    def __init__(self, terms: dict[Symbol, Array]) -> None:
        self.terms = terms

    def __add__(self, other: Combination) -> Combination:
        terms = dict(self.terms)
        for symbol, coefficient in other.terms.items():
            terms[symbol] = terms[symbol] + coefficient if symbol in terms else coefficient
        return Combination(terms)

    def __mul__(self, factor: ArrayLike) -> Combination:
        factor = np.asarray(factor, dtype=np.float64)
        return Combination({symbol: factor * value for symbol, value in self.terms.items()})

    __rmul__ = __mul__

    def __truediv__(self, factor: ArrayLike) -> Combination:
        return self * (1 / np.asarray(factor, dtype=np.float64))

    def __neg__(self) -> Combination:
        return self * -1.0

    def __sub__(self, other: Combination) -> Combination:
        return self + -other


class Run:
    """A run of steps being written: levels, registers, and what was evaluated and drawn so far."""

    def __init__(
        self,
        trace: Trace,
        now: Level,
        next_level: Level,
        first: int | None,
        size: int,
        span: tuple[Array, Array] | None = None,
    ) -> None:
        self._trace, self.first, self._size = trace, first, size
        self._span = np.stack(span or (now.t, next_level.t), axis=1)
        self.path = trace.path
        self.velocity_asks = trace.velocity_asks
        self.now, self.next = now, next_level
        self.registers = tuple(Combination({("Z", r): np.ones(size)}) for r in range(trace.registers))
        self._inputs: list[Combination] = []
        self._levels: list[Level] = []
        self._asks: list[Array] = []
        self._functionals: list[str | None] = []
        self._during: list[Array] = []

    @property
    def h(self) -> Array:
        """Step in log-SNR, positive."""
        return self.next.log_snr - self.now.log_snr

    def node(self, offset: int) -> Level:
        """Level of the grid node `offset` nodes after the start of each step; negative looks back."""
        if self.first is None:
            raise ValueError(f"offset is {offset}: a step inside a grid interval has no neighbouring nodes")
        return self._trace.nodes(self.first + offset, self._size)

    def between(self, fraction: float, clock: str = "log-snr") -> Level:
        """Level at a fraction of each step: of log-SNR, of sigma/alpha ("sigma") or of time ("time")."""
        if fraction == 0:
            return self.now
        if fraction == 1:
            return self.next
        if clock == "time":
            return self._trace.level(self.now.t + fraction * (self.next.t - self.now.t))
        if clock == "log-snr":
            return self._level_of_log_snr(self.now.log_snr + fraction * self.h)
        return self.level_of_kappa(self.now.kappa + fraction * (self.next.kappa - self.now.kappa))

    def level_of_kappa(self, kappa: Array) -> Level:
        """Level of the path with a given sigma/alpha."""
        return self._level_of_log_snr(-np.log(kappa))

    def _level_of_log_snr(self, log_snr: Array) -> Level:
        if np.any(self.now.alpha == 0):
            raise ValueError(
                f"grid starts at {self.now.t[0]:g}, where alpha = 0 and a step has no level part way: "
                "start it where alpha > 0"
            )
        return self._trace.level(self.path.time_of_log_snr(log_snr))

    def ask(self, x: Combination, level: Level, denoiser: ArrayLike, score: ArrayLike) -> Combination:
        """Evaluate `denoiser` E[x_0 | x] + `score` times the score at a level: one evaluation, whatever the weights."""
        self._inputs.append(x)
        self._levels.append(level)
        self._asks.append(np.stack([np.broadcast_to(part, self._size) for part in (denoiser, score)], axis=1))
        return Combination({("F", len(self._inputs) - 1): np.ones(self._size)})

    def denoise(self, x: Combination, level: Level) -> Combination:
        """Evaluate D(x) = E[x_0 | x_t = x] at a level; ValueError on an interpolant, where steps ask for velocities."""
        if self._trace.process == "interpolant":
            raise ValueError(
                f"path is {self.path!r}, on which steps take the velocity and the score: ask for those"
            )
        return self.ask(x, level, 1.0, 0.0)

    def score(self, x: Combination, level: Level) -> Combination:
        """Evaluate the score of the marginal at a level; at sigma = 0 that of the target itself."""
        return self.ask(x, level, 0.0, 1.0)

    def eps(self, x: Combination, level: Level) -> Combination:
        """Evaluate E[eps | x] = (x - alpha D)/sigma at a level with sigma > 0, from the denoiser."""
        return (x - level.alpha * self.denoise(x, level)) / level.sigma

    def velocity(self, x: Combination, level: Level) -> Combination:
        """Evaluate the flow's velocity E[dx_t/dt | x], alpha' E[x_0|x] + sigma' E[eps|x], at a level of the path."""
        return self.ask(x, level, *self.velocity_asks(level))

    def noise(
        self, functional: str | None, start: Level | None = None, stop: Level | None = None
    ) -> Combination:
        """Draw a fresh N(0, I); `functional` names its functional of the Brownian path, None if it has none.

        Of the path from `start` to `stop`, by default over the whole step; those of one step must not overlap, but for
        functionals that are orthogonal.
        """
        ends = [
            whole if level is None else level.t
            for level, whole in zip((start, stop), self._span.T, strict=True)
        ]
        self._functionals.append(functional)
        self._during.append(np.stack(ends, axis=1))
        return Combination({("xi", len(self._functionals) - 1): np.ones(self._size)})

    def close(self, *registers: Combination) -> None:
        """End the step with its new registers, the sample first."""
        if not registers:
            raise ValueError("close() got no register: the first is the sample and must be given")
        stages, channels = len(self._inputs), len(self._functionals)
        widths = {"Z": len(self.registers), "F": stages, "xi": channels}

        def table(rows: list[Combination] | tuple[Combination, ...], symbol: str) -> Array:
            out = np.zeros((self._size, len(rows), widths[symbol]))
            for index, row in enumerate(rows):
                for (kind, column), value in row.terms.items():
                    if kind == symbol:
                        out[:, index, column] = value
            return out

        levels = [
            np.stack([np.broadcast_to(v, self._size) for v in (level.alpha, level.sigma)], axis=1)
            for level in self._levels
        ]
        times = [np.broadcast_to(level.t, self._size) for level in self._levels]
        block = Block(
            **{name: table(self._inputs, symbol) for name, symbol in (("U", "Z"), ("A", "F"), ("G", "xi"))},
            **{name: table(registers, symbol) for name, symbol in (("V", "Z"), ("B", "F"), ("H", "xi"))},
            asks=np.stack(self._asks, axis=1) if levels else np.zeros((self._size, 0, 2)),
            levels=np.stack(levels, axis=1) if levels else np.zeros((self._size, 0, 2)),
            times=np.stack(times, axis=1) if times else np.zeros((self._size, 0)),
            span=self._span,
            during=np.stack(self._during, axis=1) if channels else np.zeros((self._size, 0, 2)),
            functionals=tuple(self._functionals),
        )
        self._trace.append(block)


class Trace:
    """Collects the steps of one sampler on one grid.

    Parameters
    ----------
    name : str
        What the tableau is called in tables.
    path : Path
    grid : (nodes,) float64 array
        Decreasing times. Raises ValueError if not strictly decreasing or off the path.
    stochasticity : float or None
        See `Tableau`.
    """

    def __init__(self, name: str, path: Path, grid: ArrayLike, stochasticity: float | None = 0.0) -> None:
        self.name, self.path, self.process = name, path, process_of(path)
        self.stochasticity = None if self.process == "interpolant" else stochasticity
        self.grid = grids.check(path, grid)
        self.intervals = len(self.grid) - 1
        self.registers = 1
        self._blocks: list[Block] = []

    @cached_property
    def _levels(self) -> Level:
        return self.level(self.grid)

    def level(self, t: Array) -> Level:
        """Level at given times."""
        return Level(t, self.path.alpha(t), self.path.sigma(t), self.path.log_snr(t))

    def velocity_asks(self, level: Level) -> tuple[Array, Array]:
        """Weights of E[x_0|x] and of the score in the flow's velocity: alpha' and -sigma sigma', with their limits.

        E[eps|x] is -sigma times the score. Where sigma = 0, sigma sigma' is g^2/2, finite even where sigma' is not. On
        an interpolant, whose models tell the velocity in place of E[x_0|x], they are 1 and 0. Raises ValueError at a
        level off the path, where there is no time.
        """
        t, sigma = level.t, level.sigma
        if np.any(np.isnan(t)):
            raise ValueError("level is off the path: a velocity belongs to a time of the path")
        if self.process == "interpolant":
            return np.ones_like(t), np.zeros_like(t)
        clean = sigma == 0
        with np.errstate(invalid="ignore"):
            slope = np.where(clean, self.path.g2(t) / 2, sigma * self.path.d_sigma(t))
        return self.path.d_alpha(t), -slope

    def nodes(self, first: int, size: int) -> Level:
        """Levels of `size` grid nodes from node `first` on."""
        if first < 0 or first + size > len(self.grid):
            raise ValueError(f"nodes {first}..{first + size - 1} are outside the grid's 0..{self.intervals}")
        levels = self._levels
        part = slice(first, first + size)
        return Level(levels.t[part], levels.alpha[part], levels.sigma[part], levels.log_snr[part])

    @property
    def terminal_zero(self) -> bool:
        """True if the grid ends at sigma = 0."""
        return bool(self._levels.sigma[-1] == 0)

    def run(self, first: int = 0, last: int | None = None) -> Run:
        """Return the steps over grid intervals first..last-1 (to the end by default), to be written at once."""
        size = (self.intervals if last is None else last) - first
        return Run(self, self.nodes(first, size), self.nodes(first + 1, size), first, size)

    def runs(
        self,
        *,
        orders: int = 1,
        started: bool = False,
        end: str = "full",
        to_data: bool = False,
        apart: Collection[int] = (),
    ) -> Iterator[tuple[Run, int]]:
        """Walk the grid in runs of one shape, with the order each may have.

        Parameters
        ----------
        orders : int
            Of a multistep method: it has order 1 on the first interval, 2 on the second, ..., `orders` from there on.
        started : bool
            The first orders - 1 intervals are written already: `orders` at once.
        end : str
            "full": that order to the end; "lower": the last interval has order 1, the one before 2, ...;
            "as-published": so on fewer than 15 intervals and full from there on, as the reference code of DPM-Solver
            has it, so that an error jumps between 14 and 15 steps.
        to_data : bool
            A last interval that ends at sigma = 0 is like the others. By default it has order 1: no multistep or
            multistage term in log-SNR has a limit there.
        apart : collection of int
            Intervals, negative ones from the end, that are runs of their own.

        Raises
        ------
        ValueError
            An unknown end.
        """
        if end not in ENDS:
            raise ValueError(f"end is {end!r}: use one of {ENDS}")
        lower = end == "lower" or (end == "as-published" and self.intervals < FEW)
        n = self.intervals
        order_of = np.minimum(np.arange(n) + 1, orders) if not started else np.full(n, orders)
        if lower:
            order_of = np.minimum(order_of, n - np.arange(n))
        if self.terminal_zero and not to_data:
            order_of[-1] = 1
        begin = orders - 1 if started else 0
        # while its history grows, a step changes the number of registers
        cuts = {
            *range(begin, min(orders, n)),
            begin,
            n,
            *(i for i in range(begin + 1, n) if order_of[i] != order_of[i - 1]),
        }
        alone = {i % n for i in apart} | ({n - 1} if self.terminal_zero else set())
        cuts |= {i for place in alone for i in (place, place + 1) if begin < i < n}
        for first, last in itertools.pairwise(sorted(cuts)):
            yield self.run(first, last), int(order_of[first])

    def steps(self) -> Iterator[Run]:
        """Walk the grid step by step."""
        return (self.run(i, i + 1) for i in range(self.intervals))

    def across(self, first: int, last: int) -> Run:
        """Return one step over the grid intervals first..last-1, whose nodes within it may be asked for by `nodes`."""
        return Run(self, self.nodes(first, 1), self.nodes(last, 1), first, 1)

    def inside(self, interval: int, parts: int) -> Iterator[Run]:
        """Walk `parts` equal steps in log-SNR inside one grid interval."""
        low, high = self._levels.log_snr[interval], self._levels.log_snr[interval + 1]
        times = self.path.time_of_log_snr(np.linspace(low, high, parts + 1))
        times[0], times[-1] = self.grid[interval], self.grid[interval + 1]
        levels = self.level(times)
        pick: Any = [
            Level(*(getattr(levels, n)[i : i + 1] for n in ("t", "alpha", "sigma", "log_snr")))
            for i in range(parts + 1)
        ]
        return (Run(self, now, then, None, 1) for now, then in itertools.pairwise(pick))

    def stay(self, t: float) -> Run:
        """Return a step that stays at time t, as a corrector does."""
        level = self.level(np.array([t]))
        return Run(self, level, level, None, 1)

    def aside(self, t: float, now: float, then: float) -> Run:
        """Return a step between two other times that counts as one that stays at t, as those of a restart do."""
        here = np.array([t])
        start, stop = (self.level(np.array([time])) for time in (now, then))
        return Run(self, start, stop, None, 1, span=(here, here))

    def append(self, block: Block) -> None:
        """Add finished steps; called by `Run.close`."""
        self._blocks.append(block)
        self.registers = block.registers_out

    def tableau(self, **options: Any) -> Tableau:
        """Return the tableau of everything traced; `options` are kept with it for the record."""
        levels = self._levels
        return Tableau(
            name=self.name,
            blocks=tuple(self._blocks),
            grid=self.grid,
            start=(float(levels.alpha[0]), float(levels.sigma[0])),
            end=(float(levels.alpha[-1]), float(levels.sigma[-1])),
            path=self.path,
            prior_deviation=float(self.path.prior_deviation(self.grid[0])),
            stochasticity=self.stochasticity,
            options=options,
            process=self.process,
        )
