"""What all loops share: their registry, what they return, and how they ask a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import names, reprs

from .. import grids
from ..catalogue import PATHS_OF
from ..continuous.executors.arrays import asking, check_noise
from ..continuous.tableau import Tableau
from ..continuous.trace import Trace
from ..protocols import Path, a_process, process_of

Array = Any  # of any library the array API knows
Ask = Callable[[Array, float, float, float, float], Array]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where samples arrived, and what it took.

    Attributes
    ----------
    x : (n, ...) array
    nfe : (n,) int64 array
        Evaluations of the model for each sample, rejected steps with them.
    accepted, rejected : (n,) int64 arrays
        Steps of each sample.
    times : (steps + 1,) float64 array or None
        Where all samples stopped together; None if each had times of its own.
    """

    x: Array
    nfe: NDArray[np.int64]
    accepted: NDArray[np.int64]
    rejected: NDArray[np.int64]
    times: NDArray[np.float64] | None

    __repr__ = reprs.brief

    def __str__(self) -> str:
        low, middle, high = np.quantile(self.nfe, [0.0, 0.5, 1.0])
        share = self.rejected.sum() / max(1, (self.rejected + self.accepted).sum())
        return f"NFE {middle:g} ({low:g} to {high:g}), {share:.1%} of steps rejected"


@dataclass(frozen=True)
class Loop:
    """One entry: the function, what it promises, where it is from, and what process its path must be."""

    name: str
    solve: Callable[..., Outcome]
    promise: str
    source: str
    process: str = "noising"

    @property
    def options(self) -> dict[str, Any]:
        """Option names with their defaults."""
        parameters = list(inspect.signature(self.solve).parameters.values())[5:]
        return {p.name: p.default for p in parameters}

    @property
    def summary(self) -> str:
        """First sentence of the docstring."""
        return (inspect.getdoc(self.solve) or "").split("\n")[0]


class Catalogue(dict[str, Loop]):
    """Loops by name."""

    def loop(
        self, name: str, *, promise: str, source: str, process: str = "noising"
    ) -> Callable[[Callable[..., Outcome]], Callable[..., Outcome]]:
        """Register the decorated function under a name."""

        def register(solve: Callable[..., Outcome]) -> Callable[..., Outcome]:
            self[name] = Loop(name, solve, promise, source, process)
            return solve

        return register

    def __missing__(self, name: str) -> Loop:
        raise names.unknown("loop", name, list(self))


catalogue = Catalogue()


class Problem:
    """A model on a path between two times, and samples to start from, checked.

    `noisy` says whether the loop draws noise. Raises ValueError for a path of another process than the loop is for, and
    in a noisy loop for a model that has a flow and no SDE.
    """

    def __init__(
        self,
        path: Path,
        grid: ArrayLike,
        model: Any,
        x: Array,
        process: str = "noising",
        noisy: bool = True,
    ) -> None:
        if noisy:
            check_noise("this loop", model)
        if process_of(path) != process:
            raise ValueError(
                f"path is {path!r}, {a_process(process_of(path))}, and this loop is for {process} ones: give "
                f"{PATHS_OF[process]}, or another loop (see assay list loops)"
            )
        self.path, self.grid, self.model = path, grids.check(path, grid), model
        if not array_api_compat.is_array_api_obj(x):
            x = np.asarray(x, dtype=np.float64)
        if x.ndim < 2:
            raise ValueError(f"x has shape {tuple(x.shape)}: give (n, dim), or a longer shape behind n")
        self.xp, self.x, self.n = array_api_compat.array_namespace(x), x, int(x.shape[0])
        self._trace = Trace("problem", path, self.grid)
        self.ask: Ask = asking(model, path)

    def step(self, times: ArrayLike, written: Callable[[Any, Any], Any]) -> Tableau:
        """Return a one-step tableau: `written(step, x)` gives the new register or registers."""
        trace = Trace("step", self.path, times)
        step = trace.run()
        (x,) = step.registers
        registers = written(step, x)
        step.close(*(registers if isinstance(registers, tuple) else (registers,)))
        return trace.tableau()

    def level(self, t: float) -> tuple[float, float]:
        """Alpha and sigma at a time."""
        return float(self.path.alpha(t)), float(self.path.sigma(t))

    def velocity(self, x: Array, t: float) -> Array:
        """Velocity dx/dt of the flow at x; one evaluation."""
        (row,) = self.velocity_asks(np.array([t]))
        return self.ask(x, *row)

    def velocity_asks(self, times: NDArray[np.float64]) -> list[list[float]]:
        """Alpha, sigma and the weights of E[x_0|x] and of the score in the velocity, a row for each time."""
        level = self._trace.level(times)
        with np.errstate(divide="ignore", invalid="ignore"):
            asks = self._trace.velocity_asks(level)
        rows: list[list[float]] = np.stack([level.alpha, level.sigma, *asks], axis=1).tolist()
        return rows


def everyone(n: int, count: int) -> NDArray[np.int64]:
    """Return the same count for all samples."""
    return np.full(n, count, dtype=np.int64)
