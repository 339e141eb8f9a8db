"""A one-dimensional mixture's denoiser and score at all levels of a tableau, with their derivatives."""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
import scipy
from numba import njit
from numpy.typing import NDArray

from analytic import Interpolated

from ....numerics.jit import COMPILED
from ....numerics.primitives import exp as vector_exp
from ....protocols import Target
from ...calibrated import Calibrated
from ...composed import Composed
from ...imperfect import Perturbation, perturb, perturbation
from ..packed import Packed

Array = NDArray[np.float64]


class MixtureOnLine(NamedTuple):
    """A Gaussian mixture on the line: weights, means, variances, each (K,)."""

    weights: Array
    means: Array
    variances: Array

    def log_density(self, x: Array) -> Array:
        """Log-density at places of any shape, finite however far out."""
        with np.errstate(over="ignore"):
            logs = [
                np.log(weight) - np.log(2 * np.pi * variance) / 2 - (x - mean) ** 2 / (2 * variance)
                for weight, mean, variance in zip(*self, strict=True)
            ]
            return np.asarray(np.logaddexp.reduce(logs, axis=0))

    def density(self, x: Array) -> Array:
        """Density at places of any shape."""
        out = np.zeros(x.shape)
        for weight, mean, variance in zip(*self, strict=True):
            out += weight / np.sqrt(2 * np.pi * variance) * np.exp(-((x - mean) ** 2) / (2 * variance))
        return out

    def probability(self, low: Array, high: Array) -> Array:
        """P(low < X <= high), from the nearer tail."""
        out = np.zeros(low.shape)
        for weight, mean, variance in zip(*self, strict=True):
            a, b = (low - mean) / np.sqrt(variance), (high - mean) / np.sqrt(variance)
            out += weight * np.where(
                a + b > 0,
                scipy.special.ndtr(-a) - scipy.special.ndtr(-b),
                scipy.special.ndtr(b) - scipy.special.ndtr(a),
            )
        return np.maximum(out, 0.0)


@njit(**COMPILED)
def quantiles(weights: Any, means: Any, variances: Any, lower: Any, upper: Any, guess: Any) -> Any:
    """The x with P(X <= x) = lower and P(X > x) = upper, from a guess; the smaller of the two decides.

    Newton's method on the logarithm of the smaller, within a bracket. An x beyond the smallest number is +-inf.
    """
    out = np.empty(len(lower))
    deviations = np.sqrt(variances)
    for i in range(len(lower)):
        side = 1.0 if lower[i] < upper[i] else -1.0
        goal = min(lower[i], upper[i])
        if goal <= 0.0:
            out[i] = -side * np.inf
            continue
        low, high = np.min(means - 40 * deviations), np.max(means + 40 * deviations)
        x = min(max(guess[i], low), high)
        for _ in range(200):
            tail, rate = 0.0, 0.0
            for k in range(len(means)):
                z = side * (x - means[k]) / deviations[k]
                tail += 0.5 * weights[k] * erfc(-z / sqrt(2.0))
                rate += weights[k] * exp(-0.5 * z * z) / (deviations[k] * sqrt(2 * pi))
            if (tail < goal) == (side > 0):
                low = x
            else:
                high = x
            # Far out the logarithm is the straighter of the two.
            move = side * tail / rate * log(goal / tail) if rate > 0 and tail > 0 else np.inf
            new = x + move
            # the probability's own rounding leaves x uncertain by this: a further move would only be noise
            if abs(move) <= 2e-16 * (abs(x) + tail / max(rate, 1e-300)):
                break
            if not (low < new < high):
                new = 0.5 * (low + high)
            if abs(new - x) <= 4e-16 * abs(x) + 1e-300:
                x = new
                break
            x = new
        out[i] = x
    return out


def on_line(name: str, target: Target) -> MixtureOnLine:
    """Read a one-dimensional mixture; TypeError or ValueError names the argument where it is not one."""
    if not hasattr(target, "means"):
        raise TypeError(
            f"{name} is {target!r}, which is no mixture: use `run`, or give a mixture on the line"
        )
    if target.means.shape[1] != 1:
        raise ValueError(
            f"{name} has dim = {target.means.shape[1]}: densities are computed in one dimension, use `law` or `sample`"
        )
    means, variances = target.means[:, 0], target.variances[:, 0]
    return MixtureOnLine(
        np.ascontiguousarray(target.weights), np.ascontiguousarray(means), np.ascontiguousarray(variances)
    )


