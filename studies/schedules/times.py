"""The diffusion time T, and the singularity of some forms of the score at t -> 0, on Gaussians by exact law."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import GaussianMixture, paths
from solvers import catalogue, grids

from ..inference import Slope, fit
from ..laws import MEASURED, apart, law_or_none, sharpest, truth
from ..numbers import AXIS, measured
from ..setting import Job
from .grids import law_error

Array = NDArray[np.float64]
DOUBLINGS = tuple(range(1, 17))  # T in units of log 2, so that e^T is whole
TIME_STEPS = (16, 64, 256)
TIME_GRIDS = ("uniform", "log-snr")
EARLIEST = 1e-3  # time of the Ornstein-Uhlenbeck process at which sampling stops, whatever T
ROUNDING = 4e-16
SINGULAR_PATH = paths.VP(2.0, 2.0)  # a constant rate: the singular end is a large part of the error
SINGULAR_STOP = 1e-8
SINGULAR_RUNGS = (32, 64, 128, 256, 512, 1024)
SINGULAR_CASES: tuple[tuple[str, dict[str, Any], str], ...] = (
    *((m, {}, "uniform") for m in ("euler", "heun", "kutta-3", "rk4", "dpm-solver++-2m")),
    *((m, {"clock": "time"}, "uniform") for m in ("heun", "kutta-3", "rk4")),
    *((m, {}, g) for g in ("power", "log-snr") for m in ("heun", "kutta-3", "rk4", "dpm-solver++-2m")),
)
INSTANTS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
FORMS = ("eps", "v", "x0", "score", "velocity")


@dataclass(frozen=True)
class TimeError:
    """Errors of one method started from N(0, I) after the time T of an Ornstein-Uhlenbeck process.

    Attributes
    ----------
    method, target, grid : str
    steps : int
    time : float
        T; the process is dx = -x dt + sqrt(2) dw.
    truncation : float
        W2 between the laws from N(0, I) and from the exact marginal at T, both by the method.
    discretisation : float
        W2 from the law from the exact marginal to the truth.
    error : float
        W2 from the law from N(0, I) to the truth.
    status, reason : str
        "measured", or "unstable" and why: then the three are nan.
    """

    method: str
    target: str
    grid: str
    steps: int
    time: float = field(metadata=AXIS)
    truncation: float = field(metadata=measured())
    discretisation: float = field(metadata=measured())
    error: float
    status: str = MEASURED
    reason: str = ""


def ornstein_uhlenbeck(T: float) -> paths.VP:
    """Return the process dx = -x ds + sqrt(2) dw on s in [0, T] as a path on t = s/T in [0, 1].

    Raises ValueError if T is not above 0.
    """
    if not 0 < T < np.inf:
        raise ValueError(f"T is {T}: give a finite time above 0")
    return paths.VP(2 * T, 2 * T)


def by_time(
    job: Job,
    name: str,
    target: GaussianMixture,
    grid: str,
    steps: int,
    times: Sequence[float] | None = None,
) -> Iterator[TimeError]:
    """Vary the diffusion time: truncation falls with it, discretisation rises (Franzese et al. 2023, section 3).

    Raises ValueError for a target that is no Gaussian.
    """
    if sharpest(target) != "W2":
        raise ValueError(f"target is {name!r}, no Gaussian: the time is varied by the exact law of one")
    for T in [k * float(np.log(2)) for k in DOUBLINGS] if times is None else times:
        path = ornstein_uhlenbeck(T)
        nodes = grids.catalogue[grid](path, steps, stop=EARLIEST / T)
        tableau = job.method.tableau(path, nodes, start=job.start, **job.options)
        exact, prior = (law_or_none(tableau, target, initial=begin) for begin in ("marginal", "prior"))
        end = truth(target, tableau.end, "law")
        found = [apart(*pair, ("W2",))["W2"] for pair in ((prior, exact), (exact, end), (prior, end))]
        truncation, discretisation, whole = (estimate.value for estimate in found)
        status, reason = found[-1].status, found[-1].reason
        label = job.method.labelled(job.options)
        yield TimeError(label, name, grid, steps, T, truncation, discretisation, whole, status, reason)


def truncation_rate(found: Sequence[TimeError]) -> Slope:
    """Return r with truncation ~ e^(-r T), from errors at T = log 2, 2 log 2, ... of one method and grid."""
    ordered = sorted(found, key=lambda e: e.time)
    e_to_T = [round(float(np.exp(e.time))) for e in ordered]
    if not np.allclose(np.log(e_to_T), [e.time for e in ordered], rtol=1e-9):
        raise ValueError("found has times that are no multiples of log 2: measure at the default times")
    errors = np.array([e.truncation for e in ordered])
    return fit(e_to_T, errors, ROUNDING * np.sqrt([e.steps for e in ordered]))


def best_time(found: Sequence[TimeError]) -> TimeError:
    """Return the measurement of least error among those that are finite."""
    return min((e for e in found if np.isfinite(e.error)), key=lambda e: e.error)


@dataclass(frozen=True)
class SingularOrder:
    """The order a method keeps when sampling ends next to sigma = 0.

    Attributes
    ----------
    method, clock, grid, target : str
    claim : float
        Order where the solution is smooth.
    predicted : float
        Order on this grid and clock, see `predicted_order`.
    steps : tuple of int
    errors : tuple of float
        nan where the method is unstable.
    slope : Slope
    reason : str
        Why it is unstable on the first rung where it is; "" if on none.
    """

    method: str
    clock: str
    grid: str
    target: str
    claim: float
    predicted: float
    steps: tuple[int, ...]
    errors: tuple[float, ...]
    slope: Slope
    reason: str = ""


def predicted_order(method: str, order: float, clock: str, grid: str) -> float:
    """Return the order expected on VP down to t << 1/N.

    On a grid of equal steps h in t, sigma/alpha ~ sqrt(t) steps by about sqrt(h) at the end, so a local error of
    degree p + 1 in sigma/alpha would leave order (p + 1)/2. But the flow is even in sigma/alpha, as the denoiser
    depends on its square, so the coefficient of an odd degree vanishes there and even p keep (p + 2)/2. A
    multistep method in log-SNR meets one last step over which the denoiser moves by O(h), and keeps order 1. In the
    clock t, or on grids dense enough at the end, nothing is lost.
    """
    if grid != "uniform" or clock == "time":
        return order
    if catalogue[method].multistep:
        return min(order, 1.0)
    return min(order, (order + 1) / 2 if order % 2 else (order + 2) / 2)


def logarithmic(method: str, order: float, clock: str, grid: str) -> bool:
    """Return True where end and interior share an order, 1 or 2, and the error is N^-order log N."""
    return grid == "uniform" and clock == "sigma" and not catalogue[method].multistep and order in (1, 2)


def singular_orders(
    name: str,
    target: GaussianMixture,
    path: paths.VP = SINGULAR_PATH,
    stop: float = SINGULAR_STOP,
    cases: Sequence[tuple[str, dict[str, Any], str]] = SINGULAR_CASES,
) -> Iterator[SingularOrder]:
    """Measure the order of each (method, options, grid) down to a time far below every step.

    In the clock t a slope is a difference of terms of size 1/t, so its rounding is 1/stop times that of one. On the
    line those cases are left out: the density of a map so rough cannot be resolved.

    Raises ValueError for a target that is neither Gaussian nor on the line.
    """
    metric = sharpest(target)
    floor = ROUNDING * float(np.sqrt(target.dim)) if metric == "W2" else 1e-12
    N = np.array(SINGULAR_RUNGS)
    for method, options, grid in cases:
        clock = options.get("clock", "log-SNR" if catalogue[method].multistep else "sigma")
        if clock == "time" and metric == "TV":
            continue
        job = Job(catalogue[method], "practical", options)
        found = [
            law_error(job, path, grids.catalogue[grid](path, n, stop=stop), target) for n in SINGULAR_RUNGS
        ]
        errors = [estimate.value for estimate in found]
        rounding = floor * np.sqrt(N)
        if clock == "time":
            nodes = [grids.catalogue[grid](path, n, stop=stop) for n in SINGULAR_RUNGS]
            rounding = rounding + floor * np.array([n[-2] / n[-1] / 2 for n in nodes])
        slope = fit(SINGULAR_RUNGS, errors, rounding)
        claim = catalogue[method].claims[0].order
        predicted = predicted_order(method, claim, clock, grid)
        why = next((estimate.reason for estimate in found if estimate.status != MEASURED), "")
        of = (method, clock, grid, name, claim, predicted)
        yield SingularOrder(*of, SINGULAR_RUNGS, tuple(errors), slope, why)


def time_derivative(
    form: str, t: ArrayLike, mean: float, variance: float, path: paths.VP = SINGULAR_PATH
) -> Array:
    """Return the root mean square of d/dt of a prediction at fixed x, over x ~ p_t, for data N(mean, variance).

    With V = alpha^2 variance + sigma^2 every prediction is c(t) + k(t) (x - alpha mean), so its derivative is
    c' - k alpha' mean + k' (x - alpha mean), of which the last has mean square k'^2 V.

    Parameters
    ----------
    form : str
        "eps", "x0", "score", "v" (alpha eps - sigma x0, Salimans and Ho 2022) or "velocity" (of the
        probability-flow ODE).
    t : array of floats
        Times above 0.
    mean, variance : float
        Variance 0 is a point, such as data on a lower-dimensional set have across it.
    path : VP
        With the linear schedule.

    Raises
    ------
    ValueError
        Another form, another schedule.

    References
    ----------
    Yang et al. 2024, Lipschitz singularities in diffusion models, theorem 3.1, for eps.
    """
    if form not in FORMS:
        raise ValueError(f"form is {form!r}: use one of {', '.join(FORMS)}")
    if path.schedule != "linear":
        raise ValueError(f"path is {path!r}: give one with the linear schedule")
    t = np.asarray(t, dtype=np.float64)
    a, s, da, ds = path.alpha(t), path.sigma(t), path.d_alpha(t), path.d_sigma(t)
    V, dV = a**2 * variance + s**2, 2 * (a * da * variance + s * ds)
    if form == "eps":
        dc, k, dk = np.zeros_like(t), s / V, (ds * V - s * dV) / V**2
    elif form == "score":
        dc, k, dk = np.zeros_like(t), -1 / V, dV / V**2
    elif form == "x0":
        dc, k, dk = np.zeros_like(t), a * variance / V, variance * (da * V - a * dV) / V**2
    elif form == "v":
        # a eps - s x0, whose k is a s (1 - variance)/V
        dc = -ds * mean
        k, dk = a * s * (1 - variance) / V, (1 - variance) * ((da * s + a * ds) * V - a * s * dV) / V**2
    else:
        # dx/dt = f x - g^2/2 score with f = -beta/2 and g^2 = beta
        beta, d_beta = path.g2(t), path.beta_max - path.beta_min
        dc = (-d_beta / 2 * a - beta / 2 * da) * mean
        k, dk = -beta / 2 * (1 - 1 / V), -d_beta / 2 * (1 - 1 / V) - beta / 2 * dV / V**2
    return np.sqrt((dc - k * da * mean) ** 2 + dk**2 * V)


def growth(form: str, mean: float, variance: float, path: paths.VP = SINGULAR_PATH) -> float:
    """Return q with |d/dt prediction| ~ t^-q, from the two least of `INSTANTS`; 0 if it does not depend on t."""
    late = np.array(INSTANTS[-2:])
    sizes = time_derivative(form, late, mean, variance, path)
    if not sizes.any():
        return 0.0
    return float(np.log(sizes[1] / sizes[0]) / np.log(late[0] / late[1]))
