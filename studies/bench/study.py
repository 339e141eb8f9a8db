"""The speed study: workloads timed in turn with what others use, beside peaks, and how cost grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import special

from analytic import GaussianMixture, chains, paths, sequences
from solvers import catalogue, grids, sample
from solvers.continuous.tableau import Tableau

from ..made import made
from ..numbers import Number
from ..output.report import Report
from ..study import Cell, Plain
from . import libraries, limits, peers
from .timing import Way, times_in_turn

OWN = "assay"
PATH = paths.VP()
STEPS = {"ddpm": 100, "heun": 50, "dpm-solver++-2m": 50}
BATCH = 16_384  # samples that compiled loops of others are given at a time
UNCOMPILED = 4  # times fewer, where nothing is compiled: they take long enough


@dataclass(frozen=True)
class Workload:
    """A sampler to time: method, target, its components and dimensions, and float type."""

    method: str
    components: int
    dim: int
    dtype: str

    @property
    def target(self) -> GaussianMixture:
        """An isotropic mixture with means drawn at random, seed 0."""
        rng = np.random.default_rng(0)
        means = 2.0 * rng.standard_normal((self.components, self.dim))
        weights = rng.uniform(0.5, 1.0, self.components)
        variances = np.repeat(rng.uniform(0.05, 0.2, (self.components, 1)), self.dim, axis=1)
        return GaussianMixture(weights / weights.sum(), means, variances)

    @property
    def tableau(self) -> Tableau:
        """The method on an even grid of times."""
        return catalogue[self.method].tableau(PATH, grids.uniform(PATH, STEPS[self.method]))

    @property
    def samples(self) -> int:
        """How many are drawn at a time, so that a call takes a few tenths of a second."""
        return int(np.clip(2**23 / (4 + self.components * self.dim), 2048, 2**19))

    def __str__(self) -> str:
        return f"{self.method}, K = {self.components}, d = {self.dim}, {self.dtype}"


@dataclass(frozen=True)
class Speed:
    """One way to run a workload.

    Attributes
    ----------
    workload, way : str
    nanoseconds, spread : float
        A sample and step: median of the rounds, and half of their range.
    ratio, least, most : float
        To ours in the same round: median and extremes. 1 for ours.
    bound : float
        Nanoseconds that the multiplications alone take at the measured peak; nan for others.
    missing : str
        Why it was not timed.
    machine, threads : str, int
    """

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


@dataclass(frozen=True)
class Growth:
    """How the time of a call grows with one size of it: exponent of a power law, with half of its 99 % interval."""

    sampler: str
    size: str
    values: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    uncertainty: float
    machine: str
    threads: int


def _threads() -> int:
    import numba

    return int(numba.get_num_threads())


@dataclass(frozen=True)
class Bench(Plain[Any]):
    """Speeds, peaks and growth on this machine.

    Attributes
    ----------
    workloads : sequence of Workload
    rounds : int
        Times that all ways take turns.
    against : sequence of str
        Names of other ways, see `WAYS`.
    growth : bool
    """

    workloads: Sequence[Workload]
    rounds: int
    against: Sequence[str]
    growth: bool = True

    name: ClassVar[str] = "bench"
    record: ClassVar[Any] = Speed | Peak | Growth
    alone: ClassVar[bool] = True

    def cells(self) -> Iterable[Cell[Any]]:
        """One for each float type's peaks, each workload and each size."""
        given = {"machine": str(made()["machine"]), "threads": _threads()}
        for dtype in dict.fromkeys(w.dtype for w in self.workloads):
            yield Cell({"peaks": dtype}, partial(_peaks, dtype), given)
        for w in self.workloads:
            asked = given | {"rounds": self.rounds, "against": list(self.against)}
            yield Cell({"workload": str(w)}, partial(_speeds, w, self.rounds, self.against), asked)
        for sampler, size in GROWTHS if self.growth else ():
            yield Cell(
                {"sampler": sampler, "size": size}, partial(_growth, sampler, size, self.rounds), given
            )

    def numbers(self, found: list[Any]) -> Iterable[Number]:
        """List none: times say something of a machine."""
        return ()

    def reports(self, found: list[Any]) -> Iterable[Report]:
        """Return a table of speeds, one of peaks, one of growth."""
        speeds = [one for one in found if isinstance(one, Speed)]
        peaks = [one for one in found if isinstance(one, Peak)]
        growths = [one for one in found if isinstance(one, Growth)]
        if speeds:
            missing = dict.fromkeys(f"not timed: {s.way}: {s.missing}" for s in speeds if s.missing)
            yield Report(
                "speed",
                "Time a sample and step",
                _speed_table(speeds),
                [*NOTES, *missing],
                {"speed": _frame(speeds)},
            )
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


