"""Places where methods are compared: mixtures on Gaussian paths, and sequences of tokens under noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analytic import Interpolated, distances
from analytic.sequences import SequenceLaw
from solvers import law, sample
from solvers.continuous.denoiser import Denoiser
from solvers.discrete import Tables
from solvers.discrete.model.asked import AskedTables, NoModelError
from solvers.discrete.model.every_state import MOST_STATES

from ..laws import METRICS, UNSTABLE, Estimate, apart, floor, law_or_none, means_of, of_squares, truth
from ..order.on_text import bigrams
from ..order.on_tokens import TokenSetting
from ..setting import Job, Setting, at_most
from .errors import NO_LAW, REFUSED, TOO_FEW, Asked, Compared

GROUPS = 10  # of samples


class TooFewError(ValueError):
    """One step takes more evaluations than there are."""


class Place(ABC):
    """Where methods are compared: a target, and the noise and grid that lead to it.

    Attributes
    ----------
    target, path, grid : str
        As a user types them; of tokens the noise stands in the place of the path.
    law : GaussianMixture, Interpolated or SequenceLaw
    setting : Setting or TokenSetting
    half : str
        Of the methods that are compared here: "continuous" or "discrete".
    """

    target: str
    path: str
    grid: str
    law: Any
    setting: Any
    half: str

    @property
    @abstractmethod
    def by_samples(self) -> bool:
        """Whether errors are those of samples."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the errors there are, the sharpest first."""

    @abstractmethod
    def method(self, job: Job, steps: int) -> Any:
        """Build a method in so many steps, a tableau or a kernel."""

    @abstractmethod
    def nfe(self, method: Any) -> float:
        """Return the evaluations that it takes, expected where they are random."""

    @abstractmethod
    def errors(self, method: Any, asked: Asked, metrics: Sequence[str]) -> tuple[dict[str, Estimate], float]:
        """Return its errors by their names, and the floor of samples."""

    @property
    def model(self) -> Any:
        """What compiled samples ask, None where the model is a user's or of an interpolant."""
        return self.law

    def takes(self, job: Job) -> bool:
        """Whether a method is one for this place."""
        return job.method.half == self.half

    def built(self, job: Job, asked: Asked) -> tuple[Any, int, float]:
        """Return a method with its steps, the most that the evaluations pay for, and what those take.

        Raises TooFewError where that is more than there is, and the ValueError of a method that takes no such steps.
        """
        steps = asked.steps or at_most(lambda n: self.nfe(self.method(job, n)), asked.budget)
        steps = min(steps, self.setting.limit)
        method = self.method(job, steps)
        nfe = self.nfe(method)
        if asked.budget and nfe > asked.budget:
            raise TooFewError(f"{steps} step{'s take' if steps > 1 else ' takes'} {nfe:g} evaluations")
        return method, steps, nfe

    def compared(self, job: Job, asked: Asked) -> list[Compared]:
        """Measure one method's errors, a row for each metric."""
        metrics = asked.metrics or self.metrics[:1]
        row = Compared(job.label, self.target, self.path, self.grid, "", asked.budget, asked.steps, 0, np.nan)
        least = 0.0
        try:
            method, steps, nfe = self.built(job, asked)
        except ValueError as problem:
            status = TOO_FEW if isinstance(problem, TooFewError) else REFUSED
            found = dict.fromkeys(metrics, Estimate.failed(status, problem))
        else:
            row = replace(row, steps=steps, nfe=nfe, seed=asked.seed if self.by_samples else 0)
            found, least = self.errors(method, asked, metrics)
        return [
            replace(
                row,
                metric=metric,
                error=e.value,
                uncertainty=e.uncertainty,
                floor=least,
                parts=e.parts,
                status=e.status,
                reason=e.reason,
            )
            for metric, e in found.items()
        ]


