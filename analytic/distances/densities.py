"""Total variation and Kullback-Leibler divergence of densities on the line, by quadrature."""

import math

import numpy as np
from numpy.typing import ArrayLike

from .checks import EPSILON, FloatArray, ScalarFunction, checked_breakpoints, evaluate
from .gaussians import minus_log1p
from .quadrature import Integrand, Panels, resolve
from .results import Integral


def tv_1d(density_a: ScalarFunction, density_b: ScalarFunction, breakpoints: ArrayLike) -> Integral:
    """Total variation distance of two densities on the line, integrated between their sign changes.

    TV is half the integral of |a - b|. Both densities are first resolved by adaptive quadrature, then the
    sign changes of their difference are bisected and each piece is integrated by itself. The error covers
    quadrature, rounding and the mass outside the breakpoints.

    Parameters
    ----------
    density_a, density_b : callable
        Map an (n,) array of points to (n,) densities.
    breakpoints : (k,) increasing, k >= 2
        First and last bound the domain; put the others at kinks, jumps and very narrow peaks.

    Raises
    ------
    ValueError
        Breakpoints not increasing or not finite; densities negative, not finite or of another shape; less
        than 0.999 or more than 1.001 of either mass found, which means a domain too small or a peak never
        seen.
    """
    edges = checked_breakpoints(breakpoints)

    def difference_and_densities(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        a, b = (
            evaluate(name, density, x, lowest=0.0)
            for name, density in (("density_a", density_a), ("density_b", density_b))
        )
        return np.stack([a - b, a, b]), np.stack([2 * EPSILON * (a + b), 1e-12 * a, 1e-12 * b])

    panels, mass_outside = _resolve_densities(difference_and_densities, edges, ("density_a", "density_b"))
    x, difference = panels.nodes, panels.values[0].ravel()
    certain = np.abs(difference) > panels.noise[0].ravel()
    changes = np.flatnonzero((difference[:-1] * difference[1:] < 0) & certain[:-1] & certain[1:])
    low, high, sign = x[changes], x[changes + 1], np.sign(difference[changes])
    # The integral depends on a crossing to second order, so a crossing to 2^-40 of the node spacing is exact.
    for _ in range(40 if len(changes) else 0):
        middle = 0.5 * (low + high)
        left = np.sign(difference_and_densities(middle)[0][0]) == sign
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    pieces = Panels(difference_and_densities, np.union1d(panels.edges, 0.5 * (low + high)))
    value = 0.5 * math.fsum(np.abs(pieces.integrals[0]))
    return Integral(value, 0.5 * (pieces.error + panels.unresolved + float(mass_outside.sum())))


def kl_1d(log_density_a: ScalarFunction, log_density_b: ScalarFunction, breakpoints: ArrayLike) -> Integral:
    """Kullback-Leibler divergence KL(a | b) of two densities on the line, without cancellation.

    Integrates a log(a/b) - a + b, which is never negative and has the same integral for normalised densities.
    Logarithms are asked for because a density that underflows in the tail of the other would read as
    infinite. The value is inf where b vanishes and a does not. The error covers quadrature, rounding and,
    from the size of the integrand at the two ends, what lies outside the breakpoints.

    Parameters
    ----------
    log_density_a, log_density_b : callable
        Map an (n,) array of points to (n,) log-densities; -inf is allowed.
    breakpoints : (k,) increasing, k >= 2
        As in `tv_1d`.

    Raises
    ------
    ValueError
        As `tv_1d`.
    """
    edges = checked_breakpoints(breakpoints)

    def logs(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return (
            evaluate("log_density_a", log_density_a, x, finite=False),
            evaluate("log_density_b", log_density_b, x, finite=False),
        )

    def integrand_and_densities(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        log_a, log_b = logs(x)
        with np.errstate(under="ignore"):
            a, b = np.exp(log_a), np.exp(log_b)
        integrand, rounding = _kl_integrand(log_a, log_b, a, b)
        return np.stack([integrand, a, b]), np.stack([rounding, 1e-12 * a, 1e-12 * b])

    panels, mass_outside = _resolve_densities(
        integrand_and_densities, edges, ("log_density_a", "log_density_b")
    )
    log_a, log_b = logs(panels.nodes)
    # The adaptive rule cannot take an infinite integrand, so this is decided from the logarithms.
    if np.any(np.isneginf(log_b) & (log_a > -700.0)):
        return Integral(math.inf, 0.0)
    outside = 0.0
    span = edges[-1] - edges[0]
    for log_a_end, log_b_end in zip(*logs(edges[[0, -1]]), strict=True):
        if log_a_end == -math.inf or log_b_end == -math.inf:
            continue
        # A tail lighter than exponential holds less than density * span; the measured mass may say even less.
        log_ratio = log_a_end - log_b_end
        tail_a, tail_b = (
            min(mass + 64 * EPSILON, math.exp(min(log_end, 50.0)) * span)
            for mass, log_end in zip(mass_outside, (log_a_end, log_b_end), strict=True)
        )
        if abs(log_ratio) < 0.5:
            outside += tail_b * math.exp(log_ratio) * float(minus_log1p(np.expm1(-log_ratio)))
        else:
            outside += tail_a * max(log_ratio, 0.0) + tail_b
    return Integral(max(panels.sums[0], 0.0), float(panels.error + panels.unresolved + outside))


def _kl_integrand(
    log_a: FloatArray, log_b: FloatArray, a: FloatArray, b: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Value a log(a/b) - a + b and its rounding; 0 stands for inf where b vanishes and a does not."""
    both = np.isfinite(log_a) & np.isfinite(log_b)
    log_ratio = np.subtract(log_a, log_b, out=np.zeros_like(log_a), where=both)
    near = both & (np.abs(log_ratio) < 0.4)
    close = a * minus_log1p(np.expm1(np.where(near, -log_ratio, 0.0)))
    value = np.where(near, close, np.where(both, a * log_ratio - a + b, b))
    magnitude = np.where(both, np.abs(log_a) + np.abs(log_b) + 1, 1.0)
    return value, 2 * EPSILON * np.where(near, a * np.abs(log_ratio), a + b) * magnitude


def _resolve_densities(
    integrand: Integrand, edges: FloatArray, names: tuple[str, str]
) -> tuple[Panels, FloatArray]:
    """Refine panels for (wanted, a, b), and the mass (2,) of each density outside the edges."""
    # From a finer start while mass is missing, which may mean a peak that no node has met.
    for start in (64, 512, 4096, 32_768):
        panels = resolve(integrand, edges, start)
        masses = np.array(panels.sums[1:])
        if np.abs(1 - masses).max() < 1e-9:
            break
    for name, mass in zip(names, masses, strict=True):
        if not abs(1 - mass) < 1e-3:
            raise ValueError(
                f"{name} has mass {mass:.6g} between the breakpoints: widen them, add breakpoints at"
                " narrow peaks, or normalise the density"
            )
    return panels, np.abs(1 - masses)
