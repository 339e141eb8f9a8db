"""The kernels study: orders at walls by quadrature, and errors on Poisson flows against their dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import pandas as pd

from analytic import GaussianMixture
from analytic.reprs import brief

from ..inference import Slope, fit, judge
from ..output.report import Report
from ..study import Cell, Plain
from .measured import AUGMENTED, LADDER, AtWalls, OnFlow, at_walls, on_flow

NOISY, FLOW = ("euler-maruyama", "ddpm"), "heun"
WALLS = ("reflected", "projected", "metropolis")
CLAIMS: Mapping[tuple[str, str], tuple[float, str]] = {  # weak orders that are stated, of Euler's method
    ("euler-maruyama", "reflected"): (1.0, "Bossy, Gobet and Talay 2004"),
    ("euler-maruyama", "projected"): (0.5, "Costantini, Pacchiarotti and Sartoretto 1998"),
}
ON_FLOWS = ("euler", "heun", "dpm-solver++-2m")
BLUR = 2e-5  # of an error: quadrature over the kinks of |p - q|


@dataclass(frozen=True)
class Kernels(Plain[AtWalls | OnFlow]):
    """Errors in a box with each wall, and on Poisson flows of each number of augmented dimensions.

    Attributes
    ----------
    vary : sequence of str
        Some of "walls" and "poisson".
    target : (str, GaussianMixture)
        Whose quantiles are the data of the flows.
    augmented : tuple of float
    nfe : int
        Evaluations on a flow.
    ladder : tuple of int
        Steps in the box.
    """

    vary: Sequence[str]
    target: tuple[str, GaussianMixture]
    augmented: tuple[float, ...] = AUGMENTED
    nfe: int = 32
    ladder: tuple[int, ...] = LADDER

    name: ClassVar[str] = "kernels"
    record: ClassVar[Any] = AtWalls | OnFlow

    __repr__ = brief

    def cells(self) -> Iterable[Cell[AtWalls | OnFlow]]:
        """One for each method with each wall, and for each number of augmented dimensions."""
        if "walls" in self.vary:
            for method, wall in (*((m, w) for m in NOISY for w in WALLS), (FLOW, "none")):
                measure = partial(at_walls, method, wall, self.ladder)
                yield Cell(
                    {"vary": "walls", "method": method, "wall": wall}, measure, {"ladder": self.ladder}
                )
        if "poisson" in self.vary:
            name, target = self.target
            for augmented in self.augmented:
                of = {"vary": "poisson", "augmented": augmented, "target": name}
                followed = partial(on_flow, augmented, target, ON_FLOWS, self.nfe)
                yield Cell(of, followed, {"target": target, "nfe": self.nfe})

    def reports(self, found: list[AtWalls | OnFlow]) -> Iterable[Report]:
        """Return a table of orders at walls, and one of errors on flows."""
        walls, flows = _apart(found)
        if walls:
            notes = [
                "TV and weak (norm of the errors of the means of x, x^2 and cos 2 pi x) from the exact marginal; on "
                "walls: probability of 0 and 1. Wall none: a flow never meets one.",
            ]
            reasons = [f"{verdict}: {claim}" for claim, verdict in _verdicts(walls).items()]
            frame = pd.DataFrame([_row(one) for one in walls])
            table = {"walls": pd.DataFrame([asdict(one) for one in walls])}
            yield Report(
                "kernels-walls",
                "Samplers in a box: orders at its walls",
                frame,
                notes,
                table,
                reasons=reasons,
            )
        if flows:
            title = f"W2 on the Poisson flow against D, {self.nfe} evaluations: quantiles of {self.target[0]}"
            notes = [
                "prior: largest error of its distribution function at the start. wrong: W2 that a wave in the noise "
                "predicted makes, by a flow followed finely."
            ]
            table = {"poisson": pd.DataFrame([asdict(one) for one in flows])}
            yield Report("kernels-poisson", title, pd.DataFrame(_on_flows(flows)), notes, table)

    def figures(self, found: list[AtWalls | OnFlow]) -> Mapping[str, Any]:
        """Draw errors against the steps, and against the augmented dimensions."""
        from .figure import figure  # which is slow to import

        return {"kernels": figure(*_apart(found))} if found else {}

    def verdicts(self, found: list[AtWalls | OnFlow]) -> Iterable[str]:
        """List the verdicts on what is stated of Euler's method at walls."""
        return list(_verdicts(_apart(found)[0]).values())


def slopes_of(one: AtWalls) -> tuple[Slope, Slope]:
    """Return the orders in TV and of the means."""
    tv, weak = (fit(one.steps, errors, [BLUR * e for e in errors]) for errors in (one.tv, one.weak))
    return tv, weak


def _apart(found: Sequence[AtWalls | OnFlow]) -> tuple[list[AtWalls], list[OnFlow]]:
    return [r for r in found if isinstance(r, AtWalls)], [r for r in found if isinstance(r, OnFlow)]


def _verdicts(found: Sequence[AtWalls]) -> dict[str, str]:
    verdicts = {}
    for one in found:
        if (one.method, one.wall) in CLAIMS:
            order, source = CLAIMS[one.method, one.wall]
            name = f"{one.wall} {one.method}, weak order {order:g} by {source}"
            verdicts[name] = str(judge(order, slopes_of(one)[1]))
    return verdicts


def _row(one: AtWalls) -> dict[str, object]:
    tv, weak = slopes_of(one)
    shown = {f"TV, {N} steps": f"{one.tv[one.steps.index(N)]:.3g}" for N in one.steps[1::2]}
    on = f"{one.on_walls[-1]:.3g}" if one.on_walls[-1] else "0"
    orders = {"TV order": str(tv), "weak order": str(weak)}
    return {"method": one.method, "wall": one.wall, **shown, **orders, f"on walls, {one.steps[-1]} steps": on}


def _on_flows(found: Sequence[OnFlow]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for augmented in dict.fromkeys(one.augmented for one in found):
        own = [one for one in found if one.augmented == augmented]
        name = "infinite" if math.isinf(augmented) else f"{augmented:g}"
        errors = {one.method: f"{one.w2:.3g}" for one in own}
        rows.append({"D": name, **errors, "prior": f"{own[0].prior:.2g}", "wrong": f"{own[0].wrong:.3g}"})
    return rows