class Levels(NamedTuple):
    """What `evaluate` needs at each evaluation of each step.

    Within component k the value is gain_k x + offset_k, and component k weighs exp(log_weight_k - rate_k (x -
    centre_k)^2). table (N, S, 5, K) holds log_weight, rate, centre, gain, offset. wrong has the errors of the model.

    Of a sum of scores the components of all parts stand in a row, those of part p before ends[p] (P,), and the value is
    the sum of the parts' with the factors powers (N, S, P); of one mixture both are empty.
    """

    table: Array
    wrong: Perturbation
    ends: NDArray[np.int64]
    powers: Array


def levels_of(packed: Packed, target: Any) -> Levels:
    """Tabulate what is asked at a tableau's levels: a mixture, a wrong or calibrated one, a sum of scores, a flow.

    Raises ValueError where it is not on the line, or scales predictions by what other coordinates are.
    """
    if isinstance(target, Calibrated):
        found = levels_of(packed, target.model)
        for n in range(len(packed.levels)):
            for i in range(packed.counts[n, 0]):
                (alpha, sigma), (a, b) = packed.levels[n, i].tolist(), packed.asks[n, i].tolist()
                if alpha > 0 and sigma > 0:
                    found.wrong.linear[n, i, 2] -= (a * sigma**2 / alpha + b) * target.eta(alpha, sigma)[0]
        return found
    if isinstance(target, Interpolated):
        return on_interpolant(packed, target)
    if not isinstance(target, Composed):
        return levels(packed, on_line("target", target), perturbation(packed, target))
    if target.rescale is not None:
        raise ValueError(
            f"target has {target.rescale!r}, a spread over coordinates, of which the line has one: use `run`"
        )
    for part in target.parts:
        if not hasattr(part, "means"):
            raise ValueError(f"parts has {part!r}, whose density is not known: give mixtures, or use `run`")
    mixtures = [on_line("parts", part) for part in target.parts]
    tables = [levels(packed, mixture, perturbation(packed, None)) for mixture in mixtures]
    powers = np.zeros((*packed.levels.shape[:2], len(mixtures)))
    wrong = perturbation(packed, None)
    for n in range(len(powers)):
        for i in range(packed.counts[n, 0]):
            alpha, sigma = packed.levels[n, i].tolist()
            powers[n, i] = target.powers_at(alpha, sigma)
            rest = 1 - powers[n, i].sum()
            # D = sum of powers times the parts' and what is left of x/alpha
            wrong.linear[n, i, 1] += packed.asks[n, i, 0] * rest / alpha if abs(rest) > 1e-15 else 0.0
    table = np.concatenate([one.table for one in tables], axis=3)
    ends = np.cumsum([len(mixture.weights) for mixture in mixtures])
    return Levels(np.ascontiguousarray(table), wrong, ends, powers)


def levels(packed: Packed, target: MixtureOnLine, wrong: Perturbation) -> Levels:
    """Tabulate a target at the levels of a tableau: alpha, sigma of every evaluation."""
    alpha, sigma = packed.levels[..., 0, None], packed.levels[..., 1, None]
    of_data, of_score = packed.asks[..., 0, None], packed.asks[..., 1, None]
    weights, means, variances = target
    total = alpha**2 * variances + sigma**2
    atom = total == 0
    safe = np.where(atom, 1.0, total)
    # At sigma = 0 the denoiser is x/alpha whatever the component.
    exact = (of_score == 0) & (sigma == 0)
    scale = np.where(alpha > 0, alpha, 1.0)
    gain = np.where(exact, of_data / scale, (of_data * alpha * variances - of_score) / safe)
    offset = np.where(exact, 0.0, (of_data * sigma**2 + of_score * alpha) * means / safe)
    rate = np.where(exact, 0.0, 1 / (2 * safe))
    log_weight = np.log(weights) - np.where(exact, 0.0, np.log(safe) / 2)
    return _of_one(packed, wrong, log_weight, rate, alpha * means, gain, offset)


