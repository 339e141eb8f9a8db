"""Tables of the mixing study: orders of bias, evaluations needed with exponents, and errors at equal evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from ..order.tables import NOTHING
from ..output.report import Report
from .corrected import FINE, WAYS
from .needs import Bias, Least, Need
from .unbiased import CONTROL, FALSE_ALARM, POWER, TARGET, TIME, VALUES, Unbiased
from .walks import RANDOM

# Exponents of d in the evaluations that a W2 of e takes, e absolute: who says so, of what. Upper bounds hold for
# all strongly log-concave targets under the conditions of the source; limits are of products of one law.
BOUNDS: dict[str, tuple[float, str]] = {
    "ula": (1 / 2, "at most sqrt(d)/e but for logarithms (Li, Zha and Tao 2022, abstract)"),
    "exponential-langevin": (1 / 2, "at most of order sqrt(d)/e (Cheng et al. 2018, abstract)"),
    "ubu": (
        1 / 4,
        "at most of order k^(5/4) d^(1/4)/e^(1/2) (Sanz-Serna and Zygalakis 2021, abstract), under the stronger "
        "condition on third derivatives of Paulin and Whalley 2024",
    ),
    "randomized-midpoint": (
        1 / 3,
        "at most k^(7/6)/r^(1/3) + k/r^(2/3) but for logarithms, r = e sqrt(m/d), m the least precision (Shen and Lee "
        "2019, abstract)",
    ),
    "mala": (
        1 / 3,
        "steps of order d^(-1/3) are the best on products of one law, at stationarity (Roberts and Rosenthal 1998)",
    ),
    "hmc": (
        1 / 4,
        "steps of order d^(-1/4) are the best on products of one law, at stationarity (Beskos et al. 2013, abstract)",
    ),
}
HIDDEN = "exponents are those of NFE / log(W2 at the start / W2 at the end) over sizes of 10 and more"
LOWER = (
    "random midpoints: their law is no Gaussian; what its exact second moments give is a lower bound of W2, and of "
    "what they need"
)
SAMPLED = (
    "mala, hmc and bouncy-particle: by samples of two numbers a precision, the part of x along the start and the "
    "length of the rest, of which means and covariances give a lower bound of W2; \u00b1 and < are two standard "
    f"errors, or the {FINE - 1:.0%} of evaluations after which samples are looked at"
)
EVENTS = "zig-zag and bouncy-particle: an evaluation an event that turns the velocity; the law of the zig-zag is exact"
REFRESH = "the friction of bouncy-particle is the rate at which its velocity is drawn anew"
ROUNDING = 1e-13  # below it an error is none
LARGE = 10  # sizes that exponents are read from


def bias_report(found: Sequence[Bias]) -> Report:
    """Return the order of stationary laws in the step."""
    at = len(found[0].steps) // 2
    h = 1 / found[0].steps[at]
    rows = [
        {
            "method": b.method,
            "order of the bias": str(b.slope),
            f"W2 at h = {h:g}": _said(b.errors[at]),
        }
        for b in found
    ]
    long = pd.DataFrame(
        {"method": b.method, "h": 1 / n, "w2": error, "order": b.slope.value}
        for b in found
        for n, error in zip(b.steps, b.errors, strict=True)
    )
    title = "Stationary law of Langevin methods on N(0, 1) x N(0, 1/4), friction 2"
    return Report("mixing-bias", title, pd.DataFrame(rows), _notes(found), {"mixing-bias": long})


def exponent(sizes: Sequence[float], nfe: Sequence[float]) -> float:
    """Return the exponent of evaluations in a size by least squares, nan of fewer than two sizes or a lack of one."""
    if len(sizes) < 2 or not np.all(np.isfinite(nfe)):
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(nfe), 1)[0])


def _without_log(need: Need | None) -> float:
    return float("nan") if need is None else need.nfe / max(1.0, float(np.log(need.distance / need.w2)))


def needs_reports(found: Sequence[Need]) -> Iterator[Report]:
    """Return evaluations against the dimension and against the condition number, and exponents."""
    everything = {"mixing": pd.DataFrame([asdict(n) for n in found])}
    methods = list(dict.fromkeys(n.method for n in found))
    conditions, dims = sorted({n.condition for n in found}), sorted({n.dim for n in found})
    of = {(n.method, n.condition, n.dim): n for n in found}
    goal, notes = f"NFE to a W2 of {found[0].w2:g}, in units of the widest deviation", _notes(found)
    for condition in dict.fromkeys((conditions[0], conditions[len(conditions) // 2])):
        rows = [
            {"method": m} | {f"d = {d}": _count(of.get((m, condition, d))) for d in dims} for m in methods
        ]
        title = f"{goal}, against the dimension at condition number {condition}"
        yield Report(f"mixing-dimension-{condition}", title, pd.DataFrame(rows), notes, everything)
    large = [d for d in dims if d >= LARGE]
    rows = [
        {"method": m}
        | {
            f"k = {k}": _power(exponent(large, [_without_log(of.get((m, k, d))) for d in large]))
            for k in conditions
        }
        | {"theory": f"{BOUNDS[m][0]:.3g}" if m in BOUNDS else NOTHING}
        for m in methods
    ]
    bounds = [f"theory: {m}: {BOUNDS[m][1]}" for m in methods if m in BOUNDS]
    if len(large) > 1:
        title = "Exponents of the dimension in NFE, at each condition number k"
        yield Report(
            "mixing-exponents", title, pd.DataFrame(rows), [HIDDEN, *notes], everything, reasons=bounds
        )
    large = [k for k in conditions if k >= LARGE]
    if len(conditions) > 1:
        dim, rows = dims[-1], []
        for m in methods:
            along = [of.get((m, k, dim)) for k in conditions]
            p = exponent(large, [_without_log(of.get((m, k, dim))) for k in large])
            row = {"method": m} | {f"k = {k}": _count(n) for k, n in zip(conditions, along, strict=True)}
            rows.append(row | {"exponent of k": _power(p)} | _best(along[-1]))
        title = f"{goal}, against the condition number k in {dim} dimensions"
        last = (
            f"h, friction and spectral gap (of second moments, a step) are the best at k = {conditions[-1]}"
        )
        yield Report("mixing-condition", title, pd.DataFrame(rows), [HIDDEN, last, *notes], everything)


def _power(p: float) -> str:
    return NOTHING if np.isnan(p) else f"{p:.2f}"


def _best(need: Need | None) -> dict[str, str]:
    if need is None or np.isnan(need.nfe):
        return dict.fromkeys(("h", "friction", "gap"), NOTHING)
    found = {"h": (need.h, ".2g"), "friction": (need.friction, ".3g"), "gap": (1 - need.contraction, ".2g")}
    return {
        name: NOTHING if np.isnan(value) else format(value, form) for name, (value, form) in found.items()
    }


def budget_report(found: Sequence[Least]) -> Report:
    """Return W2 at equal evaluations."""
    budgets = sorted({n.nfe for n in found})
    rows = []
    for method in dict.fromkeys(n.method for n in found):
        own = {n.nfe: n for n in found if n.method == method}
        rows.append(
            {"method": method} | {f"{b} NFE": _said(own[b].error, own[b].low, own[b].high) for b in budgets}
        )
    title = f"W2 at equal evaluations, {found[0].dim} dimensions, condition number {found[0].condition}, best steps"
    everything = pd.DataFrame([asdict(n) for n in found])
    return Report("mixing-budget", title, pd.DataFrame(rows), _notes(found), {"mixing-budget": everything})


def unbiased_report(found: Sequence[Unbiased]) -> Report:
    """Return what samples say of the bias, and what they would have seen."""
    rows = [
        {"method": f"{u.method} (not corrected)" if u.method == CONTROL else u.method, "NFE": f"{u.nfe:.0f}"}
        | {f"z of {value}": f"{score:.1f}" for value, score in zip(VALUES, u.scores, strict=True)}
        | {
            "seen (mean, variance, weight)": ", ".join(f"{100 * size:.1f} %" for size in u.seen),
            "bias": "seen" if u.biased else "none seen",
        }
        for u in found
    ]
    first = found[0]
    notes = [
        f"bias is seen where a z-score is beyond {first.allowed:.2f}, which happens by accident in at most one of "
        f"{1 / FALSE_ALARM:.0f} such tables",
        "seen: by what part of a deviation the mean, by what part of itself the variance and by how much the weight "
        f"must be off to be seen with a probability of {POWER:g}",
    ]
    title = f"Samplers that keep the target: {first.samples} samples of {TARGET}, after a time of {TIME:g}"
    everything = pd.DataFrame(
        {"method": u.method, "value": value, "z": score, "seen": size}
        for u in found
        for value, score, size in zip(VALUES, u.scores, u.seen, strict=True)
    )
    return Report(
        "mixing-unbiased", title, pd.DataFrame(rows), [], {"mixing-unbiased": everything}, reasons=notes
    )


def _said(error: float, low: float | None = None, high: float | None = None) -> str:
    if low == 0:
        return f"<{high:.1e}"
    return "rounding" if error < ROUNDING else f"{error:.2e}"


def _count(need: Need | None) -> str:
    if need is None or np.isnan(need.nfe):
        return NOTHING if need is None else "never"
    half = max(need.high - need.nfe, need.nfe - need.low)
    if need.method in WAYS and (FINE - 1) * need.nfe >= 1:
        half = max(half, (FINE - 1) * need.nfe)
    return f"{need.nfe:.0f}" + (f"\u00b1{np.ceil(half):.0f}" if half >= 0.5 else "")


def _notes(found: Sequence[Bias | Need | Least]) -> list[str]:
    there = {n.method for n in found}
    return (
        [LOWER] * bool(there & set(RANDOM))
        + [SAMPLED] * bool(there & set(WAYS))
        + [EVENTS] * bool(there & {"zig-zag", "bouncy-particle"})
    )
