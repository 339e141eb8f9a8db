"""The gap between ODE and SDE samplers and the truth, as a function of what the score gets wrong.

With the exact score and fine steps both sample the same law. With a wrong score they part: the noise of an SDE
forgets errors made early and, the more of it there is, feels those made late the more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture
from analytic.reprs import brief
from solvers import Imperfect, ScoreError

from ..inference import Slope, fit
from ..laws import MEASURED, Estimate, Means, apart, law_or_none, means_of, truth
from ..numbers import AXIS, measured
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
PULSE_ETAS = (0.0, 1.0, 2.0)
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

    __repr__ = brief

    @property
    def wrong(self) -> Imperfect:
        """The target's score with the error."""
        return Imperfect(self.target, self.error)

    @property
    def means(self) -> Means:
        """How all laws are found, so that those with the exact and the wrong score can be compared."""
        return means_of(self.target, self.wrong)

    def law(
        self,
        method: str,
        model: Any,
        nodes: Array | int | None = None,
        initial: Any = None,
        means: Means | None = None,
    ) -> tuple[Any, float]:
        """Return the law a method ends with if it asks a model, on a grid or in so many steps, and the time there.

        A NoLaw if it is unstable there: noise that folds on too coarse a grid has no density.
        """
        job, setting = job_of(method), self.setting
        grid = nodes if isinstance(nodes, np.ndarray) else setting.nodes(nodes or self.steps)
        tableau = job.method.tableau(setting.path, grid, **job.options)
        found = law_or_none(
            tableau,
            self.target,
            model,
            means=self.means if means is None else means,
            initial=setting.initial if initial is None else initial,
            samples=setting.samples,
            seed=setting.seed,
        )
        return found, float(grid[-1])

    def truth(self, t: float, means: Means | None = None) -> Any:
        """Return the exact marginal at time t."""
        setting = self.setting
        level = float(setting.path.alpha(t)), float(setting.path.sigma(t))
        return truth(
            self.target, level, self.means if means is None else means, setting.samples, setting.seed
        )

    def to_truth(self, method: str, model: Any, steps: int | None = None) -> dict[str, Estimate]:
        """Return how far a method's law is from the exact marginal where it ends."""
        found, end = self.law(method, model, steps)
        return apart(found, self.truth(end))


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
    status, reason : str
        "measured", or what kept the gap from it, which is then nan.
    """

    study: str
    target: str
    knob: str
    value: float = field(metadata=AXIS)
    of: str
    to: str
    metric: str
    gap: float = field(metadata=measured("uncertainty", error=False))
    exact: float = field(metadata=measured("uncertainty", error=False))
    uncertainty: float = 0.0
    status: str = MEASURED
    reason: str = ""


Pairs = Mapping[tuple[str, str], Mapping[str, Estimate]]


def _records(study: str, plan: Plan, knob: str, value: float, wrong: Pairs, exact: Pairs) -> Iterator[Gap]:
    for pair, found in wrong.items():
        for metric, gap in found.items():
            beside = exact[pair][metric]
            worse = gap if gap.status != MEASURED else beside
            numbers = gap.value, beside.value, gap.uncertainty
            yield Gap(study, plan.name, knob, value, *pair, metric, *numbers, worse.status, worse.reason)


def three_pairs(plan: Plan, model: Any, steps: int | None = None) -> Pairs:
    """Return how far ODE law, SDE law and truth are from each other."""
    (ode, end), (sde, _) = (plan.law(method, model, steps) for method in (plan.ode, plan.sde))
    exact = plan.truth(end)
    return {
        (plan.ode, TRUTH): apart(ode, exact),
        (plan.sde, TRUTH): apart(sde, exact),
        (plan.ode, plan.sde): apart(ode, sde),
    }


def by_size(plan: Plan, halvings: int | None = None) -> Iterator[Gap]:
    """Halve the error's size: the three gaps between ODE law, SDE law and truth."""
    exact = three_pairs(plan, plan.target)
    if halvings is None:
        halvings = SAMPLED_HALVINGS if plan.means == "samples" else HALVINGS
    for k in range(halvings):
        error = replace(plan.error, size=plan.error.size / 2**k)
        wrong = three_pairs(plan, Imperfect(plan.target, error))
        yield from _records("size", plan, "size of the error", error.size, wrong, exact)


