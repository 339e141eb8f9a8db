"""Where a study happens, and what it is asked of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import Interpolated, couplings, paths
from analytic.names import unknown
from analytic.reprs import brief
from solvers import catalogue, grids
from solvers.catalogue import Method
from solvers.protocols import noising

from .fingerprints import fingerprint

Array = NDArray[np.float64]

GAUSSIAN_LIMIT = 4096
ROUNDING = {"float64": 4e-16, "float32": 4e-16 * 2.0**29}


Grid = str | Callable[..., Array]  # a name in `solvers.grids.catalogue`, or a grid with a name of its own


def known_grid(grid: Grid) -> None:
    """Raise the error of an unknown name if a grid is none."""
    if isinstance(grid, str) and grid not in grids.catalogue:
        raise unknown("grid", grid, grids.catalogue)


# what a method is measured on where no path for it is named
PLAIN: dict[str, Callable[[], paths.Gaussian]] = {
    "noising": lambda: paths.VE(0.02, 20.0),
    "langevin": paths.Langevin,
    "phase-space": paths.CLD,
    "bridge": paths.Bridge,
    "mean-reverting": paths.MeanReverting,
    "interpolant": paths.Interpolant,
}
FINER = 0.5  # in log-SNR, by which four times the steps end nearer the data: they should by log 4
FIRST_ORDER_START = 2  # order to which a first-order first step limits a method


@dataclass(frozen=True)
class Setting:
    """Where a study happens: the path, the grid and how long ladders may get.

    Attributes
    ----------
    path : Gaussian path
    grid : str or grid
        Name in `solvers.grids.catalogue`, or a `solvers.tables.Table` or `solvers.scheduler_config.Scheduler`.
    start, stop : float or None
        Times the grid runs between; the path's defaults if None.
    initial : str
        "marginal" or "prior".
    limit : int
        Steps no ladder goes beyond.
    samples : int
        Samples where a target is measured by sampling.
    seed : int
    precision : str
        In which methods compute their coefficients, "float64" or "float32": their rounding is no error of theirs.
    """

    path: paths.Gaussian = field(default_factory=PLAIN["noising"])
    grid: Grid = "karras"
    start: float | None = None
    stop: float | None = None
    initial: str = "marginal"
    limit: int = GAUSSIAN_LIMIT
    samples: int = 100_000
    seed: int = 0
    precision: str = "float64"

    def __post_init__(self) -> None:
        known_grid(self.grid)
        most = getattr(self.grid, "most", self.limit)  # a scheduler has so many nodes and no more
        object.__setattr__(self, "limit", min(self.limit, most))
        if self.precision not in ROUNDING:
            raise ValueError(f"precision is {self.precision!r}: use one of {', '.join(ROUNDING)}")

    def of(self, method: Method) -> Setting:
        """Return the setting for a method: itself, or on the plain path of the process that the method is for."""
        if method.half == "discrete" or self.path.process in method.processes:
            return self
        path = PLAIN[method.process]()
        return replace(self, path=path, grid=path.grid, start=None, stop=None)

    def on(self, target: Any) -> Any:
        """Return what is asked on the path: the target, or on an interpolant the way to it from the law of -0.6 x.

        The two are independent; of several ends every other one is the target.
        """
        if not isinstance(self.path, paths.Transport):
            return target
        image = target.observed(-0.6 * np.eye(target.dim))
        ends = [image if k % 2 else target for k in range(self.path.marginals)]
        return Interpolated(couplings.independent(*ends), self.path)

    @property
    def rounding(self) -> float:
        """Rounding of one step, relative; grows like the square root of their number."""
        return ROUNDING[self.precision]

    def nodes(self, steps: int) -> Array:
        """Return the grid for a number of steps."""
        build = grids.catalogue[self.grid] if isinstance(self.grid, str) else self.grid
        return build(self.path, steps, start=self.start, stop=self.stop)

    @property
    def stays(self) -> str:
        """What does not get finer with more steps, in words; "" where everything does.

        A grid whose last step goes to sigma = 0 from one and the same level, as a chain's does, has an error that no
        number of steps removes: what it shows of a method's order is nothing.
        """
        if not noising(self.path):
            return ""
        few = min(32, self.limit // 4)
        coarse, fine = self.nodes(few), self.nodes(4 * few)
        if self.path.sigma(coarse[-1]) != 0:
            return ""
        before, later = (float(self.path.log_snr(grid[-2])) for grid in (coarse, fine))
        if later - before > FINER:
            return ""
        level = np.exp(-later)
        return (
            f"the last step, from sigma/alpha = {level:.2g} to the data, is the same for any number of steps"
        )

    @property
    def where(self) -> str:
        """Path and grid in words."""
        name = self.grid if isinstance(self.grid, str) else str(getattr(self.grid, "name", self.grid))
        return f"{self.path!r} path, {name} grid"

    def places(self, methods: Iterable[Method]) -> tuple[str, list[str]]:
        """Return where most of the methods are measured, in words, and a line for each other place and who is there."""
        there: dict[str, dict[str, None]] = {}
        for method in methods:
            there.setdefault(self.of(method).where, {})[method.name] = None
        main = max(there, key=lambda where: len(there[where]), default=self.where)
        return main, [f"{where}: {', '.join(there[where])}" for where in there if where != main]


@dataclass(frozen=True)
class Job:
    """One method from one start, with its options."""

    method: Method
    start: str
    options: dict[str, Any] = field(default_factory=dict)

    __repr__ = brief

    @property
    def text(self) -> str:
        """The method's name with its options, as a user would type it."""
        return self.method.labelled(self.options)

    @property
    def label(self) -> str:
        """The same with its start if that is not the practical one."""
        return from_start(self.text, self.start)