def on_interpolant(packed: Packed, model: Interpolated) -> Levels:
    """Tabulate an interpolant's velocity and score; ValueError where it is not on the line."""
    if model.dim != 1:
        raise ValueError(
            f"target has dim = {model.dim}: densities are computed in one dimension, use `law` or `run`"
        )
    shape = packed.levels.shape[:2]
    at = model.moments(model.path.time(packed.levels[..., 0], packed.levels[..., 1]).ravel())
    means, slopes = (part[..., 0].reshape(*shape, -1) for part in (at.means, at.slopes))
    S, B = (part[..., 0, 0].reshape(*shape, -1) for part in (at.covariances, at.drifts))
    used = np.arange(shape[1]) < packed.counts[:, :1]
    if np.any(S[used] <= 0):
        raise ValueError(
            f"target is {model!r} with a component without variance at a level of the tableau: keep clear of that time"
        )
    safe = np.where(S > 0, S, 1.0)
    of_velocity, of_score = packed.asks[..., 0, None], packed.asks[..., 1, None]
    gain = (of_velocity * B - of_score) / safe
    log_weight = np.log(model.joint.weights) - np.log(safe) / 2
    wrong = perturbation(packed, None)
    return _of_one(
        packed, wrong, log_weight, 1 / (2 * safe), means, gain, of_velocity * slopes - gain * means
    )


def _of_one(packed: Packed, wrong: Perturbation, *rows: Array) -> Levels:
    table = np.ascontiguousarray(np.stack(np.broadcast_arrays(*rows), axis=2))
    return Levels(table, wrong, np.empty(0, np.int64), np.empty((*packed.levels.shape[:2], 0)))


@njit(**COMPILED)
def evaluate(table: Any, x: Any, value: Any, slope: Any, top: Any, total: Any, share: Any) -> None:
    """Value and derivative of the model at 16 places x; top, total (16,) and share (K, 16) are scratch.

    V' = sum_k r_k (gain_k + (s_k - s)(V_k - V)) with s_k the components' scores; for the denoiser that is alpha/sigma^2
    Var[x_0 | x_t = x].
    """
    K = table.shape[1]
    top[:] = -np.inf
    for k in range(K):
        log_weight, rate, centre = table[0, k], table[1, k], table[2, k]
        for l in range(16):
            distance = x[l] - centre
            share[k, l] = log_weight - rate * distance * distance
            top[l] = max(top[l], share[k, l])
    total[:] = 0.0
    value[:] = 0.0
    slope[:] = 0.0
    for k in range(K):
        rate, centre, gain, offset = table[1, k], table[2, k], table[3, k], table[4, k]
        for l in range(16):
            share[k, l] = vector_exp(share[k, l] - top[l])
            total[l] += share[k, l]
            value[l] += share[k, l] * (gain * x[l] + offset)
            slope[l] += share[k, l] * rate * (centre - x[l])
    for l in range(16):
        total[l] = 1 / total[l]
        value[l] *= total[l]
        top[l] = slope[l] * total[l]  # half of the score
    slope[:] = 0.0
    for k in range(K):
        rate, centre, gain, offset = table[1, k], table[2, k], table[3, k], table[4, k]
        for l in range(16):
            pull, difference = rate * (centre - x[l]) - top[l], gain * x[l] + offset - value[l]
            slope[l] += share[k, l] * total[l] * (gain + 2 * pull * difference)


@njit(**COMPILED)
def ask(levels: Levels, n: int, i: int, x: Any, value: Any, slope: Any, room: Any, share: Any) -> None:
    """Value and derivative of what evaluation i of step n asks at 16 places; room (4, 16), share (K, 16): scratch."""
    table = levels.table[n, i]
    if len(levels.ends) == 0:
        evaluate(table, x, value, slope, room[0], room[1], share)
    else:
        value[:] = 0.0
        slope[:] = 0.0
        first = 0
        for p in range(len(levels.ends)):
            stop, power = levels.ends[p], levels.powers[n, i, p]
            if power != 0.0:
                evaluate(table[:, first:stop], x, room[2], room[3], room[0], room[1], share)
                for l in range(16):
                    value[l] += power * room[2, l]
                    slope[l] += power * room[3, l]
            first = stop
    perturb(levels.wrong.linear[n, i], levels.wrong.fields[n, i], x, value, slope)