def by_noise(plan: Plan, knobs: Mapping[str, tuple[str, tuple[float, ...]]] = KNOBS) -> Iterator[Gap]:
    """Vary how much noise a sampler adds, from none: eta, w(t), churn and corrector steps."""
    for knob, (method, values) in knobs.items():
        for value in values:
            wrong, exact = (
                {("sampler", TRUTH): plan.to_truth(method.format(value), model)}
                for model in (plan.wrong, plan.target)
            )
            yield from _records("noise", plan, knob, float(value), wrong, exact)


def by_pulse(
    plan: Plan, windows: Sequence[tuple[float, float]] = WINDOWS, etas: Sequence[float] = PULSE_ETAS
) -> Iterator[Gap]:
    """Let the score err only while the log-SNR is in a window, early or late, for ODE and noisier and noisier SDEs.

    The setting of Cao et al. 2023, which method errs less depends on when the score does.
    """
    for eta in etas:
        method = plan.ode if eta == 0 else f"{SDE}(eta={eta})"
        exact = {(method, TRUTH): plan.to_truth(method, plan.target)}
        for window in windows:
            model = Imperfect(plan.target, replace(plan.error, window=window))
            wrong = {(method, TRUTH): plan.to_truth(method, model)}
            yield from _records("pulse", plan, "log-SNR at the pulse's middle", sum(window) / 2, wrong, exact)


def starts(plan: Plan, t: float, shift: float) -> tuple[GaussianMixture, GaussianMixture]:
    """Return the exact marginal at a time, and the same with its mean off by so many deviations."""
    begin = plan.target.noised(float(plan.setting.path.alpha(t)), float(plan.setting.path.sigma(t)))
    means = begin.means + shift * np.sqrt(np.diag(begin.covariance()))
    return begin, GaussianMixture(begin.weights, means, begin.variances)


def along_the_way(
    plan: Plan, methods: Sequence[str] | None = None, cuts: int = 8, shift: float = 1.0
) -> Iterator[Gap]:
    """Measure the KL from the exact marginal on the way down, after a wrong start and after a pulse.

    A deterministic flow with the exact score carries both laws along and keeps their KL; the noise of an SDE
    contracts it. The wrong start is the exact marginal with its mean off by `shift` deviations.
    """
    setting, target = plan.setting, plan.target
    nodes = setting.nodes(plan.steps)
    _, moved = starts(plan, float(nodes[0]), shift)
    pulse = Imperfect(target, replace(plan.error, window=(-1.5, -0.5)))
    lengths = np.unique(np.linspace(2, plan.steps, cuts).round().astype(int))
    for method in (plan.ode, plan.sde) if methods is None else methods:
        for study, model, initial in (("wrong start", target, moved), ("pulse", pulse, setting.initial)):
            for length in lengths.tolist():
                grid = nodes[: length + 1]
                ends = [
                    plan.law(method, m, grid, start, "density")
                    for m, start in ((model, initial), (target, setting.initial))
                ]
                wrong, exact = (
                    {(method, TRUTH): apart(found, plan.truth(end, "density"), ("KL",))}
                    for found, end in ends
                )
                level = float(setting.path.log_snr(grid[-1]))
                yield from _records(f"contraction after a {study}", plan, "log-SNR", level, wrong, exact)


def by_evaluations(
    plan: Plan, methods: Sequence[str] | None = None, budgets: Sequence[int] = EVALUATIONS
) -> Iterator[Gap]:
    """Vary the evaluations: where discretisation ends and the score's error begins, for ODE and SDE."""
    for method in (plan.ode, plan.sde) if methods is None else methods:
        job = job_of(method)
        per_step = job.method.tableau(plan.setting.path, plan.setting.nodes(8), **job.options).nfe / 8
        for budget in budgets:
            steps = max(2, round(budget / per_step))
            wrong, exact = (
                {(method, TRUTH): plan.to_truth(method, model, steps)} for model in (plan.wrong, plan.target)
            )
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
        out[key] = fit([round(i) for i in inverse], gaps, floor, may_stay=False)
    return out
