"""Places where methods are compared: mixtures on Gaussian paths, and sequences of tokens under noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from analytic import GaussianMixture, distances
from analytic.sequences import SequenceLaw
from solvers import law, sample
from solvers.continuous.denoiser import Denoiser
from solvers.discrete import Tables
from solvers.discrete.model.every_state import MOST_STATES

from ..laws import METRICS, UNSTABLE, Estimate, apart, law_or_none, means_of, truth
from ..order.on_text import bigrams
from ..order.on_tokens import TokenSetting
from ..setting import Job, Setting, at_most
from .errors import TOO_FEW, Asked, Compared, of_parts

NO_LAW = "no law"
GROUPS = 10


@dataclass(frozen=True)
class OnMixture:
    """A mixture on a path: by exact law if Gaussian, by density on the line, elsewhere by samples."""

    target: str
    law: GaussianMixture
    path: str
    grid: str
    setting: Setting
    model: Any = None  # what is asked; the exact one if None

    @property
    def by_samples(self) -> bool:
        """Whether errors are those of samples."""
        return means_of(self.law, self.model) == "samples"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the errors there are, the sharpest first."""
        return METRICS[means_of(self.law, self.model)]

    def takes(self, job: Job) -> bool:
        """Whether a method is one for this place."""
        return job.method.half == "continuous"

    def compared(self, job: Job, asked: Asked) -> list[Compared]:
        """Measure one method's errors."""
        setting = self.setting
        metrics = asked.metrics or self.metrics[:1]
        row = partial(Compared, job.label, self.target, self.path, self.grid)

        def none(steps: int, nfe: float, status: str, reason: object) -> list[Compared]:
            return [
                row(m, asked.budget, steps, nfe, np.nan, np.nan, status=status, reason=str(reason))
                for m in metrics
            ]

        try:
            steps, tableau = self._built(job, asked)
        except ValueError as problem:
            return none(asked.steps, 0, TOO_FEW, problem)
        if asked.budget and tableau.nfe > asked.budget:
            return none(steps, tableau.nfe, TOO_FEW, f"one step takes {tableau.nfe} evaluations")
        means = means_of(self.law, self.model)
        drawn = {"samples": asked.samples, "seed": asked.seed} if self.by_samples else {}
        floor = 0.0
        try:
            ended = law_or_none(tableau, self.law, self.model, initial=setting.initial, means=means, **drawn)
            true = truth(self.law, tableau.end, means, **drawn)
            found = apart(ended, true, metrics)
            if self.by_samples:
                other = truth(self.law, tableau.end, means, asked.samples, asked.seed + 2)
                floor = apart(other, true, metrics)[metrics[0]].value
        except ValueError as problem:  # a noisy method with memory has no density on the line
            found = dict.fromkeys(metrics, Estimate.failed(NO_LAW, problem))
        seed = asked.seed if self.by_samples else 0
        return [
            row(
                m,
                asked.budget,
                steps,
                tableau.nfe,
                e.value,
                e.uncertainty,
                floor,
                seed,
                e.parts,
                e.status,
                e.reason,
            )
            for m, e in found.items()
        ]

    def _built(self, job: Job, asked: Asked) -> tuple[int, Any]:
        """Return the steps that are taken, and the tableau."""
        setting = self.setting

        def tableau_of(steps: int) -> Any:
            nodes = setting.nodes(steps)
            return job.method.tableau(setting.path, nodes, start=job.start, **job.options)

        steps = asked.steps or at_most(lambda n: tableau_of(n).nfe, asked.budget)
        steps = min(steps, setting.limit)
        return steps, tableau_of(steps)

    def sampler(self, job: Job, asked: Asked) -> tuple[Any, Any, int, float] | None:
        """Return what `sample` takes, or None where the steps are too few or the model is a user's."""
        try:
            steps, tableau = self._built(job, asked)
        except ValueError:
            return None
        if (asked.budget and tableau.nfe > asked.budget) or isinstance(self.model, Denoiser):
            return None
        return tableau, self.law if self.model is None else self.model, steps, float(tableau.nfe)


