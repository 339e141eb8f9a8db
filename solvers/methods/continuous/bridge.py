"""Samplers on diffusion bridges: DBIM, of first and higher order, and the hybrid sampler of DDBM.

On the plain path of u = x - a y (`paths.Bridge`), of levels (b, c), DBIM is DDIM with noise, down to the variances. The
path begins with b = c = 0, so that a first step draws the noise that everything else follows from, the booting noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.functionals import INITIAL
from ...continuous.interpolation import exponential, weighted
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path
from .anchored import anchored, prior_mean, settled
from .first_order import ddim_step

Array = NDArray[np.float64]
LASTS = ("full", "first-order")


def _begun(name: str, path: Any, grid: ArrayLike) -> Trace:
    """Return a trace on the plain path; ValueError for a grid that does not begin at the endpoint."""
    trace = Trace(name, path.plain, grid)
    if trace.grid[0] != path.start:
        raise ValueError(
            f"grid starts at {trace.grid[0]:g}, where a bridge has left its endpoint: start it at T = {path.start:g}"
        )
    return trace


def _booted(
    name: str, path: Any, grid: ArrayLike, rest: Callable[[Any, Array], Tableau], **options: Any
) -> Tableau:
    """Return the booting step, x = a y + b D + c z with z the booting noise, and a plain sampler from there on."""
    trace = _begun(name, path, grid)
    step = trace.run(0, 1)
    (y,), s = step.registers, step.next
    D = prior_mean(step)
    step.close(path.anchor(s.t) * y + s.alpha * D + s.sigma * step.noise(INITIAL), y)
    if trace.intervals == 1:
        return settled(trace.tableau(), path, **options)
    return anchored(trace, rest(path.plain, trace.grid[1:]), path, **options)


@catalogue.method(
    "dbim",
    claims=[
        Claim(
            1,
            "weak",
            "DDIM with noise in other coordinates, whose ends DDIM and DDPM are of order 1",
            "deduced",
        )
    ],
    source="Zheng et al. 2024 (DBIM), their code's sample_dbim",
    process="bridge",
)
def dbim(path: Path, grid: ArrayLike, eta: float = 0.0) -> Tableau:
    """Diffusion bridge implicit model: x_s = a_s y + b_s D + sqrt(c_s^2 - w^2) (x_t - a_t y - b_t D)/c_t + w z.

    w = eta sigma_s sqrt(1 - SNR_t/SNR_s): eta = 0 follows the flow, eta = 1 draws from the Markov bridge with x_0 = D.
    The first step draws from the bridge as it is, w = c_s. Weak order 1. One denoiser evaluation a step.

    Parameters
    ----------
    path : paths.Bridge
    grid : (nodes,) float64 array
        From the endpoint, path.start, on.
    eta : float
        Between 0 and 1.

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, endpoint), 1 channel, which is idle after the first step for eta = 0.

    References
    ----------
    Zheng et al. 2024 (DBIM): variances and booting noise as in their code's sample_dbim. There the last step draws no
    noise; here it does, since the end is compared with the law at the grid's end.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}: give a value between 0 and 1")

    def rest(plain: Any, nodes: Array) -> Tableau:
        trace = Trace("dbim", plain, nodes)
        step = trace.run()
        (u,) = step.registers
        D = step.denoise(u, step.now)
        if eta == 0:
            step.close(ddim_step(step, u, D))
            return trace.tableau()
        s, t = step.next, step.now
        fresh = -(eta**2) * np.expm1(-2 * step.h)
        step.close(
            s.alpha * D
            + s.sigma * np.sqrt(1 - fresh) / t.sigma * (u - t.alpha * D)
            + s.sigma * np.sqrt(fresh) * step.noise("time")
        )
        return trace.tableau()

    return _booted("dbim", path, grid, rest, eta=eta)


