"""Ladders of steps for samplers of tokens: errors of the exact law, with no Monte Carlo noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import chains, distances, sequences
from solvers import Kernel, grids, law
from solvers.catalogue import Method
from solvers.discrete import Tables, path_kl

from .inference import Slope, fit, judge
from .ladders import Measurement, climb, wanted

Array = NDArray[np.float64]
RUNGS = (4, 8, 16, 32, 64, 128)
LIMIT = 1024
METRICS = ("tv", "kl", "path-kl")
ROUNDING = 4e-16  # of one step; grows like the square root of their number


@dataclass(frozen=True)
class TokenSetting:
    """Where a study of tokens happens: the noise, the grid and how long ladders may get.

    Attributes
    ----------
    noise : str
        Name shown for the noise.
    process : SiteProcess
    grid : str
        Name in `solvers.grids.catalogue`.
    start, stop : float or None
        Times the grid runs between; the process's defaults if None.
    initial : str
        "marginal" or "prior".
    limit : int
        Steps no ladder goes beyond.
    """

    noise: str
    process: chains.SiteProcess
    grid: str = "geometric"
    start: float | None = None
    stop: float | None = None
    initial: str = "marginal"
    limit: int = LIMIT

    def nodes(self, steps: int) -> Array:
        """Return the grid for a number of steps."""
        return grids.catalogue[self.grid](self.process, steps, start=self.start, stop=self.stop)


def measure(
    method: Method, options: dict[str, Any], name: str, data: sequences.SequenceLaw, setting: TokenSetting
) -> Iterator[Measurement]:
    """Measure TV and KL of the law at the grid's end, and KL of the path, on one law of short sequences.

    A guided method is held against the law it is guided to, from that law's own start; it has no path KL.
    Yields one Measurement a metric, with the noise in the place of the start. Raises ValueError where the method
    cannot take the noise, or the data has too many states.
    """
    tables = Tables(setting.process, data)
    aim = method.kernel(setting.process, setting.nodes(1), **options).aim(data)
    truths = tables if aim is data else Tables(setting.process, aim)
    evaluations: dict[int, float] = {}

    def kernel_of(steps: int) -> Kernel:
        return method.kernel(setting.process, setting.nodes(steps), **options)

    def rung(steps: int) -> dict[str, float]:
        kernel = kernel_of(steps)
        evaluations[steps] = kernel.evaluations(data.length)
        truth = truths.evidence(kernel.end(data.length))
        comparable = aim is data and kernel.end(data.length) == kernel.grid[-1]
        shape = (tables.states,) * tables.length
        started = setting.initial != "marginal" or aim is data
        initial: Any = setting.initial if started else truths.evidence(float(kernel.grid[0])).reshape(shape)
        try:
            p = law(kernel, data, initial, tables=tables).ravel()
        except FloatingPointError:
            return dict.fromkeys(METRICS, float("inf"))
        if not abs(p.sum() - 1) < 1e-9:  # signed steps can blow up
            return dict.fromkeys(METRICS, float("inf"))
        return {
            "tv": distances.table_tv(truth, p),
            "kl": distances.table_kl(truth, p),
            "path-kl": float(path_kl(kernel, data, tables).sum()) if comparable else float("nan"),
        }

    def read(steps: list[int], results: list[dict[str, float]]) -> dict[str, tuple[Any, Any, Slope]]:
        values = {metric: np.array([r[metric] for r in results]) for metric in METRICS}
        rounding = ROUNDING * np.sqrt(steps) * np.log(tables.size)
        blur = {
            "tv": rounding,
            "kl": rounding * (values["tv"] + rounding),
            "path-kl": rounding * np.array(steps),
        }
        return {
            metric: (errors, blur[metric], fit(steps, errors, blur[metric]))
            for metric, errors in values.items()
            if not np.isnan(errors).all()
        }

    def undecided(found: dict[str, tuple[Any, Any, Slope]]) -> bool:
        return any(
            judge(order, found[metric][2]) == "unresolved"
            for metric in found
            for order in wanted(method, metric)
        )

    steps, found = climb(RUNGS, setting.limit, rung, read, undecided)
    for metric, (errors, uncertainty, slope) in found.items():
        yield Measurement(
            method.labelled(options),
            setting.noise,
            name,
            metric,
            "law",
            tuple(steps),
            tuple(evaluations[N] for N in steps),
            tuple(float(e) for e in errors),
            tuple(float(u) for u in np.broadcast_to(uncertainty, len(steps))),
            slope,
        )
