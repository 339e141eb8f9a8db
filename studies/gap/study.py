"""The gap between ODE and SDE samplers and the truth, as a function of what the score gets wrong.

With the exact score and fine steps both sample the same law. With a wrong score they part: the noise of an SDE
forgets errors made early and, the more of it there is, feels those made late the more. Laws on the line come from
`density`, Gaussian ones from `law`, others from samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture
from solvers import Imperfect, ScoreError, density

from ..inference import Slope, fit
from ..laws import RESOLUTION, Distances, apart, end_law, truth_at
from ..setting import Setting
from ..specifications import job_of

Array = NDArray[np.float64]
ODE, SDE = "rk4", "stochastic-heun"
ERROR = ScoreError(0.2, "wave", "eps", frequency=2.0, phase=0.5)
GAUSSIAN_ERROR = ScoreError(0.2, "constant", "eps")
HALVINGS = 6
WINDOWS = tuple((low, low + 1.0) for low in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5))
ETAS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
KNOBS: dict[str, tuple[str, tuple[float, ...]]] = {
    "eta of the reverse SDE": ("stochastic-heun(eta={})", ETAS),
    "w = eta^2 sigma": ("stochastic-heun(eta={}, weight='sigma')", (0.0, 0.5, 1.0, 2.0)),
    "eta of DDIM": ("ddim-eta(eta={})", (0.0, 0.25, 0.5, 0.75, 1.0)),
    "churn": ("edm-churn(s_churn={})", (0.0, 2.0, 5.0, 10.0, 20.0)),
    "corrector steps": ("predictor-corrector(predictor='heun', correctors={})", (0, 1, 2, 4)),
}
EVALUATIONS = (16, 32, 64, 128, 256)
SAMPLED_HALVINGS = 3
TRUTH = "truth"


@dataclass(frozen=True)
class Plan:
    """What a gap study holds fixed.

    Attributes
    ----------
    name : str
        Of the target.
    target : GaussianMixture
    error : ScoreError
    ode, sde : str
        Methods, with options.
    steps : int
    setting : Setting
        Path, grid, start law and, where laws are sampled, the number of samples.
    """

    name: str
    target: GaussianMixture
    error: ScoreError = ERROR
    ode: str = ODE
    sde: str = SDE
    steps: int = 128
    setting: Setting = field(default_factory=Setting)


@dataclass(frozen=True)
class Gap:
    """How far apart two laws are at one value of what is varied.

    Attributes
    ----------
    study, target, knob : str
    value : float
        Of the knob.
    of, to : str
        The two laws: methods, or "truth", the exact marginal at the grid's end.
    metric : str
        "TV", "KL", "W2", or "sliced W2" by samples.
    gap : float
    exact : float
        The same with the exact score in as many steps: what discretisation, and sampling, make of no error at all.
    uncertainty : float
        Half width of the 99 % interval of a gap by samples, 0 for the others.
    """

    study: str
    target: str
    knob: str
    value: float
    of: str
    to: str
    metric: str
    gap: float
    exact: float
    uncertainty: float = 0.0


def _three_pairs(plan: Plan, model: Any, steps: int | None = None) -> dict[tuple[str, str], Distances]:
    truth = truth_at(plan, float(plan.setting.nodes(2)[-1]))
    ode, sde = (end_law(plan, method, model, steps) for method in (plan.ode, plan.sde))
    return {
        (plan.ode, TRUTH): apart(ode, truth),
        (plan.sde, TRUTH): apart(sde, truth),
        (plan.ode, plan.sde): apart(ode, sde),
    }


def _records(
    study: str,
    plan: Plan,
    knob: str,
    value: float,
    wrong: dict[tuple[str, str], Distances],
    exact: dict[tuple[str, str], Distances],
) -> Iterator[Gap]:
    for pair, found in wrong.items():
        for metric, (gap, half) in found.items():
            yield Gap(study, plan.name, knob, value, *pair, metric, gap, exact[pair][metric][0], half)


def by_size(plan: Plan, halvings: int | None = None) -> Iterator[Gap]:
    """Halve the error's size: the three gaps between ODE law, SDE law and truth."""
    exact = _three_pairs(plan, plan.target)
    if halvings is None:
        halvings = HALVINGS if plan.target.dim == 1 or plan.target.is_gaussian else SAMPLED_HALVINGS
    for k in range(halvings):
        error = replace(plan.error, size=plan.error.size / 2**k)
        wrong = _three_pairs(plan, Imperfect(plan.target, error))
        yield from _records("size", plan, "size of the error", error.size, wrong, exact)


