"""Langevin dynamics on the target: methods against plain loops, orders, noise on one path."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm, solve_discrete_lyapunov

from analytic import GaussianMixture, paths, targets
from solvers import Tableau, catalogue, grids, law, run, stationary
from solvers.continuous.executors.stationary import repeated_step, step_map
from solvers.continuous.functionals import exponential, quadrature, shape_of
from solvers.numerics.velocity import deviation_of_decay
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


# ---------------------------------------------------------------- stationary laws on Gaussians

PRECISIONS = np.array([0.5, 1.0, 4.0])
CENTRED = GaussianMixture([1.0], [[0.3, -1.0, 2.0]], 1 / PRECISIONS[None])


def equal_steps(name: str, h: float, steps: int = 4, **options: float) -> Tableau:
    return catalogue[name].tableau(paths.Langevin(steps * h), np.linspace(steps * h, 0, steps + 1), **options)


# variance of x in units of 1/k, at h and k
CLOSED = {
    "ula": lambda h, k: 1 / (1 - h * k / 2),
    "leimkuhler-matthews": lambda h, k: 1 + 0 * k,
    "baoab": lambda h, k: 1 + 0 * k,
    "obabo": lambda h, k: 1 / (1 - h**2 * k / 4),
}


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_the_stationary_law_is_a_fixed_point_and_where_known_in_closed_form(name: str) -> None:
    for h in (0.02, 0.3):
        tableau = equal_steps(name, h)
        found = stationary(tableau, CENTRED)
        step = step_map(tableau, CENTRED, repeated_step(tableau))
        for d in range(3):
            other = solve_discrete_lyapunov(step.gain[d], step.noise[d])
            np.testing.assert_allclose(found.registers[d], other, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.law.mean, CENTRED.means[0], rtol=1e-10)
        if name in CLOSED:
            expected = CLOSED[name](h, PRECISIONS) / PRECISIONS
            np.testing.assert_allclose(found.law.variances, expected, rtol=1e-11)
        # what many steps from elsewhere come to, and how fast: the mean's distance falls as the spectral radius
        ends = [
            law(equal_steps(name, h, N), CENTRED, "prior")
            for N in (4000, 2000 if h < 0.1 else 100, 1000 if h < 0.1 else 50)
        ]
        np.testing.assert_allclose(ends[0].variances, found.law.variances, rtol=1e-9)
        far = np.abs(ends[2].mean - found.law.mean)[0]
        assert far < 30 * found.contraction[0] ** (1000 if h < 0.1 else 50)


def test_the_rate_of_steps_is_that_of_the_dynamics_as_they_shrink() -> None:
    # eigenvalues of the exact flow, by matrix exponential
    h = 1e-3
    for name in sorted(SAMPLERS):
        found = stationary(equal_steps(name, h), CENTRED).contraction
        for k, rate in zip(PRECISIONS.tolist(), found.tolist(), strict=True):
            if "friction" in catalogue[name].options:
                flow = expm(h * np.array([[0.0, 1.0], [-k, -2.0]]))
                exact = float(np.abs(np.linalg.eigvals(flow)).max())
            else:
                exact = float(np.exp(-h * k))
            # where both eigenvalues are one, k = 1, rounding and the step's error come in with a square root
            assert np.log(rate) == pytest.approx(np.log(exact), rel=0.05 if k == 1 else 0.004), (name, k)


def test_what_has_no_stationary_law_is_said() -> None:
    with pytest.raises(FloatingPointError, match=r"a step of ula multiplies by 1\.4, so that no law stays"):
        stationary(equal_steps("ula", 0.6), CENTRED)
    path = paths.VP()
    with pytest.raises(ValueError, match="with steps that differ: give a uniform grid on a process"):
        stationary(catalogue["ddpm"].tableau(path, grids.log_snr(path, 5)), CENTRED)
    with pytest.raises(ValueError, match="on 2 steps, none repeated: give more steps"):
        stationary(catalogue["obabo"].tableau(paths.Langevin(1.0), [0.2, 0.1, 0.0]), CENTRED)
    with pytest.raises(ValueError, match="spectrum needs a single Gaussian"):
        stationary(equal_steps("ula", 0.1), targets.load("pair-2d"))


def test_the_order_of_the_stationary_bias() -> None:
    # by its exact variance at k = 1, halving h: 2^p, to the next order in h
    for name, order in (
        ("ula", 1),
        ("kinetic-euler", 1),
        ("exponential-langevin", 1),
        ("obabo", 2),
        ("ubu", 2),
    ):
        bias = [stationary(equal_steps(name, h), CENTRED).law.variances[1] - 1 for h in (2e-2, 1e-2)]
        assert np.log2(bias[0] / bias[1]) == pytest.approx(order, abs=0.03), name
