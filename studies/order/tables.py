"""Measurements and judgements as data frames: one long, for programs and plots, and one to read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..ladder import START_UP, Measurement, long
from ..setting import from_start
from .claims import Judgement, claims_of, order_of

# What a target's column shows for a claim of each sense, the sharpest that was measured first.
_SHOWN = {"ode": ("w2", "weak"), "weak": ("w2", "weak"), "strong": ("strong",), "tv": ()}
SAMPLED = "~"
LEGEND = "A target's column has the order of the W2 error, of the pathwise error where the claim is strong"
BY_SAMPLES = "~: by samples"
STARTS = "start-up: order of what a practical start adds to an exact one"


def legend(measurements: Sequence[Measurement]) -> str:
    """Say what columns are, of what there is."""
    said = [LEGEND]
    said += [BY_SAMPLES] if any(m.means == "samples" for m in measurements) else []
    said += [STARTS] if any(m.metric == START_UP for m in measurements) else []
    return "; ".join(said) + "."


NOTHING = "–"
EXACT_DRAWS = "exact draws"  # in the place of a method: the floor of what is measured by samples


def summary(measurements: Sequence[Measurement], judgements: Sequence[Judgement]) -> pd.DataFrame:
    """One row per method, start and claim: what is claimed, what each target measured, and the verdict."""
    targets = list(dict.fromkeys(m.target for m in measurements))
    with_tv = {m.target for m in measurements if m.metric == "tv"}
    start_ups = any(m.metric == START_UP for m in measurements)
    rows = []
    for method, start in dict.fromkeys((m.method, m.start) for m in measurements):
        own = {(m.target, m.metric): m for m in measurements if (m.method, m.start) == (method, start)}
        judged = [j for j in judgements if (j.method, j.start) == (method, start)]
        first = next(iter(own.values()))
        for judgement in judged or (None,):
            claim = judgement.claim if judgement else None
            in_law = claim is None or claim.sense != "strong"
            row = {
                "method": from_start(method, start),
                "NFE/step": f"{first.nfe[-1] / first.steps[-1]:.3g}" if start == "practical" else NOTHING,
                "claim": order_of(claim) if claim else NOTHING,
                "by": claim.basis if claim else NOTHING,
            }
            for target in targets:
                shown = _SHOWN[claim.sense] if claim else ("w2", "weak")
                row[target] = _slope(next((own[target, m] for m in shown if (target, m) in own), None))
                if target in with_tv:
                    row[f"{target} TV"] = _slope(own.get((target, "tv"))) if in_law else NOTHING
            if start_ups:
                start_up = next((m for (_, metric), m in own.items() if metric == START_UP), None)
                row["start-up"] = _slope(start_up)
            row["verdict"] = judgement.words if judgement else "no claim"
            rows.append(row)
    return pd.DataFrame(rows)


def verdicts(judgements: Sequence[Judgement]) -> pd.DataFrame:
    """One row per claim: who says what, the verdict and its reason."""
    return pd.DataFrame(
        [
            {
                "method": j.method,
                "start": j.start,
                "order": j.claim.order,
                "sense": j.claim.sense,
                "basis": j.claim.basis,
                "source": j.claim.source,
                "conditions": j.claim.conditions,
                "verdict": j.verdict,
                "words": j.words,
                "reason": j.reason,
            }
            for j in judgements
        ]
    )


def everything(
    measurements: Sequence[Measurement], judgements: Sequence[Judgement]
) -> dict[str, pd.DataFrame]:
    """Return verdicts and measurements as tables to compute with."""
    return {"verdicts": verdicts(judgements), "measurements": long(measurements, claims_of(judgements))}


TOKEN_METRICS = {"tv": "TV", "kl": "KL", "path-kl": "path KL"}
TOKEN_LEGEND = (
    "A target's columns have the order of the law's total variation error, of its KL and of the KL of the whole path, "
    "from the exact law. KL falls twice as fast as TV for any smooth law: its order 2 is no second order."
)


def token_summary(measurements: Sequence[Measurement], judgements: Sequence[Judgement]) -> pd.DataFrame:
    """One row per method of tokens and noise: what is claimed, what each target measured, and the verdicts."""
    targets = list(dict.fromkeys(m.target for m in measurements))
    rows = []
    for method, noise in dict.fromkeys((m.method, m.start) for m in measurements):
        own = {(m.target, m.metric): m for m in measurements if (m.method, m.start) == (method, noise)}
        judged = [j for j in judgements if (j.method, j.start) == (method, noise)]
        first = next(iter(own.values()))
        row = {
            "method": method,
            "noise": noise,
            "NFE": _cost(first),
            "claim": _claims(judged),
        }
        for target in targets:
            for metric, title in TOKEN_METRICS.items():
                row[f"{target} {title}"] = _slope(own.get((target, metric)))
        row["verdict"] = _verdicts(judged)
        rows.append(row)
    return pd.DataFrame(rows)


def _cost(measurement: Measurement) -> str:
    """Evaluations a step, or in all where they do not grow with the steps."""
    rates = [nfe / steps for nfe, steps in zip(measurement.nfe, measurement.steps, strict=True)]
    if rates[-1] > 0.9 * rates[0]:
        return f"{rates[-1]:.3g} a step"
    return f"{measurement.nfe[-1]:.3g} in all"


def equal_cost(measurements: Sequence[Measurement], metric: str, target: str) -> pd.DataFrame:
    """One row per method and noise, one column per number of evaluations: errors at equal cost, least first."""
    chosen = [m for m in measurements if (m.metric, m.target) == (metric, target)]
    budgets = [8, 16, 32, 64, 128]
    rows = []
    for m in sorted(chosen, key=lambda m: (m.start, np.interp(budgets[-1], m.nfe, m.errors))):
        at = dict(zip(m.nfe, m.errors, strict=True))
        cells = {f"NFE {n}": f"{at[n]:.3g}" if n in at and np.isfinite(at[n]) else NOTHING for n in budgets}
        if set(cells.values()) != {
            NOTHING
        }:  # methods whose cost does not grow with the steps have no place here
            rows.append({"method": m.method, "noise": m.start} | cells)
    return pd.DataFrame(rows)


def _claims(judged: Sequence[Judgement]) -> str:
    if any(np.isinf(j.claim.order) for j in judged):
        return "exact"
    return ", ".join(f"{TOKEN_METRICS[j.claim.sense]} {j.claim.order:g}" for j in judged) or NOTHING


def _verdicts(judged: Sequence[Judgement]) -> str:
    """One word if all claims fare alike, else each by name."""
    if not judged:
        return "no claim"
    found = {j.words for j in judged}
    if len(found) == 1:
        return found.pop()
    return ", ".join(f"{TOKEN_METRICS[j.claim.sense]} {j.words}" for j in judged)


def _slope(measurement: Measurement | None) -> str:
    if measurement is None:
        return NOTHING
    return (SAMPLED if measurement.means == "samples" else "") + str(measurement.slope)


def cost_summary(measurements: Sequence[Measurement], metric: str) -> pd.DataFrame:
    """One row per method, one column per number of evaluations, and last what as many exact draws score."""
    chosen = [m for m in measurements if m.metric == metric]
    budgets = sorted({nfe for m in chosen for nfe in m.nfe if m.method != EXACT_DRAWS})
    rows = []
    for m in chosen:
        cells = dict.fromkeys(budgets, NOTHING)
        for nfe, error, uncertainty in zip(m.nfe, m.errors, m.uncertainty, strict=True):
            bar = f"±{uncertainty:.1g}" if uncertainty else ""
            text = f"{error:.3g}{bar}" if np.isfinite(error) else "unstable"
            cells |= dict.fromkeys(budgets, text) if m.method == EXACT_DRAWS else {nfe: text}
        rows.append({"method": from_start(m.method, m.start)} | {f"NFE {nfe}": cells[nfe] for nfe in budgets})
    return pd.DataFrame(sorted(rows, key=lambda row: row["method"] == EXACT_DRAWS))
