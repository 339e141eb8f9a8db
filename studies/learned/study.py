"""The study of learned scores: one network after another, those shipped or trained again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from threadpoolctl import threadpool_limits

from ..output.report import Report
from ..study import Cell, Plain
from .measure import EXACT, SAMPLES, TARGET, LearnedGap, measure
from .networks import Network, load, shipped
from .tables import NOTES, table
from .training import RECIPES, Recipe, train


@dataclass(frozen=True)
class LearnedGaps(Plain[LearnedGap]):
    """ODE law, SDE law and truth for each network, and as a control for the exact score; 20 seconds of a core each.

    Attributes
    ----------
    networks : mapping of str to Network, or None
        Those shipped if None.
    retrain : bool
        Train all of `training.RECIPES` first instead; needs torch.
    states : path, optional
        Folder for half-trained and trained networks, from which a killed run goes on.
    samples : int
        Points in each of six scrambles, a power of two.
    seed : int

    Raises
    ------
    ValueError
        Networks and retrain together, or samples that are no power of two.
    """

    networks: Mapping[str, Network] | None = None
    retrain: bool = False
    states: Path | None = None
    samples: int = SAMPLES
    seed: int = 0

    name: ClassVar[str] = "learned gap"
    record: ClassVar[Any] = LearnedGap

    def __post_init__(self) -> None:
        if self.networks is not None and self.retrain:
            raise ValueError("networks are given and retrain is True: give one of them")
        if self.samples < 2 or self.samples & (self.samples - 1):
            raise ValueError(f"samples is {self.samples}: give a power of two, which Sobol points come in")

    def cells(self) -> Iterable[Cell[LearnedGap]]:
        """One a network, the exact score first."""
        known: Mapping[str, Any] = RECIPES
        if not self.retrain:
            known = shipped() if self.networks is None else self.networks
        recipes = [name for name in RECIPES if name in known]
        for name in (EXACT, *recipes, *(name for name in known if name not in RECIPES)):
            network = known.get(name)
            given = {"network": network, "samples": self.samples, "seed": self.seed}
            yield Cell({"network": name}, partial(self._measured, name, network), given)

    def _measured(self, name: str, network: Network | Recipe | None) -> list[LearnedGap]:
        if isinstance(network, Recipe):
            network = trained(name, self.states)
        with threadpool_limits(
            1, "blas"
        ):  # products of small matrices gain nothing from threads of their own
            return [measure(name, network, self.samples, self.seed)]

    def reports(self, found: list[LearnedGap]) -> Iterable[Report]:
        """Return one table; what score errors are at which times is a table of its own."""
        title = f"ODE and SDE with learned scores, {TARGET}, squared W2 in thousandths"
        numbers = pd.DataFrame([asdict(r) for r in found]).drop(columns=["times", "score_errors"])
        errors = [
            {"network": r.network, "time": t, "score error": error}
            for r in found
            for t, error in zip(r.times, r.score_errors, strict=True)
        ]
        everything = {"gap-learned": numbers, "gap-learned-score-errors": pd.DataFrame(errors)}
        yield Report("gap-learned", title, table(found), NOTES, everything)

    def figures(self, found: list[LearnedGap]) -> Mapping[str, Any]:
        """Draw the three gaps against the penalty."""
        from .figure import figure  # which is slow to import

        return {"gap-learned": figure(found)}

    def verdicts(self, found: list[LearnedGap]) -> Iterable[str]:
        """Hold both bounds against what was measured."""
        return ["confirmed" if r.holds else "refuted" for r in found]


def trained(name: str, states: str | Path | None = None) -> Network:
    """Train a network of `RECIPES`, or read it back if `states` has it from the same recipe."""
    recipe = RECIPES[name]
    if states is None:
        return train(recipe)
    folder = Path(states)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.npz"
    if file.exists():
        network = load(file)
        if network.made == asdict(recipe):
            return network
    network = train(recipe, folder / f"{name}.state")
    network.save(file)
    return network
