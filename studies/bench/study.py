"""The speed study: workloads timed in turn with what others use, beside peaks, and how cost grows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numba
import numpy as np
import pandas as pd

from ..made import made
from ..numbers import Number
from ..output.report import Report
from ..study import Cell, Plain
from . import limits
from .growth import GROWTHS, Growth, Streamed, exponent, growth, streamed
from .timing import times_in_turn
from .ways import OWN, ways_of
from .workloads import Tokens, Work, Workload


@dataclass(frozen=True)
class Speed:
    """One way to run a workload.

    Attributes
    ----------
    unit, workload, way : str
    nanoseconds, spread : float
        A unit, which is a sample and step or a token and step: median of the rounds, and half of their range.
    ratio, least, most : float
        To ours in the same round: median and extremes. 1 for ours.
    bound : float
        Nanoseconds that the multiplications alone take at the measured peak; nan for others.
    missing : str
        Why it was not timed.
    machine, threads : str, int
    """

    unit: str
    workload: str
    way: str
    nanoseconds: float
    spread: float
    ratio: float
    least: float
    most: float
    bound: float
    missing: str
    machine: str
    threads: int


@dataclass(frozen=True)
class Peak:
    """What all threads of a machine do in a second."""

    dtype: str
    of: str
    rate: float
    machine: str
    threads: int


def _threads() -> int:
    return int(numba.get_num_threads())


@dataclass(frozen=True)
class Bench(Plain[Any]):
    """Speeds, peaks and growth on this machine.

    Attributes
    ----------
    workloads : sequence of Workload and Tokens
    rounds : int
        Times that all ways take turns.
    against : sequence of str
        Names of other ways, see `WAYS`.
    growth : bool
    streamed : sequence of int
        Numbers of samples that each workload also draws without keeping them.
    """

    workloads: Sequence[Workload | Tokens]
    rounds: int
    against: Sequence[str]
    growth: bool = True
    streamed: Sequence[int] = ()

    name: ClassVar[str] = "bench"
    record: ClassVar[Any] = Speed | Peak | Growth | Streamed
    alone: ClassVar[bool] = True

    def cells(self) -> Iterable[Cell[Any]]:
        """One for each number of samples that are not kept, float type's peaks, workload and size.

        The first come first: other libraries' memory is not theirs.
        """
        machine = str(made()["machine"])
        given = {"machine": machine, "threads": _threads()}
        for w in self.workloads:
            for n in self.streamed:
                yield Cell({"streamed": str(w), "samples": n}, partial(streamed, w, n, machine), given)
        for dtype in dict.fromkeys(w.dtype for w in self.workloads if isinstance(w, Workload)):
            yield Cell({"peaks": dtype}, partial(_peaks, dtype), given)
        for w in self.workloads:
            asked = given | {"rounds": self.rounds, "against": list(self.against)}
            yield Cell({"workload": str(w)}, partial(_speeds, w, self.rounds, self.against), asked)
        for sampler, size in GROWTHS if self.growth else ():
            measured = partial(growth, sampler, size, self.rounds, machine)
            yield Cell({"sampler": sampler, "size": size}, measured, given)

    def numbers(self, found: list[Any]) -> Iterable[Number]:
        """List none: times say something of a machine."""
        return ()

    def reports(self, found: list[Any]) -> Iterable[Report]:
        """Return a table of speeds for each unit, one of peaks, one of growth, one of samples that are not kept."""
        speeds = [one for one in found if isinstance(one, Speed)]
        peaks = [one for one in found if isinstance(one, Peak)]
        growths = [one for one in found if isinstance(one, Growth)]
        kept = [one for one in found if isinstance(one, Streamed)]
        for name, unit in (("speed", Workload.unit), ("tokens", Tokens.unit)):
            own = [s for s in speeds if s.unit == unit]
            if own:
                missing = dict.fromkeys(f"not timed: {s.way}: {s.missing}" for s in own if s.missing)
                table, notes = _speed_table(own), [*_notes(own), *missing]
                yield Report(name, f"Time a {unit}", table, notes, {name: _frame(own)})
        if peaks:
            table = pd.DataFrame(
                [
                    {"": p.of, "float": p.dtype, "a second": f"{p.rate:.3g}", "threads": p.threads}
                    for p in peaks
                ]
            )
            yield Report("peaks", "What this machine does in a second", table, [], {"peaks": _frame(peaks)})
        if growths:
            table = pd.DataFrame(
                [
                    {
                        "sampler": g.sampler,
                        "size": g.size,
                        "from": g.values[0],
                        "to": g.values[-1],
                        "time grows as": f"{g.size}^{g.exponent:.2f}±{g.uncertainty:.2f}",
                    }
                    for g in growths
                ]
            )
            yield Report("growth", "How time grows with sizes", table, [], {"growth": _frame(growths)})
        if kept:
            table, notes = _streamed_table(kept), [STREAMED_NOTE]
            yield Report("streamed", "Samples that are not kept", table, notes, {"streamed": _frame(kept)})


STREAMED_NOTE = (
    "Drawn and reduced to moments, or counts of pairs. MB: the most that the process has held so far."
)


def _notes(speeds: Sequence[Speed]) -> list[str]:
    bound = " bound: what the multiplications alone take at the measured peak (docs/speed.md), and its share of ns."
    return [
        f"ns: nanoseconds a {speeds[0].unit}, median of rounds in which all take turns, and half of their range."
        + (bound if any(s.bound > 0 for s in speeds) else ""),
        "Other columns: how many times as long another way takes, median of the rounds (least to most).",
    ]


def _frame(records: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame([vars(one) for one in records])


def _speed_table(speeds: Sequence[Speed]) -> pd.DataFrame:
    rows = []
    for workload in dict.fromkeys(s.workload for s in speeds):
        own = [s for s in speeds if s.workload == workload]
        us = next(s for s in own if s.way == OWN)
        row = {"workload": workload, "ns": f"{us.nanoseconds:.3g}±{us.spread:.1g}"}
        if us.bound > 0:
            row["bound"] = f"{us.bound:.3g} ({us.bound / us.nanoseconds:.0%})"
        for s in own:
            if s.way != OWN and not s.missing:
                row[s.way] = f"{s.ratio:.3g} ({s.least:.3g} to {s.most:.3g})"
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def _streamed_table(kept: Sequence[Streamed]) -> pd.DataFrame:
    rows = []
    for workload in dict.fromkeys(s.workload for s in kept):
        own = [s for s in kept if s.workload == workload]
        power = exponent([s.samples for s in own], np.log([s.seconds for s in own])) if len(own) > 1 else None
        for s in own:
            row = {"workload": workload, "samples": f"{s.samples:.3g}", "seconds": f"{s.seconds:.3g}"}
            row |= {"ns": f"{s.nanoseconds:.3g}", "MB": f"{s.memory:.0f}"}
            last = s is own[-1] and power is not None
            rows.append(row | ({"time grows as": f"n^{power:.2f}"} if last else {}))
    return pd.DataFrame(rows).fillna("")


def _peaks(dtype: str) -> list[Peak]:
    where = (str(made()["machine"]), _threads())
    return [Peak(dtype, of, rate, *where) for of, rate in limits.peaks(dtype).items()]


def _speeds(work: Work, rounds: int, against: Sequence[str]) -> list[Speed]:
    missing: dict[str, str] = {}
    times = times_in_turn(ways_of(work, against), rounds, missing, (OWN,))
    own, bound = times[OWN], work.bound()
    where = (str(made()["machine"]), _threads())
    nan = float("nan")
    found = []
    for way, taken in times.items():
        each, ratios = 1e9 * taken / work.units, taken / own
        ns, spread, ratio = float(np.median(each)), float(np.ptp(each) / 2), float(np.median(ratios))
        least, most, of_ours = float(ratios.min()), float(ratios.max()), bound if way == OWN else nan
        of = (work.unit, str(work), way)
        found.append(Speed(*of, ns, spread, ratio, least, most, of_ours, "", *where))
    return found + [
        Speed(work.unit, str(work), way, nan, nan, nan, nan, nan, nan, why, *where)
        for way, why in missing.items()
    ]
