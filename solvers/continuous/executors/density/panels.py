"""Functions on a line as panels of 16 Gauss-Legendre nodes, halved until they are resolved.

Where a density is small it may carry a larger error: a panel is resolved when its last Legendre coefficients
are below tolerance * sqrt(largest value in it * largest value anywhere). An error d of a distribution function
costs d^2/density in a squared 2-Wasserstein distance, so this is what makes all places cost the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.polynomial import legendre
from numpy.typing import NDArray

from ....numerics.jit import COMPILED

Array = NDArray[np.float64]

NODES = 16
POINTS, WEIGHTS = legendre.leggauss(NODES)
# Legendre coefficients = values @ ANALYSIS, exact for polynomials of degree below 16.
ANALYSIS = np.ascontiguousarray(
    (legendre.legvander(POINTS, NODES - 1) * WEIGHTS[:, None]) * (np.arange(NODES) + 0.5)
)
_HALVES = [ANALYSIS @ legendre.legvander((POINTS + side) / 2, NODES - 1).T for side in (-1.0, 1.0)]
_ENDS = ANALYSIS @ legendre.legvander(np.array([-1.0, 1.0]), NODES - 1).T
# Integrals from the left end to each node and to the right end = values @ PRIMITIVE.
PRIMITIVE = np.stack(
    [legendre.legval(np.append(POINTS, 1.0), legendre.legint(row, lbnd=-1)) for row in ANALYSIS]
)
# Densities are followed down to this fraction of their largest value.
FLOOR = 1e-17
_DEEPEST = 60
_MOST = 20000
# Relative rounding of a map's parameter, added up over the steps of the map.
ROUNDING = 32 * float(np.finfo(np.float64).eps)


class Panels(NamedTuple):
    """A function on disjoint intervals, left to right: left, right (P,), values (P, 16) at the nodes."""

    left: Array
    right: Array
    values: Array

    @property
    def nodes(self) -> Array:
        """Places of the nodes, (P, 16)."""
        return nodes(self.left, self.right)

    @property
    def masses(self) -> Array:
        """Integral over each panel, (P,)."""
        return (self.right - self.left) / 2 * (self.values @ WEIGHTS)


def nodes(left: Array, right: Array) -> Array:
    """Places of the nodes of panels, (P, 16)."""
    return (left + right)[:, None] / 2 + (right - left)[:, None] / 2 * POINTS


def halves(values: Array) -> Array:
    """Interpolate (P, ..., 16) values to both halves of each panel: (2P, ..., 16), left before right."""
    both = np.stack([values @ half for half in _HALVES], axis=1)
    return both.reshape(-1, *values.shape[1:])


def halved(left: Array, right: Array) -> tuple[Array, Array]:
    """Ends of both halves of each panel."""
    middle = (left + right) / 2
    return np.stack([left, middle], axis=1).ravel(), np.stack([middle, right], axis=1).ravel()


def rounding(left: Array, right: Array, values: Array) -> Array:
    """What the rounding of the parameter alone leaves uncertain in values at the nodes, (P,)."""
    shift = ROUNDING * np.maximum(np.abs(left), np.abs(right))
    return shift / (right - left) * (values.max(axis=1) - values.min(axis=1))


def ends(values: Array) -> Array:
    """Interpolate (P, 16) values to both ends of each panel: (P, 2)."""
    return values @ _ENDS


def tails(values: Array) -> Array:
    """Size of the last two Legendre coefficients, (P,)."""
    return np.abs(values @ ANALYSIS[:, -2:]).max(axis=1)


def unresolved(values: Array, tolerance: float, top: float) -> NDArray[np.bool_]:
    """Panels of a density that must be halved; `top` is its largest value anywhere."""
    local = np.abs(values).max(axis=1)
    return tails(values) > tolerance * np.sqrt(local * top) + FLOOR * top


def resolve(
    density: Callable[[Array], tuple[Array, Array | float]], left: Array, right: Array, tolerance: float
) -> Panels:
    """Resolve a density from a first set of panels by halving.

    Parameters
    ----------
    density : callable
        Maps (P, 16) places to values, and to what rounding leaves uncertain in them.
    left, right : (P,) float64 arrays
        Disjoint intervals, left to right.
    tolerance : float

    Raises
    ------
    FloatingPointError
        A value is not finite, or the density stays rough on ever smaller panels.
    """
    done: list[Panels] = []
    top = 0.0
    for _ in range(_DEEPEST):
        values, noise = density(nodes(left, right))
        if not np.all(np.isfinite(values)):
            raise FloatingPointError(
                "the density is not finite: the method is unstable on this grid, take more steps"
            )
        top = max(top, float(values.max(initial=0.0)))
        bad = unresolved(values, tolerance, top) & (tails(values) > np.max(noise, axis=-1))
        done.append(Panels(left[~bad], right[~bad], values[~bad]))
        if not bad.any():
            return joined(done)
        left, right = halved(left[bad], right[bad])
        if len(left) > _MOST:
            break
    raise FloatingPointError(
        f"the density near {left[0]:.6g} is rough on every scale: take more steps or another grid"
    )


def joined(parts: list[Panels]) -> Panels:
    """Put panels together, left to right."""
    if len(parts) == 1:
        return parts[0]
    left = np.concatenate([part.left for part in parts])
    order = np.argsort(left, kind="stable")
    right = np.concatenate([part.right for part in parts])
    return Panels(left[order], right[order], np.concatenate([part.values for part in parts])[order])


def merged(panels: Panels, tolerance: float, parity: int) -> Panels:
    """Join every other pair of neighbours, from the first (parity 0) or second panel on, where one panel will do."""
    first = np.arange(parity, len(panels.left) - 1, 2)
    first = first[panels.right[first] == panels.left[first + 1]]
    if len(first) == 0:
        return panels
    left, right = panels.left[first], panels.right[first + 1]
    pieces = np.stack([first, first + 1], axis=1)
    places = nodes(left, right)
    owner = np.where(places < panels.right[first][:, None], pieces[:, :1], pieces[:, 1:])
    values = at(panels.left, panels.right, panels.values @ ANALYSIS, owner.ravel(), places.ravel())
    values = values.reshape(-1, NODES)
    good = ~unresolved(values, tolerance / 4, float(panels.values.max()))
    if not good.any():
        return panels
    keep = np.ones(len(panels.left), dtype=bool)
    keep[first[good] + 1] = False
    new_right, new_values = panels.right.copy(), panels.values.copy()
    new_right[first[good]], new_values[first[good]] = right[good], values[good]
    return Panels(panels.left[keep], new_right[keep], new_values[keep])


@njit(**COMPILED)
def series(coefficients: Any, t: float) -> float:
    """Value of a Legendre series of 16 terms, by Clenshaw's recurrence."""
    b1, b2 = 0.0, 0.0
    for k in range(15, 0, -1):
        b1, b2 = coefficients[k] + (2 * k + 1) / (k + 1) * t * b1 - (k + 1) / (k + 2) * b2, b1
    return coefficients[0] + t * b1 - 0.5 * b2


@njit(**COMPILED)
def at(left: Any, right: Any, coefficients: Any, owner: Any, x: Any) -> Any:
    """Values at places x, each in its panel `owner`, from the panels' Legendre coefficients."""
    out = np.empty(len(x))
    for i in range(len(x)):
        k = owner[i]
        out[i] = series(coefficients[k], (2 * x[i] - left[k] - right[k]) / (right[k] - left[k]))
    return out
