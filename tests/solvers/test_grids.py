"""Grids against their defining formulas, written independently in sigma/alpha or t."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytic import paths
from solvers import grids
from solvers.protocols import Clock, Path


@dataclass(frozen=True)
class Chain:
    """A process with a clock and no log-SNR."""

    start: float = 1.0
    stop: float = 0.01
    end: float = 1.0


PATHS = (
    paths.VP(),
    paths.VP(0.85, 12.0, schedule="scaled-linear"),
    paths.SubVP(),
    paths.CosineVP(),
    paths.VE(0.02, 20.0),
    paths.EDM(),
    paths.Linear(),
    paths.Trigonometric(),
    paths.Polynomial(3),
    paths.Gaussian(lambda t: 1 - t, lambda t: t, start=0.999, stop=0.001, end=1.0),
)
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
every_grid = pytest.mark.parametrize("name", grids.catalogue)
BY_LEVEL = ("log-snr", "karras", "exponential", "polyexponential", "shifted")


def kappa(path: paths.Gaussian, t: np.ndarray) -> np.ndarray:
    """Return sigma/alpha."""
    return path.sigma(t) / path.alpha(t)


@every_path
@every_grid
def test_grids_meet_their_ends_exactly_and_strictly_decrease(path: paths.Gaussian, name: str) -> None:
    stop = path.stop or (0.01 if name == "geometric" else 0.0)  # no ratio reaches zero
    for steps in (1, 2, 7, np.int64(40)):
        grid = grids.catalogue[name](path, steps, stop=stop)
        assert grid.shape == (steps + 1,)
        assert grid.dtype == np.float64
        assert (grid[0], grid[-1]) == (path.start, stop)
        assert np.all(np.diff(grid) < 0)


@every_grid
@given(
    steps=st.integers(1, 300),
    ends=st.tuples(st.floats(1e-6, 0.999), st.floats(1e-6, 0.999)).filter(lambda e: abs(e[0] - e[1]) > 1e-6),
    path=st.sampled_from(PATHS[:-1]),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_start_and_stop_are_met_wherever_they_are(
    name: str, steps: int, ends: tuple[float, float], path: paths.Gaussian
) -> None:
    grid = grids.catalogue[name](path, steps, start=max(ends), stop=min(ends))
    assert (grid[0], grid[-1], len(grid)) == (max(ends), min(ends), steps + 1)
    assert np.all(np.diff(grid) < 0)


@every_grid
def test_append_zero_adds_one_node_and_moves_none(name: str) -> None:
    make = grids.catalogue[name]
    for path in (paths.EDM(), paths.VP(), paths.Linear()):
        plain, zero = make(path, 10), make(path, 10, append_zero=True)
        assert zero.tolist() == [*plain.tolist(), 0.0]


def test_uniform_has_equal_time_steps() -> None:
    np.testing.assert_allclose(grids.uniform(paths.VP(), 4, stop=0.2), [1, 0.8, 0.6, 0.4, 0.2], rtol=1e-15)


def test_power_is_uniform_in_a_root_of_t() -> None:
    path = paths.Linear()
    for exponent, grid in ((2, grids.power(path, 9)), (5, grids.power(path, 9, exponent=5))):
        roots = np.linspace(0.999 ** (1 / exponent), 0.001 ** (1 / exponent), 10)
        np.testing.assert_allclose(grid, roots**exponent, rtol=1e-13)
    assert grids.quadratic is grids.power
    assert grids.power(paths.Linear(), 9, start=1.0, stop=0.0)[-1] == 0


def test_cosine_times_follow_a_quarter_cosine() -> None:
    grid = grids.cosine(paths.Linear(), 6, start=1.0, stop=0.0)
    np.testing.assert_allclose(grid, np.cos(np.arange(7) * np.pi / 12), atol=1e-15)
    grid = grids.cosine(paths.Linear(), 6, start=0.9, stop=0.1)
    np.testing.assert_allclose(grid, 0.1 + 0.8 * np.cos(np.arange(7) * np.pi / 12), rtol=1e-14)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.5])
def test_two_sided_times_have_odds_in_a_power_of_the_steps_odds(exponent: float) -> None:
    grid = grids.two_sided(paths.Linear(), 8, start=1.0, stop=0.0, exponent=exponent)
    steps = np.arange(7.0, 0.0, -1)
    np.testing.assert_allclose(grid[1:-1] / (1 - grid[1:-1]), (steps / (8 - steps)) ** exponent, rtol=1e-13)
    np.testing.assert_allclose(grid + grid[::-1], 1, rtol=0, atol=1e-15)
    fine = grids.two_sided(paths.Bridge(), 512)
    near_start, near_stop = fine[0] - fine[[1, 2]], fine[[-2, -3]] - fine[-1]
    for gaps in (near_start, near_stop):
        np.testing.assert_allclose(gaps[1] / gaps[0], 2**3.5, rtol=0.02)


@every_path
def test_log_snr_grid_is_geometric_in_sigma_over_alpha(path: paths.Gaussian) -> None:
    levels = kappa(path, grids.log_snr(path, 12))
    np.testing.assert_allclose(levels, np.geomspace(levels[0], levels[-1], 13), rtol=1e-11)
    assert grids.exponential is grids.log_snr


@every_path
@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_grid_is_uniform_in_a_root_of_sigma_over_alpha(path: paths.Gaussian, rho: float) -> None:
    levels = kappa(path, grids.karras(path, 12, rho=rho))
    expected = np.linspace(levels[0] ** (1 / rho), levels[-1] ** (1 / rho), 13) ** rho
    np.testing.assert_allclose(levels, expected, rtol=1e-11)


def test_karras_grid_has_the_published_sigmas() -> None:
    # Karras et al. 2022, eq. 5 with N = 18, as in their ImageNet-64 configuration.
    i = np.arange(18)
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(grids.karras(paths.EDM(), 17, append_zero=True)[:-1], expected, rtol=1e-13)


def test_karras_tends_to_log_snr_for_large_rho() -> None:
    path = paths.EDM()
    np.testing.assert_allclose(grids.karras(path, 10, rho=1e7), grids.log_snr(path, 10), rtol=1e-5)


@every_path
@pytest.mark.parametrize("rho", [0.5, 1.0, 2.0])
def test_polyexponential_is_a_power_of_a_ramp_in_log_sigma(path: paths.Gaussian, rho: float) -> None:
    logs = np.log(kappa(path, grids.polyexponential(path, 12, rho=rho)))
    ramp = np.linspace(1, 0, 13) ** rho
    np.testing.assert_allclose(logs, logs[-1] + ramp * (logs[0] - logs[-1]), rtol=1e-11, atol=1e-11)


def test_shifted_is_the_timestep_shift_of_flow_models_on_the_linear_path() -> None:
    u = np.linspace(1, 0, 11)
    for shift in (0.5, 1.0, 3.0):
        grid = grids.shifted(paths.Linear(), 10, start=1.0, stop=0.0, shift=shift)
        np.testing.assert_allclose(grid, shift * u / (1 + (shift - 1) * u), rtol=1e-14)


@every_path
def test_shifted_is_uniform_in_the_unshifted_noise_fraction(path: paths.Gaussian) -> None:
    levels = kappa(path, grids.shifted(path, 12, shift=3.0)) / 3
    steps = np.diff(levels / (1 + levels))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-9)


@pytest.mark.parametrize("name", ["uniform", "power", "cosine", "two-sided", "shifted"])
def test_grids_over_times_may_start_at_pure_noise_and_stop_at_the_data(name: str) -> None:
    grid = grids.catalogue[name](paths.Linear(), 5, start=1.0, stop=0.0)
    assert (grid[0], grid[-1]) == (1, 0)


def test_geometric_times_are_in_a_constant_ratio_and_never_reach_zero() -> None:
    grid = grids.geometric(Chain(), 8, start=0.9, stop=1e-3)
    np.testing.assert_allclose(grid[1:] / grid[:-1], (1e-3 / 0.9) ** (1 / 8), rtol=1e-14)
    with pytest.raises(ValueError, match=r"stop is 0.0, which no ratio reaches .*: stop at a time above 0"):
        grids.geometric(Chain(), 8, stop=0.0)


@pytest.mark.parametrize("name", ["uniform", "power", "geometric", "cosine", "two-sided"])
def test_grids_over_times_need_a_clock_only(name: str) -> None:
    assert isinstance(Chain(), Clock)
    assert not isinstance(Chain(), Path)
    grid = grids.catalogue[name](Chain(), 5, append_zero=True)
    assert (len(grid), grid[0], grid[-2], grid[-1]) == (7, 1, 0.01, 0)


def test_every_grid_is_in_the_catalogue_under_its_name() -> None:
    public = {
        name
        for name, function in vars(grids).items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and "steps" in inspect.signature(function).parameters
    }
    assert {name.replace("-", "_") for name in grids.catalogue} | {"quadratic"} == public
    for path in PATHS:
        assert isinstance(path, Path)


def test_parameters_default_to_the_conventional_values() -> None:
    for function, pinned in (
        (grids.power, {"exponent": 2}),
        (grids.karras, {"rho": 7}),
        (grids.polyexponential, {"rho": 1}),
        (grids.shifted, {"shift": 3}),
        (grids.two_sided, {"exponent": 3.5}),
    ):
        assert function(EDM, 9).tolist() == function(EDM, 9, **pinned).tolist()


def test_explicit_returns_a_copy_and_check_the_times() -> None:
    times = np.array([0.9, 0.5, 0.0])
    grid = grids.explicit(paths.Linear(), times)
    grid[0] = 0.7
    assert times[0] == 0.9
    assert grids.check(paths.EDM(), [3, 2, 1]).tolist() == [3.0, 2.0, 1.0]


LINEAR, EDM, VP = paths.Linear(), paths.EDM(), paths.VP()


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: grids.uniform(VP, 0), ValueError, "steps is 0; pass an integer of at least 1"),
        (lambda: grids.uniform(VP, -3), ValueError, "steps is -3"),
        (lambda: grids.karras(VP, 10.0), TypeError, "steps is 10.0; pass an integer"),
        (lambda: grids.log_snr(VP, True), TypeError, "steps is True; pass an integer"),
        (lambda: grids.log_snr(VP, "10"), TypeError, "steps is '10'"),
        (
            lambda: grids.uniform("vp", 10),
            TypeError,
            r"path is 'vp'; pass a path such as analytic.paths.VP\(\)",
        ),
        (lambda: grids.check("vp", [1.0, 0.0]), TypeError, "path is 'vp'"),
        (lambda: grids.karras(Chain(), 10), TypeError, "no log-SNR; use the grids uniform, power or cosine"),
        (lambda: grids.shifted(Chain(), 10), TypeError, "no log-SNR"),
        (
            lambda: grids.uniform(VP, 10, start=0.1, stop=0.2),
            ValueError,
            "start is 0.1 and stop is 0.2; pass finite times",
        ),
        (lambda: grids.uniform(VP, 10, start=999), ValueError, r"start is 999.0 .* start <= 1 for VP"),
        (lambda: grids.uniform(VP, 10, stop=-0.1), ValueError, "stop is -0.1"),
        (lambda: grids.uniform(VP, 10, stop=np.nan), ValueError, "stop is nan"),
        (lambda: grids.uniform(EDM, 10, start=np.inf), ValueError, "start is inf"),
        (lambda: grids.uniform(VP, 10, start="1"), TypeError, "start is '1'; pass a number"),
        (
            lambda: grids.log_snr(LINEAR, 10, start=1.0),
            ValueError,
            "start is 1.0, .* -inf; pass start= below it",
        ),
        (
            lambda: grids.karras(EDM, 10, stop=0),
            ValueError,
            r"stop is 0.0, .* inf; pass stop= above .*append_zero",
        ),
        (lambda: grids.polyexponential(VP, 10, stop=0), ValueError, "stop is 0.0"),
        (
            lambda: grids.uniform(VP, 10, stop=0, append_zero=True),
            ValueError,
            "append_zero is True, but stop is 0",
        ),
        (
            lambda: grids.karras(paths.VE(), 10, append_zero=True),
            ValueError,
            "append_zero is True, but stop is 0",
        ),
        (
            lambda: grids.karras(paths.VE(), 10, stop=0.1, append_zero=True),
            ValueError,
            r"append_zero is True, but sigma is 0.01 at t = 0 .*paths.EDM",
        ),
        (lambda: grids.karras(VP, 10, rho=0), ValueError, "rho is 0; pass a finite number above 0"),
        (lambda: grids.polyexponential(VP, 10, rho=-1.0), ValueError, "rho is -1.0"),
        (lambda: grids.power(VP, 10, exponent=np.inf), ValueError, "exponent is inf"),
        (lambda: grids.shifted(VP, 10, shift=None), TypeError, "shift is None; pass a number"),
        (lambda: grids.uniform(VP, 10**5, start=0.5, stop=0.5 - 1e-12), ValueError, "fewer steps"),
        (
            lambda: grids.explicit(VP, [0.5]),
            ValueError,
            r"grid has shape \(1,\); pass a 1-D array of at least 2",
        ),
        (lambda: grids.explicit(VP, [[0.5, 0.1]]), ValueError, r"grid has shape \(1, 2\)"),
        (lambda: grids.explicit(VP, [0.5, np.nan]), ValueError, r"grid\[1\] is nan; pass finite times"),
        (
            lambda: grids.explicit(VP, [0.1, 0.5]),
            ValueError,
            r"grid\[0\] is 0.1 and grid\[1\] is 0.5; .*reverse",
        ),
        (lambda: grids.explicit(VP, [0.5, 0.5]), ValueError, "must strictly decrease"),
        (lambda: grids.explicit(VP, [1.5, 0.5]), ValueError, r"from 1.5 to 0.5, outside the times \[0, 1\]"),
        (lambda: grids.explicit(VP, [0.5, 0.3, -0.5]), ValueError, "outside the times"),
        (lambda: grids.explicit(VP, ["a", "b"]), TypeError, r"grid is \['a', 'b'\]"),
        (
            lambda: grids.explicit(paths.VE(2.0, 2.0001), [0.5, np.nextafter(0.5, 0)]),
            ValueError,
            r"same noise level to rounding .* fewer steps",
        ),
    ],
)
def test_bad_input_names_argument_value_and_remedy(
    build: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        build()
    assert not re.search(r"np\.float64|\n", str(caught.value))
