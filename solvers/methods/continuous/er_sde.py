"""ER-SDE-Solver: extended reverse-time SDEs, whose noise is given by a function phi of sigma/alpha.

With y = x/alpha and kappa = sigma/alpha: y_s = phi_s/phi_t y + phi_s int D d(1/phi) + sqrt(kappa_s^2 - (phi_s/phi_t)^2
kappa_t^2) z. phi = kappa is the probability-flow ODE, phi = kappa^2 the reverse SDE.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.functionals import legendre
from ...continuous.interpolation import interpolatory, weighted
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Run, Trace
from ...protocols import Path
from .starts import on_the_flow, on_the_sde, started

Array = NDArray[np.float64]
# the paper's appendix A.8 and its code, customized_func
NOISES: dict[str, Callable[[Array], Array]] = {
    "er-sde-5": lambda k: k * (np.exp(k**0.3) + 10),
    "ode": lambda k: k,
    "sde": lambda k: k**2,
    "er-sde-2": lambda k: k**1.5,
    "er-sde-3": lambda k: k**2.5,
    "er-sde-4": lambda k: k**0.9 * np.log10(1 + 100 * k**1.5),
}
STOCHASTICITY = {"ode": 0.0, "sde": 1.0}


class _Step:
    """phi over the steps of a run: the share kept of y, the noise, and moments of the weight on D."""

    def __init__(self, step: Run, noise: str) -> None:
        self.phi, self.step = NOISES[noise], step
        now, then = step.now.kappa, step.next.kappa
        self.width = then - now
        self.kept = self.phi(then) / self.phi(now)
        fresh = then**2 - (self.kept * now) ** 2
        self.deviation = np.sqrt(np.where(fresh > 4e-16 * then**2, fresh, 0.0))

    def average(self, k: int) -> Array:
        """Int_0^1 u^k phi_s/phi du, u from 0 at the step's start to 1 at its end, linear in kappa."""
        nodes, w = legendre(32)
        now, then = self.step.now.kappa[:, None], self.step.next.kappa[:, None]
        ratio = then / now
        kappa = now * ratio**nodes  # in log kappa, where phi is smooth
        du = np.log(ratio) * kappa * w / (then - now)
        u = (kappa - now) / (then - now)
        return np.asarray(np.sum(u**k * du / self.phi(kappa), axis=1) * self.phi(then[:, 0]))

    def moments(self, count: int) -> list[Array]:
        """Of the weight on D: int u^k dmu, by parts 1 - k int u^(k-1) phi_s/phi du, for k = 0 the share 1 - kept."""
        return [1 - self.kept, *(1 - k * self.average(k - 1) for k in range(1, count))]

    def riemann(self, k: int) -> Array:
        """`average` by the code's sum over 100 points from the left, in kappa."""
        share = np.arange(100) / 100
        now, then = self.step.now.kappa[:, None], self.step.next.kappa[:, None]
        u = 1 - share  # its points run from the end of the step
        kappa = then + share * (now - then)
        return np.asarray(np.mean(u**k / self.phi(kappa), axis=1) * self.phi(then[:, 0]))


def _closed(step: Run, own: _Step, x: Combination, of_D: Combination, noise: str) -> Combination:
    y = own.kept * (x / step.now.alpha) + of_D
    if noise != "ode":
        y = y + own.deviation * step.noise("reciprocal-variance")
    return step.next.alpha * y


def _er_sde(
    name: str, order: int, path: Path, grid: ArrayLike, start: str, end: str, noise: str, published: bool
) -> Tableau:
    if noise not in NOISES:
        raise ValueError(f"noise is {noise!r}: use one of {', '.join(NOISES)}")
    trace = Trace(name, path, grid, stochasticity=STOCHASTICITY.get(noise))
    begun = started(trace, start, order - 1, advance=on_the_flow if noise == "ode" else on_the_sde(1.0))
    for step, nodes in trace.runs(orders=order, started=begun, end=end):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        own = _Step(step, noise)
        if nodes == 1:
            of_D = (1 - own.kept) * D
        elif published:
            of_D = _published(step, own, D, history, nodes)
        else:
            at = [(step.node(-j).kappa - step.now.kappa) / own.width for j in range(nodes)]
            of_D = weighted(interpolatory(at, own.moments(nodes)), [D, *history[: nodes - 1]])
        step.close(_closed(step, own, x, of_D, noise), *[D, *history][: order - 1])
    return trace.tableau(start=start, end=end, noise=noise)


def _published(step: Run, own: _Step, D: Combination, history: list[Combination], nodes: int) -> Combination:
    """Taylor terms with divided differences as derivatives at the step's start, and integrals by 100-point sums."""
    at = [step.node(-j).kappa for j in range(nodes)]
    slope = (D - history[0]) / (at[0] - at[1])
    of_D = (1 - own.kept) * D + own.width * (1 - own.riemann(0)) * slope
    if nodes == 3:
        before = (history[0] - history[1]) / (at[1] - at[2])
        curvature = 2 * (slope - before) / (at[0] - at[2])
        of_D = of_D + own.width**2 * (0.5 - own.riemann(1)) * curvature
    return of_D


