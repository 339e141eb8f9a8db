"""The error budget: how much of a sampler's error comes from where.

What is run starts from a prior instead of the marginal, takes N steps, asks an imperfect model, computes in
float32 and stops before the data. Each of these can be switched off: marginal start, continuous process, exact
model, float64, and the marginal at the grid's end as the truth in place of the data.

Definition. Laws are points of a Hilbert space whose norm is W2 (`coordinates`). With e(S) the vector from the
truth to the law with the parts S switched on, the whole is E = e(all that are asked for) and W2 = |E|. A part i
alone is e(i), its size |e(i)|, and its share <e(i), E>/|E|, in the units of W2. So

    W2 = sum of shares + remainder,    remainder = <E - sum e(i), E>/|E|,

exactly. Where laws are neither Gaussian nor on the line, all of this is by samples, in sliced W2.

The remainder is what parts do to each other, second order in the errors where they are small; its largest
possible size |E - sum e(i)| is given beside it as the interaction. A negative share is a part that cancels others.
Between modes with next to nothing in between W2 is not smooth: to move a probability p across costs sqrt(p), so that
there interactions are as large as parts, and only their projection, the remainder, is smaller.

- initial: the continuous process from the prior, less the same from the marginal.
- truncation: the marginal at the grid's end, less the data.
- discretisation: the method in N steps from the marginal, less the marginal at the end.
- score: the continuous process with the imperfect model from the marginal, less the same with the exact model.
- precision: the method in float32, less the same on the same noise in float64.

All but truncation are measured at the grid's end. The continuous process is that which the method approximates (the
reverse SDE with its eta): a fine reference (`REFERENCES`), extrapolated from two step numbers; where the method follows
no such equation, the method itself on the fine grid. Only differences of two fine laws enter, so that the reference's
own error is relative to the part. How far the two step numbers are apart bounds the uncertainty. Samples of all laws
share their noise where they can, and their uncertainty is a standard error over independent groups.

Precision has no exact law. By coupled samples its share is a mean with a standard error; its size is given as the root
mean square distance of the two samples, which bounds the W2 distance of their laws from above. In E it is added
to first order. `sample` in float32 keeps registers, coefficients and evaluations in float32; normals are drawn and
exponentials are computed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture
from solvers import Tableau, catalogue, sample

from ..ladder import Ladder
from ..laws import MEASURED, UNSTABLE, Means, law_of, means_of, truth
from ..numbers import NORMAL, OUTCOME, measured
from ..setting import Job, Setting
from .coordinates import Coordinates, GaussianCoordinates, LineCoordinates, SlicedCoordinates

Array = NDArray[np.float64]
PARTS = ("initial", "truncation", "discretisation", "score", "precision")
STEPS = (8, 16, 32, 64)
FINE: dict[Means, tuple[int, int]] = {  # steps of the reference, of an SDE and of an ODE
    "law": (4096, 4096),
    "density": (512, 512),
    "samples": (256, 64),
}
REFERENCES: dict[bool, tuple[str, int]] = {
    True: ("rk4", 4),
    False: ("euler-maruyama", 1),
}  # deterministic: name, order
MOST_NUMBERS = 2_000_000  # of samples times dimensions, for precision
SAMPLES = 20_000


@dataclass(frozen=True)
class Part:
    """One cause of error, switched on alone.

    Attributes
    ----------
    name : str
    size : float
        W2 it makes alone; of precision, an upper bound.
    share : float
        Its part of the whole, signed.
    uncertainty : float
        Of the share: distance between two resolutions of the reference, and one standard error of what is sampled.
    """

    name: str
    size: float = field(metadata=OUTCOME)
    share: float = field(metadata=measured("uncertainty", NORMAL, error=False))
    uncertainty: float


@dataclass(frozen=True)
class Budget:
    """The error of one method in so many steps, by cause.

    Attributes
    ----------
    method, target, means : str
        Means: "law", "density" or "samples".
    steps, nfe : int
    whole : float
        W2 distance between the law of what is run and the truth, sliced W2 by samples.
    parts : tuple of Part
        One for each of `PARTS`; those switched off are zero.
    remainder : float
        The whole less all shares.
    interaction : float
        W2 norm of what parts alone do not explain, which the remainder cannot exceed but by noise of samples.
    uncertainty : float
        One standard error of the whole, 0 by exact laws.
    status, reason : str
        "measured", or "unstable" with what went wrong: then all numbers are nan.
    """

    method: str
    target: str
    means: str
    steps: int
    nfe: int = field(metadata=OUTCOME)
    whole: float = field(metadata=measured("uncertainty", NORMAL))
    parts: tuple[Part, ...]
    remainder: float = field(metadata=OUTCOME)
    interaction: float = field(metadata=OUTCOME)
    uncertainty: float = 0.0
    status: str = MEASURED
    reason: str = ""

    def __getitem__(self, name: str) -> Part:
        return self.parts[PARTS.index(name)]


@dataclass(frozen=True)
class Causes:
    """What is switched on.

    Attributes
    ----------
    model : target or Imperfect, or None
        What is asked in place of the exact model; None for the exact one.
    on : tuple of str
        Those of `PARTS` that are switched on. ValueError for another word.
    samples, seed : int
        For precision, and for all where no law reaches.
    """

    model: Any = None
    on: tuple[str, ...] = PARTS
    samples: int = SAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.on:
            if name not in PARTS:
                raise ValueError(f"parts has {name!r}: use some of {', '.join(PARTS)}")
        if self.samples < 100:
            raise ValueError(f"samples is {self.samples}: give at least 100")

    def has(self, name: str) -> bool:
        """True if a part is switched on."""
        return name in self.on


@dataclass
class Bench:
    """One target with the laws that its budgets need; fine laws are kept, since methods share them.

    Raises ValueError for the precision of a model of one's own or a calibrated one, whose arithmetic is its own.
    """

    name: str
    target: GaussianMixture
    setting: Setting
    causes: Causes = field(default_factory=Causes)
    _fine: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not hasattr(self.model, "variances") and self.causes.has("precision"):
            raise ValueError(
                "part is 'precision', but score is a model that no compiled code computes: name other parts"
            )

    @cached_property
    def means(self) -> Means:
        """How laws are found: by "law" if they stay Gaussian, on the line by "density", elsewhere by "samples"."""
        return means_of(self.target, self.model)

    @property
    def model(self) -> Any:
        """What is asked when the score part is switched on."""
        return self.target if self.causes.model is None else self.causes.model

    def run(self, tableau: Tableau, model: Any, initial: str) -> Any:
        """Return the law of a tableau with a model, from the target's own marginal or the prior."""
        drawn = {"samples": self.causes.samples, "seed": self.causes.seed}
        return law_of(tableau, self.target, model, initial, means=self.means, resolution=1.0, **drawn)

    def marginal(self, level: tuple[float, float]) -> Any:
        """Return the exact marginal at a level (alpha, sigma), in the form of the laws of samplers."""
        return truth(self.target, level, self.means, self.causes.samples, self.causes.seed)

    def space(self, laws: Sequence[Any]) -> Coordinates:
        """Return coordinates in which these laws can be told apart."""
        if self.means == "law":
            return GaussianCoordinates(self.target)
        return LineCoordinates(laws) if self.means == "density" else SlicedCoordinates(self.target.dim)

    def reference(self, job: Job, model: Any, initial: str) -> tuple[list[Any], int]:
        """Return the laws of the continuous process at two fine step numbers, coarser first, and their order.

        Order 0 says that the coarser is no use for extrapolation.
        """
        eta = tableau_of(job, self.setting, 4).stochasticity
        options: dict[str, Any]
        if eta is None:
            name, order, start, options = job.method.name, 0, job.start, job.options
        else:
            (name, order), start = REFERENCES[eta == 0], "practical"
            options = {} if eta == 0 else {"eta": eta}
        most = FINE[self.means][eta == 0]
        key = (name, start, tuple(sorted(options.items())), model, initial)
        if key not in self._fine:
            build = catalogue[name].tableau
            self._fine[key] = [
                self.run(
                    build(self.setting.path, self.setting.nodes(N), start=start, **options), model, initial
                )
                for N in (most // 2, most)
            ]
        return self._fine[key], order


def tableau_of(job: Job, setting: Setting, steps: int) -> Tableau:
    """Build a method's tableau in a setting."""
    return Ladder(job.method, job.start, setting, job.options)[steps]


def budget(job: Job, bench: Bench, steps: int) -> Budget:
    """Split the error of one method in so many steps by cause.

    Parameters
    ----------
    job : Job
        Method, start and options.
    bench : Bench
    steps : int
        Intervals of the grid.

    Returns
    -------
    Budget

    Raises
    ------
    ValueError
        The method's law on this target cannot be found by density.
    FloatingPointError
        The method is unstable on this grid.
    """
    causes, target = bench.causes, bench.target
    tableau = tableau_of(job, bench.setting, steps)
    data, at_end = bench.marginal((1.0, 0.0)), bench.marginal(tableau.end)
    initial = "prior" if causes.has("initial") else "marginal"
    wrong = causes.has("score") and causes.model is not None
    model = bench.model if wrong else target

    fine: dict[str, list[Any]] = {}

    def reference(label: str, model: Any, initial: str) -> int:
        fine[label], order = bench.reference(job, model, initial)
        return order

    order = 0
    discretised = causes.has("discretisation")
    if initial == "prior" or wrong:
        order = reference("neither", target, "marginal")
    if initial == "prior":
        reference("initial", target, "prior")
    if wrong:
        reference("score", model, "marginal")
    if not discretised and initial == "prior" and wrong:
        reference("both", model, "prior")
    alone = bench.run(tableau, target, "marginal")
    together = bench.run(tableau, model, initial) if wrong or initial == "prior" else alone
    space = bench.space([data, at_end, alone, together, *(one for pair in fine.values() for one in pair)])
    data, at_end = space.of(data), space.of(at_end)
    kept = {label: [space.of(one) for one in pair] for label, pair in fine.items()}

    def part(label: str) -> tuple[Array, Array]:
        """Difference that a continuous part makes, extrapolated, and how far its two resolutions are apart."""
        coarse, fine = (a - b for a, b in zip(kept[label], kept["neither"], strict=True))
        change = fine - coarse
        return fine + (change / (2**order - 1) if order else 0.0), change

    nothing = np.zeros_like(data)
    vectors = dict.fromkeys(PARTS, nothing)
    doubts = dict.fromkeys(PARTS, nothing)
    for label, on in (("initial", initial == "prior"), ("score", wrong)):
        if on:
            vectors[label], doubts[label] = part(label)
    if causes.has("truncation"):
        vectors["truncation"] = at_end - data
    if discretised:
        vectors["discretisation"] = space.of(alone) - at_end
        whole = vectors["truncation"] + (space.of(together) - at_end)
    else:
        combined = part("both")[0] if "both" in kept else vectors["initial"] + vectors["score"]
        whole = vectors["truncation"] + combined
    size = space.norm(whole)
    direction = whole / size if size > 0 else nothing
    parts = {}
    for name in PARTS:
        vector, doubt = vectors[name], abs(space.inner(doubts[name], direction))
        if vector is not nothing:
            doubt = float(np.hypot(doubt, space.deviation(vector, whole)))
        parts[name] = Part(name, space.norm(vector), space.inner(vector, direction), doubt)
    left = whole - sum(vectors.values())
    rounding = 0.0
    if causes.has("precision"):
        rounded = _rounding(bench, space, tableau, target, "marginal", alone, direction)
        parts["precision"] = rounded
        rounding = rounded.share
        if together is not alone:
            rounding = _rounding(bench, space, tableau, model, initial, together, direction).share
    total = size + rounding if size > 0 else parts["precision"].size
    if size == 0:  # nothing else is switched on: the bound is all there is
        parts["precision"] = replace(parts["precision"], share=total)
    shares = sum(p.share for p in parts.values())
    return Budget(
        job.label,
        bench.name,
        bench.means,
        steps,
        tableau.nfe,
        total,
        tuple(parts[name] for name in PARTS),
        total - shares,
        space.norm(left) + abs(rounding - parts["precision"].share if size > 0 else 0.0),
        space.deviation(whole, whole),
    )


def _rounding(
    bench: Bench, space: Coordinates, tableau: Tableau, model: Any, initial: str, exact: Any, direction: Array
) -> Part:
    """Compare float32 with float64 on the same noise: root mean square distance, and share along a direction."""
    n = bench.causes.samples
    if bench.means != "samples":
        n = min(n, MOST_NUMBERS // bench.target.dim)
    start: Any = "prior" if initial == "prior" else bench.target.noised(*tableau.start)
    x, y = (
        sample(tableau, model, n, bench.causes.seed, start, dtype=kind).astype(np.float64)
        for kind in ("float64", "float32")
    )
    moves = space.moved(exact, x, y - x, direction)
    return Part(
        "precision",
        float(np.sqrt(np.mean(np.sum((y - x) ** 2, axis=1)))),
        float(np.mean(moves)),
        float(np.std(moves) / np.sqrt(n)),
    )


def budgets(job: Job, bench: Bench, steps: Sequence[int] = STEPS) -> list[Budget]:
    """Return one method's budgets over step numbers; where it is unstable, numbers are nan and the status says so."""
    found = []
    for N in steps:
        try:
            found.append(budget(job, bench, N))
        except FloatingPointError as error:
            nan = float("nan")
            nothing = tuple(Part(name, nan, nan, nan) for name in PARTS)
            nfe = tableau_of(job, bench.setting, N).nfe
            where = (job.label, bench.name, bench.means, N, nfe)
            found.append(Budget(*where, nan, nothing, nan, nan, nan, UNSTABLE, str(error)))
    return found
