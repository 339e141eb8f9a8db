"""Mutants of samplers of tokens: one rate, posterior, time, exit or step of a method is wrong throughout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from solvers import catalogue, law
from solvers.discrete.flow import Flow
from studies.verify.token_subject import NOISES

NUMBERS = ("keep", "gain", "own", "base", "here", "direct", "free")
GRID = np.linspace(0.9, 0.1, 9)
FACTORS = {"times 1.03": 1.03, "times 0.97": 0.97, "halved": 0.5, "doubled": 2.0, "dropped": 0.0}
NO_TIME = ("probability", "argmax")  # exits that do not multiply by h


OPTIONS: dict[str, dict[str, Any]] = {"theta-trapezoidal": {"clip": False}}
MUTATED = [
    (name, noise)
    for name in (
        "tweedie-tau-leaping",
        "tau-leaping",
        "discrete-euler",
        "dfm-euler",
        "dfm-jump",
        "poisson-tau-leaping",
        "poisson-tau-leaping-reject",
        "time-corrected-tau-leaping",
        "location-corrected-tau-leaping",
        "theta-trapezoidal",
        "plug-in-posterior",
        "ctmc-predictor-corrector",
    )
    for noise in NOISES
    if (name, noise) not in (("poisson-tau-leaping", "masked"), ("plug-in-posterior", "uniform"))
]


@dataclass(frozen=True)
class TokenMutant:
    """A method with a fault: it has a law, as TokenMethod has one."""

    method: str
    fault: str
    change: Callable[[Any, float, float], Any]
    options: dict[str, Any]
    left_out: int | None = None

    def law(self, process: Any, data: Any, grid: Any) -> Any:
        kernel = catalogue[self.method].kernel(process, grid, **self.options)
        steps = [
            tuple(self.change(move, t, s) for move in step)
            for step, t, s in zip(kernel.steps, grid[:-1].tolist(), grid[1:].tolist(), strict=True)
        ]
        if self.left_out is not None:
            steps[self.left_out] = ()
        return law(replace(kernel, steps=tuple(steps)), data)


def _flows(move: Any) -> list[str]:
    return [f.name for f in fields(move) if isinstance(getattr(move, f.name), Flow)]


def _numbers(move: Any) -> list[str]:
    return [
        f.name
        for f in fields(move)
        if isinstance(getattr(move, f.name), float) and f.name != "nfe" and getattr(move, f.name) != 0
    ]


def _same(move: Any, typical: Any) -> bool:
    return type(move) is type(typical)


def _on_coefficient(typical: Any, flow: str, name: str, factor: float) -> Callable[[Any, float, float], Any]:
    def change(move: Any, t: float, s: float) -> Any:
        if not _same(move, typical):
            return move
        old = getattr(move, flow)
        value = getattr(old.coefficients, name) * factor
        new = replace(old, coefficients=old.coefficients._replace(**{name: value}))
        return replace(move, **{flow: new})

    return change


def _on_number(typical: Any, name: str, factor: float) -> Callable[[Any, float, float], Any]:
    return lambda move, t, s: (
        replace(move, **{name: getattr(move, name) * factor}) if _same(move, typical) else move
    )


def _asked_at(typical: Any, flow: str, end: bool) -> Callable[[Any, float, float], Any]:
    """Ask the model at the other end of the step."""

    def change(move: Any, t: float, s: float) -> Any:
        if not _same(move, typical):
            return move
        return replace(move, **{flow: replace(getattr(move, flow), t=s if end else t)})

    return change


def _with_exit(typical: Any, exit_kind: str) -> Callable[[Any, float, float], Any]:
    return lambda move, t, s: replace(move, exit=exit_kind) if _same(move, typical) else move


def is_no_fault(mutant: TokenMutant, noise: str) -> bool:
    """Whether a mutant samples as well as the method does.

    A flow from x to y whose product with the law of x is symmetric in x and y changes no marginal. Under uniform noise,
    with u the noise's law and Z_x the evidence of x given the other sites, `base` adds gain_x u_y/Z_x, a product of
    u_x and u_y; without `keep`, 1/Z_x becomes 1/u_x, and to the product comes c_x c_y up to constants, in flow matching
    where nothing else depends on x. In theta-trapezoidal with theta = 1/2 the first flow enters a step by (h - h)/2,
    and else by where the second is asked, where a change of O(h) is one of O(h^3).
    """
    if noise == "uniform" and (".base " in mutant.fault or "keep dropped" in mutant.fault):
        return ".base " in mutant.fault or mutant.method in FLOW_MATCHING
    return mutant.fault == "first asked at the end"


FLOW_MATCHING = (
    "dfm-euler",
    "dfm-jump",
    "time-corrected-tau-leaping",
    "location-corrected-tau-leaping",
)


def mutants(name: str, noise: str, options: dict[str, Any] | None, exact: bool) -> Iterator[TokenMutant]:
    """Yield all mutants of a method under a noise; `exact`: whether its law of a single token is.

    None is made where nothing changes, or nothing that a claim of this order says: `keep` is not read where all that
    moves is a mask; exits but argmax, and probabilities in place of rates, agree to first order; a first-order method
    may ask the model at either end of its step, or leave one of its steps out, unless it is exact on a single token;
    and what a masked state tells does not depend on time.
    """
    options = options or {}
    kernel = catalogue[name].kernel(NOISES[noise](3), GRID, **options)
    kinds = {type(move): move for move in kernel.steps[3] if is_dataclass(move)}
    masked = noise == "masked"

    def made(fault: str, change: Callable[[Any, float, float], Any]) -> TokenMutant:
        return TokenMutant(name, fault, change, options)

    for typical in kinds.values():
        flows = _flows(typical)
        for flow in flows:
            old = getattr(typical, flow)
            for number in NUMBERS:
                if np.any(getattr(old.coefficients, number)) and not (masked and number == "keep"):
                    at = f"{flow}.{number}"
                    for fault, factor in FACTORS.items():
                        yield made(f"{at} {fault}", _on_coefficient(typical, flow, number, factor))
            if len(flows) > 1 and not masked:
                for end in (False, True):
                    if old.t != GRID[3 + end]:
                        where = ("start", "end")[end]
                        yield made(f"{flow} asked at the {where}", _asked_at(typical, flow, end))
        for number in _numbers(typical):
            if getattr(typical, "exit", "") not in NO_TIME or number != "h":
                for fault, factor in FACTORS.items():
                    yield made(f"{number} {fault}", _on_number(typical, number, factor))
        if hasattr(typical, "exit"):
            for other in ("argmax", *([] if typical.exit in NO_TIME else ["probability"])):
                if other != typical.exit:
                    yield made(f"exit {other} for {typical.exit}", _with_exit(typical, other))
    if not exact and len(flows) == 1:
        return
    yield TokenMutant(name, "first step left out", lambda move, t, s: move, options, 0)
    yield TokenMutant(name, "last step left out", lambda move, t, s: move, options, -1)
