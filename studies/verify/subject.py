"""A sampler as it comes: a function of a denoiser, samples, a grid and a source of noise; and a record of one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import paths

from .forms import taken

Array = NDArray[np.float64]
Denoise = Callable[[Array, float], Array]
Noise = Callable[[int, tuple[int, ...]], Array]
SENSES = ("ode", "weak")


@dataclass(frozen=True)
class Levels:
    """The grid that a sampler is given: times from noise to data and the path's scales there, (steps + 1,) each."""

    t: Array
    alpha: Array
    sigma: Array


@dataclass
class Ran:
    """What one run did.

    Attributes
    ----------
    x : (n, dim) array
        What the sampler returned, as it returned it.
    asked : list of (float, array)
        Times and samples that the model was asked with, in order.
    drawn : list of array
        What was handed out as noise, in order.
    changed : list of str
        Arrays of the grid that the sampler wrote to.
    """

    x: Any
    asked: list[tuple[float, Array]] = field(default_factory=list)
    drawn: list[Array] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """A sampler to verify.

    Attributes
    ----------
    where : str
        FILE.py, FILE.py:OBJECT, LIBRARY:NAME or a method of the catalogue, with options in brackets, or a name alone
        where `given` is set.
    path : Gaussian path
        What it is for.
    order : float or None
        That it claims; None where it claims nothing.
    sense : str
        "ode": of its error along the flow; "weak": of its law.
    nfe : float or None
        Evaluations a step that it claims.
    given : callable, optional
        The function itself.
    """

    where: str
    path: paths.Gaussian
    order: float | None = None
    sense: str = "ode"
    nfe: float | None = None
    given: Callable[..., Any] | None = None
    draws: dict[int, int] = field(
        default_factory=dict, repr=False, compare=False
    )  # by steps, as far as known

    def __str__(self) -> str:
        return self.where

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The sampler: (denoise, x, grid, normal) -> x."""
        return taken(self.where, self.path) if self.given is None else self.given

    def run(self, denoise: Denoise, x: Array, nodes: Array, noise: Noise | None = None) -> Ran:
        """Run the sampler once.

        Parameters
        ----------
        denoise : callable (x, t) -> E[x_0 | x_t = x]
        x : (n, dim) array
            At the level of the first node.
        nodes : (steps + 1,) array
            Decreasing times.
        noise : callable (k, shape) -> array, optional
            The k-th noise that is asked for; zeros by default.
        """
        own = {"t": nodes, "alpha": self.path.alpha(nodes), "sigma": self.path.sigma(nodes)}
        levels = Levels(**{name: values.copy() for name, values in own.items()})
        ran = self._recorded(lambda model, normal: self.function(model, x, levels, normal), denoise, x, noise)
        ran.changed = [
            f"grid.{name}"
            for name, values in own.items()
            if not np.array_equal(getattr(levels, name), values)
        ]
        return ran

    def run_own(self, denoise: Denoise, x: Array, steps: int, noise: Noise | None = None) -> Ran:
        """Run a sampler that chooses a grid by itself, whose function has `own`, on that grid."""
        function: Any = self.function
        return self._recorded(lambda model, normal: function.own(model, x, steps, normal), denoise, x, noise)

    def _recorded(
        self,
        call: Callable[[Denoise, Callable[[], Array]], Any],
        denoise: Denoise,
        x: Array,
        noise: Noise | None,
    ) -> Ran:
        ran = Ran(None)

        def model(places: Any, t: Any) -> Array:
            time = np.unique(np.asarray(t, dtype=np.float64))
            if time.size != 1:
                raise ValueError(f"{self.where}: denoise is given {time.size} times at once: give one time")
            ran.asked.append((float(time[0]), np.array(places, dtype=np.float64)))
            return np.asarray(denoise(np.asarray(places), float(time[0])))

        def normal() -> Array:
            z = np.zeros(x.shape) if noise is None else noise(len(ran.drawn), x.shape)
            ran.drawn.append(z.copy())
            return z

        ran.x = call(model, normal)
        return ran
