"""The calibration study: wrong and learned scores at levels, and what samplers make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from analytic import GaussianMixture
from analytic.reprs import brief

from ..output.report import Report
from ..setting import Setting
from ..study import Cell, Plain
from .measured import LEARNED, LEVELS, End, Level, at_levels, at_the_end, of_learned

SCORES = (
    "constant(0.1, of='eps')",
    "weights(0.7, 0.3)",
    "widths(1.2)",
    "wave(0.2, of='eps', frequency=2.0, phase=0.5)",
    "kernel(100, 0.1)",
)
METHODS = ("rk4", "stochastic-heun")
NETWORKS = ("score-matching", "flow-matching")


@dataclass(frozen=True)
class Calibration(Plain[Level | End]):
    """Means and defects of wrong scores, and KL and W2 of samplers that ask them.

    Attributes
    ----------
    target : (str, GaussianMixture)
        On the line.
    scores, methods : sequence of str
    networks : sequence of str
        Shipped ones, of a target of their own.
    steps : int
    levels : sequence of float
        Log-SNR.
    setting : Setting
    """

    target: tuple[str, GaussianMixture]
    scores: Sequence[str] = SCORES
    methods: Sequence[str] = METHODS
    networks: Sequence[str] = NETWORKS
    steps: int = 64
    levels: Sequence[float] = LEVELS
    setting: Setting = field(default_factory=Setting)

    name: ClassVar[str] = "calibration"
    record: ClassVar[Any] = Level | End

    __repr__ = brief

    def cells(self) -> Iterable[Cell[Level | End]]:
        """One for each score, network, and score with a method."""
        name, law = self.target
        given = {"law": law, "setting": self.setting}
        for score in self.scores:
            of = {"score": score, "target": name}
            measure = partial(at_levels, score, law, self.setting, self.levels)
            yield Cell(of, measure, given | {"levels": tuple(self.levels)})
            for method in self.methods:
                ends = partial(at_the_end, score, method, law, self.setting, self.steps)
                yield Cell(of | {"method": method, "steps": self.steps}, ends, given)
        for network in self.networks:
            learned = partial(of_learned, network, self.levels)
            yield Cell({"score": f"{LEARNED}: {network}"}, learned, {"levels": tuple(self.levels)})

    def reports(self, found: list[Level | End]) -> Iterable[Report]:
        """Return a table of levels, and one of ends."""
        levels = [one for one in found if isinstance(one, Level)]
        ends = [one for one in found if isinstance(one, End)]
        if levels:
            notes = [
                "mean: |eta|, of the score. taken: the share of E |s - exact|^2 that taking it away removes, eta^2.",
                "defect: root mean square of E[D(x_s) | x_t] - D(x_t) to the next column, and of the calibrated model.",
            ]
            title = f"Wrong scores at a log-SNR: {self.target[0]}, {self.setting.path!r} path"
            table = {"calibration": pd.DataFrame([asdict(one) for one in levels])}
            yield Report("calibration-levels", title, pd.DataFrame(_at_levels(levels)), notes, table)
        if ends:
            title = f"From the exact marginal, {self.steps} steps: {self.target[0]}, {self.setting.where}"
            table = {"calibration-ends": pd.DataFrame([asdict(one) for one in ends])}
            yield Report("calibration-ends", title, pd.DataFrame([_row(one) for one in ends]), [], table)


def _at_levels(found: Sequence[Level]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for score in dict.fromkeys(one.score for one in found):
        own = [one for one in found if one.score == score]
        shown = {
            "mean": [f"{one.eta:.3g}" for one in own],
            "taken": [_percent(one) for one in own],
            "defect": [_defects(one) for one in own],
        }
        for what, cells in shown.items():
            if set(cells) != {"–"}:
                columns = {f"{one.log_snr:g}": cell for one, cell in zip(own, cells, strict=True)}
                rows.append({"score": score, "what": what, **columns})
    return rows


def _percent(one: Level) -> str:
    share = 100 * (1 - one.calibrated / one.error) if one.error > 0 else 0.0
    return f"{share:.1f} %" if share >= 0.05 else f"{max(share, 0.0):.0e} %"


def _defects(one: Level) -> str:
    return f"{one.defect:.2g} → {one.calibrated_defect:.2g}" if np.isfinite(one.defect) else "–"


def _row(one: End) -> dict[str, object]:
    return {
        "score": one.score,
        "method": one.method,
        "KL": f"{one.kl:.3g}",
        "KL, calibrated": f"{one.calibrated_kl:.3g}",
        "KL, exact score": f"{one.exact_kl:.1e}",
        "W2": f"{one.w2:.3g}",
        "W2, calibrated": f"{one.calibrated_w2:.3g}",
        "W2, exact score": f"{one.exact_w2:.1e}",
    }