def _multistep(name: str, path: Any, grid: ArrayLike, last: str, order: int) -> Tableau:
    if last not in LASTS:
        raise ValueError(f"last is {last!r}: use one of {', '.join(LASTS)}")
    alone = last == "first-order"

    def rest(plain: Any, nodes: Array) -> Tableau:
        trace = Trace(name, plain, nodes)
        for step, known in trace.runs(orders=order, apart=(-1,) if alone else ()):
            u, *history = step.registers
            values = [step.denoise(u, step.now), *history]
            k = 1 if alone and step.first == trace.intervals - 1 else known
            s, t = step.next, step.now
            moved = s.sigma / t.sigma * u + s.alpha * weighted(
                exponential(step, range(0, -k, -1)), values[:k]
            )
            step.close(moved, *values[: order - 1])
        return trace.tableau()

    return _booted(name, path, grid, rest, last=last)


def _claim(order: int) -> list[Claim]:
    return [
        Claim(
            order,
            "ode",
            f"exponential Adams on {order} nodes: Hochbruck and Ostermann 2010, section 3; the name says the order",
            "deduced",
            options={"last": ("full",)},
        )
    ]


@catalogue.method(
    "dbim-2",
    claims=_claim(2),
    source="Zheng et al. 2024 (DBIM), its second-order solver; their code's sample_dbim_high_order",
    process="bridge",
)
def dbim_2(path: Path, grid: ArrayLike, last: str = "full") -> Tableau:
    """DBIM of second order: D linear in log(b/c) through two evaluations, integrated exactly, after the booting step.

    Order 2 on grids that close in on the endpoint, as `grids.two_sided` does: the booting step takes D from the
    endpoint, which on equal steps in time leaves order 1. One denoiser evaluation a step.

    Parameters
    ----------
    path : paths.Bridge
    grid : (nodes,) float64 array
        From the endpoint, path.start, on.
    last : str
        "full", or "first-order", as the code has it: the last step is DBIM.

    Returns
    -------
    Tableau
        1 stage, 3 registers (sample, endpoint, previous evaluation), noise in the first step alone.

    References
    ----------
    Zheng et al. 2024 (DBIM), their code's sample_dbim_high_order with order 2. It goes to T - 1e-3 by the booting step,
    however many steps there are.
    """
    return _multistep("dbim-2", path, grid, last, 2)


@catalogue.method(
    "dbim-3",
    claims=_claim(3),
    source="Zheng et al. 2024 (DBIM), its third-order solver; their code's sample_dbim_high_order",
    process="bridge",
)
def dbim_3(path: Path, grid: ArrayLike, last: str = "full") -> Tableau:
    """DBIM of third order: D quadratic in log(b/c) through three evaluations, integrated exactly.

    Order 3 where `dbim-2` has order 2, also from its own first steps of lower order. One denoiser evaluation a step.
    Parameters as `dbim-2`.

    Returns
    -------
    Tableau
        1 stage, 4 registers (sample, endpoint, two previous evaluations), noise in the first step alone.

    References
    ----------
    Zheng et al. 2024 (DBIM), their code's sample_dbim_high_order with order 3.
    """
    return _multistep("dbim-3", path, grid, last, 3)


class _Drift:
    """Velocities of a bridge at a level: f x - g^2 (w score - grad log p(x_T = y | x)), w = 1 or 1/2 for the flow."""

    def __init__(self, path: Any, step: Run, y: Combination) -> None:
        self.path, self.step, self.y = path, step, y

    def __call__(self, x: Combination, level: Level, share: float) -> Combination:
        path, base, t = self.path, self.path.base, level.t
        f, g2, alpha, last = base.f(t), base.g2(t), base.alpha(t), base.alpha(path.end)
        # alpha^2 (kappa_T^2 - kappa_t^2), kappa = sigma/alpha: the variance of x_T alpha/alpha_T around x
        ahead = base.sigma(t) ** 2 * np.expm1(2 * (base.log_snr(t) - base.log_snr(path.end)))
        D = self.step.denoise(x - path.anchor(t) * self.y, level)
        score = (path.anchor(t) * self.y + level.alpha * D - x) / level.sigma**2
        pull = (alpha / last * self.y - x) / ahead
        return f * x - g2 * (share * score - pull)

    def at_the_endpoint(self) -> Combination:
        """Limit of the SDE's at T, where x = y: a' y + b' D with the prior mean D."""
        t, path = self.step.now.t, self.path
        return path.d_anchor(t) * self.y + path.plain.d_alpha(t) * prior_mean(self.step)


