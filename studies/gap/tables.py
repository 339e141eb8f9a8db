"""Gaps as tables to read, one for each thing that was varied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from ..inference import Slope
from ..laws import MEASURED
from .gaps import TRUTH, Gap, growth
from .wrong_start import BEGAN

_NOTES = {
    "size": (
        "growth: gap ~ size^growth, hidden where gaps hardly exceed those with no error. exact score: the same "
        "distance with no error, in as many steps."
    ),
    "pulse": "columns: log-SNR at the middle of a pulse of width 1; larger is later, nearer the data.",
    "start": (
        "KL and W2 between the ends from the wrong and from the exact start; copies: root mean square distance of two "
        "that share all noise."
    ),
    "evaluations": "in brackets: with the exact score, which is what discretisation costs.",
}


def tables_of(found: Sequence[Gap]) -> Iterator[tuple[str, str, pd.DataFrame, list[str]]]:
    """Yield (name, title, table, notes) for each study measured."""
    for study in dict.fromkeys(g.study for g in found):
        chosen = [g for g in found if g.study == study]
        metric = _sharpest(chosen)
        notes = [_NOTES[study]] if study in _NOTES else []
        if study == "size":
            yield study, "Gap against the size of the score's error", _by_size(chosen), notes
        elif study == "noise":
            yield study, "Distance to the truth against the noise added", _by_noise(chosen), notes
        elif study == "evaluations":
            frame = _pivot(chosen, metric, with_exact=True)
            yield study, f"{metric} to the truth against evaluations", frame, notes
        elif study == "start":
            yield (
                study,
                "What is left of a wrong start, one deviation off, with the exact score",
                _by_start(chosen),
                notes,
            )
        elif study == "pulse":
            yield study, f"{metric} to the truth if the score errs for a while", _pivot(chosen, metric), notes
        else:
            frame = _pivot(chosen, "KL")
            yield study, f"KL from the exact marginal at a log-SNR, {study}", frame, notes


def _sharpest(found: Sequence[Gap]) -> str:
    measured = [g.metric for g in found]
    return "TV" if "TV" in measured else measured[0]


def _number(gap: Gap) -> str:
    if gap.status != MEASURED:
        return gap.status
    return f"{gap.gap:.3g}" + (f"±{gap.uncertainty:.1g}" if gap.uncertainty else "")


def _by_size(found: Sequence[Gap]) -> pd.DataFrame:
    slopes = growth(found)
    rows = []
    for of, to, metric in slopes:
        own = sorted((g for g in found if (g.of, g.to, g.metric) == (of, to, metric)), key=lambda g: -g.value)
        cells = {f"size {g.value:.3g}": _number(g) for g in (own[0], own[len(own) // 2], own[-1])}
        rows.append(
            {"law": of, "from": to, "distance": metric}
            | cells
            | {"growth": _growth(slopes[of, to, metric], own), "exact score": f"{own[0].exact:.2g}"}
        )
    return pd.DataFrame(rows)


def _growth(slope: Slope, gaps: Sequence[Gap]) -> str:
    """Return the exponent in words: where too few gaps stand out of what there is with no error, say so."""
    seen = any(g.exact > g.uncertainty for g in gaps)
    return "hidden" if seen and slope.status in ("exact", "floor") else str(slope)


def _by_noise(found: Sequence[Gap]) -> pd.DataFrame:
    rows = []
    for knob, value in dict.fromkeys((g.knob, g.value) for g in found):
        own = [g for g in found if (g.knob, g.value) == (knob, value)]
        row = {"noise": knob, "value": f"{value:g}"} | {g.metric: _number(g) for g in own}
        rows.append(row | {f"{own[0].metric} with the exact score": f"{own[0].exact:.2g}"})
    return pd.DataFrame(rows)


def _by_start(found: Sequence[Gap]) -> pd.DataFrame:
    rows = []
    for of in dict.fromkeys(g.of for g in found):
        row = {"method": of}
        for nfe in sorted({g.value for g in found}):
            own = {(g.to, g.metric): g for g in found if (g.of, g.value) == (of, nfe)}
            for (to, metric), gap in own.items():
                row[f"{metric if to == BEGAN else 'copies'}, NFE {nfe:g}"] = _number(gap)
        rows.append(row)
    return pd.DataFrame(rows)


def _pivot(found: Sequence[Gap], metric: str, with_exact: bool = False) -> pd.DataFrame:
    chosen = [g for g in found if g.metric == metric]
    values = sorted({g.value for g in chosen})
    rows = []
    for of in dict.fromkeys(g.of for g in chosen):
        at = {g.value: g for g in chosen if g.of == of and g.to == TRUTH}
        cells = {}
        for value in values:
            if value not in at:
                cells[f"{value:.3g}"] = "–"
                continue
            beside = f" ({at[value].exact:.2g})" if with_exact and at[value].status == MEASURED else ""
            cells[f"{value:.3g}"] = f"{_number(at[value])}{beside}"
        rows.append({"method": of} | cells)
    return pd.DataFrame(rows)
