"""Multistep methods that predict, evaluate and correct: UniPC and SA-Solver.

A step extrapolates the polynomial in log-SNR through the last data predictions, evaluates the model at what that
gives, and takes the step again with the polynomial that goes through the new evaluation too. The evaluation is kept
for the next step (PEC), so that a step costs one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.interpolation import exponential, weighted
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Run, Trace
from ...numerics.phi import phi
from ...protocols import Path
from .first_order import check_eta, ddim_step, sde_noise
from .starts import Advance, on_the_flow, on_the_sde, started

Array = NDArray[np.float64]
Evaluations = Sequence[Combination]
Rule = Callable[[Run, Combination, Evaluations], Combination]


def _walk(
    trace: Trace,
    start: str,
    end: str,
    order: int,
    predict: Callable[[int], Rule],
    correct: Callable[[int], Rule | None],
    noise: Callable[[Run], Combination | None] = lambda step: None,
    advance: Advance = on_the_flow,
) -> None:
    """Write a predictor-corrector method: `predict(order)` takes D, D1, ..., `correct(order)` the new D before them.

    The last step is not corrected, since that would cost an evaluation which no later step uses.
    """
    begun = started(trace, start, order - 1, advance=advance)
    first = order - 1 if begun else 0
    for step, now in trace.runs(orders=order, started=begun, end=end, apart=(first, -1)):
        x, *history = step.registers
        if step.first == first:
            history = [step.denoise(x, step.now), *history]
        fresh = noise(step)

        def with_noise(x: Combination, fresh: Combination | None = fresh) -> Combination:
            return x if fresh is None else x + fresh

        predicted = with_noise(predict(now)(step, x, history))
        if step.first == trace.intervals - 1:
            step.close(predicted)
            continue
        D = step.denoise(predicted, step.next)
        rule = correct(now)
        corrected = predicted if rule is None else with_noise(rule(step, x, [D, *history]))
        step.close(corrected, D, *history[: order - 1])


def _interpolated(offsets: Sequence[int], eta: float = 0.0) -> Rule:
    """The exact integral of the polynomial through evaluations at `offsets`, on the SDE with noise eta, in the mean."""

    def rule(step: Run, x: Combination, D: Evaluations) -> Combination:
        weights = exponential(step, offsets, 1 + eta**2)
        kept = np.exp(-(eta**2) * step.h) if eta else 1.0
        mean = step.next.sigma / step.now.sigma * kept * x
        return mean + step.next.alpha * weighted(weights, D[: len(offsets)])

    return rule


VARIANTS = ("bh2", "bh1", "vary", "vary-as-published")


def _half(variant: str, offset: int) -> Rule:
    """UniPC's rule with two evaluations: its one coefficient is 1/2 of B(h), which is not solved for."""

    def rule(step: Run, x: Combination, D: Evaluations) -> Combination:
        new, old = (D[0], D[1]) if offset == 1 else (D[1], D[0])
        at = 1.0 if offset == 1 else (step.node(offset).log_snr - step.now.log_snr) / step.h
        B = -step.h if variant == "bh1" else np.expm1(-step.h)
        return ddim_step(step, x, old) - step.next.alpha * B / 2 * ((new - old) / at)

    return rule


def _vary_as_published(order: int) -> Rule:
    """UniPC's code, multistep_uni_pc_vary_update: the corrector's sum stops a row early, at k = K - 2."""

    def rule(step: Run, x: Combination, D: Evaluations) -> Combination:
        new, now, *past = D[: order + 1]
        ratios = [(step.node(-j).log_snr - step.now.log_snr) / step.h for j in range(1, order)]
        r = np.stack([*ratios, np.ones_like(step.h)], axis=1)
        C = r[:, :, None] ** np.arange(order) / np.array([factorial(k + 1) for k in range(order)])
        A = np.linalg.inv(C)
        out = ddim_step(step, x, now)
        z = -step.h
        # their h_phi_k is z phi_k(z)
        for k in range(order - 1):
            for i, (old, ratio) in enumerate(zip(past, ratios, strict=True)):
                out = out - step.next.alpha * z * phi(k + 2, z) * A[:, k, i] * ((old - now) / ratio)
        last = max(order - 2, 0)
        return out - step.next.alpha * z * phi(order + 1, z) * A[:, last, -1] * (new - now)

    return rule


