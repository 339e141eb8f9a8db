"""What holds arrays says what it is in one line: every class of that kind, and every law and result."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytic import GaussianMixture, Interpolated, chains, couplings, distances, paths, sequences, targets
from analytic.reprs import MOST, brief
from solvers import Imperfect, ScoreError, catalogue, density, grids, law, run
from solvers.continuous.executors.likelihood import flow_log_density
from solvers.discrete import Tables
from studies.gap.gaps import Plan
from studies.learned.networks import shipped
from studies.order.study import order
from studies.setting import Setting
from studies.specifications import job_of

ROOT = Path(__file__).parent.parent
PATH, LINE = paths.VE(0.02, 20.0), targets.load("easy-1d")
WIDE = GaussianMixture(np.full(500, 1 / 500), np.zeros((500, 40)), np.ones((500, 40)))
NOISE = chains.Uniform(3, "constant")


def tableau(steps: int = 200) -> Any:
    return catalogue["ddpm"].tableau(PATH, grids.karras(PATH, steps))


def kernel() -> Any:
    return catalogue["tau-leaping"].kernel(NOISE, grids.geometric(NOISE, 200))


OBJECTS: dict[str, Callable[[], Any]] = {
    "tableau": tableau,
    "a block of one": lambda: tableau().blocks[0],
    "kernel": kernel,
    "method": lambda: catalogue["edm-churn"],
    "job": lambda: job_of("edm-churn(gamma=0.1)"),
    "mixture": lambda: WIDE,
    "interpolated": lambda: Interpolated(couplings.independent(LINE, LINE), paths.Interpolant()),
    "digits": lambda: targets.load("digits"),
    "imperfect": lambda: Imperfect(WIDE, ScoreError(0.1, "wave", "eps", window=(-1.0, 2.0))),
    "density law": lambda: density(tableau(8), LINE),
    "Gaussian law": lambda: law(tableau(8), targets.load("spectrum-1000")),
    "its error": lambda: law(tableau(8), targets.load("spectrum-16")).error_to(targets.load("spectrum-16")),
    "solution": lambda: run(tableau(20), LINE, np.zeros((1000, 1)), full=True),
    "log-density": lambda: flow_log_density(
        "heun", PATH, grids.karras(PATH, 8)[::-1], LINE, LINE.sample(50, 0)
    ),
    "moments": lambda: distances.moment_errors(LINE.sample(500, 0), LINE.mean(), LINE.covariance()),
    "sequence": lambda: sequences.load("smooth"),
    "text": lambda: sequences.load("text"),
    "tables": lambda: Tables(NOISE, sequences.load("smooth")),
    "measurement": lambda: order(["euler"], ["gaussian-1d"])[0][0],
    "network": lambda: shipped()["score-matching"],
    "setting": Setting,
    "plan": lambda: Plan("easy-1d", LINE),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_laws_and_results_are_one_short_line(name: str) -> None:
    text = repr(OBJECTS[name]())
    assert "\n" not in text
    assert len(text) < 200
    assert " object at 0x" not in text


def test_every_class_that_holds_arrays_has_such_a_line() -> None:
    bare = []
    for file in (f for package in ("analytic", "solvers") for f in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.ClassDef) and "dataclass" in map(_name, node.decorator_list)):
                continue
            arrays = [f for f in node.body if isinstance(f, ast.AnnAssign) and _array(f.annotation)]
            own = [b for b in node.body if "__repr__" in ast.unparse(b).partition("(")[0].partition("=")[0]]
            if arrays and not own:
                bare.append(f"{file.name}: {node.name}")
    assert bare == []


def _name(decorator: ast.expr) -> str:
    return ast.unparse(decorator).partition("(")[0]


def _array(annotation: ast.expr) -> bool:
    return ast.unparse(annotation).removesuffix(" | None").endswith(("Array", "NDArray[np.int64]"))


def test_a_line_says_types_and_shapes_and_ends() -> None:
    class Many:
        __repr__ = brief

        def __init__(self) -> None:
            self.x, self.pair, self.many = np.zeros((3, 4)), (1, np.zeros(2)), list(range(9))
            self.function, self._hidden, self.text = np.sin, 1, "a" * 500

    assert repr(Many()).startswith(
        "Many(x=float64[3, 4], pair=(1, float64[2]), many=<9>, function=sin, text='aaa"
    )
    assert len(repr(Many())) <= MOST