@dataclass(frozen=True)
class OnTokens:
    """Sequences under a noise: by exact law while they can be enumerated, elsewhere by samples' bigrams."""

    target: str
    law: SequenceLaw
    path: str  # the noise
    grid: str
    setting: TokenSetting

    @property
    def by_samples(self) -> bool:
        """Whether errors are those of samples."""
        return bool(self.setting.process.states**self.law.length > MOST_STATES)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the errors there are, the sharpest first."""
        return ("bigram TV",) if self.by_samples else ("TV", "KL")

    def takes(self, job: Job) -> bool:
        """Whether a method is one for this place."""
        return job.method.half == "discrete"

    def compared(self, job: Job, asked: Asked) -> list[Compared]:
        """Measure one method's errors; tokens still noisy at the end are drawn from their posterior."""
        data = self.law
        metrics = asked.metrics or self.metrics[:1]
        row = partial(Compared, job.text, self.target, self.path, self.grid)

        try:
            steps, kernel = self._built(job, asked)
        except ValueError as problem:
            return [
                row(m, asked.budget, asked.steps, 0, np.nan, np.nan, status="refused", reason=str(problem))
                for m in metrics
            ]
        nfe = float(kernel.evaluations(data.length))
        if asked.budget and nfe > asked.budget:
            reason = f"{steps} step{'s take' if steps > 1 else ' takes'} {nfe:g} evaluations"
            return [
                row(m, asked.budget, steps, nfe, np.nan, np.nan, status=TOO_FEW, reason=reason)
                for m in metrics
            ]
        try:
            errors = self._by_samples(kernel, asked) if self.by_samples else self._by_law(kernel)
        except FloatingPointError as problem:
            return [
                row(m, asked.budget, steps, nfe, np.nan, np.nan, status=UNSTABLE, reason=str(problem))
                for m in metrics
            ]
        whole = row("", asked.budget, steps, nfe, np.nan)
        return [replace(whole, metric=m, **errors[m]) for m in metrics]

    def _built(self, job: Job, asked: Asked) -> tuple[int, Any]:
        """Return the steps that are taken, and the kernel."""
        setting = self.setting

        def kernel_of(steps: int) -> Any:
            return job.method.kernel(setting.process, setting.nodes(steps), "posterior", **job.options)

        steps = asked.steps or at_most(lambda n: kernel_of(n).evaluations(self.law.length), asked.budget)
        return steps, kernel_of(steps)

    def sampler(self, job: Job, asked: Asked) -> tuple[Any, Any, int, float] | None:
        """Return what `sample` takes, or None where the noise is refused or the steps are too few."""
        try:
            steps, kernel = self._built(job, asked)
        except ValueError:
            return None
        nfe = float(kernel.evaluations(self.law.length))
        return None if asked.budget and nfe > asked.budget else (kernel, self.law, steps, nfe)

    def _by_law(self, kernel: Any) -> dict[str, dict[str, Any]]:
        data, tables = self.law, Tables(self.setting.process, self.law)
        p = law(kernel, data, self.setting.initial, tables=tables).ravel()
        if not abs(p.sum() - 1) < 1e-9:
            raise FloatingPointError(f"probabilities add up to {p.sum():.3g}: signed steps blow up")
        own = tables.evidence(0.0)  # tokens still noisy at the end were drawn
        return {"TV": {"error": distances.table_tv(own, p)}, "KL": {"error": distances.table_kl(own, p)}}

    def _by_samples(self, kernel: Any, asked: Asked) -> dict[str, dict[str, Any]]:
        """Bigram TV of groups of samples, and of exact draws as many."""
        data = self.law
        exact = data.ngram(2)

        def parts(tokens: Any) -> tuple[float, ...]:
            groups = np.array_split(np.minimum(tokens, data.vocabulary - 1), GROUPS)
            return tuple(distances.table_tv(exact, bigrams(group, data.vocabulary)) ** 2 for group in groups)

        own = parts(sample(kernel, data, asked.samples, asked.seed, self.setting.initial))
        error, uncertainty = of_parts(own)
        floor, _ = of_parts(parts(data.sample(asked.samples, asked.seed + 1)))
        found = {"error": error, "uncertainty": uncertainty, "floor": floor, "seed": asked.seed, "parts": own}
        return {"bigram TV": found}
