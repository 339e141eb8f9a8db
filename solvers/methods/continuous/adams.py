"""Adams methods on the noise prediction, in sigma/alpha: LMS (rhoAB-DEIS), iPNDM and PNDM.

With y = x/alpha and kappa = sigma/alpha the flow is dy/dkappa = eps(y, kappa): a step adds the integral of a polynomial
through earlier noise predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction as Q
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.interpolation import adams, weighted
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path
from .first_order import ddim_step, noise_prediction
from .starts import started

Array = NDArray[np.float64]
# Adams-Bashforth on equal steps, latest first
EQUAL_STEPS = (
    (Q(1),),
    (Q(3, 2), Q(-1, 2)),
    (Q(23, 12), Q(-16, 12), Q(5, 12)),
    (Q(55, 24), Q(-59, 24), Q(37, 24), Q(-9, 24)),
)


def _check_order(order: int) -> int:
    if order not in (1, 2, 3, 4):
        raise ValueError(f"order is {order!r}: use 1, 2, 3 or 4")
    return order


def _transfer(step: Run, x: Combination, weights: Sequence[Array], eps: Sequence[Combination]) -> Combination:
    """Add weights (in sigma/alpha) times noise predictions to y; also where the step ends at sigma = 0."""
    return step.next.alpha * (x / step.now.alpha + weighted(weights, eps))


@catalogue.method(
    "lms",
    claims=[
        Claim(
            order,
            "ode",
            f"Adams-Bashforth on {order} nodes: Hairer, Norsett and Wanner 1993, section III.5",
            "deduced",
            options={"order": (order,)},
        )
        for order in (4, 1, 2, 3)
    ],
    source="k-diffusion, sample_lms; Zhang and Chen 2023 (DEIS), rhoAB",
    aliases=("deis-rhoab",),
)
def lms(path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", order: int = 4) -> Tableau:
    """Linear multistep: variable-step Adams-Bashforth on the noise prediction in sigma/alpha; rhoAB-DEIS.

    Order `order` from exact starts, 2 from the practical one, whose first step is DDIM. One denoiser evaluation a step,
    a last step to sigma = 0 like the others: a polynomial in sigma reaches it. Its weights are integrals of the
    Lagrange basis, exact here, by adaptive quadrature in k-diffusion. It is also what iPNDM-v means to be, see
    `ipndm-v-as-published`.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (lower orders first), "single-step" or "exact".
    end : str
        "full", "lower" (lower orders on the last steps) or "as-published" (so on fewer than 15 steps).
    order : int
        Nodes of the polynomial, 1 to 4.

    Returns
    -------
    Tableau
        1 stage, `order` registers (sample, earlier noise predictions), no noise.

    References
    ----------
    Zhang and Chen 2023 (DEIS), section 3.3, rhoAB; k-diffusion, sample_lms; Hairer, Norsett and Wanner 1993, section
    III.5.
    """
    trace = Trace("lms", path, grid)
    begun = started(trace, start, _check_order(order) - 1, remember=noise_prediction)
    for step, nodes in trace.runs(orders=order, started=begun, end=end, to_data=True):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        eps = noise_prediction(x, D, step.now)
        if nodes == 1:  # regular at alpha = 0 too
            following = ddim_step(step, x, D)
        else:
            following = _transfer(step, x, adams(step, range(0, -nodes, -1)), [eps, *history[: nodes - 1]])
        step.close(following, *[eps, *history][: order - 1])
    return trace.tableau(start=start, end=end, order=order)


@catalogue.method(
    "ipndm",
    claims=[
        Claim(
            2,
            "ode",
            "coefficients for equal steps in sigma/alpha: consistent on any grid, order 2 where steps vary smoothly",
            "deduced",
            options={"order": (2, 3, 4)},
        )
    ],
    source="Zhang and Chen 2023 (DEIS), appendix on iPNDM; diff-sampler, ipndm_sampler",
)
def ipndm(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", order: int = 4
) -> Tableau:
    """Improved PNDM: Adams-Bashforth with the coefficients of equal steps, after lower orders in place of stages.

    Its order is that of its name on grids of equal steps in sigma/alpha alone; on any other smooth grid it is 2.
    One denoiser evaluation a step. Parameters as `lms`.

    References
    ----------
    Zhang and Chen 2023 (DEIS), appendix on iPNDM; Liu, Ren, Lin and Zhao 2022 (PNDM), eq. 12.
    """
    trace = Trace("ipndm", path, grid)
    begun = started(trace, start, _check_order(order) - 1, remember=noise_prediction)
    for step, nodes in trace.runs(orders=order, started=begun, end=end, to_data=True):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        eps = noise_prediction(x, D, step.now)
        if nodes == 1:
            following = ddim_step(step, x, D)
        else:
            width = step.next.kappa - step.now.kappa
            weights = [float(c) * width for c in EQUAL_STEPS[nodes - 1]]
            following = _transfer(step, x, weights, [eps, *history[: nodes - 1]])
        step.close(following, *[eps, *history][: order - 1])
    return trace.tableau(start=start, end=end, order=order)


def _ipndm_v_as_published(step: Run, nodes: int) -> list[Array]:
    """Coefficients of diff-sampler's ipndm_v_sampler, times the step in sigma/alpha."""
    at = [step.node(j).kappa for j in range(1, -nodes, -1)]
    h, *past = [a - b for a, b in pairwise(at)]
    one = np.ones_like(h)
    if nodes == 1:
        return [h]
    h1 = past[0]
    first, second = (2 + h / h1) / 2, -(h / h1) / 2
    if nodes == 2:
        return [h * first, h * second]
    h2 = past[1]
    # the paper's method has 1 - h/(3 (h + h1)) in brackets before the product
    temp = (one - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2
    if nodes == 3:
        return [h * (first + temp), h * (second - (1 + h1 / h2) * temp), h * temp * h1 / h2]
    h3 = past[2]
    # and a minus before the second term here
    temp2 = (
        ((1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2)))
        * (h * (h + h1) * (h + h1 + h2))
        / (h1 * (h1 + h2) * (h1 + h2 + h3))
    )
    ratio = h1 * (h1 + h2) / (h2 * (h2 + h3))
    return [
        h * (first + temp + temp2),
        h * (second - (1 + h1 / h2) * temp - (1 + h1 / h2 + ratio) * temp2),
        h * (temp * h1 / h2 + (h1 / h2 + ratio * (1 + h2 / h3)) * temp2),
        h * (-temp2 * ratio * h1 / h2),  # and h2/h3 here: these coefficients do not sum to h
    ]