@catalogue.method(
    "unipc",
    claims=[
        Claim(
            order + 1,
            "ode",
            "Zhao et al. 2023 (UniPC), theorem 3.1: UniPC-p has order p + 1",
            options={"order": (order,)},
            starts=("exact", "single-step"),
        )
        for order in (3, 1, 2)
    ],
    source="Zhao et al. 2023 (UniPC), Algorithms 1 and 2, in data prediction",
)
def unipc(
    path: Path,
    grid: ArrayLike,
    start: str = "practical",
    end: str = "full",
    order: int = 3,
    variant: str = "bh2",
) -> Tableau:
    """UniPC: a multistep predictor of order p and a corrector of order p + 1 that reuses the next step's evaluation.

    Order p + 1 from starts that have it. The function B(h) of its name cancels wherever its equations are solved; it is
    left in the predictor with two evaluations and the corrector with two, whose single coefficient is set to 1/2.
    One denoiser evaluation a step, the first at the start; the last step is not corrected.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (lower orders first), "single-step" or "exact".
    end : str
        "full", "lower" (lower orders on the last steps) or "as-published" (so on fewer than 15 steps).
    order : int
        p, 1 to 3.
    variant : str
        "bh1" (B = -h), "bh2" (B = e^-h - 1), "vary" (varying coefficients, which are the exact integrals of the
        interpolating polynomial), or "vary-as-published", whose corrector lacks a row and has order 1 for p >= 2.

    Returns
    -------
    Tableau
        1 stage, p + 1 registers (sample, data predictions), no noise.

    References
    ----------
    Zhao, Bai, Rao, Zhou and Lu 2023 (UniPC), theorem 3.1, eq. 5 and 6; its code, multistep_uni_pc_bh_update and
    multistep_uni_pc_vary_update.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"order is {order!r}: use 1, 2 or 3")
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}: use one of {', '.join(VARIANTS)}")
    trace = Trace("unipc", path, grid)
    halved = variant in ("bh1", "bh2")

    def predict(now: int) -> Rule:
        return _half(variant, -1) if halved and now == 2 else _interpolated(range(0, -now, -1))

    def correct(now: int) -> Rule:
        if variant == "vary-as-published":
            return _vary_as_published(now)
        return _half(variant, 1) if halved and now == 1 else _interpolated(range(1, -now, -1))

    _walk(trace, start, end, order, predict, correct)
    return trace.tableau(start=start, end=end, order=order, variant=variant)


@catalogue.method(
    "sa-solver",
    claims=[
        Claim(
            1,
            "strong",
            "Xue et al. 2023 (SA-Solver), theorems 5.1 and 5.2: O(sup tau h + h^s), s from predictor and corrector",
        ),
        *(
            Claim(
                2,
                "weak",
                "with noise a multistep method of two or more nodes has weak order 2",
                "deduced",
                options={"predictor": (predictor,), "corrector": (corrector,)},
            )
            for predictor, corrector in ((3, 4), (2, 0))
        ),
        *(
            Claim(
                order,
                "ode",
                f"Xue et al. 2023 (SA-Solver), theorem 5.{theorem} with tau = 0",
                options={"tau": (0.0,), "predictor": (3,), "corrector": (corrector,)},
                starts=("exact", "single-step"),
            )
            for order, theorem, corrector in ((3, 1, 0), (4, 2, 4))
        ),
    ],
    source="Xue et al. 2023 (SA-Solver), Algorithm 1",
)
def sa_solver(
    path: Path,
    grid: ArrayLike,
    start: str = "practical",
    end: str = "full",
    predictor: int = 3,
    corrector: int = 4,
    tau: float = 1.0,
) -> Tableau:
    """SA-Solver: stochastic Adams predictor and corrector on the reverse SDE with noise tau, one noise for both.

    Weak order 2 with noise for two or more nodes; without noise (tau = 0) the order of the Adams methods. A corrector
    of one node, the new evaluation alone, has order 1. One denoiser evaluation a step, the first at the start; the last
    step is not corrected.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    start : str
        "practical" (lower orders first), "single-step" or "exact".
    end : str
        "full", "lower" (lower orders on the last steps, as its code) or "as-published" (so on fewer than 15 steps).
    predictor : int
        Nodes of the predictor, 1 to 4.
    corrector : int
        Nodes of the corrector, the new one among them, as its code counts; 0 for none, at most 4.
    tau : float
        0 or more: amount of noise, 1 is the reverse SDE.

    Returns
    -------
    Tableau
        1 stage, 1 channel, max(predictor, corrector - 1) + 1 registers (sample, data predictions).

    References
    ----------
    Xue, Yi, Luo, Zhang, Sun, Li and Ma 2023 (SA-Solver), eq. 14 to 18, Algorithm 1; its code for how nodes are counted.
    """
    if predictor not in (1, 2, 3, 4):
        raise ValueError(f"predictor is {predictor!r}: use 1 to 4 nodes")
    if corrector not in (0, 1, 2, 3, 4):
        raise ValueError(f"corrector is {corrector!r}: use 0 to 4 nodes")
    check_eta(tau)
    trace = Trace("sa-solver", path, grid, stochasticity=tau)

    def predict(now: int) -> Rule:
        return _interpolated(range(0, -min(predictor, now), -1), tau)

    def correct(now: int) -> Rule | None:
        return _interpolated(range(1, 1 - min(corrector, now + 1), -1), tau) if corrector else None

    def noise(step: Run) -> Combination | None:
        return sde_noise(step, tau) if tau else None

    order = max(predictor, corrector - 1)
    _walk(trace, start, end, order, predict, correct, noise, on_the_sde(tau))
    return trace.tableau(start=start, end=end, predictor=predictor, corrector=corrector, tau=tau)
