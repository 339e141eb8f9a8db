"""The defect of a wrong score as a martingale, and what calibrating it gains, by quadrature and exact laws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.polynomial import hermite_e
from numpy.typing import NDArray

from analytic import GaussianMixture, targets
from solvers import Calibrated
from solvers.continuous.calibrated import nodes_of
from solvers.continuous.denoiser import denoised

from ..laws import apart, law_of
from ..numbers import AXIS, measured
from ..setting import Setting
from ..specifications import job_of
from ..wrong_scores import CALIBRATED, score_of

Array = NDArray[np.float64]
LEVELS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0)  # log-SNR
LEARNED, LEARNED_TARGET = "learned", "nine-2d"
HERMITE = 24  # nodes along each axis and component, in the plane
ROWS = 512


@dataclass(frozen=True)
class Level:
    """A wrong score at one level, over the noised data.

    Attributes
    ----------
    score : str
    log_snr : float
    eta : float
        Length of the mean of the score: 0 of an exact one.
    error, calibrated : float
        E |s - exact|^2, and the same of the score less its mean.
    defect, calibrated_defect : float
        Root mean square of E[D(x_s, s) | x_t] - D(x_t, t), D the model's denoiser and s the next level towards the
        data: 0 of a martingale along the exact reverse process. nan at the last level, and in the plane.
    """

    score: str
    log_snr: float = field(metadata=AXIS)
    eta: float
    error: float
    calibrated: float = field(metadata=measured())
    defect: float
    calibrated_defect: float


@dataclass(frozen=True)
class End:
    """How far a method's law is from the exact marginal at the grid's end, with a score as it is and calibrated.

    Attributes
    ----------
    score, method : str
    steps : int
    kl, calibrated_kl, exact_kl, w2, calibrated_w2, exact_w2 : float
        With the wrong score, with the calibrated and with the exact one.
    """

    score: str
    method: str
    steps: int
    kl: float = field(metadata=measured())
    calibrated_kl: float = field(metadata=measured())
    exact_kl: float = field(metadata=measured())
    w2: float = field(metadata=measured())
    calibrated_w2: float = field(metadata=measured())
    exact_w2: float = field(metadata=measured())


def score(model: Any, x: Array, alpha: float, sigma: float) -> Array:
    """Return a model's score at x (m, dim)."""
    return np.asarray((alpha * denoised(model, x, alpha, sigma) - x) / sigma**2)


def at_levels(name: str, target: GaussianMixture, setting: Setting, log_snrs: Sequence[float]) -> list[Level]:
    """Measure a wrong score of a target on the line at levels, from noise to data."""
    models = score_of(name, target), score_of(f"{CALIBRATED}{name})", target)
    times = [float(setting.path.time_of_log_snr(one)) for one in log_snrs]
    where = [(float(setting.path.alpha(t)), float(setting.path.sigma(t))) for t in times]
    found = []
    for index, (log_snr, level) in enumerate(zip(log_snrs, where, strict=True)):
        x, weights = nodes_of(target, *level)
        exact = score(target, x, *level)
        errors = [float(weights @ ((score(m, x, *level) - exact) ** 2).sum(axis=1)) for m in models]
        defects = (float("nan"), float("nan"))
        if index + 1 < len(where):
            then = where[index + 1]
            defects = (defect(models[0], target, level, then), defect(models[1], target, level, then))
        eta = float(np.abs(models[1].eta(*level)).max())
        found.append(Level(name, float(log_snr), eta, errors[0], errors[1], defects[0], defects[1]))
    return found


def defect(model: Any, target: GaussianMixture, now: tuple[float, float], then: tuple[float, float]) -> float:
    """Return the root mean square of E[D(x_s, s) | x_t] - D(x_t, t) under the exact reverse kernel on the line."""
    x, weights = nodes_of(target, *now)
    y, masses = nodes_of(target, *then)
    ratio = now[0] / then[0]
    variance = now[1] ** 2 - (ratio * then[1]) ** 2
    D = denoised(model, y, *then)
    total = 0.0
    for rows in range(0, len(x), ROWS):
        part = slice(rows, rows + ROWS)
        logs = -((x[part] - ratio * y.T) ** 2) / (2 * variance) + np.log(masses)
        kernel = np.exp(logs - logs.max(axis=1, keepdims=True))
        kernel /= kernel.sum(axis=1, keepdims=True)
        away = kernel @ D - denoised(model, x[part], *now)
        total += float(weights[part] @ (away**2).sum(axis=1))
    return float(np.sqrt(total))


def of_learned(name: str, log_snrs: Sequence[float]) -> list[Level]:
    """Measure a shipped network of the plane at levels, by Gauss-Hermite nodes on every component."""
    from ..learned.networks import OrnsteinUhlenbeck, shipped

    network, path, target = shipped()[name], OrnsteinUhlenbeck(), targets.load(LEARNED_TARGET)
    nodes, masses = hermite_e.hermegauss(HERMITE)
    z = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    each = np.outer(masses, masses).ravel() / masses.sum() ** 2
    found = []
    for log_snr in log_snrs:
        t = float(path.time_of_log_snr(log_snr))
        alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
        noised = target.noised(alpha, sigma)
        x = (noised.means[:, None] + np.sqrt(noised.variances)[:, None] * z).reshape(-1, 2)
        weights = (noised.weights[:, None] * each).ravel()
        wrong, exact = network.score(x, t), score(target, x, alpha, sigma)
        eta = weights @ wrong
        error, calibrated = (float(weights @ ((s - exact) ** 2).sum(axis=1)) for s in (wrong, wrong - eta))
        size, nan = float(np.linalg.norm(eta)), float("nan")
        found.append(Level(f"{LEARNED}: {name}", float(log_snr), size, error, calibrated, nan, nan))
    return found


def at_the_end(name: str, method: str, target: GaussianMixture, setting: Setting, steps: int) -> list[End]:
    """Measure a method with a wrong score, with it calibrated and with the exact one, from the exact marginal."""
    job = job_of(method)
    tableau = job.method.tableau(setting.path, setting.nodes(steps), **job.options)
    truth = target.noised(*tableau.end)
    wrong = score_of(name, target)
    rows = []
    for model in (wrong, Calibrated(wrong, target), target):
        found = law_of(tableau, target, model, means="density")
        distances = apart(found, truth, ("KL", "W2"))
        rows.append((distances["KL"].value, distances["W2"].value))
    kls, w2s = zip(*rows, strict=True)
    return [End(name, job.text, steps, *kls, *w2s)]
