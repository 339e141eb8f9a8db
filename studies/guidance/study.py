"""The guidance study: guided, posterior and composed sampling, each against the law that it aims at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from analytic import GaussianMixture
from analytic.reprs import brief

from ..laws import MEASURED
from ..output.report import Report
from ..setting import Setting
from ..study import Cell, Plain
from .measured import (
    EXACT,
    GUIDED,
    HOWS,
    INTERVAL,
    KAC,
    LOOPS,
    MANY,
    MCMC,
    OF_EPS,
    RESCALED,
    WEIGHED,
    Drawn,
    composed,
    observed,
    rescaled,
    towards,
)

SCALES, POWERS, DEVIATIONS = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0), (-0.5, 0.5, 1.0, 2.0), (0.1, 0.3, 1.0)
STEPS = (16, 64)
ODE, SDE = "heun", "ddpm"
FURTHER = ("ddim", "sde-dpm-solver++-2m")
CORRECTED = (f"predictor-corrector(predictor='{SDE}', correctors=4)", f"{MCMC}(chain=4)", f"{MCMC}(chain=16)")
PARTICLES = (
    MANY,
    f"{KAC}(particles=100)",
    f"{KAC}(particles=100, weights='energies')",
    f"{KAC}(particles=1000, weights='energies')",
)
NEAR = 3.0  # times the error of the exact score beyond which a sampler does not draw from what it aims at

NOTES = {
    "scales": "W2 to the tilted law p(x) p(c|x)^scale, in brackets TV, by density. exact score: the tilted law's own "
    "score, so that what is left is of the steps.",
    "modes": "P(x <= cut) and standard deviation, in brackets those of the tilted law.",
    "rescaled": "sliced W2 to the tilted law with half its 99 % interval, in brackets the first coordinate's standard "
    "deviation.",
    "posterior": "sliced W2 to the posterior with half its 99 % interval, in brackets the first component's weight.",
    "composed": "W2 to the law proportional to p q^power, in brackets TV where there is a density.",
}


@dataclass(frozen=True)
class Guidance(Plain[Drawn]):
    """Errors of guided, posterior and composed sampling.

    Attributes
    ----------
    vary : sequence of str
        Some of "scales", "rescaled", "posterior" and "composed".
    line, plane, space : (str, GaussianMixture)
        Target of scales and of compositions, of posteriors, and of predictions rescaled.
    labels : tuple of int
        Components of the condition on the line; in space it is component 1.
    A, y : tuples
        What is observed in the plane.
    methods : tuple of str
    scales, powers, deviations : tuples of float
    steps : tuple of int
    samples : int
    setting : Setting
    """

    vary: Sequence[str]
    line: tuple[str, GaussianMixture]
    plane: tuple[str, GaussianMixture]
    space: tuple[str, GaussianMixture]
    labels: tuple[int, ...] = (1,)
    A: tuple[tuple[float, ...], ...] = ((1.0, 0.0),)
    y: tuple[float, ...] = (0.2,)
    methods: tuple[str, ...] = (ODE, SDE, *FURTHER)
    scales: tuple[float, ...] = SCALES
    powers: tuple[float, ...] = POWERS
    deviations: tuple[float, ...] = DEVIATIONS
    steps: tuple[int, ...] = STEPS
    samples: int = 10_000
    setting: Setting = field(default_factory=Setting)

    name: ClassVar[str] = "guidance"
    record: ClassVar[Any] = Drawn

    __repr__ = brief

    def cells(self) -> Iterable[Cell[Drawn]]:
        """One for each model, method, number of steps and value of what is varied."""
        for vary in self.vary:
            knob, values = self._values(vary)
            name, _ = self._target(vary)
            for model, method in self._samplers(vary):
                for steps in self.steps:
                    for value in values:
                        of = {"vary": vary, "model": model, "method": method, "steps": steps, knob: value}
                        measure, given = self._asked(vary, model, method, steps, value)
                        yield Cell(of | {"target": name}, measure, given)

    def _target(self, vary: str) -> tuple[str, GaussianMixture]:
        return {"posterior": self.plane, "rescaled": self.space}.get(vary, self.line)

    def _values(self, vary: str) -> tuple[str, tuple[float, ...]]:
        """Return the knob of what is varied, and its values."""
        return {
            "scales": ("scale", self.scales),
            "rescaled": ("scale", self.scales),
            "posterior": ("deviation", self.deviations),
            "composed": ("power", self.powers),
        }[vary]

    def _asked(
        self, vary: str, model: str, method: str, steps: int, value: float
    ) -> tuple[Callable[[], list[Drawn]], dict[str, Any]]:
        """Return what measures a cell, and all that it depends on beside the cell's axes."""
        name, law = self._target(vary)
        given: dict[str, Any] = {"target": law, "setting": self.setting}
        if vary == "scales":
            at = (name, law, self.labels, self.setting, model, method, steps, value, self.samples)
            drawn = {"samples": self.samples} if model == WEIGHED else {}
            return partial(towards, *at), given | {"labels": self.labels} | drawn
        if vary == "rescaled":
            own = partial(rescaled, name, law, self.setting, model, method, steps, value, self.samples)
            return own, given | {"samples": self.samples}
        if vary == "composed":
            sums = partial(composed, name, law, self.setting, model, method, steps, value, self.samples)
            return sums, given | {"samples": self.samples}
        A, y = np.array(self.A), np.array(self.y)
        seen = partial(observed, name, law, A, y, self.setting, model, method, steps, value, self.samples)
        return seen, given | {"A": self.A, "y": self.y, "samples": self.samples}

    def _samplers(self, vary: str) -> list[tuple[str, str]]:
        if vary == "scales":
            by = [(GUIDED, m) for m in self.methods] + [(INTERVAL, m) for m in (ODE, SDE)]
            by += [(WEIGHED, m) for m in PARTICLES]
        elif vary == "rescaled":
            by = [(model, m) for model in (GUIDED, INTERVAL, RESCALED, OF_EPS) for m in (ODE, SDE)]
            return by + [(WEIGHED, m) for m in PARTICLES if "energies" in m]
        elif vary == "posterior":
            by = [(how, m) for how in HOWS for m in (ODE, SDE)] + [(loop, SDE) for loop in LOOPS]
        else:
            by = [("sum of scores", m) for m in (ODE, SDE, *CORRECTED, *PARTICLES)]
        return by + [(EXACT, m) for m in (ODE, SDE)]

    def reports(self, found: list[Drawn]) -> Iterable[Report]:
        """Return a table of errors for each thing varied, and of modes for scales."""
        everything = pd.DataFrame([asdict(d) for d in found])
        for vary in self.vary:
            own = [d for d in found if d.study == vary]
            if not own:
                continue
            failed = {d.reason: d for d in own if d.reason}
            notes = [NOTES[vary]]
            floors = [d.floor for d in own if d.floor]
            if vary == "rescaled":
                aimed = {d.value: d.aimed_deviation for d in own}
                notes[0] += (
                    " The tilted law's: " + ", ".join(f"{v:.3f} at {k:g}" for k, v in aimed.items()) + "."
                )
            notes[0] += f" The floor of samples: {min(floors):.2g} to {max(floors):.2g}." if floors else ""
            notes += [
                f"{d.status}: {d.model}, {d.method}, {d.knob} {d.value:g}: {why}" for why, d in failed.items()
            ]
            title = f"Error against the {own[0].knob}: {own[0].target}, {self.setting.where}"
            table = {"guidance": everything[everything["study"] == vary]}
            yield Report(f"guidance-{vary}", title, _pivot(own, _error), notes, table)
            if vary == "scales":
                most = [d for d in own if d.steps == max(self.steps) and d.model != EXACT]
                yield Report("guidance-modes", "What is drawn", _pivot(most, _modes), [NOTES["modes"]], {})

    def figures(self, found: list[Drawn]) -> Mapping[str, Any]:
        """Draw a panel for each thing varied, at the most steps."""
        from .figure import figure  # which is slow to import

        measured = [d for d in found if d.status == MEASURED and d.steps == max(self.steps)]
        return {"guidance": figure(measured)} if measured else {}

    def verdicts(self, found: list[Drawn]) -> Iterable[str]:
        """List whether guidance beyond the condition draws from another law than the tilted one, as is published."""
        at = {(d.model, d.method, d.steps, d.value): d.w2 for d in found if d.study == "scales"}
        most = max(self.steps)
        for (model, method, steps, value), error in at.items():
            exact = at.get((EXACT, method, most, value))
            if model == GUIDED and steps == most and value > 1 and exact is not None and np.isfinite(error):
                yield "confirmed" if error > NEAR * exact else "refuted"


