"""The sharpest law of a sampler that a target allows, the truth beside it, and how far two laws are apart.

A Gaussian stays one under a model that is affine: its law is exact. On the line a sampler has a density, to near
machine precision. Elsewhere there are samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analytic import GaussianMixture, distances
from solvers import DensityLaw, GaussianLaw, Tableau, density, law, run, sample
from solvers.continuous.denoiser import Denoiser
from solvers.continuous.executors.law import marginal

Array = NDArray[np.float64]
Means = Literal["law", "density", "samples"]
METRICS: dict[Means, tuple[str, ...]] = {  # the sharpest first
    "law": ("W2", "KL"),
    "density": ("TV", "KL", "W2"),
    "samples": ("sliced W2",),
}
RESOLUTION = 0.7  # of densities: errors far below any difference of interest
GROUPS, DIRECTIONS = 10, 8  # of samples, and of the lines they are projected on
NOTHING = 1e-14  # densities below it are rounding, whose ratio means nothing
MEASURED, UNSTABLE = "measured", "unstable"


@dataclass(frozen=True)
class Estimate:
    """A number that was measured, or why it could not be.

    Attributes
    ----------
    value : float
        nan where nothing was measured.
    uncertainty : float
        Half width of the 99 % interval of what is sampled, 0 for what is computed.
    status, reason : str
        "measured", or in a word what went wrong, and in a sentence.
    parts : tuple of float
        Squares of the number in groups of samples, () for what is computed.
    """

    value: float
    uncertainty: float = 0.0
    status: str = MEASURED
    reason: str = ""
    parts: tuple[float, ...] = ()

    @classmethod
    def failed(cls, status: str, reason: object) -> Estimate:
        """Return what stands for a number that could not be measured."""
        return cls(float("nan"), float("nan"), status, str(reason))


def with_half(value: float, half: float) -> str:
    """Return a number with half of its interval in two digits, and itself in as many decimals; three digits without."""
    if not half or not np.isfinite(half):
        return f"{value:.3g}"
    decimals = max(0, 1 - int(np.floor(np.log10(half))))
    if decimals > 5:
        power = int(np.floor(np.log10(max(abs(value), half))))
        return f"{value:.{max(0, decimals + power)}e}±{half:.1e}"
    return f"{value:.{decimals}f}±{half:.{decimals}f}"


@dataclass(frozen=True)
class NoLaw:
    """What a sampler ends with that has no law, as one that is unstable in so few steps."""

    means: Means
    status: str
    reason: str


def means_of(target: GaussianMixture, model: Any = None) -> Means:
    """Return how the law of samplers of a target is found if they ask a model, the exact one if None."""
    if isinstance(model, Denoiser) or isinstance(getattr(model, "model", None), Denoiser):
        return "samples"  # whatever it is
    if target.is_gaussian:
        try:
            (target if model is None else model).spectrum()
        except ValueError:  # what it says does not leave laws Gaussian
            pass
        else:
            return "law"
    return "density" if target.dim == 1 else "samples"


def sharpest(target: GaussianMixture) -> str:
    """Return the distance in which samplers of a target are told apart best: "W2" of a Gaussian, "TV" on the line.

    Raises ValueError for a target that needs samples.
    """
    means = means_of(target)
    if means == "samples":
        raise ValueError(
            f"target has {target.dim} dimensions and {target.components} components: give a Gaussian, whose law is "
            "exact, or a target on the line, whose density is"
        )
    return METRICS[means][0]


def law_of(
    tableau: Tableau,
    target: GaussianMixture,
    model: Any = None,
    initial: Any = "marginal",
    *,
    means: Means | None = None,
    resolution: float = RESOLUTION,
    samples: int = 100_000,
    seed: int = 0,
) -> Any:
    """Return the law that a sampler ends with: a GaussianLaw, a DensityLaw, or (n, dim) samples.

    Parameters
    ----------
    tableau : Tableau
    target : GaussianMixture
        Whose marginal is started from.
    model : target or Imperfect, optional
        What is asked; the target itself if None.
    initial : str or law
        "marginal", "prior", or a law given.
    means : str, optional
        How to find it; as sharply as can be if None. Laws are compared if found in the same way.
    resolution : float
        Of a density, see `density`.
    samples, seed : int
        Where laws are sampled.

    Raises
    ------
    FloatingPointError
        The method is unstable on this grid.
    ValueError
        The method's law on this target cannot be had in this way.
    """
    model = target if model is None else model
    means = means_of(target, model) if means is None else means
    begin = initial
    if isinstance(initial, str) and initial == "marginal":
        begin = marginal(target, *tableau.start) if means == "law" else target.noised(*tableau.start)
    if means == "law":
        return law(tableau, model, begin)
    if means == "density":
        return density(tableau, model, begin, estimate_error=False, resolution=resolution)
    if not hasattr(model, "variances"):  # nothing that compiled code knows
        if isinstance(begin, str):
            begin = GaussianMixture([1.0], np.zeros((1, target.dim)), tableau.prior_deviation**2)
        return run(tableau, model, np.asarray(begin.sample(samples, seed=seed)), seed)
    return sample(tableau, model, samples, seed, begin)


def law_or_none(tableau: Tableau, target: GaussianMixture, model: Any = None, **options: Any) -> Any:
    """Return `law_of`, or a NoLaw where the method is unstable."""
    try:
        return law_of(tableau, target, model, **options)
    except FloatingPointError as problem:
        return NoLaw(options.get("means") or means_of(target, model), UNSTABLE, str(problem))


def truth(
    target: GaussianMixture, level: tuple[float, float], means: Means, samples: int = 100_000, seed: int = 0
) -> Any:
    """Return the exact marginal at a level (alpha, sigma), in the form that laws found by these means compare with."""
    if means == "law":
        return marginal(target, *level)
    noised = target.noised(*level)
    return noised if means == "density" else noised.sample(samples, seed + 1)


def apart(a: Any, b: Any, metrics: Sequence[str] | None = None) -> dict[str, Estimate]:
    """Return distances between two laws by name; KL is of the first from the second.

    Parameters
    ----------
    a, b : laws
        Found by the same means; the second may be a GaussianMixture where the first is a density.
    metrics : sequence of str, optional
        Those wanted; by default all of `METRICS`.
    """
    for one in (a, b):
        if isinstance(one, NoLaw):
            names = METRICS[one.means] if metrics is None else metrics
            return {name: Estimate.failed(one.status, one.reason) for name in names}
    if isinstance(a, np.ndarray):
        return _apart_by_samples(a, b)
    known = _distances(a, b)
    return {name: Estimate(float(known[name]())) for name in (known if metrics is None else metrics)}


def error(
    tableau: Tableau,
    target: GaussianMixture,
    initial: Any = "marginal",
    metric: str | None = None,
    resolution: float = RESOLUTION,
    samples: int = 100_000,
    seed: int = 0,
    model: Any = None,
) -> Estimate:
    """Return how far a sampler's law is from the exact marginal at its grid's end, the sharpest distance by default.

    By so many samples where no law reaches, as with a model of one's own, with their interval. Raises ValueError for a
    method that has no density on the line.
    """
    means: Means = "density" if metric == "TV" else means_of(target, model)  # a Gaussian on the line has both
    metric = METRICS[means][0] if metric is None else metric
    drawn = {"samples": samples, "seed": seed} if means == "samples" else {}
    found = law_or_none(tableau, target, model, initial=initial, means=means, resolution=resolution, **drawn)
    return apart(found, truth(target, tableau.end, means, **drawn), (metric,))[metric]


def floor(
    target: GaussianMixture, level: tuple[float, float], samples: int = 100_000, seed: int = 0
) -> float:
    """Return how far samples of the truth are from others of it: what no sampler's error is seen below."""
    one, other = (truth(target, level, "samples", samples, seed + k) for k in (0, 2))
    return apart(other, one)["sliced W2"].value


