"""The published table of the initial law: against its recursion, its limits and its closed forms."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import GaussianMixture, paths, targets
from solvers import catalogue, grids, law
from studies.budget import published_initial_law
from studies.engine import run

Array = NDArray[np.float64]
VP = paths.VP()


def recursion(scheme: str, v: Array, points: int, stop: float, prior: bool) -> float:
    """Eigenvalue recursions of Pierret and Galerne in their own variables: dx = -b x dt + sqrt(2 b) dw."""

    def b(t: float) -> float:
        return 0.05 + 9.95 * t

    def integral(t: float) -> float:
        return 0.05 * t + 9.95 * t**2 / 2

    def at(t: float) -> Array:
        return np.exp(-2 * integral(t)) * v - np.expm1(-2 * integral(t))

    times = np.linspace(1.0, stop, points)
    value = np.ones_like(v) if prior else at(1.0)
    h = times[0] - times[1]
    for t, s in itertools.pairwise(times.tolist()):
        if scheme == "EM":
            value = (1 + h * b(t) * (1 - 2 / at(t))) ** 2 * value + 2 * h * b(t)
        elif scheme == "EI":
            first = np.expm1(integral(t) - integral(s))
            value = (1 + first * (1 - 2 / at(t))) ** 2 * value + np.expm1(2 * (integral(t) - integral(s)))
        else:
            slope = b(t) * (1 - 1 / at(t))
            factor = 1 + h * slope
            if scheme == "Heun":
                factor = 1 + h / 2 * (slope + b(s) * (1 - 1 / at(s)) * (1 + h * slope))
            value = factor**2 * value
    return float(np.sqrt(np.sum((np.sqrt(value) - np.sqrt(v)) ** 2)))


def distance(target: GaussianMixture, scheme: str, points: int, stop: float, initial: str) -> float:
    found = published_initial_law.distances("one", target, scheme, stop, (points,))
    (w2,) = [d.w2 for d in found if (d.points, d.initial) == (points, initial)]
    return w2


@pytest.mark.parametrize("scheme", list(published_initial_law.SCHEMES))
@pytest.mark.parametrize("stop", [1e-5, 1e-3])
def test_the_catalogues_methods_are_the_published_recursions(scheme: str, stop: float) -> None:
    target = published_initial_law.image_like(400)
    for prior in (False, True):
        ours = distance(target, scheme, 60, stop, "prior" if prior else "marginal")
        assert ours == pytest.approx(recursion(scheme, target.variances[0], 60, stop, prior), rel=1e-9)


def test_an_image_like_spectrum_gives_the_published_numbers() -> None:
    """From both starts and at all eps; Heun where it is not stiff, that is eps = 1e-3."""
    target = published_initial_law.image_like()
    for (scheme, stop), pairs in published_initial_law.THEIRS.items():
        if stop == 1e-5 or (scheme == "Heun" and stop < 1e-3):
            continue
        for initial, theirs in zip(("marginal", "prior"), pairs[0], strict=True):
            ours = distance(target, scheme, published_initial_law.POINTS[0], stop, initial)
            assert ours == pytest.approx(theirs, rel=0.05), (scheme, stop)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_the_exact_process_is_the_limit_of_fine_steps(eta: float) -> None:
    target, stop = targets.load("spectrum-16"), 0.01
    grid = grids.log_snr(VP, 4000 if eta == 0 else 32_000, stop=stop)
    options: dict[str, Any]
    name, options = ("rk4", {}) if eta == 0 else ("euler-maruyama", {"eta": eta})
    tableau = catalogue[name].tableau(VP, grid, **options)
    fine = law(tableau, target, "prior").error_to(law(tableau, target, "marginal"))
    exact = published_initial_law.reached(target, stop, eta, "prior").error_to(
        published_initial_law.reached(target, stop, eta, "marginal")
    )
    assert fine.w2 == pytest.approx(exact.w2, rel=5e-3)
    np.testing.assert_allclose(fine.mean, exact.mean, rtol=1e-2)
    np.testing.assert_allclose(fine.variance, exact.variance, rtol=1e-2)


def test_the_prior_costs_the_flow_two_orders_of_magnitude_more_than_the_sde_on_images() -> None:
    """Eq. 13 and 14 of the paper: v_SDE = v + a v^2 (1/V - 1)/V with a = alpha(T)^2, v_ODE = v/V."""
    cost = published_initial_law.InitialLaw().costs().set_index("target")
    v = published_initial_law.image_like().variances[0]
    a = np.exp(-2 * (0.05 + 9.95 / 2))
    last = 1 + a * (v - 1)
    w2 = [np.linalg.norm(np.sqrt(u) - np.sqrt(v)) for u in (v / last, v + a * v**2 / last * (1 / last - 1))]
    assert cost.loc["image-3072", "ODE"] == pytest.approx(w2[0], rel=1e-9)
    assert cost.loc["image-3072", "SDE"] == pytest.approx(w2[1], rel=1e-6)
    assert 80 < cost.loc["image-3072", "ratio"] < 130
    assert cost.loc["image-3072", "ODE"] == pytest.approx(0.07, abs=0.005)  # theirs, on CIFAR-10
    assert cost.loc["image-3072", "SDE"] == pytest.approx(6.7e-4, rel=0.03)
    for row in cost.itertuples():
        assert row.ratio == pytest.approx(row.predicted, rel=0.03)


@pytest.mark.slow
def test_heun_is_worst_with_few_steps_and_best_with_many() -> None:
    study = published_initial_law.InitialLaw(
        {"image-3072": published_initial_law.image_like()}, (50, 1000), (1e-5,)
    )
    (rank,) = study.ranks(run(study)).to_dict("records")
    assert rank["N = 50"] == 4
    assert rank["N = 1000"] == 1
    assert rank["50 evaluations"] == 4
    assert rank["1000 evaluations"] == 1