@catalogue.method(
    "ipndm-v-as-published",
    claims=[
        Claim(
            order,
            "ode",
            "diff-sampler, ipndm_v_sampler: the variable-step version of the Adams-Bashforth methods",
            "code",
            options={"order": (order,)},
        )
        for order in (4, 2, 3)
    ],
    source="diff-sampler, ipndm_v_sampler",
)
def ipndm_v_as_published(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", order: int = 4
) -> Tableau:
    """iPNDM-v as its code has it: variable-step Adams-Bashforth with three slips in its fourth-order coefficients.

    A misplaced bracket in the second difference's weight, right on equal steps only (the third order keeps its order on
    smooth grids, where the slip is of higher order); a plus for a minus in the third difference's weight, which leaves
    order 3; and h1/h2 for h2/h3 in the last coefficient, so that the four do not sum to one: order 2 where the ratio of
    steps changes along the grid, as on Karras' grids, and unseen where it is constant, as on grids uniform in log-SNR.
    `lms` is the corrected method. One denoiser evaluation a step. Parameters as `lms`.

    References
    ----------
    diff-sampler (Zhou, Chen, Wang and Chen 2024), ipndm_v_sampler; Hairer, Norsett and Wanner 1993, section III.5.
    """
    trace = Trace("ipndm-v-as-published", path, grid)
    begun = started(trace, start, _check_order(order) - 1, remember=noise_prediction)
    for step, nodes in trace.runs(orders=order, started=begun, end=end, to_data=True):
        x, *history = step.registers
        D = step.denoise(x, step.now)
        eps = noise_prediction(x, D, step.now)
        if nodes == 1:
            following = ddim_step(step, x, D)
        else:
            following = _transfer(step, x, _ipndm_v_as_published(step, nodes), [eps, *history[: nodes - 1]])
        step.close(following, *[eps, *history][: order - 1])
    return trace.tableau(start=start, end=end, order=order)


