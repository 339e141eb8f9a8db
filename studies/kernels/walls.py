"""The exact law of a one-step sampler in [0, 1] that answers steps over a wall, by quadrature of its kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import special

from analytic import Folded
from solvers import Tableau

Array = NDArray[np.float64]
Wall = Literal["reflected", "projected", "metropolis"]
NODES = 16
WIDTH = 4.0  # deviations of a step that so many nodes of a panel integrate to rounding
POINTS, WEIGHTS = legendre.leggauss(NODES)
FAR = 9.0  # deviations of a step beyond which it goes nowhere


@dataclass(frozen=True)
class LawInBox:
    """A law on [0, 1]: a density at nodes, and what lies on the walls.

    Attributes
    ----------
    x, weights, density : (m,) arrays
        Nodes and weights of a quadrature, and the density there.
    walls : (2,) array
        Probabilities of 0 and of 1.
    """

    x: Array
    weights: Array
    density: Array
    walls: Array

    @property
    def mass(self) -> float:
        """The whole, 1 but for rounding."""
        return float(self.weights @ self.density + self.walls.sum())

    def mean(self, f: Array, at_walls: Array) -> float:
        """Mean of a function, given at the nodes and on the walls."""
        return float((self.weights * self.density) @ f + self.walls @ at_walls)

    def tv(self, truth: Folded) -> float:
        """Total variation from a law that has a density."""
        return float((self.weights @ np.abs(self.density - density_of(truth, self.x)) + self.walls.sum()) / 2)


def density_of(box: Folded, x: Array) -> Array:
    """Density of a folded law on the line at x (m,)."""
    return np.exp(box.log_density(x[:, None]))


def law_in_box(tableau: Tableau, box: Folded, wall: Wall, begin: Folded) -> LawInBox:
    """Carry the law of a sampler in [0, 1] through its steps.

    Parameters
    ----------
    tableau : Tableau
        Each step of one evaluation, one noise and one register: Euler-Maruyama and its kin.
    box : Folded
        On the line; what is asked.
    wall : str
        How a step over a wall is answered.
    begin : Folded
        What is started from, with a density.

    Raises
    ------
    ValueError
        Steps of another kind, or a target not on the line.
    """
    if box.dim != 1:
        raise ValueError(f"box has dim = {box.dim}: laws by quadrature need the line")
    for step in tableau.steps:
        if (step.stages, len(step.functionals), step.registers_out) != (1, 1, 1):
            raise ValueError(f"tableau is {tableau.name!r}: give steps of one evaluation and one noise")
    least = min(abs(float(step.H[0, 0, 0])) for step in tableau.steps)
    panels = max(4, int(np.ceil(1 / (WIDTH * least))))
    half = 0.5 / panels
    x = ((np.arange(panels) + 0.5)[:, None] / panels + half * POINTS).ravel()
    weights = np.tile(half * WEIGHTS, panels)
    places = np.concatenate([x, [0.0, 1.0]])
    density, walls = density_of(begin, x), np.zeros(2)
    for step in tableau.steps:
        (alpha, sigma), (a, b) = step.levels[0, 0], step.asks[0, 0]
        D = box.denoise(places[:, None], float(alpha), float(sigma))[:, 0]
        value = a * D + (b * (D - places) / sigma**2 if b else 0.0)
        centre = step.V[0, 0, 0] * places + step.B[0, 0, 0] * value
        s = abs(float(step.H[0, 0, 0]))
        mass = np.concatenate([weights * density, walls])
        out = special.ndtr(-centre / s), special.ndtr((centre - 1) / s)
        landed = _landing(x, centre, s, wall) @ mass
        if wall == "projected":
            walls = np.array([out[0] @ mass, out[1] @ mass])
        elif wall == "metropolis":
            landed = landed + density * (out[0] + out[1])[: len(x)]
        density = landed
    return LawInBox(x, weights, density, walls)


def _landing(x: Array, centre: Array, s: float, wall: Wall) -> Array:
    """Density at x (m,) of a step about each centre (k,), (m, k); reflected ones with all their images."""

    def bell(at: Array) -> Array:
        z = (at[:, None] - centre) / s
        return np.asarray(np.exp(-(z**2) / 2) / (s * np.sqrt(2 * np.pi)))

    if wall != "reflected":
        return bell(x)
    reach = max(-float(centre.min()), float(centre.max()) - 1, 0.0) + FAR * s
    turns = int(np.ceil(reach / 2)) + 1
    total = np.zeros((len(x), len(centre)))
    for k in range(-turns, turns + 1):
        for at in (x + 2 * k, 2 * k - x):
            if at.max() > -reach and at.min() < 1 + reach:
                total += bell(at)
    return total
