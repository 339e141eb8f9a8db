"""Trajectories of samplers on the line, over the density of the marginal that all of them should have at every time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import altair as alt
import numpy as np
import pandas as pd

from analytic import GaussianMixture
from solvers import run
from solvers.protocols import noising

from ..output.report import Report
from ..output.theme import COLOURS
from ..setting import Job, Setting
from ..study import Cell, Plain

METHODS = ("heun", "euler-maruyama")
PANEL = (420, 300)
ROWS, COLUMNS = 70, 64  # of the density
WIDTH = 3.2  # deviations shown
FRAMES = 24


@dataclass(frozen=True)
class Ways:
    """Trajectories of one method: x by sample and node, and the nodes' log-SNR, or their times where there is none."""

    method: str
    steps: int
    nfe: int
    places: tuple[float, ...]
    x: tuple[tuple[float, ...], ...]
    status: str = "measured"


@dataclass(frozen=True)
class Trajectories(Plain[Ways]):
    """A few ways of each method from the same points.

    Attributes
    ----------
    work : sequence of Job
    target : str
    law : GaussianMixture
        On the line.
    setting : Setting
    steps, ways : int
    """

    work: Sequence[Job]
    target: str
    law: GaussianMixture
    setting: Setting
    steps: int
    ways: int

    name: ClassVar[str] = "trajectories"
    record: ClassVar[type] = Ways

    def cells(self) -> Iterable[Cell[Ways]]:
        """One for each method."""
        for job in self.work:
            given = {
                "job": job,
                "law": self.law,
                "setting": self.setting,
                "steps": self.steps,
                "ways": self.ways,
            }
            yield Cell({"method": job.text, "target": self.target}, partial(self._walked, job), given)

    def _walked(self, job: Job) -> list[Ways]:
        path, nodes, law = self.setting.path, self.setting.nodes(self.steps), self.setting.on(self.law)
        tableau = job.method.tableau(path, nodes, start=job.start, **job.options)
        start = law.noised(*tableau.start).sample(self.ways, seed=self.setting.seed)
        found = run(tableau, law, start, self.setting.seed, full=True)
        x = np.array([np.asarray(one)[:, 0] for one in found.trajectory])
        # a step may take several blocks: where the walk is at the grid's nodes
        levels = np.array([float(path.log_snr(t)) for t in nodes]) if noising(path) else nodes
        at = np.linspace(0, len(x) - 1, len(levels)).round().astype(int)
        ways = tuple(tuple(map(float, way)) for way in x[at].T)
        status = "measured" if found.status == "ok" else "unstable"
        return [Ways(job.text, self.steps, tableau.nfe, tuple(map(float, levels)), ways, status)]

    def reports(self, found: list[Ways]) -> Iterable[Report]:
        """Return where each method's ways end."""
        rows = [
            {
                "method": one.method,
                "NFE": one.nfe,
                "ends at": ", ".join(f"{way[-1]:.2f}" for way in one.x[:8]),
            }
            for one in found
        ]
        everything = pd.DataFrame(
            [
                {"method": one.method, "way": w, self._clock: level, "x": x}
                for one in found
                for w, way in enumerate(one.x)
                for level, x in zip(one.places, way, strict=True)
            ]
        )
        title = f"Trajectories on {self.target}, {self.setting.where}"
        yield Report("trajectories", title, pd.DataFrame(rows), [], {"trajectories": everything})

    def figures(self, found: list[Ways]) -> Mapping[str, Any]:
        """Draw a panel for each method."""
        return {"trajectories": self._drawn(found, self.steps)}

    def frames(self, found: list[Ways]) -> list[Any]:
        """Draw the same as far as it is at some times."""
        return [self._drawn(found, int(k)) for k in np.unique(np.linspace(0, self.steps, FRAMES).round())]

    def _drawn(self, found: Sequence[Ways], until: int) -> Any:
        ground = self._density(found[0].places)
        ends = [found[0].places[0], found[0].places[-1]]  # the data on the right
        x = alt.X("x:Q", title=self._clock, scale=alt.Scale(domain=ends, nice=False))
        y = alt.Y(
            "y:Q",
            title="x in deviations of the marginal",
            scale=alt.Scale(domain=[-WIDTH, WIDTH], nice=False),
        )
        shade = alt.Color(
            "density:Q", scale=alt.Scale(range=["#ffffff", "#ffb38a"], interpolate="rgb"), legend=None
        )
        density = alt.Chart(ground).mark_rect(clip=True).encode(x=x, x2="x2", y=y, y2="y2", color=shade)
        panels = []
        for place, one in enumerate(found):
            spread = self._spread(one.places)
            rows = [
                {"way": w, "x": one.places[i], "y": way[i] / spread[i]}
                for w, way in enumerate(one.x)
                for i in range(until + 1)
            ]
            lines = (
                alt.Chart(pd.DataFrame(rows))
                .mark_line(clip=True, strokeWidth=1, opacity=0.85, color=COLOURS[place % len(COLOURS)])
                .encode(x=x, y=y, detail="way:N")
            )
            title = f"{one.method}, {one.nfe} NFE"
            panels.append((density + lines).properties(width=PANEL[0], height=PANEL[1], title=title))
        said = "Trajectories of samplers over the density of the exact marginal, from noise to data."
        return alt.hconcat(*panels, spacing=24, description=said)

    @property
    def _clock(self) -> str:
        return "log-SNR" if noising(self.setting.path) else "time"

    def _at(self, place: float) -> GaussianMixture:
        """Return the marginal at a place."""
        path = self.setting.path
        t = path.time_of_log_snr(place) if noising(path) else place
        law: GaussianMixture = self.setting.on(self.law).noised(float(path.alpha(t)), float(path.sigma(t)))
        return law

    def _spread(self, places: Sequence[float]) -> list[float]:
        return [float(np.sqrt(self._at(place).covariance()[0, 0])) for place in places]

    def _density(self, places: Sequence[float]) -> pd.DataFrame:
        edges = np.linspace(min(places), max(places), COLUMNS + 1)
        heights = np.linspace(-WIDTH, WIDTH, ROWS + 1)
        middle = (heights[1:] + heights[:-1]) / 2
        rows = []
        for left, right in itertools.pairwise(edges):
            middle_of = (left + right) / 2
            at, (spread,) = self._at(middle_of), self._spread([middle_of])
            value = spread * np.exp(at.log_density((spread * middle)[:, None]))
            rows += [
                {"x": left, "x2": right, "y": low, "y2": high, "density": round(float(v), 4)}
                for low, high, v in zip(heights[:-1], heights[1:], value, strict=True)
            ]
        return pd.DataFrame(rows)
