"""Exact starts of multistep methods: walk the first intervals so finely that no start-up error is left."""

from __future__ import annotations

from collections.abc import Callable

from ...continuous.butcher import RK4
from ...continuous.trace import Combination, Level, Run, Trace
from .runge_kutta import flow_step

PARTS = 8
NOISY_PARTS = 64
Advance = Callable[[Run, Combination, Combination, Combination | None], Combination]
Remember = Callable[[Combination, Combination, Level], Combination]


def _check(trace: Trace, history: int) -> None:
    if trace.intervals <= history:
        raise ValueError(
            f"steps is {trace.intervals}: an exact start takes {history} intervals, give more steps"
        )


def exact_start(trace: Trace, history: int, remember: Remember = lambda x, D, level: D) -> None:
    """Walk the flow over the first `history` intervals and leave what the method remembers of their nodes.

    By `PARTS` steps of classical Runge-Kutta in log-SNR an interval: the start-up error is O(h^5), below every
    method of order 4 or less by a growing margin.

    Parameters
    ----------
    trace : Trace
        With no step written yet. Raises ValueError if its grid has no more than `history` intervals.
    history : int
        Evaluations the method looks back; they become registers, latest first.
    remember : callable
        (x, D, level) -> the register kept of a node, D by default.
    """
    _check(trace, history)
    for interval in range(history):
        for part, step in enumerate(trace.inside(interval, PARTS)):
            x, *kept = step.registers
            advanced, D = flow_step(step, x, RK4, "log-snr")
            if part == 0:
                kept = [remember(x, D, step.now), *kept]
            step.close(advanced, *kept)


def exact_noisy_start(trace: Trace, advance: Advance) -> None:
    """Walk the first interval in `NOISY_PARTS` steps of a noisy two-step method and leave D at its first node.

    The start-up error falls to 1/NOISY_PARTS^2 of the practical start's.

    Parameters
    ----------
    trace : Trace
        With no step written yet. Raises ValueError if its grid has a single interval.
    advance : callable
        (step, x, D, difference) -> x: one step, with D's difference over a step of the same size before it, or None.
    """
    _check(trace, 1)
    for part, step in enumerate(trace.inside(0, NOISY_PARTS)):
        x, *kept = step.registers  # x; then x, D at the node; then x, D one part back, D at the node
        D = step.denoise(x, step.now)
        x = advance(step, x, D, D - kept[0] if kept else None)
        one_back = [D] if 0 < part < NOISY_PARTS - 1 else []
        step.close(x, *one_back, *(kept[-1:] or [D]))