NOTES = (
    "ns: nanoseconds a sample and step, median of rounds in which all take turns, and half of their range. bound: what "
    "the multiplications alone take at the measured peak (docs/speed.md), and its share of ns.",
    "Other columns: how many times as long another way takes, median of the rounds (least to most).",
)


def _frame(records: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame([vars(one) for one in records])


def _speed_table(speeds: Sequence[Speed]) -> pd.DataFrame:
    rows = []
    for workload in dict.fromkeys(s.workload for s in speeds):
        own = [s for s in speeds if s.workload == workload]
        us = next(s for s in own if s.way == OWN)
        row = {
            "workload": workload,
            "ns": f"{us.nanoseconds:.3g}±{us.spread:.1g}",
            "bound": f"{us.bound:.3g} ({us.bound / us.nanoseconds:.0%})",
        }
        for s in own:
            if s.way != OWN and not s.missing:
                row[s.way] = f"{s.ratio:.3g} ({s.least:.3g} to {s.most:.3g})"
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def _peaks(dtype: str) -> list[Peak]:
    where = (str(made()["machine"]), _threads())
    return [Peak(dtype, of, rate, *where) for of, rate in limits.peaks(dtype).items()]


def _speeds(work: Workload, rounds: int, against: Sequence[str]) -> list[Speed]:
    tableau, target = work.tableau, work.target
    missing: dict[str, str] = {}
    times = times_in_turn(_ways(work, tableau, target, against), rounds, missing, (OWN,))
    own = times[OWN]
    peak = limits.fused_multiplications(work.dtype)
    bound = 1e9 * limits.multiplications(tableau, target, work.dtype) / peak
    where = (str(made()["machine"]), _threads())
    nan = float("nan")
    found = []
    for way, taken in times.items():
        each, ratios = 1e9 * taken / len(tableau), taken / own
        ns, spread, ratio = float(np.median(each)), float(np.ptp(each) / 2), float(np.median(ratios))
        least, most, of_ours = float(ratios.min()), float(ratios.max()), bound if way == OWN else nan
        found.append(Speed(str(work), way, ns, spread, ratio, least, most, of_ours, "", *where))
    return found + [
        Speed(str(work), way, nan, nan, nan, nan, nan, nan, why, *where) for way, why in missing.items()
    ]


def _ways(work: Workload, tableau: Tableau, target: GaussianMixture, against: Sequence[str]) -> Iterator[Way]:
    """Yield ours, and then those that others use for this method."""
    n = work.samples

    def ours() -> Any:
        return lambda: sample(tableau, target, n, dtype=work.dtype, initial="prior")

    yield Way(OWN, n, ours)
    batch = max(256, BATCH * 50 // max(50, work.components * work.dim))
    start = np.asarray(sample(tableau, target, batch, dtype=work.dtype, initial="prior"))
    for name in against:
        few = start[: batch // (1 if name in COMPILED else UNCOMPILED)]
        make = WAYS[name](work, tableau, target, few)
        if make is not None:
            yield Way(name, len(few), make)


def _torch(first: bool, compiled: str | None) -> Any:
    def of(work: Workload, tableau: Tableau, target: GaussianMixture, start: Any) -> Any:
        def make() -> Any:
            import torch

            x = torch.as_tensor(start.T.copy() if first else start)
            loop = peers.torch_loop(tableau, target, compiled=compiled, first=first)

            def call() -> Any:
                with torch.no_grad():
                    return loop(x)

            return call

        return make

    return of


def _xla(work: Workload, tableau: Tableau, target: GaussianMixture, start: Any) -> Any:
    def make() -> Any:
        to_jax = peers.jax_array(simulated=True)
        import jax

        solve, x, key = peers.xla_scan(tableau, target), to_jax(start.T.copy()), jax.random.key(0)
        return lambda: solve(x, key).block_until_ready()

    return make


def _diffrax(work: Workload, tableau: Tableau, target: GaussianMixture, start: Any) -> Any:
    def make() -> Any:
        to_jax = peers.jax_array(simulated=True)
        import jax

        x = to_jax(start)
        if work.method == "heun":
            flow = libraries.diffrax_heun(tableau, target)
            return lambda: flow(x).block_until_ready()
        solve, keys = libraries.diffrax_sde(tableau, target), jax.random.split(jax.random.key(0), len(start))
        return lambda: solve(x, keys).block_until_ready()

    return make if work.method in ("heun", "ddpm") else None


def _torchsde(work: Workload, tableau: Tableau, target: GaussianMixture, start: Any) -> Any:
    def make() -> Any:
        import torch

        x, solve = torch.as_tensor(start), libraries.torchsde_euler(tableau, target)
        return lambda: solve(x)

    return make if work.method == "ddpm" else None


def _diffusers(work: Workload, tableau: Tableau, target: GaussianMixture, start: Any) -> Any:
    def make() -> Any:
        import torch

        x, solve = torch.as_tensor(start), libraries.diffusers_ddpm(target, len(tableau))
        return lambda: solve(x)

    return make if work.method == "ddpm" else None


WAYS: dict[str, Any] = {
    "XLA scan": _xla,
    "torch.compile": _torch(True, "inductor"),
    "torch": _torch(True, None),
    "diffrax": _diffrax,
    "torchsde": _torchsde,
    "diffusers": _diffusers,
}


COMPILED = ("XLA scan", "torch.compile", "diffrax")


def _continuous(n: int = 1 << 16, steps: int = 100, K: int = 25, d: int = 2) -> Any:
    work = Workload("ddpm", K, d, "float32")
    tableau, target = catalogue["ddpm"].tableau(PATH, grids.uniform(PATH, steps)), work.target
    return lambda: sample(tableau, target, n, dtype="float32", initial="prior")


def _tokens(noise: type, n: int = 2048, steps: int = 32, L: int = 64, V: int = 32) -> Any:
    matrix = np.random.default_rng(1).uniform(0.15, 0.7, (V, V))
    data = sequences.MarkovSequence(np.full(V, 1 / V), matrix / matrix.sum(axis=1, keepdims=True), L)
    kernel = catalogue["tweedie-tau-leaping"].kernel(noise(V), grids.uniform(noise(V), steps))
    return lambda: sample(kernel, data, n, initial="prior")


SIZES = {
    "n": (1 << 14, 1 << 16, 1 << 18),
    "steps": (25, 100, 400),
    "K": (16, 64, 256),
    "d": (4, 16, 64),
    "L": (32, 64, 128),
    "V": (16, 32, 64),
}
SAMPLERS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "ddpm": (_continuous, ("n", "steps", "K", "d")),
    "masked tokens": (partial(_tokens, chains.Absorbing), ("n", "steps", "L", "V")),
    "uniform tokens": (partial(_tokens, chains.Uniform), ("n", "steps", "L", "V")),
}
GROWTHS = [(sampler, size) for sampler, (_, sizes) in SAMPLERS.items() for size in sizes]


def _growth(sampler: str, size: str, rounds: int) -> list[Growth]:
    make, _ = SAMPLERS[sampler]
    values = [v // 32 for v in SIZES["n"]] if size == "n" and "tokens" in sampler else SIZES[size]
    ways = [Way(str(v), 1, partial(make, **{size: v})) for v in values]
    times = times_in_turn(ways, rounds, {}, [way.name for way in ways])
    logs = np.log([times[way.name] for way in ways])  # (sizes, rounds)
    slopes = [float(np.polyfit(np.log(values), logs[:, r], 1)[0]) for r in range(rounds)]
    uncertainty = special.stdtrit(rounds - 1, 0.995) * np.std(slopes, ddof=1) / np.sqrt(rounds)
    seconds = tuple(float(np.median(times[way.name])) for way in ways)
    where = (str(made()["machine"]), _threads())
    return [Growth(sampler, size, tuple(values), seconds, float(np.mean(slopes)), float(uncertainty), *where)]