def _pivot(found: Sequence[Drawn], shown: Any) -> pd.DataFrame:
    values = sorted({d.value for d in found})
    rows = []
    for model, method, steps in dict.fromkeys((d.model, d.method, d.steps) for d in found):
        at = {d.value: d for d in found if (d.model, d.method, d.steps) == (model, method, steps)}
        nfe = next((d.nfe for d in at.values() if d.nfe), steps)
        row = {"model": model, "method": method, "steps": steps, "NFE": nfe}
        rows.append(row | {f"{found[0].knob} {v:g}": shown(at[v]) if v in at else "–" for v in values})
    return pd.DataFrame(rows)


def _error(drawn: Drawn) -> str:
    if drawn.status != MEASURED:
        return drawn.status
    if not drawn.uncertainty:
        return f"{drawn.w2:.3g} ({drawn.tv:.2g})"
    of = {"posterior": drawn.weight, "rescaled": drawn.deviation}
    beside = f" ({of[drawn.study]:.3f})" if drawn.study in of else ""
    return f"{drawn.w2:.3g}±{drawn.uncertainty:.1g}{beside}"


def _modes(drawn: Drawn) -> str:
    if drawn.status != MEASURED:
        return drawn.status
    return (
        f"{drawn.weight:.3f}, {drawn.deviation:.3f} ({drawn.aimed_weight:.3f}, {drawn.aimed_deviation:.3f})"
    )