WARM_UPS = ("runge-kutta", "heun")


def _pseudo_runge_kutta(step: Run, x: Combination) -> tuple[Combination, Combination]:
    """PNDM's warm-up (its eq. 13): classical Runge-Kutta through DDIM transfers, the middle halfway in time."""
    middle = step.between(0.5, "time")

    def move(eps: Combination, then: Level) -> Combination:
        return then.alpha * (x / step.now.alpha + (then.kappa - step.now.kappa) * eps)

    first = step.eps(x, step.now)
    second = step.eps(move(first, middle), middle)
    third = step.eps(move(second, middle), middle)
    fourth = step.eps(move(third, step.next), step.next)
    return move((first + 2 * second + 2 * third + fourth) / 6, step.next), first


@catalogue.method(
    "pndm",
    claims=[
        Claim(2, "ode", "Liu, Ren, Lin and Zhao 2022 (PNDM): pseudo numerical methods of convergence order 2")
    ],
    source="Liu, Ren, Lin and Zhao 2022, eq. 12 and 13",
    aliases=("plms",),
)
def pndm(
    path: Path, grid: ArrayLike, start: str = "practical", end: str = "full", warm_up: str = "runge-kutta"
) -> Tableau:
    """Pseudo linear multistep method: the fourth-order weights of equal steps, moved by DDIM's transfer.

    Order 2: the transfer is DDIM's, but the weights are those of equal steps in sigma/alpha and the warm-up's middle is
    halfway in time. After the warm-up one denoiser evaluation a step, in it four (three steps) or two (the first).

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (the warm-up), "single-step" or "exact".
    end : str
        "full", "lower" or "as-published", as for `lms`.
    warm_up : str
        "runge-kutta" (F-PNDM) or "heun", PLMS as latent diffusion's code starts it: a first step of Heun's, then
        lower orders.

    Returns
    -------
    Tableau
        1 stage, 4 registers after the warm-up, no noise.

    References
    ----------
    Liu, Ren, Lin and Zhao 2022 (PNDM), eq. 11 to 13; latent diffusion's code, PLMSSampler.
    """
    if warm_up not in WARM_UPS:
        raise ValueError(f"warm_up is {warm_up!r}: use one of {', '.join(WARM_UPS)}")
    trace = Trace("pndm", path, grid)
    begun = started(trace, start, 3, remember=noise_prediction)
    for step, nodes in trace.runs(orders=4, started=begun, end=end, to_data=True, apart=(0,)):
        x, *history = step.registers
        ends_at_data = np.any(step.next.sigma == 0)
        warming = not begun and len(history) < 3 and not ends_at_data
        if warming and warm_up == "runge-kutta":
            following, eps = _pseudo_runge_kutta(step, x)
        else:
            D = step.denoise(x, step.now)
            eps = noise_prediction(x, D, step.now)
            width = step.next.kappa - step.now.kappa
            if warming and not history:
                there = ddim_step(step, x, D)
                last = noise_prediction(there, step.denoise(there, step.next), step.next)
                following = _transfer(step, x, [width / 2, width / 2], [eps, last])
            elif nodes == 1:
                following = ddim_step(step, x, D)
            else:
                weights = [float(c) * width for c in EQUAL_STEPS[nodes - 1]]
                following = _transfer(step, x, weights, [eps, *history[: nodes - 1]])
        step.close(following, *[eps, *history][:3])
    return trace.tableau(start=start, end=end, warm_up=warm_up)
