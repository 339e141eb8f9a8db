"""Samplers on sequences too long to enumerate: exact log-likelihood and n-gram errors of their samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytic import distances, sequences
from solvers import sample

from ..inference import Slope
from ..ladder import Measurement
from ..setting import Job
from .on_tokens import TokenSetting
from .tables import NOTHING

BUDGETS = (8, 16, 32, 64, 128)
SAMPLES = 256
NOT_FITTED = Slope(float("nan"), float("nan"), float("nan"), (0, 0), "not fitted")
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


def text_errors(
    job: Job,
    name: str,
    data: sequences.SequenceLaw,
    setting: TokenSetting,
    budgets: Sequence[int] = BUDGETS,
    n: int = SAMPLES,
    seed: int = 0,
) -> tuple[list[Measurement], dict[int, Tokens]]:
    """Sample long sequences at several numbers of evaluations and measure them against the exact law.

    Tokens still noisy at the grid's end are drawn from their posterior, at the cost of one evaluation.

    Returns
    -------
    measurements, samples
        The two statistics of `statistics`, and the samples by their number of steps.
    """
    stages = job.method.kernel(setting.process, setting.nodes(8), **job.options).evaluations(data.length) / 8
    steps = sorted({max(1, round(budget / stages)) for budget in budgets})
    found: dict[str, list[tuple[float, float]]] = {"log-likelihood": [], "bigram": []}
    evaluations: list[float] = []
    kept: dict[int, Tokens] = {}
    for N in steps:
        kernel = job.method.kernel(setting.process, setting.nodes(N), "posterior", **job.options)
        evaluations.append(kernel.evaluations(data.length))
        tokens = sample(kernel, data, n, seed, setting.initial)
        kept[N] = tokens
        for metric, value in statistics(tokens, data).items():
            found[metric].append(value)
    label = job.method.labelled(job.options)
    measurements = [
        Measurement(
            label,
            setting.noise,
            name,
            metric,
            "samples",
            tuple(steps),
            tuple(evaluations),
            tuple(value for value, _ in values),
            tuple(error for _, error in values),
            NOT_FITTED,
        )
        for metric, values in found.items()
    ]
    return measurements, kept


def excerpt(
    measurement: Measurement, kept: dict[int, Tokens], data: sequences.SequenceLaw, width: int = 72
) -> str:
    """Return the beginning of a sample at the most steps, as text where the tokens are letters."""
    steps = max(kept)
    row = kept[steps][:1, :width].astype(np.int64)
    text = (
        sequences.decode(row, sequences.LETTERS)[0]
        if data.vocabulary == len(sequences.LETTERS)
        else str(row[0])
    )
    return f"{measurement.method}, {measurement.start}, {steps} steps: {text}"


def exact_draws(
    name: str, data: sequences.SequenceLaw, n: int = SAMPLES, seed: int = 1
) -> dict[str, tuple[float, float]]:
    """Return the same statistics of exact draws: the floor under a sampler's."""
    return statistics(data.sample(n, seed), data)


def text_summary(
    measurements: Sequence[Measurement], metric: str, floor: tuple[float, float]
) -> pd.DataFrame:
    """One row per method and noise, one column per number of steps, exact draws below."""
    chosen = [m for m in measurements if m.metric == metric]
    columns = sorted({N for m in chosen for N in m.steps})
    rows = [
        {"method": m.method, "noise": m.start, "NFE/step": f"{m.nfe[-1] / m.steps[-1]:.3g}"}
        | {
            f"{N} steps": next(
                (
                    f"{e:.4f}±{u:.4f}"
                    for s, e, u in zip(m.steps, m.errors, m.uncertainty, strict=True)
                    if s == N
                ),
                NOTHING,
            )
            for N in columns
        }
        for m in chosen
    ]
    exact = f"{floor[0]:.4f}±{floor[1]:.4f}"
    rows.append(
        {"method": "exact draws", "noise": NOTHING, "NFE/step": NOTHING}
        | {f"{N} steps": exact for N in columns}
    )
    return pd.DataFrame(rows)