def by_noise(plan: Plan, knobs: dict[str, tuple[str, tuple[float, ...]]] | None = None) -> Iterator[Gap]:
    """Vary how much noise a sampler adds, from none: eta, w(t), churn and corrector steps."""
    truth = truth_at(plan, float(plan.setting.nodes(2)[-1]))
    for knob, (method, values) in (KNOBS if knobs is None else knobs).items():
        for value in values:
            wrong, exact = (
                {("sampler", TRUTH): apart(end_law(plan, method.format(value), model), truth)}
                for model in (Imperfect(plan.target, plan.error), plan.target)
            )
            yield from _records("noise", plan, knob, float(value), wrong, exact)


def by_pulse(
    plan: Plan, windows: Sequence[tuple[float, float]] = WINDOWS, etas: Sequence[float] = (0.0, 1.0, 2.0)
) -> Iterator[Gap]:
    """Let the score err only while the log-SNR is in a window, early or late, for ODE and noisier and noisier SDEs.

    The setting of Cao et al. 2023, which method errs less depends on when the score does.
    """
    truth = truth_at(plan, float(plan.setting.nodes(2)[-1]))
    for eta in etas:
        method = plan.ode if eta == 0 else f"{SDE}(eta={eta})"
        exact = {(method, TRUTH): apart(end_law(plan, method, plan.target), truth)}
        for window in windows:
            error = replace(plan.error, window=window)
            wrong = {(method, TRUTH): apart(end_law(plan, method, Imperfect(plan.target, error)), truth)}
            yield from _records("pulse", plan, "log-SNR at the pulse's middle", sum(window) / 2, wrong, exact)


def along_the_way(plan: Plan, cuts: int = 8, shift: float = 1.0) -> Iterator[Gap]:
    """Measure the KL from the exact marginal on the way down, after a wrong start and after a pulse.

    A deterministic flow with the exact score carries both laws along and keeps their KL; the noise of an SDE
    contracts it. The wrong start is the exact marginal with its mean off by `shift` deviations.
    """
    setting, target = plan.setting, plan.target
    nodes = setting.nodes(plan.steps)
    alpha, sigma = float(setting.path.alpha(nodes[0])), float(setting.path.sigma(nodes[0]))
    begin = target.noised(alpha, sigma)
    moved = GaussianMixture(
        begin.weights, begin.means + shift * np.sqrt(begin.covariance()[0, 0]), begin.variances
    )
    pulse = Imperfect(target, replace(plan.error, window=(-1.5, -0.5)))
    lengths = np.unique(np.linspace(2, plan.steps, cuts).round().astype(int))
    for method in (plan.ode, plan.sde):
        job = job_of(method)
        for study, model, initial in (("wrong start", target, moved), ("pulse", pulse, setting.initial)):
            for length in lengths.tolist():
                grid = nodes[: length + 1]
                truth = truth_at(plan, float(grid[-1]))
                tableau = job.method.tableau(setting.path, grid, **job.options)
                found, exact = (
                    density(tableau, m, start, estimate_error=False, resolution=RESOLUTION).kl(truth)
                    for m, start in ((model, initial), (target, setting.initial))
                )
                level = float(setting.path.log_snr(grid[-1]))
                yield Gap(
                    f"contraction after a {study}",
                    plan.name,
                    "log-SNR",
                    level,
                    method,
                    TRUTH,
                    "KL",
                    found,
                    exact,
                )


def by_evaluations(plan: Plan, budgets: Sequence[int] = EVALUATIONS) -> Iterator[Gap]:
    """Vary the evaluations: where discretisation ends and the score's error begins, for ODE and SDE."""
    truth = truth_at(plan, float(plan.setting.nodes(2)[-1]))
    for method in (plan.ode, plan.sde):
        job = job_of(method)
        per_step = job.method.tableau(plan.setting.path, plan.setting.nodes(8), **job.options).nfe / 8
        for budget in budgets:
            steps = max(2, round(budget / per_step))
            try:
                wrong, exact = (
                    {(method, TRUTH): apart(end_law(plan, method, model, steps), truth)}
                    for model in (Imperfect(plan.target, plan.error), plan.target)
                )
            except FloatingPointError:  # noise that folds on too coarse a grid has no density
                continue
            yield from _records("evaluations", plan, "NFE", round(steps * per_step), wrong, exact)


def growth(found: Sequence[Gap]) -> dict[tuple[str, str, str], Slope]:
    """Return how each gap grows with the error's size, gap ~ size^slope, by (of, to, metric)."""
    out = {}
    for key in dict.fromkeys((g.of, g.to, g.metric) for g in found if g.study == "size"):
        chosen = [g for g in found if g.study == "size" and (g.of, g.to, g.metric) == key]
        chosen.sort(key=lambda g: -g.value)
        inverse = [chosen[0].value / g.value for g in chosen]
        gaps = np.array([g.gap for g in chosen])
        exact = np.array([g.exact + g.uncertainty for g in chosen])
        # TV and W2 add up at worst; KL does so in its root
        floor = 2 * np.sqrt(gaps * exact) + exact if key[2] == "KL" else exact
        out[key] = fit([round(i) for i in inverse], gaps, floor)
    return out
