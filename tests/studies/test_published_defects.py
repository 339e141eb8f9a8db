"""Every published defect beside its correction: the order that is lost, and found again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from analytic import paths, targets
from solvers import catalogue, grids, law

NORMAL = targets.load("gaussian-1d")
ODE = {"start": "exact"}
# published, corrected (name, options), path, grid, orders of both, how near, steps
PAIRS: list[Any] = [
    (
        ("dpm-solver++-3m-as-published", ODE),
        ("dpm-solver++-3m", ODE),
        "ve",
        "karras",
        2,
        3,
        (256, 512, 1024),
    ),
    (
        ("dpmpp-3m-sde-as-published", ODE | {"eta": 0.0}),
        ("dpmpp-3m-sde", ODE | {"eta": 0.0}),
        "ve",
        "karras",
        2,
        3,
        (256, 512, 1024),
    ),
    (("ipndm-v-as-published", ODE), ("lms", ODE), "ve", "karras", 2, 4, (256, 512, 1024)),
    (
        ("ipndm-v-as-published", ODE | {"order": 3}),
        ("lms", ODE | {"order": 3}),
        "ve",
        "karras",
        3,
        3,
        (256, 512, 1024),
    ),
    (
        ("unipc", ODE | {"order": 2, "variant": "vary-as-published"}),
        ("unipc", ODE | {"order": 2, "variant": "vary"}),
        "vp",
        "log-snr",
        1,
        3,
        (256, 512, 1024),
    ),
    (
        ("unipc", ODE | {"order": 3, "variant": "vary-as-published"}),
        ("unipc", ODE | {"order": 3, "variant": "vary"}),
        "ve",
        "karras",
        1,
        4,
        (512, 1024),
    ),
    (("er-sde-2-as-published", ODE), ("er-sde-2", ODE), "ve", "karras", 1, 2, (4096, 8192)),
    (
        ("er-sde-3-as-published", ODE | {"noise": "ode"}),
        ("er-sde-3", ODE | {"noise": "ode"}),
        "ve",
        "karras",
        1,
        3,
        (2048, 4096),
    ),
    (
        ("rex-rk4-as-published", {"zeta": 0.5}),
        ("rex", {"base": "rk4", "zeta": 0.5}),
        "ve",
        "karras",
        1,
        4,
        (512, 1024),
    ),
    (("sit-sde-heun", {}), ("stochastic-heun", {}), "vp", "log-snr", 1, 2, (256, 512, 1024)),
]
PATHS: dict[str, Any] = {"vp": paths.VP(), "ve": paths.VE(0.02, 20)}


def order(name: str, options: dict[str, Any], path: Any, grid: str, steps: tuple[int, ...]) -> float:
    """Local order of the W2 error between the last two numbers of steps."""
    errors = []
    for n in steps[-2:]:
        tableau = catalogue[name].tableau(path, grids.catalogue[grid](path, n), **options)
        errors.append(law(tableau, NORMAL).error_to(NORMAL.noised(*tableau.end)).w2)
    return float(np.log2(errors[0] / errors[1]))


@pytest.mark.parametrize(
    ("published", "corrected", "path", "grid", "lost", "kept", "steps"),
    PAIRS,
    ids=[f"{p[0][0]}-{'-'.join(map(str, p[0][1].values()))}" for p in PAIRS],
)
def test_the_order_is_lost_as_published_and_found_when_corrected(
    published: Any, corrected: Any, path: str, grid: str, lost: int, kept: int, steps: tuple[int, ...]
) -> None:
    assert order(*published, PATHS[path], grid, steps) == pytest.approx(lost, abs=0.2)
    assert order(*corrected, PATHS[path], grid, steps) == pytest.approx(kept, abs=0.2)


def test_the_order_list_as_published_makes_the_error_jump_with_the_steps_modulo_three() -> None:
    """Errors on Karras' grid at 256, 512 and 1024 steps, which leave 1, 2 and 1 evaluations for the last step."""

    def errors(end: str) -> list[float]:
        tableaux = [
            catalogue["dpm-solver-fast"].tableau(PATHS["ve"], grids.karras(PATHS["ve"], n), end=end)
            for n in (256, 512, 1024)
        ]
        return [law(t, NORMAL).error_to(NORMAL.noised(*t.end)).w2 for t in tableaux]

    published, corrected = errors("as-published"), errors("full")
    assert published[1] < published[0] / 50
    assert published[2] > 5 * published[1]
    for coarse, fine in pairwise(corrected):
        assert np.log2(coarse / fine) == pytest.approx(3, abs=0.2)
