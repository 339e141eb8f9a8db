"""Samplers on sequences too long to enumerate: exact log-likelihood and n-gram errors of their samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytic import distances, sequences
from solvers import Kernel, sample

from ..inference import NOT_FITTED
from ..ladder import Measurement, long
from ..output.report import Report
from ..setting import Job
from ..study import Cell, Plain
from .charts import convergence
from .on_tokens import TokenSetting
from .tables import EXACT_DRAWS, NOTHING

BUDGETS = (8, 16, 32, 64, 128)
SAMPLES = 256
STATISTICS = ("log-likelihood", "bigram")
Tokens = NDArray[np.integer]


def bigrams(tokens: Tokens, vocabulary: int) -> NDArray[np.float64]:
    """Return the frequencies of neighbouring pairs in (n, L) tokens, (V, V)."""
    pairs = tokens[:, :-1].astype(np.int64) * vocabulary + tokens[:, 1:]
    counts = np.bincount(pairs.ravel(), minlength=vocabulary**2)
    return counts.reshape(vocabulary, vocabulary) / pairs.size


def statistics(tokens: Tokens, data: sequences.SequenceLaw) -> dict[str, tuple[float, float]]:
    """Return what samples show of their law, each with a standard error.

    "log-likelihood": mean exact log-probability in nats per token, with the error of the mean. "bigram": total
    variation between the samples' bigrams and the exact ones, whose own noise floor exact draws of the same number
    show; its error is the spread over quarters of the samples, halved.
    """
    exact = data.ngram(2)
    per_token = data.log_probability(tokens) / data.length
    whole = distances.table_tv(exact, bigrams(tokens, data.vocabulary))
    parts = [distances.table_tv(exact, bigrams(part, data.vocabulary)) for part in np.array_split(tokens, 4)]
    return {
        "log-likelihood": (float(per_token.mean()), float(per_token.std(ddof=1) / np.sqrt(len(tokens)))),
        "bigram": (whole, float(np.std(parts, ddof=1) / 2)),
    }


def ladder_of(
    job: Job, data: sequences.SequenceLaw, setting: TokenSetting, budgets: Sequence[int] = BUDGETS
) -> dict[int, Kernel]:
    """Return a method's kernels at about so many evaluations each, by their steps.

    Tokens still noisy at the grid's end are drawn from their posterior, at the cost of one evaluation.
    """
    stages = job.method.kernel(setting.process, setting.nodes(8), **job.options).evaluations(data.length) / 8
    steps = sorted({max(1, round(budget / stages)) for budget in budgets})
    return {
        N: job.method.kernel(setting.process, setting.nodes(N), "posterior", **job.options) for N in steps
    }


def text_errors(
    job: Job,
    name: str,
    data: sequences.SequenceLaw,
    setting: TokenSetting,
    budgets: Sequence[int] = BUDGETS,
    n: int = SAMPLES,
    seed: int = 0,
) -> list[Measurement]:
    """Sample long sequences at several numbers of evaluations and measure them against the exact law.

    Returns a Measurement for each of `statistics`.
    """
    kernels = ladder_of(job, data, setting, budgets)
    found = [statistics(sample(kernel, data, n, seed, setting.initial), data) for kernel in kernels.values()]
    nfe = [kernel.evaluations(data.length) for kernel in kernels.values()]
    return bundled(job.text, setting.noise, name, list(kernels), nfe, found)


def exact_draws(name: str, data: sequences.SequenceLaw, n: int = SAMPLES, seed: int = 1) -> list[Measurement]:
    """Measure exact draws in the same way: the floor under a sampler's."""
    return bundled(EXACT_DRAWS, NOTHING, name, [0], [0.0], [statistics(data.sample(n, seed), data)])


def bundled(
    method: str,
    noise: str,
    target: str,
    steps: Sequence[int],
    nfe: Sequence[float],
    found: Sequence[dict[str, tuple[float, float]]],
) -> list[Measurement]:
    """Bundle statistics by steps into a Measurement each."""
    return [
        Measurement(
            method,
            noise,
            target,
            metric,
            "samples",
            tuple(steps),
            tuple(nfe),
            tuple(one[metric][0] for one in found),
            tuple(one[metric][1] for one in found),
            NOT_FITTED,
        )
        for metric in STATISTICS
    ]


