"""The exact law: equal to what probing the sampler as a black box gives, and the orders it must show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import GaussianMixture, paths
from solvers import catalogue, grids, law, run
from solvers.continuous.executors.law import GaussianLaw, marginal
from studies.inference import Slope, fit, judge
from tests.shapes import PARASITIC

Array = NDArray[np.float64]
STARTS = [
    pytest.param(name, start, id=f"{name}-{start}")
    for name, method in catalogue.continuous.items()
    for start in (("practical", "exact") if method.multistep else ("practical",))
]


def _rotation(seed: int) -> Array:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]


def _full(variances: list[float], seed: int) -> Array:
    axes = _rotation(seed)
    covariance = (axes * variances) @ axes.T
    return (covariance + covariance.T) / 2


LINE = GaussianMixture([1.0], [[1.0]], 0.25)
FULL = GaussianMixture([1.0], [[0.7, -1.2, 0.4]], _full([1.5, 0.4, 0.02], 1)[None])
DEGENERATE = GaussianMixture([1.0], [[0.7, -1.2, 0.4]], np.array([[0.8, 0.0, 0.05]]))
DEGENERATE_FULL = GaussianMixture([1.0], [[0.3, 0.2, -1.0]], _full([1.0, 0.3, 0.0], 2)[None])
VE = paths.VE(0.02, 20)
PLACES = [
    (VE, grids.karras(VE, 5), LINE),
    (paths.VP(), grids.log_snr(paths.VP(), 5, start=0.8), FULL),
    (paths.VP(), grids.uniform(paths.VP(), 5, append_zero=True), DEGENERATE),
    (paths.Linear(), grids.uniform(paths.Linear(), 5, start=0.9, append_zero=True), FULL),
    (paths.SubVP(), grids.log_snr(paths.SubVP(), 5, start=0.7, stop=0.05), DEGENERATE_FULL),
]


def _probed(tableau: Any, target: GaussianMixture, centre: Array, covariance: Array) -> tuple[Array, Array]:
    """Mean and covariance of an affine sampler, from its outputs at the origin and at unit inputs."""
    dim, channels = target.dim, len(tableau.channels)
    inputs = 1 + dim * (1 + channels)
    x, z = np.zeros((inputs, dim)), np.zeros((channels, inputs, dim))
    x[1 : 1 + dim] = np.eye(dim)
    for channel in range(channels):
        first = 1 + dim * (1 + channel)
        z[channel, first : first + dim] = np.eye(dim)
    y = run(tableau, target, x, noise=z)
    offset, columns = y[0], (y[1:] - y[0]).reshape(1 + channels, dim, dim)
    mean = offset + centre @ columns[0]
    spread = columns[0].T @ covariance @ columns[0] + np.einsum("mij,mik->jk", columns[1:], columns[1:])
    return mean, spread


@pytest.mark.parametrize(("name", "start"), STARTS)
def test_law_equals_the_probed_sampler(name: str, start: str) -> None:
    for path, grid, target in PLACES:
        tableau = catalogue[name].tableau(path, grid, start=start)
        alpha, sigma = tableau.start
        eye, own = np.eye(target.dim), target.covariance()
        for initial, centre, covariance in (
            ("marginal", alpha * target.mean(), alpha**2 * own + sigma**2 * eye),
            ("prior", 0 * target.mean(), tableau.prior_deviation**2 * eye),
        ):
            mean, spread = _probed(tableau, target, centre, covariance)
            found = law(tableau, target, initial)
            scale = max(1.0, float(np.abs(spread).max())) * (100 if name in PARASITIC else 1)
            np.testing.assert_allclose(found.mean, mean, rtol=0, atol=1e-12 * scale**0.5)
            np.testing.assert_allclose(found.covariance, spread, rtol=0, atol=1e-12 * scale)


def test_law_takes_a_law_to_start_from_and_refuses_another_basis() -> None:
    path, grid, target = PLACES[1]
    tableau = catalogue["ddpm"].tableau(path, grid)
    basis = target.spectrum().basis
    assert basis is not None
    begin = GaussianLaw(np.array([0.3, -0.2, 1.0]), np.array([0.5, 2.0, 0.1]), basis)
    mean, spread = _probed(tableau, target, begin.mean, begin.covariance)
    found = law(tableau, target, begin)
    np.testing.assert_allclose(found.mean, mean, atol=1e-12)
    np.testing.assert_allclose(found.covariance, spread, atol=1e-12)
    with pytest.raises(ValueError, match="another basis"):
        law(tableau, target, GaussianLaw(begin.centre, begin.variances, None))
    with pytest.raises(ValueError, match="initial is 'posterior': use 'marginal', 'prior'"):
        law(tableau, target, "posterior")


def test_law_refuses_a_mixture_and_reports_overflow() -> None:
    mixture = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.1)
    with pytest.raises(ValueError, match="component"):
        law(catalogue["euler"].tableau(VE, PLACES[0][1]), mixture)
    path = paths.VP(0.1, 2e4)
    tableau = catalogue["euler-maruyama"].tableau(path, grids.uniform(path, 200))
    with pytest.raises(FloatingPointError, match="overflowed on 200 steps: take more steps"):
        law(tableau, LINE)


def test_error_to_agrees_with_the_textbook_distances() -> None:
    one = GaussianLaw(np.array([0.3, -0.1]), np.array([1.2, 0.5]), None)
    two = GaussianLaw(np.array([0.1, 0.4]), np.array([0.9, 0.7]), None)
    error, gap = one.error_to(two), one.centre - two.centre
    w2 = np.sqrt(gap @ gap + np.sum((np.sqrt(one.variances) - np.sqrt(two.variances)) ** 2))
    ratio = one.variances / two.variances
    kl = np.sum(ratio - 1 - np.log(ratio) + gap**2 / two.variances) / 2
    np.testing.assert_allclose([error.w2, error.kl], [w2, kl], rtol=1e-14)
    # relative error 1e-10: u - log(1 + u) is u^2/2 there, which a difference of logarithms would lose
    near = GaussianLaw(two.centre, two.variances * (1 + 1e-10), None)
    assert near.error_to(two).kl == pytest.approx(2 * 1e-20 / 4, rel=1e-5)
    flat = GaussianLaw(two.centre, np.array([0.9, 0.0]), None)
    assert two.error_to(flat).kl == np.inf
    assert flat.error_to(flat).kl == 0


# ---------------------------------------------------------------- orders


def _errors(name: str, start: str, mesh: list[Array]) -> list[Any]:
    out = []
    for grid in mesh:
        tableau = catalogue[name].tableau(VE, grid, start=start)
        out.append(law(tableau, LINE).error_to(marginal(LINE, *tableau.end)))
    return out


@pytest.mark.parametrize(
    ("name", "slope"), [("euler", 0.997), ("heun", 2.004), ("dpm-solver++-2m", 2.008), ("ddpm", 0.989)]
)
def test_slopes_of_w2_between_256_and_512_steps(name: str, slope: float) -> None:
    coarse, fine = _errors(name, "practical", [grids.karras(VE, 256), grids.karras(VE, 512)])
    assert round(float(np.log2(coarse.w2 / fine.w2)), 3) == slope


LADDER = [64, 128, 256, 512, 1024, 2048, 4096]


def _ladder(name: str, start: str, sigma: float, last: int = 4096) -> tuple[Array, Slope]:
    steps = LADDER[: LADDER.index(last) + 1]
    time = float(VE.time_of_log_snr(-np.log(sigma)))
    errors = _errors(name, start, [grids.log_snr(VE, n, start=time) for n in steps])
    size = np.array([error.w2 for error in errors])
    signed = np.array([[*error.mean, *error.deviation] for error in errors])
    return -np.diff(np.log2(size)), fit(steps, size, 1e-14, signed)


def test_third_order_multistep_as_published_has_order_2_and_corrected_3_from_exact_starts() -> None:
    local, slope = _ladder("dpm-solver++-3m-as-published", "exact", 3.0)
    assert slope.value == pytest.approx(2, abs=0.01)
    assert judge(3, slope) == "refuted"
    local, slope = _ladder("dpm-solver++-3m", "exact", 3.0)
    assert slope.low <= 3 <= slope.high
    assert judge(3, slope) == "confirmed"
    assert np.all(np.diff(local) < 0)
    assert 3 < local[-1] < 3.03


def test_practical_start_from_sigma_3_shows_order_2_by_512_steps() -> None:
    for name in ("dpm-solver++-3m", "dpm-solver++-3m-as-published"):
        local, slope = _ladder(name, "practical", 3.0, last=512)
        assert abs(local[-1] - 2) < 0.05
        assert judge(3, slope) == "refuted"


def test_practical_start_from_sigma_20_hides_its_order_and_is_never_confirmed() -> None:
    # The warm-up term, of order 2 and the other sign, overtakes beyond a hundred steps: a zero crossing.
    for last in (512, 1024, 2048, 4096):
        local, slope = _ladder("dpm-solver++-3m", "practical", 20.0, last=last)
        assert judge(3, slope) != "confirmed", last
    assert slope.crossing is not None
    assert local[0] > 2.8 > local[-1]
    assert judge(3, slope) == "refuted"


# ---------------------------------------------------------------- exact starts


@pytest.mark.parametrize("name", [name for name, method in catalogue.continuous.items() if method.multistep])
def test_an_exact_start_is_far_nearer_the_truth_than_one_step_of_a_good_method(name: str) -> None:
    # x where the start ends, against the flow's law there: 8 parts of order 4 gain 4096, 64 noisy ones of
    # order 2 gain 4096 on one step of RK4 and of sde-dpm-solver++-1.
    path, grid = paths.VP(), grids.log_snr(paths.VP(), 6, start=0.8)
    tableau = catalogue[name].tableau(path, grid, start="exact")
    history = tableau.blocks[-1].registers_in - (2 if name in ("unipc", "sa-solver") else 1)
    history = history // 2 if name == "scheduled-adams" else history  # which keeps two predictions of a node
    time = float(grid[history])
    begun = replace(
        tableau,
        blocks=tuple(block for block in tableau.blocks if block.span[-1, 1] >= time),
        end=(float(path.alpha(time)), float(path.sigma(time))),
    )
    assert begun.blocks[-1].span[-1, 1] == time
    if tableau.deterministic:
        coarse = catalogue["rk4"].tableau(path, grid[: history + 1], clock="log-snr")
    else:
        coarse = catalogue["sde-dpm-solver++-1"].tableau(path, grid[: history + 1])
    errors = [abs(law(t, LINE).error_to(marginal(LINE, *t.end)).variance[0]) for t in (begun, coarse)]
    assert errors[0] < errors[1] / 1000