def directions_in(dim: int) -> Array:
    """Return the directions (`DIRECTIONS`, dim), of length 1, that samples are projected on."""
    directions = np.random.default_rng(0).standard_normal((DIRECTIONS, dim))
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def _apart_by_samples(x: Array, y: Array) -> dict[str, Estimate]:
    """Sliced W2 with its interval from independent groups of samples; biased upward as `distances.sliced_w2`."""
    directions = directions_in(x.shape[1])
    squares = [
        np.mean([(np.sort(a @ v) - np.sort(b @ v)) ** 2 for v in directions])
        for a, b in zip(np.array_split(x, GROUPS), np.array_split(y, GROUPS), strict=True)
    ]
    return {"sliced W2": Estimate(*of_squares(squares), parts=tuple(map(float, squares)))}


def of_squares(squares: Sequence[float]) -> tuple[float, float]:
    """Return the root of a mean of squares, and half of its 99 % interval by Student's t over independent groups."""
    mean = float(np.mean(squares))
    deviation = float(np.std(squares, ddof=1)) / np.sqrt(len(squares))
    half = special.stdtrit(len(squares) - 1, 0.995) * deviation / (2 * np.sqrt(mean)) if mean > 0 else 0.0
    return float(np.sqrt(mean)), float(half)


def _distances(a: Any, b: Any) -> dict[str, Callable[[], float]]:
    """Return each distance as what computes it."""
    if isinstance(a, GaussianLaw):
        gap = a.error_to(b)
        return {"W2": lambda: gap.w2, "KL": lambda: gap.kl}
    if isinstance(b, GaussianMixture):
        return {"TV": lambda: a.tv(b), "KL": lambda: a.kl(b), "W2": lambda: a.w2(b)}
    edges = np.unique(np.concatenate([a.panels.ravel(), b.panels.ravel()]))

    def above(f: DensityLaw, least: float) -> Any:
        # the panels' polynomials may dip below zero by rounding, far out
        return lambda x: np.maximum(f.pdf(x), least)

    def log_of(f: DensityLaw) -> Any:
        return lambda x: np.log(above(f, 1e-300)(x))

    def seen() -> Array:
        return edges[np.minimum(a.pdf(edges), b.pdf(edges)) > NOTHING]

    return {
        "TV": lambda: distances.tv_1d(above(a, 0.0), above(b, 0.0), edges).value,
        "KL": lambda: distances.kl_1d(log_of(a), log_of(b), seen()).value,
        "W2": lambda: distances.w2_1d(a.quantile, b.quantile).value,
    }
