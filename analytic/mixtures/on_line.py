"""Distribution function and quantiles of a one-dimensional Gaussian mixture, accurate in both tails.

Parameters are (K,) arrays weights, means and deviations; a deviation of zero is an atom.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from .parameters import Floats, real_array

# Newton's method needs five or six steps; bisection down to the last bit needs at most about 1100.
MOST_STEPS = 1200
# Elements solved together, to bound memory at this many times K.
CHUNK_NUMBERS = 2**20


def cdf(weights: Floats, means: Floats, deviations: Floats, x: ArrayLike) -> Floats:
    """P(X <= x), for x of any shape; relative accuracy 1e-15 in the lower tail down to underflow."""
    points = np.asarray(x, dtype=np.float64)
    total = np.zeros(points.shape)
    for weight, mean, deviation in zip(weights, means, deviations, strict=True):
        total += weight * (
            scipy.special.ndtr((points - mean) / deviation) if deviation > 0.0 else points >= mean
        )
    return np.where(np.isnan(points), np.nan, np.minimum(total, 1.0))


def survival(weights: Floats, means: Floats, deviations: Floats, x: ArrayLike) -> Floats:
    """P(X > x), for x of any shape; relative accuracy 1e-15 in the upper tail down to underflow."""
    points = np.asarray(x, dtype=np.float64)
    total = np.zeros(points.shape)
    for weight, mean, deviation in zip(weights, means, deviations, strict=True):
        total += weight * (
            scipy.special.ndtr((mean - points) / deviation) if deviation > 0.0 else points < mean
        )
    return np.where(np.isnan(points), np.nan, np.minimum(total, 1.0))


def quantile(weights: Floats, means: Floats, deviations: Floats, u: ArrayLike) -> Floats:
    """Smallest x with cdf(x) >= u, for u of any shape in [0, 1].

    Infinite at 0 and 1 when a component is continuous; the lowest atom at 0 when all are atoms.
    """
    probabilities = _read_probabilities(u, "u")
    flat = probabilities.ravel()
    if not deviations.any():
        order = np.argsort(means, kind="stable")
        reached = np.searchsorted(np.cumsum(weights[order]), flat, side="left")
        result = means[order][np.minimum(reached, len(means) - 1)]
    else:
        # 1 - u is exact for u >= 1/2, so nothing is lost by solving there from above.
        result = _solve(weights, means, deviations, np.minimum(flat, 1.0 - flat), flat > 0.5)
    return np.asarray(result).reshape(probabilities.shape)


def quantile_survival(weights: Floats, means: Floats, deviations: Floats, s: ArrayLike) -> Floats:
    """Smallest x with survival(x) <= s, for s of any shape in [0, 1]; the upper tail at full accuracy.

    Infinite at 0 and 1 when a component is continuous; the lowest atom at 1 when all are atoms.
    """
    probabilities = _read_probabilities(s, "s")
    flat = probabilities.ravel()
    if not deviations.any():
        order = np.argsort(means, kind="stable")
        above = np.concatenate([np.cumsum(weights[order][::-1])[::-1][1:], [0.0]])
        reached = np.searchsorted(-above, -flat, side="left")
        result = means[order][np.minimum(reached, len(means) - 1)]
    else:
        result = _solve(weights, means, deviations, np.minimum(flat, 1.0 - flat), flat <= 0.5)
    return np.asarray(result).reshape(probabilities.shape)


def _read_probabilities(value: ArrayLike, name: str) -> Floats:
    array = real_array(value, name)
    outside = (array < 0.0) | (array > 1.0)
    if outside.any():
        raise ValueError(f"{name} holds {array[outside][0]!r}; give probabilities in [0, 1]")
    return array


def _solve(weights: Floats, means: Floats, deviations: Floats, tail: Floats, upper: np.ndarray) -> Floats:
    """Points that cut off the probability `tail` <= 1/2 below them, or above them where `upper`."""
    result = np.empty_like(tail)
    step = max(1, CHUNK_NUMBERS // len(weights))
    for side in (False, True):
        sign = -1.0 if side else 1.0
        chosen = np.flatnonzero(upper == side)
        for start in range(0, len(chosen), step):
            index = chosen[start : start + step]
            result[index] = sign * _lower(weights, sign * means, deviations, tail[index])
    return result


def _lower(weights: Floats, means: Floats, deviations: Floats, tail: Floats) -> Floats:
    """Solve cdf(x) = tail by Newton's method on the log-cdf, kept within a bracket by bisection."""
    result = np.full(tail.shape, -np.inf)
    active = np.flatnonzero(tail > 0.0)
    goal = np.log(tail[active])
    settled = np.zeros(len(active), dtype=bool)
    for atom in np.unique(means[deviations == 0.0]):
        below = _log_cdf(weights, means, deviations, np.array([np.nextafter(atom, -np.inf)]))[0][0]
        reached = _log_cdf(weights, means, deviations, np.array([atom]))[0][0]
        here = (below < goal) & (goal <= reached)
        result[active[here]] = atom
        settled |= here
    active, goal = active[~settled], goal[~settled]
    # The mixture's quantile lies between the least and the greatest of its components' quantiles.
    z = scipy.special.ndtri_exp(goal)[None, :]
    own, margin = means[:, None] + deviations[:, None] * z, 1e-9 * deviations[:, None] * (1.0 + np.abs(z))
    low, high = (own - margin).min(axis=0), (own + margin).max(axis=0)
    # What rounding leaves uncertain in a log-cdf.
    unresolved = 4.0 * np.finfo(np.float64).eps * np.maximum(0.5, np.abs(goal))
    x = 0.5 * (low + high)
    last = high - low
    for _ in range(MOST_STEPS):
        if not len(active):
            break
        log_cdf, log_density = _log_cdf(weights, means, deviations, x)
        residual = log_cdf - goal
        low, high = np.where(residual < 0.0, x, low), np.where(residual < 0.0, high, x)
        with np.errstate(over="ignore", invalid="ignore"):
            move = -residual * np.exp(log_cdf - log_density)
        middle = 0.5 * (low + high)
        # A step that leaves the bracket, or does not halve the one before last, is replaced by bisection.
        poor = ~((x + move > low) & (x + move < high) & (np.abs(move) <= 0.5 * last))
        proposal = np.where(poor, middle, x + move)
        last = np.abs(proposal - x)
        resolution = 2.0 * np.spacing(np.abs(x))
        done = (
            (np.abs(residual) <= unresolved) | (np.abs(move) <= 0.5 * resolution) | (high - low <= resolution)
        )
        result[active[done]] = np.where(residual == 0.0, x, np.clip(x + move, low, high))[done]
        keep = ~done
        active, goal, unresolved = active[keep], goal[keep], unresolved[keep]
        low, high, last = low[keep], high[keep], last[keep]
        x = proposal[keep]
    return result


def _log_cdf(weights: Floats, means: Floats, deviations: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Log-cdf and log-density (atoms left out of the density) at the points x."""
    atoms = deviations == 0.0
    spread = np.where(atoms, 1.0, deviations)
    z = (x - means[:, None]) / spread[:, None]
    log_weights = np.log(weights)[:, None]
    below = np.where(atoms[:, None], np.where(z >= 0.0, 0.0, -np.inf), scipy.special.log_ndtr(z))
    bell = -0.5 * z * z - 0.5 * np.log(2.0 * np.pi) - np.log(spread)[:, None]
    with np.errstate(divide="ignore"):
        density = scipy.special.logsumexp(log_weights + np.where(atoms[:, None], -np.inf, bell), axis=0)
        return scipy.special.logsumexp(log_weights + below, axis=0), density