@dataclass(frozen=True)
class OnMixture(Place):
    """A mixture on a path, or on its way: by exact law if Gaussian, by density on the line, elsewhere by samples.

    Attributes
    ----------
    asks : model, optional
        What is asked; the exact one if None.
    """

    target: str
    law: Any  # GaussianMixture, or Interpolated
    path: str
    grid: str
    setting: Setting
    asks: Any = None
    half = "continuous"

    @property
    def by_samples(self) -> bool:
        """Whether errors are those of samples."""
        return means_of(self.law, self.asks) == "samples"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the errors there are, the sharpest first."""
        return METRICS[means_of(self.law, self.asks)]

    @property
    def model(self) -> Any:
        """What compiled samples ask, None where the model is a user's or of an interpolant."""
        asked = self.law if self.asks is None else self.asks
        return None if isinstance(asked, Denoiser | Interpolated) else asked

    def method(self, job: Job, steps: int) -> Any:
        """Build a tableau."""
        nodes = self.setting.nodes(steps)
        return job.method.tableau(self.setting.path, nodes, start=job.start, **job.options)

    def nfe(self, method: Any) -> float:
        """Return the evaluations that it takes."""
        return float(method.nfe)

    def errors(self, method: Any, asked: Asked, metrics: Sequence[str]) -> tuple[dict[str, Estimate], float]:
        """Return distances to the exact marginal at the grid's end."""
        means = means_of(self.law, self.asks)
        drawn = {"samples": asked.samples, "seed": asked.seed} if self.by_samples else {}
        least = floor(self.law, method.end, **drawn) if self.by_samples else 0.0
        try:
            ended = law_or_none(
                method, self.law, self.asks, initial=self.setting.initial, means=means, **drawn
            )
            return apart(ended, truth(self.law, method.end, means, **drawn), metrics), least
        except ValueError as problem:  # a noisy method with memory has no density on the line
            return dict.fromkeys(metrics, Estimate.failed(NO_LAW, problem)), least


@dataclass(frozen=True)
class OnTokens(Place):
    """Sequences under a noise: by exact law while they can be enumerated, elsewhere by samples' bigrams.

    Tokens still noisy at the end are drawn from their posterior, at the cost of one evaluation.

    Attributes
    ----------
    asks : model, optional
        Of one's own, asked instead of the exact posterior, see `AskedTables`; of sequences that can be enumerated.
    """

    target: str
    law: SequenceLaw
    path: str  # the noise
    grid: str
    setting: TokenSetting
    asks: Any = None
    half = "discrete"

    @property
    def model(self) -> Any:
        """What compiled samples ask, None where the model is a user's."""
        return self.law if self.asks is None else None

    @property
    def by_samples(self) -> bool:
        """Whether errors are those of samples."""
        return bool(self.setting.process.states**self.law.length > MOST_STATES)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the errors there are, the sharpest first."""
        return ("bigram TV",) if self.by_samples else ("TV", "KL")

    def method(self, job: Job, steps: int) -> Any:
        """Build a kernel."""
        return job.method.kernel(self.setting.process, self.setting.nodes(steps), "posterior", **job.options)

    def nfe(self, method: Any) -> float:
        """Return the evaluations that it takes, expected where they are random."""
        return float(method.evaluations(self.law.length))

    def errors(self, method: Any, asked: Asked, metrics: Sequence[str]) -> tuple[dict[str, Estimate], float]:
        """Return divergences from the data's law."""
        try:
            known, least = self._by_samples(method, asked) if self.by_samples else (self._by_law(method), 0.0)
        except FloatingPointError as problem:
            return dict.fromkeys(metrics, Estimate.failed(UNSTABLE, problem)), 0.0
        except NoModelError as problem:
            return dict.fromkeys(metrics, Estimate.failed(NO_LAW, problem)), 0.0
        return {metric: known[metric] for metric in metrics}, least

    def _by_law(self, kernel: Any) -> dict[str, Estimate]:
        data, process = self.law, self.setting.process
        tables = Tables(process, data) if self.asks is None else AskedTables(process, data, self.asks)
        p = law(kernel, data, self.setting.initial, tables=tables).ravel()
        if not abs(p.sum() - 1) < 1e-9:
            raise FloatingPointError(f"probabilities add up to {p.sum():.3g}: signed steps blow up")
        own = tables.evidence(0.0)
        return {"TV": Estimate(distances.table_tv(own, p)), "KL": Estimate(distances.table_kl(own, p))}

    def _by_samples(self, kernel: Any, asked: Asked) -> tuple[dict[str, Estimate], float]:
        """Bigram TV of groups of samples, and of exact draws as many."""
        data = self.law
        exact = data.ngram(2)

        def squares(tokens: Any) -> tuple[float, ...]:
            groups = np.array_split(tokens, GROUPS)
            return tuple(distances.table_tv(exact, bigrams(group, data.vocabulary)) ** 2 for group in groups)

        own = squares(sample(kernel, data, asked.samples, asked.seed, self.setting.initial))
        least, _ = of_squares(squares(data.sample(asked.samples, asked.seed + 1)))
        return {"bigram TV": Estimate(*of_squares(own), parts=own)}, least