def _noisy_part(path: Any, step: Run, x: Combination, y: Combination, then: Level) -> Combination:
    """One Euler-Maruyama step on the reverse SDE from the step's start to `then`.

    Its noise is the increment over the whole step, scaled: that is what coarse and fine grids can share.
    """
    drift, now = _Drift(path, step, y), step.now
    slope = drift.at_the_endpoint() if step.first == 0 else drift(x, now, 1.0)
    h = now.t - then.t
    return x - h * slope + np.sqrt(path.base.g2(now.t) * h) * step.noise("time")


@catalogue.method(
    "ddbm-em",
    claims=[Claim(1, "weak", "Kloeden and Platen 1992, section 14.1", "deduced")],
    source="Zhou et al. 2023 (DDBM), the bridge's reverse SDE by the Euler-Maruyama rule",
    process="bridge",
)
def ddbm_em(path: Path, grid: ArrayLike) -> Tableau:
    """Euler-Maruyama on the bridge's reverse SDE, dx = (f x - g^2 (score - grad log p(x_T = y | x))) dt + g dW.

    Weak order 1. One denoiser evaluation a step. The drift is finite at the endpoint, where the first step begins.

    Parameters
    ----------
    path : paths.Bridge
    grid : (nodes,) float64 array
        From the endpoint, path.start, on.

    Returns
    -------
    Tableau
        1 stage, 2 registers (sample, endpoint), 1 channel.

    References
    ----------
    Zhou et al. 2023 (DDBM), the noisy part of their code's sample_heun.
    """
    trace = _begun("ddbm-em", path, grid)
    for first, last in ((0, 1), (1, trace.intervals)):
        if first < last:
            step = trace.run(first, last)
            x, y = step.registers[0], step.registers[-1]
            step.close(_noisy_part(path, step, x, y, step.next), y)
    return settled(trace.tableau(), path)


@catalogue.method(
    "ddbm-heun",
    claims=[Claim(1, "weak", "a splitting with Euler-Maruyama steps in it, of weak order 1", "deduced")],
    source="Zhou et al. 2023 (DDBM), the hybrid sampler; their code's sample_heun",
    process="bridge",
)
def ddbm_heun(path: Path, grid: ArrayLike, churn: float = 0.33) -> Tableau:
    """The hybrid sampler of DDBM: a part of each step by Euler-Maruyama on the SDE, the rest by Heun on the flow.

    Weak order 1, of the Euler-Maruyama part. Three denoiser evaluations a step, two on a last step to t = 0. From the
    endpoint on steps of Heun's method grow with the time that is left behind, so that the first have an error which
    more steps do not make smaller; what of it stays to the end falls as (tau_1/T)^churn, tau_1 the first step: weak
    order `churn` on equal steps, and 1 on `grids.two_sided`.

    Parameters
    ----------
    path : paths.Bridge
    grid : (nodes,) float64 array
        From the endpoint, path.start, on.
    churn : float
        s of the paper: which part of a step is noisy, above 0, since from one endpoint the flow alone goes to one
        point, and below 1.

    Returns
    -------
    Tableau
        3 stages, 2 registers (sample, endpoint), 1 channel.

    References
    ----------
    Zhou et al. 2023 (DDBM), their code's sample_heun with guidance w = 1. It begins at T - 1e-4 with x = y, where the
    SDE's drift is finite too; here at T, by its limit.
    """
    if not 0 < churn < 1:
        raise ValueError(f"churn is {churn}: give a part of the step, above 0 and below 1")
    trace = _begun("ddbm-heun", path, grid)
    ends = {0, 1, trace.intervals} | ({trace.intervals - 1} if trace.grid[-1] == 0 else set())
    for first, last in itertools.pairwise(sorted(ends)):
        step = trace.run(first, last)
        x, y = step.registers[0], step.registers[-1]
        middle = step.between(churn, "time")
        x = _noisy_part(path, step, x, y, middle)
        drift, h = _Drift(path, step, y), middle.t - step.next.t
        slope = drift(x, middle, 0.5)
        if trace.grid[last] > 0:
            slope = 0.5 * slope + 0.5 * drift(x - h * slope, step.next, 0.5)
        step.close(x - h * slope, y)
    return settled(trace.tableau(), path, churn=churn)