def steps_for(job: Job, setting: Setting, budget: int) -> int:
    """Return the most steps that a number of evaluations pays for, at least 1.

    Raises ValueError where the method takes none of so few steps.
    """

    def cost(steps: int) -> int:
        nodes = setting.nodes(steps)
        return job.method.tableau(setting.path, nodes, start=job.start, **job.options).nfe

    return at_most(cost, budget)


def at_most(cost: Callable[[int], float], budget: int) -> int:
    """Return the most steps that a number of evaluations pays for, by cost(steps), at least 1."""
    probe = 8
    steps = max(1, int(budget * probe / max(cost(probe), 1e-9)))
    while steps > 1 and cost(steps) > budget:
        steps -= 1
    while steps < budget and cost(steps + 1) <= budget:
        steps += 1
    return steps


def from_start(method: str, start: str) -> str:
    """Return the method with its start, or its noise, where that is not the plain one."""
    return method + {"practical": "", "exact": " (exact start)"}.get(start, f" ({start})")


def jobs(
    methods: Sequence[str] | None = None,
    starts: Sequence[str] = ("practical", "exact"),
    whole: bool = False,
) -> list[Job]:
    """List what to study: the named methods (all continuous ones by default), multistep ones from each start.

    With `whole` once more for every set of options that a claim is made for. Raises ValueError for an unknown method,
    with near names.
    """
    chosen = (
        [catalogue[name] for name in methods]
        if methods
        else [*catalogue.continuous.values(), *catalogue.beyond.values()]
    )
    return [
        job
        for method in chosen
        for options in (claimed_options(method) if whole else [{}])
        for job in distinct_starts(Job(method, "practical", options), starts)
    ]


def claimed_options(method: Method) -> list[dict[str, Any]]:
    """Return the sets of options that a method's claims are made for, {} first, without values that are defaults."""
    found: list[dict[str, Any]] = [{}]
    for claim in method.claims:
        for values in itertools.product(*claim.options.values()):
            chosen = dict(zip(claim.options, values, strict=True))
            options = {k: v for k, v in chosen.items() if v != method.options[k]}
            if options not in found:
                found.append(options)
    return found


def distinct_starts(job: Job, starts: Sequence[str]) -> list[Job]:
    """Return a job from each start that makes a difference to it.

    A practical start is of first order, so that it leaves the order of a method at 2 or less as it is: from several
    starts a method of whose claims none is above 2 has the first alone.
    """
    found = [replace(job, start=start) for start in starts]
    if not job.method.multistep:
        return [replace(job, start="practical")]
    options = job.method.options | job.options
    claimed = [claim.order for claim in job.method.claims if claim.covers(options)]
    if claimed and max(claimed) <= FIRST_ORDER_START:
        return found[:1]
    if len(found) > 1:
        setting = Setting().of(job.method)
        built = [
            job.method.tableau(setting.path, setting.nodes(16), start=start, **job.options)
            for start in starts
        ]
        if len({fingerprint(tableau) for tableau in built}) == 1:
            return found[:1]
    return found
