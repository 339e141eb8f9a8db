"""The transition matrices from time 0 of the chains, written from their definitions in 120 digits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpmath import mp, mpf

from analytic import chains
from analytic.chains import schedules

Scale = Callable[[mpf], mpf]
Matrix = Callable[[mpf], mp.matrix]
DIGITS = 120

CYCLE = [[-2, 1, 0.5, 0.5], [0, -1, 1, 0], [0.25, 0, -0.5, 0.25], [3, 0, 0, -3]]
LEAKY = [[-1, 0.5, 0.5], [0.25, -1, 0.75], [0, 0, 0]]


def alphas() -> dict[str, tuple[schedules.Schedule, Scale]]:
    """Return schedules with their alpha in mpmath."""
    low, high = mpf(1e-5), mpf(20.0)
    return {
        "linear": (schedules.Linear(), lambda t: 1 - t),
        "log-linear": (schedules.LogLinear(), lambda t: 1 - (1 - mpf(1e-3)) * t),
        "constant": (schedules.Constant(), lambda t: mp.exp(-8 * t)),
        "geometric": (schedules.Geometric(), lambda t: mp.exp(low - low ** (1 - t) * high**t)),
        "cosine": (schedules.Cosine(), lambda t: 1 - mp.cos(mp.pi / 2 * (1 - t))),
        "polynomial": (schedules.Polynomial(3.0), lambda t: 1 - t**3),
        "root": (schedules.Polynomial(0.5), lambda t: 1 - mp.sqrt(t)),
    }


def mixture(alpha: Scale, pi: list[float]) -> Matrix:
    """Keep the state with probability alpha, else draw it from pi."""
    return lambda t: mp.matrix(
        [[alpha(t) * (x == y) + (1 - alpha(t)) * mpf(p) for y, p in enumerate(pi)] for x in range(len(pi))]
    )


def hybrid(vocabulary: int, p: float, gamma: float) -> Matrix:
    """Follow GIDD's formulas; the mask stays, and forgets at the pace that the semigroup forces on it."""

    def at(t: mpf) -> mp.matrix:
        half = mpf(gamma) / 2
        c = 2 ** mpf(gamma) * mpf(p) / (1 - mpf(p)) * t**half * (1 - t) ** half
        noise = [c / (1 + c) / vocabulary] * vocabulary + [t / (1 + c)]
        alpha = (1 - t) / (1 + c)
        return mp.matrix([[alpha * (x == y) + b for y, b in enumerate(noise)] for x in range(vocabulary + 1)])

    return at


def birth_death(size: int, alpha: Scale) -> Matrix:
    """Reflecting walk by its cosine modes, of decay rates (1 - cos(k pi/V)) over the slowest one's."""

    def at(t: mpf) -> mp.matrix:
        def entry(x: int, y: int) -> mpf:
            total = mpf(1) / size
            for k in range(1, size):
                decay = (1 - mp.cos(k * mp.pi / size)) / (1 - mp.cos(mp.pi / size))
                modes = [mp.cos(k * mp.pi * (z + mpf(1) / 2) / size) for z in (x, y)]
                total += mpf(2) / size * modes[0] * modes[1] * alpha(t) ** decay
            return total

        return mp.matrix([[entry(x, y) for y in range(size)] for x in range(size)])

    return at


def gaussian_ordinal(size: int, width: float, alpha: Scale) -> Matrix:
    """Metropolis walk between neighbours for a Gaussian law, by its eigen-decomposition."""

    def at(t: mpf) -> mp.matrix:
        law = [mp.exp(-((x - mpf(size - 1) / 2) ** 2) / (2 * mpf(width) ** 2)) for x in range(size)]
        rates = mp.matrix(size, size)
        for x in range(size):
            for y in (x - 1, x + 1):
                if 0 <= y < size:
                    rates[x, y] = min(mpf(1), law[y] / law[x])
                    rates[x, x] -= rates[x, y]
        symmetric = mp.matrix(size, size)
        for x in range(size):
            for y in range(size):
                symmetric[x, y] = rates[x, y] * mp.sqrt(law[x] / law[y])
        values, vectors = mp.eigsy(symmetric)
        gap = sorted(-v for v in values)[1]
        result = mp.matrix(size, size)
        for x in range(size):
            for y in range(size):
                modes = (vectors[x, k] * vectors[y, k] * alpha(t) ** (-values[k] / gap) for k in range(size))
                result[x, y] = mp.fsum(modes) * mp.sqrt(law[y] / law[x])
        return result

    return at


def pure_death(size: int, alpha: Scale) -> Matrix:
    """Binomial thinning."""
    return lambda t: mp.matrix(
        [
            [
                mp.binomial(x, y) * alpha(t) ** y * (1 - alpha(t)) ** (x - y) if y <= x else 0
                for y in range(size)
            ]
            for x in range(size)
        ]
    )


def general(rates: list[list[float]], alpha: Scale) -> Matrix:
    """Exponential of the integrated rates by mpmath."""
    return lambda t: mp.expm(mp.matrix(rates) * -mp.log(alpha(t)))


def references() -> dict[str, tuple[chains.Chain, Matrix]]:
    """Return the chains with their transition matrix from time 0 to t."""
    with mp.workdps(DIGITS):
        by_name = {name: alpha for name, (_, alpha) in alphas().items()}
        third = [mpf(1) / 3] * 3
        return {
            "absorbing": (chains.Absorbing(3), mixture(by_name["linear"], [0, 0, 0, 1])),
            "absorbing-cosine": (chains.Absorbing(2, "cosine"), mixture(by_name["cosine"], [0, 0, 1])),
            "uniform": (chains.Uniform(3), mixture(by_name["linear"], third)),
            "uniform-geometric": (chains.Uniform(3, "geometric"), mixture(by_name["geometric"], third)),
            "hybrid": (chains.Hybrid(3, 0.2), hybrid(3, 0.2, 1.0)),
            "hybrid-steep": (chains.Hybrid(2, 0.5, 2.0), hybrid(2, 0.5, 2.0)),
            "hybrid-flat": (chains.Hybrid(2, 0.1, 0.5), hybrid(2, 0.1, 0.5)),
            "birth-death": (chains.BirthDeath(6), birth_death(6, by_name["linear"])),
            "birth-death-constant": (chains.BirthDeath(4, "constant"), birth_death(4, by_name["constant"])),
            "gaussian-ordinal": (
                chains.GaussianOrdinal(5, 0.8, "log-linear"),
                gaussian_ordinal(5, 0.8, by_name["log-linear"]),
            ),
            "pure-death": (chains.PureDeath(5), pure_death(5, by_name["linear"])),
            "general": (chains.General(CYCLE, "constant"), general(CYCLE, by_name["constant"])),
            "general-mask": (
                chains.General(LEAKY, schedules.Polynomial(3.0), vocabulary=2),
                general(LEAKY, by_name["polynomial"]),
            ),
        }


def to_numpy(matrix: mp.matrix) -> np.ndarray:
    return np.array(matrix.tolist(), dtype=np.float64)
