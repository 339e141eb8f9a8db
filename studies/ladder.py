"""Ladders of steps: a method's tableaux, climbed while a verdict is open, and what was measured on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analytic.reprs import brief
from solvers import Claim, Tableau
from solvers.catalogue import Method

from .inference import Slope
from .setting import Setting

START_UP = "start-up"


@dataclass(frozen=True)
class Measurement:
    """One ladder of errors of one method on one target, and the order read from it.

    Attributes
    ----------
    method, start, target, metric, means : str
        The method with its options, as a user would type it. Metrics: "w2", "tv", "kl", "mean", "deviation", "strong",
        "weak", and "start-up": W2 between the laws from the practical and the exact start. Means: "law", "density",
        "samples".
    steps : tuple of int
    nfe : tuple of numbers
        Evaluations of the model, expected where they are random.
    errors, uncertainty : tuple of float
    slope : Slope
    linear : bool
        True if the target is Gaussian: its score is linear, which hides terms of the error.
    reason : str
        Why errors are nan on the first rung where they are; "" if on none.
    """

    method: str
    start: str
    target: str
    metric: str
    means: str
    steps: tuple[int, ...]
    nfe: tuple[int | float, ...]
    errors: tuple[float, ...]
    uncertainty: tuple[float, ...]
    slope: Slope
    linear: bool = False
    reason: str = ""

    __repr__ = brief


class Ladder:
    """Tableaux of one method from one start, built when first asked for."""

    def __init__(self, method: Method, start: str, setting: Setting, options: dict[str, Any]) -> None:
        self.method, self.start, self.setting, self.options = method, start, setting, options
        self._built: dict[int, Tableau] = {}

    def __getitem__(self, steps: int) -> Tableau:
        if steps not in self._built:
            grid = self.setting.nodes(steps)
            self._built[steps] = self.method.tableau(
                self.setting.path, grid, start=self.start, **self.options
            )
        return self._built[steps]

    def measurement(
        self,
        target: str,
        metric: str,
        means: str,
        steps: Sequence[int],
        errors: Any,
        uncertainty: Any,
        slope: Slope,
        reason: str = "",
    ) -> Measurement:
        """Bundle a finished ladder."""
        return Measurement(
            self.method.labelled(self.options),
            self.start,
            target,
            metric,
            means,
            tuple(steps),
            tuple(self[N].nfe for N in steps),
            tuple(float(e) for e in errors),
            tuple(float(u) for u in np.broadcast_to(uncertainty, len(steps))),
            slope,
            linear=means == "law",  # only Gaussians have one here
            reason=reason,
        )


def first_of(failures: Mapping[int, str]) -> str:
    """Say why the first rung that failed did, by its number of steps; "" if none failed."""
    return f"unstable in {min(failures)} steps: {failures[min(failures)]}" if failures else ""


def wanted(method: Method, *senses: str) -> list[float]:
    return [claim.order for claim in method.claims if claim.sense in senses]


def climb(
    rungs: Sequence[int],
    limit: int,
    measure: Callable[[int], dict[str, Any]],
    read: Callable[[list[int], list[dict[str, Any]]], dict[str, tuple[Any, Any, Slope]]],
    undecided: Callable[[dict[str, tuple[Any, Any, Slope]]], bool],
) -> tuple[list[int], dict[str, tuple[Any, Any, Slope]]]:
    """Measure the rungs up to the limit, then double while something is undecided."""
    steps = [N for N in rungs if limit >= N]
    results = [measure(N) for N in steps]
    found = read(steps, results)
    while undecided(found) and 2 * steps[-1] <= limit:
        steps.append(2 * steps[-1])
        results.append(measure(steps[-1]))
        found = read(steps, results)
    return steps, found


def long(
    measurements: Sequence[Measurement], claims: Mapping[str, Sequence[Claim]] | None = None
) -> pd.DataFrame:
    """One row per method, start, target, metric and rung, with every number, and the order claimed, nan if none is."""
    rows = []
    for m in measurements:
        said = (claims or {}).get(m.method, ())
        claimed = [c.order for c in said if c.sense == m.metric] or [
            c.order for c in said if c.sense in ("ode", "weak")
        ]
        for i, (steps, nfe, error, uncertainty) in enumerate(
            zip(m.steps, m.nfe, m.errors, m.uncertainty, strict=True)
        ):
            before = m.errors[i - 1] if i else float("nan")
            with np.errstate(all="ignore"):
                local = (
                    float(-np.log(np.float64(error) / before) / np.log(steps / m.steps[i - 1]))
                    if i
                    else float("nan")
                )
            rows.append(
                {
                    "method": m.method,
                    "start": m.start,
                    "target": m.target,
                    "metric": m.metric,
                    "means": m.means,
                    "steps": steps,
                    "nfe": nfe,
                    "error": error,
                    "uncertainty": uncertainty,
                    "local slope": local,
                    "order": m.slope.value,
                    "low": m.slope.low,
                    "high": m.slope.high,
                    "status": m.slope.status,
                    "reason": m.reason,
                    "claim": max(claimed, default=float("nan")),
                }
            )
    return pd.DataFrame(rows)
