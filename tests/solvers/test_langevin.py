"""Langevin dynamics on the target: methods against plain loops, orders, noise on one path."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import paths, targets
from solvers import catalogue, grids, run
from solvers.continuous.functionals import exponential, quadrature, shape_of
from solvers.methods.continuous.kinetic_langevin import deviation_of_decay
from tests.solvers.reference_langevin import SAMPLERS

Array = NDArray[np.float64]
PATH = paths.Langevin(2.0)
GRIDS = {
    "equal": grids.uniform(PATH, 6),
    "unequal": np.array([2.0, 1.4, 1.3, 0.6, 0.0]),
    "one": np.array([0.4, 0.1]),
    "two": np.array([0.5, 0.2, 0.0]),
}
CASES = [(name, {}) for name in SAMPLERS] + [
    (name, {"friction": f}) for name in SAMPLERS if "friction" in catalogue[name].options for f in (0.1, 7.0)
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_langevin_equals_the_loop_of_its_paper(name: str, options: dict[str, float]) -> None:
    for place in ("pair-2d", "rotated-2d"):
        target = targets.load(place)
        x = target.sample(9, seed=3)
        for label, grid in GRIDS.items():
            tableau = catalogue[name].tableau(PATH, grid, **options)
            z = np.random.default_rng(7).standard_normal((len(tableau.channels), *x.shape))
            got = run(tableau, target, x, noise=z)
            expected = SAMPLERS[name](grid, target.score, x, z, **options)
            assert np.max(np.abs(got - expected)) < 2e-12 * np.max(np.abs(expected)), (place, label)


def test_every_langevin_method_has_a_second_derivation_and_costs_one_evaluation_a_step() -> None:
    assert set(SAMPLERS) == set(catalogue.on("langevin"))
    for name, method in catalogue.on("langevin").items():
        assert set(method.options) <= {"friction"}
        assert method.tableau(PATH, GRIDS["equal"]).nfe == 6 - (name == "kinetic-euler"), name
    for friction in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"friction is .*: give a positive number"):
            catalogue["baoab"].tableau(PATH, GRIDS["one"], friction=friction)


def test_weights_of_noise_are_exact_for_all_steps() -> None:
    mp.mp.dps = 60
    for z in (1e-9, 1e-4, 0.3, 1.99, 2.0, 6.0, 1e3):
        Z = mp.mpf(z)
        phi = lambda w: mp.expm1(w) / w  # noqa: E731
        exact = mp.sqrt(phi(-2 * Z) - phi(-Z) ** 2) / Z
        assert abs(float(deviation_of_decay(z) / exact) - 1) < 1e-15


def test_exponential_functionals_are_orthogonal_to_what_they_are_beside() -> None:
    for rate, stop in ((2.0, 0.7), (1e-4, 0.3), (30.0, 0.5)):
        t, q, dq, dt = quadrature(PATH, np.array([1.3]), np.array([stop]))
        grows, beside = (
            shape_of(exponential(rate, area), PATH, t[0], q[0], dq[0], 1.3, stop) for area in (False, True)
        )
        scale = float(np.sqrt((beside**2 * dt[0]).sum() * dt[0].sum()))
        assert abs((beside * dt[0]).sum()) < 1e-10 * scale
        np.testing.assert_allclose(grows - beside, (grows - beside)[0], rtol=1e-10)
        assert grows[np.argmin(t[0])] == pytest.approx(np.exp(-rate * (t[0].min() - stop)))