def _claims(order: int, published: bool = False) -> list[Claim]:
    source = f"Cui et al. 2023 (ER-SDE-Solvers): the {order}-order solver of its Taylor expansion"
    if order == 1:
        return [Claim(1, "weak", source)]
    claims = [Claim(order, "ode", source, "code" if published else "paper", options={"noise": ("ode",)})]
    return [*claims, Claim(2, "weak", "with noise a multistep method has weak order 2", "deduced")]


@catalogue.method("er-sde-1", claims=_claims(1), source="Cui et al. 2023, eq. 13")
def er_sde_1(path: Path, grid: ArrayLike, noise: str = "er-sde-5") -> Tableau:
    """ER-SDE-Solver-1: the extended reverse SDE with D frozen over the step.

    Weak order 1. One denoiser evaluation a step. With the noise "ode" it is DDIM, with "sde" DDPM.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    noise : str
        phi of sigma/alpha: "ode", "sde", or one of the paper's, of which its code takes "er-sde-5".

    Returns
    -------
    Tableau
        1 stage, 1 register, 1 channel.

    References
    ----------
    Cui, Zhang, Lu, Liao 2023 (Elucidating the solution space of extended reverse-time SDE), eq. 13 and appendix A.8.
    """
    return _er_sde("er-sde-1", 1, path, grid, "practical", "full", noise, published=False)


@catalogue.method("er-sde-2", claims=_claims(2), source="Cui et al. 2023, Algorithm 2")
def er_sde_2(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", noise: str = "er-sde-5"
) -> Tableau:
    """ER-SDE-Solver-2: D as the line in sigma/alpha through two evaluations, integrated exactly.

    Weak order 2. One denoiser evaluation a step; a first-order last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (lower orders first), "single-step" or "exact".
    end : str
        "full", "lower" (lower orders on the last steps) or "as-published" (so on fewer than 15 steps).
    noise : str
        As for `er-sde-1`.

    Returns
    -------
    Tableau
        1 stage, 2 registers, 1 channel.

    References
    ----------
    Cui et al. 2023, Algorithm 2, with its integral of 1/phi by Gauss-Legendre quadrature.
    """
    return _er_sde("er-sde-2", 2, path, grid, start, end, noise, published=False)


@catalogue.method(
    "er-sde-3", claims=_claims(3), source="Cui et al. 2023, Algorithm 3, with the slope at the step's start"
)
def er_sde_3(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", noise: str = "er-sde-5"
) -> Tableau:
    """ER-SDE-Solver-3, corrected: D as the quadratic in sigma/alpha through three evaluations, integrated exactly.

    Order 3 without noise (from an exact start), weak order 2 with it. One denoiser evaluation a step. Parameters as
    `er-sde-2`.

    References
    ----------
    Cui et al. 2023, Algorithm 3; see `er-sde-3-as-published` for what it lacks.
    """
    return _er_sde("er-sde-3", 3, path, grid, start, end, noise, published=False)


@catalogue.method(
    "er-sde-2-as-published",
    claims=_claims(2, published=True),
    source="the code of Cui et al. 2023, vp_2_order_taylor",
)
def er_sde_2_as_published(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", noise: str = "er-sde-5"
) -> Tableau:
    """ER-SDE-Solver-2 as its code has it: the integral of 1/phi is a sum over 100 points from one side.

    The sum is off by a hundredth of what the term is worth, whatever the step: order 1 with a small constant, which
    shows where steps are many. One denoiser evaluation a step. Parameters as `er-sde-2`.

    References
    ----------
    The code of Cui et al. 2023, ve_2_order_taylor and vp_2_order_taylor.
    """
    return _er_sde("er-sde-2-as-published", 2, path, grid, start, end, noise, published=True)


@catalogue.method(
    "er-sde-3-as-published",
    claims=_claims(3, published=True),
    source="the code of Cui et al. 2023, vp_3_order_taylor",
)
def er_sde_3_as_published(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", noise: str = "er-sde-5"
) -> Tableau:
    """ER-SDE-Solver-3 as its code has it: a backward difference stands for the slope at the step's start.

    The slope is that of half a step before, which the second-order term does not make up for: order 2 without noise
    where 3 is meant, and order 1 in the end by the integrals' sums over 100 points. One denoiser evaluation a step.
    Parameters as `er-sde-2`.

    References
    ----------
    The code of Cui et al. 2023, ve_3_order_taylor and vp_3_order_taylor.
    """
    return _er_sde("er-sde-3-as-published", 3, path, grid, start, end, noise, published=True)