def text_summary(measurements: Sequence[Measurement], metric: str) -> pd.DataFrame:
    """One row per method and noise, one column per number of steps, exact draws below."""
    chosen = [m for m in measurements if m.metric == metric]
    columns = sorted({N for m in chosen for N in m.steps if m.method != EXACT_DRAWS})
    rows = []
    for m in sorted(chosen, key=lambda m: m.method == EXACT_DRAWS):
        cells = [f"{e:.4f}±{u:.4f}" for e, u in zip(m.errors, m.uncertainty, strict=True)]
        exact = m.method == EXACT_DRAWS
        at = dict.fromkeys(columns, cells[0]) if exact else dict(zip(m.steps, cells, strict=True))
        cost = NOTHING if exact else f"{m.nfe[-1] / m.steps[-1]:.3g}"
        rows.append(
            {"method": m.method, "noise": m.start, "NFE/step": cost}
            | {f"{N} steps": at.get(N, NOTHING) for N in columns}
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class TextErrors(Plain[Measurement]):
    """Samplers of tokens on one law too long to enumerate, with exact draws beside them.

    Attributes
    ----------
    work : sequence of (Job, TokenSetting)
    target_name : str
    data : SequenceLaw
    samples, seed : int
    """

    work: Sequence[tuple[Job, TokenSetting]]
    target_name: str
    data: sequences.SequenceLaw
    samples: int = SAMPLES
    seed: int = 0

    name: ClassVar[str] = "order on text"
    record: ClassVar[type] = Measurement

    def cells(self) -> Iterable[Cell[Measurement]]:
        """One for each method under each noise, and one for exact draws."""
        given = {"law": self.data, "samples": self.samples, "seed": self.seed}
        for job, setting in self.work:
            of = {"method": job.text, "noise": setting.noise, "target": self.target_name}
            yield Cell(of, partial(self._errors, job, setting), given | {"job": job, "setting": setting})
        of = {"method": EXACT_DRAWS, "target": self.target_name}
        yield Cell(of, partial(exact_draws, self.target_name, self.data, self.samples), given)

    def _errors(self, job: Job, setting: TokenSetting) -> list[Measurement]:
        return text_errors(job, self.target_name, self.data, setting, n=self.samples, seed=self.seed)

    def reports(self, found: list[Measurement]) -> Iterable[Report]:
        """Return log-likelihoods, and bigram errors with the beginning of a sample of each method."""
        n, name = self.samples, self.target_name
        own = -self.data.entropy_rate()
        titles = {
            "log-likelihood": f"Exact log-likelihood of {n} samples of {name} in nats per token; its own is {own:.4f}",
            "bigram": f"Total variation of the samples' bigrams from the exact ones on {name}",
        }
        for metric, title in titles.items():
            notes = self._excerpts() if metric == "bigram" else []
            chosen = [m for m in found if m.metric == metric]
            yield Report(metric, title, text_summary(chosen, metric), notes, {"measurements": long(chosen)})

    def _excerpts(self, width: int = 72) -> list[str]:
        """The beginning of each method's first sample at the most steps, as text where the tokens are letters."""
        letters = self.data.vocabulary == len(sequences.LETTERS)
        said = []
        for job, setting in self.work:
            steps, kernel = ladder_of(job, self.data, setting).popitem()
            row = sample(kernel, self.data, 1, self.seed, setting.initial)[:, :width].astype(np.int64)
            text = sequences.decode(row, sequences.LETTERS)[0] if letters else str(row[0])
            said.append(f"{job.text}, {setting.noise}, {steps} steps: {text}")
        return said

    def figures(self, found: list[Measurement]) -> Mapping[str, Any]:
        """Draw what is missing of the log-likelihood, and bigram errors, against NFE."""
        where = ", ".join(dict.fromkeys(setting.noise for _, setting in self.work))
        own = -self.data.entropy_rate()
        methods = [m for m in found if m.method != EXACT_DRAWS]
        # a logarithmic axis wants what is missing, not the log-likelihood itself
        short = [
            replace(m, metric="shortfall", errors=tuple(own - e for e in m.errors))
            for m in methods
            if m.metric == "log-likelihood"
        ]
        bigrams = [m for m in methods if m.metric == "bigram"]
        return {**convergence("log-likelihood", short, where), **convergence("bigram", bigrams, where)}
