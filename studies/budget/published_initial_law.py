"""What the initial law, truncation and discretisation cost on image-like Gaussians, as Pierret and Galerne 2025 ask.

The table of their paper (arXiv 2405.14250; W2 to the data, VP(0.1, 20), equal steps in t, stopped at eps) by exact
law, with their numbers for the Gaussian fitted to CIFAR-10 beside ours. Their code counts N grid points, so
N - 1 steps, and the numbers printed under "NFE = N" for Heun are of N grid points too, which cost 2 (N - 1)
evaluations.

Started from N(0, I), the exact reverse process ends along an eigenvector of variance v with a deviation wrong by

    ODE: about -a sqrt(v) (v - 1)/2,
    SDE: about that times a v,             a = alpha(T)^2 = exp(-10.05),

to first order in a: the factor by which a start's excess variance shrinks is v/V_T for the ODE and a (v/V_T)^2 for the
SDE. So the ODE pays 1/(a v) times more, v the largest variance if that is well above 1: two orders of magnitude for
images, whose largest variance is 221 in units of the prior's, and five on a spectrum that starts at 1. "Two orders of
magnitude" is a statement about the largest eigenvalue and the path's end.

Heun's rank turns on the smallest eigenvalues, which make the ODE stiff near the data: with those of images and few
points Heun's factor is large, and with the spectrum 1/k, k to 1000, Heun is the best of the four from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytic import GaussianMixture, paths
from analytic import targets as named
from solvers import catalogue, grids, law
from solvers.continuous.executors.law import GaussianLaw, gaussian_law, marginal

from ..laws import MEASURED, UNSTABLE
from ..numbers import AXIS, measured
from ..output.report import Report
from ..study import Cell, Plain

Array = NDArray[np.float64]
DIM, LARGEST = 3072, 221.0
POINTS = (50, 250, 500, 1000)
STOPS = (0.0, 1e-5, 1e-4, 1e-3)
SCHEMES: dict[str, tuple[str, dict[str, Any]]] = {
    "EM": ("euler-maruyama", {}),
    "EI": ("exponential-integrator", {}),
    "Euler": ("euler-maruyama", {"eta": 0.0}),
    "Heun": ("heun", {"clock": "time"}),
}
ETA = {"EM": 1.0, "EI": 1.0, "Euler": 0.0, "Heun": 0.0}  # the process that each follows
# Table 5 of the paper, CIFAR-10: scheme and eps to W2 from p_T and from N(0, I) at 50, 250, 500 and 1000 points.
THEIRS: dict[tuple[str, float], tuple[tuple[float, float], ...]] = {
    ("EM", 0.0): ((4.78, 4.78), (0.65, 0.66), (0.32, 0.32), (0.16, 0.16)),
    ("EM", 1e-5): ((4.77, 4.77), (0.66, 0.66), (0.32, 0.32), (0.16, 0.16)),
    ("EM", 1e-4): ((4.76, 4.76), (0.66, 0.66), (0.32, 0.32), (0.17, 0.17)),
    ("EM", 1e-3): ((4.68, 4.68), (0.70, 0.70), (0.40, 0.40), (0.27, 0.27)),
    ("EI", 0.0): ((2.81, 2.81), (0.57, 0.57), (0.30, 0.30), (0.16, 0.16)),
    ("EI", 1e-5): ((2.81, 2.81), (0.57, 0.57), (0.30, 0.30), (0.16, 0.16)),
    ("EI", 1e-4): ((2.82, 2.82), (0.58, 0.58), (0.31, 0.31), (0.17, 0.17)),
    ("EI", 1e-3): ((2.91, 2.91), (0.67, 0.67), (0.41, 0.41), (0.29, 0.29)),
    ("Euler", 0.0): ((1.72, 1.78), (0.38, 0.44), (0.20, 0.26), (0.10, 0.17)),
    ("Euler", 1e-5): ((1.72, 1.78), (0.38, 0.44), (0.20, 0.26), (0.10, 0.17)),
    ("Euler", 1e-4): ((1.72, 1.78), (0.38, 0.44), (0.20, 0.26), (0.11, 0.17)),
    ("Euler", 1e-3): ((1.73, 1.79), (0.42, 0.48), (0.27, 0.32), (0.21, 0.25)),
    ("Heun", 1e-5): ((23.42, 23.42), (2.86, 2.87), (1.05, 1.06), (0.37, 0.38)),
    ("Heun", 1e-4): ((4.68, 4.68), (0.43, 0.44), (0.12, 0.14), (0.03, 0.08)),
    ("Heun", 1e-3): ((0.58, 0.59), (0.13, 0.15), (0.16, 0.18), (0.17, 0.19)),
}
NOTES = (
    "EI: exponential integrator, score frozen. Euler and Heun: the probability-flow ODE in t. N grid points, so "
    "N - 1 steps; "
    "Heun takes two evaluations a step, one on a last step to t = 0, where it would divide by zero.",
    "CIFAR-10: table 5 of Pierret and Galerne 2025 (p_T | N(0, I)), on the Gaussian fitted to the data; image-3072 has "
    "its eigenvalues within a third, but none at zero.",
)


def image_like(dim: int = DIM) -> GaussianMixture:
    """Return a centred Gaussian with a spectrum like that of small natural images, 221 k^-1.3 exp(-(k/900)^1.5).

    Amplitude 221, exponent and cut-off describe the eigenvalues of CIFAR-10 in [-1, 1], 3072 dimensions, within a
    third down to the 2950th; the last of CIFAR-10 are zero to rounding.
    """
    k = np.arange(1.0, dim + 1.0)
    variances = LARGEST * k**-1.3 * np.exp(-((k / 900) ** 1.5))
    return GaussianMixture([1.0], np.zeros((1, dim)), variances[None])


def spectra() -> dict[str, GaussianMixture]:
    """Return the targets of the table by name."""
    plain = named.load("spectrum-1000")
    return {
        "image-3072": image_like(),
        "spectrum-1000": GaussianMixture([1.0], np.zeros((1, plain.dim)), plain.variances),
    }


def reached(target: GaussianMixture, stop: float, eta: float, initial: str) -> GaussianLaw:
    """Return the law that the exact reverse process has at time `stop`, on VP(0.1, 20) from T = 1.

    The process with eta of the reverse SDE's noise multiplies a deviation from the marginal at T by Phi; Phi is
    sqrt(V_s/V_T) for the ODE and, the regression of x_s on x_T, (alpha_T/alpha_s) V_s/V_T for the SDE. In between,
    log Phi is linear in eta^2, as the drift is.

    Parameters
    ----------
    target : Gaussian
    stop : float
        0 is allowed.
    eta : float
    initial : str
        "marginal" or "prior".
    """
    path = paths.VP()
    alpha, sigma = float(path.alpha(stop)), float(path.sigma(stop))
    first = float(path.alpha(path.start)), float(path.sigma(path.start))
    here, there = marginal(target, alpha, sigma), marginal(target, *first)
    if initial == "marginal":
        return here
    with np.errstate(divide="ignore"):
        flow = np.log(here.variances / there.variances) / 2
        noisy = np.log(first[0] / alpha * here.variances / there.variances)
    kept = np.exp(flow + eta**2 * (noisy - flow))
    start = float(path.prior_deviation(path.start)) ** 2
    return GaussianLaw(
        here.centre - kept * there.centre, here.variances + kept**2 * (start - there.variances), here.basis
    )


@dataclass(frozen=True)
class Distance:
    """W2 between what a scheme gives and the data.

    Attributes
    ----------
    target, scheme : str
    eps : float
        Where it stops.
    points : int
        Of the grid; 0 is the exact process.
    initial : str
        "marginal" or "prior".
    w2 : float
    status, reason : str
        "measured", or "unstable" with what went wrong, an overflow or a division by zero: then W2 is nan.
    """

    target: str
    scheme: str
    eps: float = field(metadata=AXIS)
    points: int
    initial: str
    w2: float = field(metadata=measured())
    status: str = MEASURED
    reason: str = ""


def distances(
    name: str, target: GaussianMixture, scheme: str, stop: float, points: Sequence[int]
) -> list[Distance]:
    """Measure one scheme stopped at one time, from p_T and from N(0, I), exactly and on grids of so many points."""
    path, data = paths.VP(), gaussian_law(target)
    method, options = SCHEMES[scheme]
    found = []
    for N in (0, *points):
        for initial in ("marginal", "prior"):
            where = (name, scheme, stop, N, initial)
            if N == 0:
                found.append(Distance(*where, reached(target, stop, ETA[scheme], initial).error_to(data).w2))
                continue
            try:
                tableau = catalogue[method].tableau(path, grids.uniform(path, N - 1, stop=stop), **options)
                found.append(Distance(*where, law(tableau, target, initial).error_to(data).w2))
            except FloatingPointError as error:
                found.append(Distance(*where, float("nan"), UNSTABLE, str(error)))
    return found


@dataclass(frozen=True)
class InitialLaw(Plain[Distance]):
    """The table of Pierret and Galerne 2025: every scheme, stop, number of points and initial law on each target.

    Attributes
    ----------
    targets : mapping of str to Gaussian
    points : tuple of int
    stops : tuple of float
    """

    targets: Mapping[str, GaussianMixture] = field(default_factory=spectra)
    points: tuple[int, ...] = POINTS
    stops: tuple[float, ...] = STOPS

    name: ClassVar[str] = "initial-law"
    record: ClassVar[Any] = Distance

    def cells(self) -> Iterable[Cell[Distance]]:
        """One for each target, scheme and stop; Heun at half the fewest and the most points too, for equal cost."""
        for name, target in self.targets.items():
            for scheme in SCHEMES:
                halves = {self.points[0] // 2, self.points[-1] // 2} if scheme == "Heun" else set()
                points = tuple(sorted({*self.points, *halves}))
                for stop in self.stops:
                    measure = partial(distances, name, target, scheme, stop, points)
                    of = {"target": name, "scheme": scheme, "eps": stop}
                    yield Cell(of, measure, {"law": target, "points": points})

    def reports(self, found: list[Distance]) -> Iterable[Report]:
        """Return W2, what the prior costs the exact process, and Heun's rank."""
        everything = {"initial-law": pd.DataFrame([asdict(d) for d in found])}
        title = (
            "W2 to the data, started from p_T | from N(0, I): VP(0.1, 20), equal steps in t, stopped at eps"
        )
        yield Report("initial-law", title, self.summary(found), list(NOTES), everything)
        title = "What starting from N(0, I) costs the exact process at eps = 0 (theirs on CIFAR-10: 0.07 and 6.7e-4)"
        yield Report("initial-law-cost", title, self.costs())
        yield Report("initial-law-rank", "Heun's rank among the four schemes, 1 the best", self.ranks(found))

    def summary(self, found: Sequence[Distance]) -> pd.DataFrame:
        """One row a target, scheme and eps to read: W2 from p_T | N(0, I); CIFAR-10 rows are the paper's."""
        by = {(d.target, d.scheme, d.eps, d.points, d.initial): _short(d) for d in found}
        rows = []
        for name, scheme, stop in dict.fromkeys((d.target, d.scheme, d.eps) for d in found):
            cells = {
                f"N = {N}" if N else "exact": " | ".join(
                    by[name, scheme, stop, N, initial] for initial in ("marginal", "prior")
                )
                for N in (0, *self.points)
            }
            rows.append({"target": name, "scheme": scheme, "eps": f"{stop:g}"} | cells)
        for (scheme, stop), pairs in THEIRS.items():
            cells = {f"N = {N}": f"{a:g} | {b:g}" for N, (a, b) in zip(POINTS, pairs, strict=True)}
            rows.append(
                {"target": "CIFAR-10 (theirs)", "scheme": scheme, "eps": f"{stop:g}", "exact": "–"} | cells
            )
        return pd.DataFrame(rows)

    def costs(self) -> pd.DataFrame:
        """One row a target: W2 that the prior costs the exact ODE and the exact SDE at eps = 0, and their ratio.

        Predicted: the ratio of the two root sums over eigenvectors, to first order in alpha(T)^2.
        """
        rows = []
        kept = float(paths.VP().alpha(paths.VP().start)) ** 2
        for name, target in self.targets.items():
            data, v = gaussian_law(target), target.variances[0]
            ode, sde = (reached(target, 0.0, eta, "prior").error_to(data).w2 for eta in (0.0, 1.0))
            predicted = float(np.sqrt(np.sum(v * (v - 1) ** 2) / np.sum(v**3 * (v - 1) ** 2)) / kept)
            row = {"target": name, "largest": v.max(), "ODE": ode, "SDE": sde, "ratio": ode / sde}
            rows.append(row | {"predicted": predicted})
        return pd.DataFrame(rows)

    def ranks(self, found: Sequence[Distance]) -> pd.DataFrame:
        """One row a target and eps: Heun's rank of four from N(0, I), 1 the best, at fewest and most points.

        At equal points Heun takes twice the evaluations; at equal evaluations it gets half the points.
        """
        w2 = {
            (d.target, d.eps, d.points, d.scheme): d.w2 if d.status == MEASURED else np.inf
            for d in found
            if d.initial == "prior"
        }
        rows = []
        for name, stop in dict.fromkeys((d.target, d.eps) for d in found):
            row: dict[str, object] = {"target": name, "eps": f"{stop:g}"}
            for N in (self.points[0], self.points[-1]):
                others = [w2[name, stop, N, scheme] for scheme in SCHEMES if scheme != "Heun"]
                for cost, points in ((f"N = {N}", N), (f"{N} evaluations", N // 2)):
                    row[cost] = 1 + sum(value < w2[name, stop, points, "Heun"] for value in others)
            rows.append(row)
        return pd.DataFrame(rows)


def _short(found: Distance) -> str:
    return found.status if found.status != MEASURED else "0" if found.w2 < 1e-10 else f"{found.w2:.3g}"
