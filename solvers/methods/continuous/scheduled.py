"""An exponential Adams method whose nodes and prediction are chosen step by step: a family to search in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.interpolation import exponential, weighted
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Trace
from ...protocols import Path
from .first_order import ddim_step, noise_prediction
from .starts import started

MOST = 3
PREDICTIONS = ("data", "noise")


def _each(name: str, value: Any, steps: int, allowed: Sequence[Any]) -> list[Any]:
    listed = isinstance(value, (list, tuple))
    values = list(value) if listed else [value]
    if not 1 <= len(values) <= steps:
        raise ValueError(f"{name} has {len(values)} values for {steps} steps: give one for each, or fewer")
    values += values[-1:] * (steps - len(values))
    for one in values:
        if one not in allowed:
            raise ValueError(
                f"{name} {'has' if listed else 'is'} {one!r}: use {', '.join(map(repr, allowed))}"
            )
    return values


def _both(x: Combination, D: Combination, level: Level) -> tuple[Combination, Combination]:
    return D, noise_prediction(x, D, level)


@catalogue.method(
    "scheduled-adams",
    claims=[
        Claim(
            nodes,
            "ode",
            f"exponential Adams on {nodes} nodes: Hochbruck and Ostermann 2010, section 3",
            "deduced",
            options={"nodes": (nodes,)},
        )
        for nodes in (2, 1, 3)
    ],
    source="Liu et al. 2023 (USF), strategies of order and prediction",
)
def scheduled_adams(
    path: Path,
    grid: ArrayLike,
    start: str = "practical",
    nodes: int | tuple[int, ...] = 2,
    predict: str | tuple[str, ...] = "data",
) -> Tableau:
    """Exponential Adams with its own number of nodes and its own prediction in every step.

    A polynomial through the last data predictions, or noise predictions, is integrated exactly. With one value for all
    steps: 1 is DDIM, data with 2 and 3 SA-Solver's predictor without noise, noise DEIS in log-SNR. Order as the nodes;
    2 from the practical start, which takes as many nodes as there are. One denoiser evaluation a step; a first-order
    last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (steps + 1,) float64 array
    start : str
        "practical", "single-step" or "exact".
    nodes : int or tuple of int
        1, 2 or 3, for all steps or one for each; the last serves those after it.
    predict : str or tuple of str
        "data" or "noise", in the same way.

    Returns
    -------
    Tableau
        1 stage, 5 registers (sample, two earlier data and noise predictions), no noise.

    References
    ----------
    Liu et al. 2023 (A unified sampling framework for solver searching of diffusion probabilistic models), section 4.
    """
    trace = Trace("scheduled-adams", path, grid)
    counts = _each("nodes", nodes, trace.intervals, range(1, MOST + 1))
    predictions = _each("predict", predict, trace.intervals, PREDICTIONS)
    begin = MOST - 1 if started(trace, start, MOST - 1, remember=_both) else 0
    for index in range(begin, trace.intervals):
        step = trace.run(index, index + 1)
        x, *history = step.registers
        D = step.denoise(x, step.now)
        both = _both(x, D, step.now)
        known = min(counts[index], 1 + len(history) // 2)
        if known == 1 or step.next.sigma[0] == 0:
            moved = ddim_step(step, x, D)
        else:
            s, t = step.next, step.now
            data = predictions[index] == "data"
            weights = exponential(step, range(0, -known, -1), 1.0 if data else -1.0)
            values = [both[not data], *history[0 if data else 1 :: 2]][:known]
            kept, scale = (s.sigma / t.sigma, s.alpha) if data else (s.alpha / t.alpha, s.sigma)
            moved = kept * x + scale * weighted(weights, values)
        step.close(moved, *[*both, *history][: 2 * (MOST - 1)])
    return trace.tableau(start=start, nodes=nodes, predict=predict)
