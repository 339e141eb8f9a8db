"""The mixing study: Langevin dynamics on Gaussians by exact moments, after any number of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from analytic.names import unknown

from ..output.report import Report
from ..study import Cell, Plain
from .corrected import CORRECTED, WAYS, least_of, needs_of, studied
from .needs import Bias, Gaussian, Least, Need, at_budgets, bias, needs
from .tables import bias_report, budget_report, needs_reports, unbiased_report
from .unbiased import CONTROL, RUNS, SAMPLES, TIME, Unbiased, unbiased
from .walks import METHODS


@dataclass(frozen=True)
class Mixing(Plain[Bias | Need | Least | Unbiased]):
    """Order of the stationary bias, evaluations for a W2 against dimension and condition number, W2 at equal ones.

    Attributes
    ----------
    methods : sequence of str
        Some of `walks.METHODS`, and of `corrected.CORRECTED`, which have no bias.
    dims, conditions, budgets : sequence of int
    w2 : float
        Error to be reached, in units of the widest deviation.
    at : (int, int)
        Dimension and condition number of what is compared at equal evaluations.

    Raises
    ------
    ValueError
        An unknown method, a size below 1, or an error that is not positive.
    """

    methods: Sequence[str] = (*METHODS, *CORRECTED)
    dims: Sequence[int] = (1, 10, 100, 1000)
    conditions: Sequence[int] = (1, 10, 100, 1000, 10_000)
    budgets: Sequence[int] = (16, 32, 64, 128, 256, 512, 1024)
    w2: float = 0.1
    at: tuple[int, int] = (100, 10)

    name: ClassVar[str] = "mixing"
    record: ClassVar[Any] = Bias | Need | Least | Unbiased

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in (*METHODS, *CORRECTED):
                raise unknown("method", method, [*METHODS, *CORRECTED])
        for name, sizes, least in (
            ("dim", self.dims, 1),
            ("condition", self.conditions, 1),
            ("budget", self.budgets, 4),
        ):
            if min(sizes) < least:
                raise ValueError(f"{name} is {min(sizes)}: give {least} or more")
        if not self.w2 > 0:
            raise ValueError(f"w2 is {self.w2}: give a positive number")

    def cells(self) -> Iterable[Cell[Bias | Need | Least | Unbiased]]:
        """One a method for its bias, one for each condition number, one for all budgets, and one for what has none."""
        for method in self.methods:
            if method not in CORRECTED:
                yield Cell({"method": method, "what": "bias"}, partial(bias, method))
            for condition in self.conditions:
                given = {"dims": tuple(self.dims), "w2": self.w2}
                measure = partial(
                    needs_of if method in CORRECTED else needs, method, condition, self.dims, self.w2
                )
                yield Cell({"method": method, "what": "needs", "condition": condition}, measure, given)
            dim, condition = self.at
            given = {"at": self.at, "budgets": tuple(self.budgets)}
            measured = partial(
                least_of if method in CORRECTED else at_budgets, method, condition, dim, self.budgets
            )
            yield Cell({"method": method, "what": "budgets"}, measured, given)
        for method in (*RUNS, CONTROL):
            if method in self.methods and set(RUNS) & set(self.methods):
                given = {"samples": SAMPLES, "time": TIME}
                yield Cell({"method": method, "what": "unbiased"}, partial(unbiased, method), given)

    def skipped(self) -> Iterable[tuple[str, str]]:
        """List what needs a whole number of coordinates of each precision."""
        asked = {(dim, k) for dim in self.dims for k in self.conditions if dim > 1 or k == 1} | {self.at}
        for method in self.methods:
            for dim, k in sorted(asked):
                if method in WAYS and not studied(method, Gaussian(dim, k)):
                    levels = len(Gaussian(dim, k).precisions)
                    yield f"{method}, dim {dim}, condition {k}", f"give a dim that is a multiple of {levels}"

    def reports(self, found: list[Bias | Need | Least | Unbiased]) -> Iterable[Report]:
        """Return a table of each."""
        biases, least = ([r for r in found if isinstance(r, kind)] for kind in (Bias, Least))
        needed = [r for r in found if isinstance(r, Need)]
        if biases:
            yield bias_report([r for r in biases if isinstance(r, Bias)])
        if needed:
            yield from needs_reports(needed)
        if least:
            yield budget_report([r for r in least if isinstance(r, Least)])
        kept = [r for r in found if isinstance(r, Unbiased)]
        if kept:
            yield unbiased_report(kept)

    def figures(self, found: list[Bias | Need | Least | Unbiased]) -> Mapping[str, Any]:
        """Draw evaluations against the sizes, and errors against evaluations."""
        from .figure import figure  # which is slow to import

        needed, least = [r for r in found if isinstance(r, Need)], [r for r in found if isinstance(r, Least)]
        return {"mixing": figure(needed, least)} if needed or least else {}
