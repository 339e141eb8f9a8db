"""The kernels study: laws in a box by quadrature are those of samples and of all of space folded; tables say so."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analytic import Folded, GaussianMixture, PoissonFlow, paths, targets
from solvers import catalogue, density, grids, loops, run
from studies.engine import run as measured
from studies.kernels.measured import (
    BOX_PATH,
    FLOW_PATH,
    IN_BOX,
    AtWalls,
    at_walls,
    data_of,
    on_flow,
    quantile,
)
from studies.kernels.study import Kernels, slopes_of
from studies.kernels.walls import law_in_box

BEGIN = IN_BOX.noised(1.0, 2.0)
SAMPLES = 100_000


def tableau(steps: int, name: str = "euler-maruyama"):  # type: ignore[no-untyped-def]
    return catalogue[name].tableau(BOX_PATH, grids.log_snr(BOX_PATH, steps))


@pytest.mark.parametrize("name", ["euler-maruyama", "ddpm"])
def test_reflecting_each_step_has_the_law_of_all_of_space_folded(name: str) -> None:
    here = law_in_box(tableau(12, name), IN_BOX, "reflected", BEGIN)
    space = density(
        tableau(12, name), IN_BOX.images(30.0), IN_BOX.mixture.noised(1.0, 2.0), estimate_error=False
    )
    folded = sum(space.pdf(here.x + k) + space.pdf(k - here.x) for k in range(-28, 29, 2))
    np.testing.assert_allclose(here.density, folded, rtol=0, atol=1e-10)
    assert here.mass == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("wall", ["reflected", "projected", "metropolis"])
def test_laws_in_a_box_are_those_of_samples(wall: str) -> None:
    # the means of two functions and the share on each wall, beyond 5 standard errors: a false alarm of 2e-6
    nodes = grids.log_snr(BOX_PATH, 5)
    law = law_in_box(tableau(5), IN_BOX, wall, BEGIN)  # type: ignore[arg-type]
    assert law.mass == pytest.approx(1, abs=1e-12)
    x = (
        loops.catalogue[f"{wall}-euler"]
        .solve(BOX_PATH, nodes, IN_BOX, BEGIN.sample(SAMPLES, 7), seed=7)
        .x[:, 0]
    )
    for f in (lambda y: y, lambda y: np.cos(2 * np.pi * y)):
        error = f(x).mean() - law.mean(f(law.x), f(np.array([0.0, 1.0])))
        assert abs(error) < 5 * f(x).std() / np.sqrt(SAMPLES)
    for place, share in zip((0.0, 1.0), law.walls, strict=True):
        assert abs((x == place).mean() - share) <= 5 * np.sqrt(share * (1 - share) / SAMPLES)


def test_reflected_and_refused_steps_keep_the_uniform_law_and_projected_ones_do_not() -> None:
    flat = Folded(GaussianMixture([1.0], [0.5], 100.0))  # uniform, with no score
    for wall, kept in (("reflected", True), ("metropolis", True), ("projected", False)):
        law = law_in_box(tableau(6), flat, wall, flat)  # type: ignore[arg-type]
        assert (law.tv(flat) < 1e-12) is kept, wall


def test_orders_at_walls_are_one_and_a_half() -> None:
    # on a short ladder, so that the lower orders are not settled: last slopes
    found = {
        wall: at_walls("euler-maruyama", wall, (16, 32, 64, 128))[0]
        for wall in ("reflected", "projected", "metropolis")
    }
    last = {
        wall: np.log2(np.array([one.tv[-2] / one.tv[-1], one.weak[-2] / one.weak[-1]]))
        for wall, one in found.items()
    }
    np.testing.assert_allclose(last["reflected"], 1.0, atol=0.02)
    np.testing.assert_allclose(last["metropolis"], 1.0, atol=0.06)
    np.testing.assert_allclose(last["projected"], 0.5, atol=0.04)
    assert found["projected"].on_walls[-1] > 0.03
    (flow,) = at_walls("heun", "none", (8, 16, 32))
    assert np.log2(flow.tv[-2] / flow.tv[-1]) == pytest.approx(2.0, abs=0.05)


def test_refusals_of_laws_in_a_box() -> None:
    with pytest.raises(ValueError, match="steps of one evaluation and one noise"):
        law_in_box(tableau(4, "heun"), IN_BOX, "reflected", BEGIN)
    plane = Folded(GaussianMixture([1.0], [[0.5, 0.5]], 0.1))
    with pytest.raises(ValueError, match="dim = 2"):
        law_in_box(tableau(4), plane, "reflected", plane)


def test_errors_on_a_flow_are_those_of_its_quantiles_and_of_the_mixture_at_infinity() -> None:
    data = data_of(targets.load("easy-1d"))
    u = np.linspace(0.001, 0.999, 41)
    for D in (1.0, 5.0, math.inf):
        flow = PoissonFlow(data, D)
        for sigma in (0.05, 40.0):
            np.testing.assert_allclose(flow.cdf(quantile(flow, u, sigma), sigma), u, atol=1e-12)
    (row,) = on_flow(math.inf, targets.load("easy-1d"), ("heun",), 16)
    grid = grids.karras(FLOW_PATH, 8)
    u = (np.arange(1024) + 0.5) / 1024
    x = data.noised(1.0, 40.0).quantile(u)
    end = run(catalogue["heun"].tableau(FLOW_PATH, grid), data, x[:, None])[:, 0]
    expected = np.sqrt(np.mean((np.sort(end) - data.noised(1.0, 0.05).quantile(u)) ** 2))
    assert (row.nfe, row.w2) == (16, pytest.approx(expected, rel=1e-9))
    (student,) = on_flow(1.0, targets.load("easy-1d"), ("heun",), 16)
    assert student.wrong < row.wrong  # fewer dimensions are more robust to a wrong model, as PFGM++ says


def test_the_study_shows_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.kernels.measured.POINTS", 64)
    monkeypatch.setattr("studies.kernels.measured.ERRED", ("rk4", 8))
    study = Kernels(
        ("walls", "poisson"), ("easy-1d", targets.load("easy-1d")), (2.0, math.inf), 16, (8, 16, 32)
    )
    found = measured(study)
    walls, flows = study.reports(found)
    assert list(walls.frame["wall"]) == ["reflected", "projected", "metropolis"] * 2 + ["none"]
    assert list(flows.frame["D"]) == ["2", "infinite"]
    assert len(study.verdicts(found)) == 2
    assert set(study.figures(found)) == {"kernels"}
    one = next(r for r in found if isinstance(r, AtWalls))
    assert one.steps == (8, 16, 32)
    assert len(slopes_of(one)) == 2
    assert isinstance(BOX_PATH, paths.VE)
