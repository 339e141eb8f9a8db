"""Starts of multistep methods: how the evaluations they look back on come about before the first full step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...catalogue import STARTS
from ...continuous.butcher import RK4
from ...continuous.trace import Combination, Level, Run, Trace
from .first_order import sde_mean, sde_noise
from .runge_kutta import flow_step

PARTS = 8
NOISY_PARTS = 64
Advance = Callable[[Run, Combination], tuple[Combination, Combination]]
Remember = Callable[[Combination, Combination, Level], Combination | tuple[Combination, ...]]


def on_the_flow(step: Run, x: Combination) -> tuple[Combination, Combination]:
    """One step of classical Runge-Kutta in log-SNR: x after it, and its first evaluation."""
    return flow_step(step, x, RK4, "log-snr")


def on_the_sde(eta: float) -> Advance:
    """Steps of weak order 2 on the reverse SDE with noise eta: the exponential midpoint rule, `dpmpp-sde`."""
    if eta == 0:
        return on_the_flow

    def advance(step: Run, x: Combination) -> tuple[Combination, Combination]:
        D = step.denoise(x, step.now)
        middle = step.between(0.5)
        first = sde_noise(step, eta, stop=middle)
        there = step.denoise(sde_mean(step, x, D, eta, then=middle) + first, middle)
        kept = step.next.sigma / middle.sigma * np.exp(-(eta**2) * step.h / 2)
        return sde_mean(step, x, there, eta) + kept * first + sde_noise(step, eta, start=middle), D

    return advance


def started(
    trace: Trace,
    start: str,
    history: int,
    remember: Remember = lambda x, D, level: D,
    advance: Advance = on_the_flow,
) -> bool:
    """Write a start and return whether there is one to write: a practical start is the method's own lower orders.

    "single-step" takes the first `history` intervals in one step each of a one-step method that has the order: of
    classical Runge-Kutta on the flow, of weak order 2 on an SDE. "exact" takes them in so many steps of it that no
    start-up error is left: `PARTS` an interval, `NOISY_PARTS` on an SDE. Each leaves what the method remembers of the
    nodes as registers, latest first.

    Parameters
    ----------
    trace : Trace
        With no step written yet.
    start : str
    history : int
        Nodes the method looks back; with 0 there is nothing to start.
    remember : callable
        (x, D, level) -> the register or registers kept of a node, D by default.
    advance : callable
        (step, x) -> x after a step and the step's first evaluation.

    Raises
    ------
    ValueError
        An unknown start, or a grid that has no more than `history` intervals.
    """
    if start not in STARTS:
        raise ValueError(f"start is {start!r}: use one of {STARTS}")
    if start == "practical" or history == 0:
        return False
    if trace.intervals <= history:
        raise ValueError(
            f"steps is {trace.intervals}: start={start!r} takes {history} intervals, give more steps"
        )
    parts = 1 if start == "single-step" else PARTS if advance is on_the_flow else NOISY_PARTS
    for interval in range(history):
        for part, step in enumerate(trace.inside(interval, parts)):
            x, *kept = step.registers
            advanced, D = advance(step, x)
            if part == 0:
                new = remember(x, D, step.now)
                kept = [*(new if isinstance(new, tuple) else (new,)), *kept]
            step.close(advanced, *kept)
    return True
