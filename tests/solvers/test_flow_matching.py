"""Flow matching as it is used: the velocity, in time, from pure noise at t = 1 to the data at t = 0."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from analytic import paths, targets
from solvers import Imperfect, ScoreError, Trace, catalogue, denoiser, density, grids, law, run, sample

LINEAR = paths.Linear()
LINE = targets.load("easy-1d")
NORMAL, SPECTRUM, MIXTURE = (targets.load(name) for name in ("gaussian-1d", "spectrum-16", "pair-2d"))
ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "ralston": 2, "heun-3": 3, "rk4": 4, "rk4-3/8": 4}


def _whole(steps: int) -> Any:
    return grids.uniform(LINEAR, steps, start=1.0, stop=0.0)


# Over the whole straight path the midpoint method's leading error on N(0, v) is -h^2/24 ([3 a^2 + a'] + 4 int a^3) with
# a = S'/(2 S), S = (1 - t)^2 v + t^2, which is zero for every v: it gains an order that it has on no mixture.
ON_A_GAUSSIAN = ORDERS | {"midpoint": 3}


@pytest.mark.parametrize("name", ORDERS)
def test_no_order_is_lost_at_either_end_on_a_gaussian(name: str) -> None:
    errors = []
    for steps in (64, 128, 256):
        tableau = catalogue[name].tableau(LINEAR, _whole(steps), clock="time")
        assert tableau.start == (0.0, 1.0)
        assert tableau.end == (1.0, 0.0)
        errors.append(law(tableau, SPECTRUM).error_to(SPECTRUM).w2)
    for coarse, fine in pairwise(errors):
        assert np.log2(coarse / fine) == pytest.approx(ON_A_GAUSSIAN[name], abs=0.12)


@pytest.mark.parametrize("name", ORDERS)
def test_no_order_is_lost_at_either_end_on_a_mixture(name: str) -> None:
    x = np.linspace(-1.5, 1.5, 7)[:, None]
    ends = [
        run(catalogue[name].tableau(LINEAR, _whole(n), clock="time"), LINE, x) for n in (32, 64, 128, 256)
    ]
    changes = [np.max(np.abs(fine - coarse)) for coarse, fine in pairwise(ends)]
    assert np.log2(changes[-2] / changes[-1]) == pytest.approx(ORDERS[name], abs=0.25)


def test_a_step_before_the_data_and_the_step_to_it_ask_for_the_same_kind() -> None:
    tableau = catalogue["heun"].tableau(LINEAR, _whole(8))
    assert tableau.options["clock"] == "time"
    assert tableau.nfe == 16
    at_data = catalogue["heun"].tableau(paths.VP(), grids.uniform(paths.VP(), 8, stop=0.0), clock="time")
    assert at_data.nfe == 15  # there the velocity asks for the score of the data, which a model has not


@pytest.mark.parametrize("weight", ["sigma", "constant"])
def test_an_sde_starts_from_pure_noise_where_its_weight_is_finite(weight: str) -> None:
    errors = []
    for steps in (128, 256, 512):
        tableau = catalogue["euler-maruyama"].tableau(LINEAR, _whole(steps), weight=weight, last="mean")
        errors.append(abs(law(tableau, NORMAL).error_to(NORMAL).deviation[0]))
    for coarse, fine in pairwise(errors):
        assert np.log2(coarse / fine) == pytest.approx(1, abs=0.1)
    with pytest.raises(ValueError, match=r"from t = 1 to 0.75, where register 0 takes noise 0"):
        catalogue["euler-maruyama"].tableau(LINEAR, _whole(4))


def test_a_network_of_velocities_is_asked_as_it_is_at_both_ends() -> None:
    asked: list[float] = []

    def velocity(x: Any, t: float) -> Any:
        asked.append(t)
        if t == 0:
            return -x  # alpha' E[x_0|x] + sigma' E[eps|x] at the data
        D = MIXTURE.denoise(x, 1 - t, t)
        return -D + (x - (1 - t) * D) / t

    tableau = catalogue["rk4-3/8"].tableau(LINEAR, _whole(6), clock="time")
    x = np.random.default_rng(0).standard_normal((5, 2))
    model = denoiser(velocity, predicts="v", takes="t", path=LINEAR)
    np.testing.assert_allclose(run(tableau, model, x), run(tableau, MIXTURE, x), atol=1e-12)
    assert max(asked) == 1.0
    assert min(asked) == 0.0
    assert len(asked) == tableau.nfe


def test_euler_in_time_on_the_straight_path_is_ddim_and_alpha_deblending() -> None:
    x = np.random.default_rng(1).standard_normal((6, 2))
    ends = [
        run(catalogue["euler"].tableau(LINEAR, _whole(9), clock=c), MIXTURE, x) for c in ("time", "sigma")
    ]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-13)
    y = x  # Heitz, Belcour and Chambon 2023, Algorithm 4: x += (a' - a)(xbar_1 - xbar_0), a = 1 - t
    levels = 1 - _whole(9)
    for a, then in pairwise(levels):
        D = MIXTURE.denoise(y, a, 1 - a)
        noise = (y - a * D) / (1 - a)
        y = y + (then - a) * (D - noise)
    np.testing.assert_allclose(ends[0], y, atol=1e-13)


def test_samples_and_density_agree_with_run_where_velocities_are_asked_for() -> None:
    tableau = catalogue["sit-sde-heun"].tableau(LINEAR, _whole(7), weight="sigma")
    x = np.random.default_rng(2).standard_normal((40, 2))
    z = np.random.default_rng(3).standard_normal((len(tableau.channels), 40, 2))
    np.testing.assert_allclose(
        sample(tableau, MIXTURE, 40, initial=x, noise=z), run(tableau, MIXTURE, x, noise=z), atol=1e-12
    )
    smooth = density(catalogue["heun"].tableau(LINEAR, _whole(16)), NORMAL)
    assert smooth.mean == pytest.approx(
        float(law(catalogue["heun"].tableau(LINEAR, _whole(16)), NORMAL).mean[0])
    )


@pytest.mark.parametrize("path", [paths.Trigonometric(), paths.Polynomial(2)], ids=lambda path: path.name)
def test_times_found_from_levels_still_ask_a_network_of_velocities_alone(path: Any) -> None:
    grid = grids.uniform(path, 7, start=0.97, stop=0.02)
    tableau = catalogue["heun-3"].tableau(path, grid, clock="time")

    def velocity(x: Any, t: float) -> Any:
        a, s = float(path.alpha(t)), float(path.sigma(t))
        D = MIXTURE.denoise(x, a, s)
        return float(path.d_alpha(t)) * D + float(path.d_sigma(t)) * (x - a * D) / s

    model = denoiser(velocity, predicts="v", takes="t", path=path)
    for level, asks in zip(tableau.blocks[0].levels[:, 0], tableau.blocks[0].asks[:, 0], strict=True):
        t = float(path.time_of_log_snr(np.log(level[0]) - np.log(level[1])))
        x = np.ones((1, 2))
        np.testing.assert_array_equal(model.ask(x, *level, *asks), velocity(x, t))
    x = np.random.default_rng(0).standard_normal((5, 2))
    np.testing.assert_allclose(run(tableau, model, x), run(tableau, MIXTURE, x), atol=1e-11)


@pytest.mark.parametrize("of", ["score", "eps", "x0"])
@pytest.mark.parametrize("shape", ["constant", "relative", "wave", "bump"])
def test_a_wrong_model_is_wrong_by_as_much_when_asked_for_its_velocity(of: Any, shape: Any) -> None:
    wrong = Imperfect(LINE, ScoreError(0.3, shape, of))
    grid = grids.uniform(LINEAR, 6, start=0.9, stop=0.1)
    x = np.linspace(-1, 1, 9)[:, None]
    heun = catalogue["heun"].tableau(LINEAR, grid, clock="time")
    ends = [run(heun, model, x) for model in (wrong, LINE)]
    assert np.max(np.abs(ends[0] - ends[1])) > 1e-3
    np.testing.assert_allclose(
        sample(catalogue["heun"].tableau(LINEAR, grid, clock="time"), wrong, 9, initial=x),
        ends[0],
        atol=1e-12,
    )
    # the same slope written with the denoiser: v = (sigma'/sigma) x + (alpha' - alpha sigma'/sigma) D
    trace = Trace("by hand", LINEAR, grid)
    for step in trace.steps():
        (y,) = step.registers
        h, slopes, u = step.next.t - step.now.t, [], y
        for level in (step.now, step.next):
            D = step.denoise(u, level)
            slopes.append(u / level.sigma + (-1 - level.alpha / level.sigma) * D)
            u = y + h * slopes[0]
        step.close(y + h / 2 * (slopes[0] + slopes[1]))
    np.testing.assert_allclose(run(trace.tableau(), wrong, x), ends[0], atol=1e-11)
    if shape in ("constant", "relative"):
        normal = Imperfect(NORMAL, ScoreError(0.3, shape, of))
        laws = [law(t, normal) for t in (trace.tableau(), heun)]
        np.testing.assert_allclose(laws[0].variances, laws[1].variances, rtol=1e-11)
        np.testing.assert_allclose(laws[0].mean, laws[1].mean, atol=1e-11)
