"""Log-densities along the flow and of a sampler's map, against SciPy, closed forms and densities on the line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from analytic import paths, targets
from solvers import catalogue, density, grids
from solvers.continuous.executors.likelihood import BUTCHER, flow_log_density, map_log_density, push

VE = paths.VE(0.02, 20.0)


def setup(name, path=VE, n=6):
    target = targets.load(name)
    law = target.noised(float(path.alpha(path.stop)), float(path.sigma(path.stop)))
    x = law.sample(n, seed=1)
    return target, x, law.log_density(x)


@pytest.mark.parametrize("clock", ["sigma", "log-snr", "time"])
def test_many_steps_of_rk4_give_the_targets_own_log_density(clock):
    path = paths.VP()
    target, x, truth = setup("rotated-2d", path)
    times = grids.log_snr(path, 256)[::-1]
    np.testing.assert_allclose(
        flow_log_density("rk4", path, times, target, x, clock=clock).log_density, truth, atol=2e-5
    )


def test_the_augmented_system_agrees_with_scipy():
    path = paths.VP()
    target, x, _ = setup("pair-2d", path, n=1)

    def drift(t, state):
        # the score form of the flow, and its divergence by the Hessian: not what the solver uses
        law = target.noised(float(path.alpha(t)), float(path.sigma(t)))
        f, g2, y = float(path.f(t)), float(path.g2(t)), state[None, :2]
        divergence = 2 * f - g2 / 2 * np.trace(law.hessian(y)[0])
        return [*(f * y - g2 / 2 * law.score(y))[0], divergence]

    found = solve_ivp(drift, (path.stop, path.start), [*x[0], 0.0], "DOP853", rtol=1e-11, atol=1e-12)
    mine = flow_log_density("rk4", path, grids.log_snr(path, 512)[::-1], target, x, terminal="prior")
    np.testing.assert_allclose(mine.end[0], found.y[:2, -1], atol=1e-8)
    prior = -np.sum(found.y[:2, -1] ** 2) / 2 - np.log(2 * np.pi)
    assert mine.log_density[0] == pytest.approx(prior + found.y[2, -1], abs=2e-7)


def test_one_euler_step_on_a_gaussian_is_the_closed_form():
    target = targets.load("gaussian-1d")  # N(1, 1/4)
    path = paths.EDM()
    x, (low, high) = np.array([[0.3]]), (0.5, 2.0)
    gain = 0.25 / (0.25 + low**2)
    end = 0.3 + (high - low) * (0.3 - (1 + gain * (0.3 - 1))) / low
    variance = 0.25 + high**2
    expected = -((end - 1) ** 2) / (2 * variance) - np.log(2 * np.pi * variance) / 2 + 1.5 * (1 - gain) / low
    assert flow_log_density("euler", path, [low, high], target, x).log_density[0] == pytest.approx(
        expected, rel=1e-13
    )


@pytest.mark.parametrize("name", BUTCHER)
def test_a_method_here_is_the_catalogues_walked_the_other_way(name):
    # fourth-order agreement of a round trip would hide a wrong table; one step's inverse does not
    path, target = paths.EDM(), targets.load("pair-2d")
    x = np.array([[0.2, -0.4]])
    errors = []
    for h in (0.02, 0.01):
        end = flow_log_density(name, path, [1.0, 1.0 + h], target, x).end
        back, _ = push(catalogue[name].tableau(path, [1.0 + h, 1.0]), target, end)
        errors.append(np.linalg.norm(back - x))
    order = catalogue[name].claims[0].order
    assert np.log2(errors[0] / errors[1]) > order + 0.9


@pytest.mark.parametrize("name", ["euler", "heun", "dpm-solver++-2m", "deis-tab-2"])
def test_the_maps_log_density_is_that_of_the_density_executor(name):
    target, x, _ = setup("easy-1d")
    tableau = catalogue[name].tableau(VE, grids.karras(VE, 12))
    log_density = map_log_density(tableau, target, x)
    exact = density(tableau, target)
    h = 1e-4
    for place, value in zip(x[:, 0], log_density, strict=True):
        slope = (exact.cdf(place + h) - exact.cdf(place - h)) / (2 * h)
        assert float(np.log(slope)) == pytest.approx(value, abs=1e-5)


def test_the_maps_jacobian_is_its_finite_difference():
    target = targets.load("rotated-2d")
    tableau = catalogue["dpm-solver++-2m"].tableau(VE, grids.karras(VE, 10))
    z, h = np.array([[3.0, -8.0]]), 1e-5
    _, jacobian = push(tableau, target, z)
    for column in range(2):
        move = h * np.eye(2)[column]
        difference = (push(tableau, target, z + move)[0] - push(tableau, target, z - move)[0]) / (2 * h)
        np.testing.assert_allclose(jacobian[0, :, column], difference[0], atol=1e-8)


@pytest.mark.parametrize("law", ["gaussian", "rademacher"])
def test_hutchinsons_variance_is_that_of_its_draws(law):
    target, x, _ = setup("rotated-2d", n=1)
    found = flow_log_density("heun", VE, grids.karras(VE, 8)[::-1], target, x)
    rng, n = np.random.default_rng(0), 200_000
    shape = (n, 1, 2)
    probes = rng.standard_normal(shape) if law == "gaussian" else rng.choice([-1.0, 1.0], shape)
    drawn = found.hutchinson(probes)[:, 0]
    variance = found.variance(law)[0]
    assert abs(drawn.mean() - found.log_density[0]) < 5 * np.sqrt(variance / n)
    centred = (drawn - found.log_density[0]) ** 2  # 5 standard errors: false alarm 6e-7
    assert abs(centred.mean() - variance) < 5 * centred.std() / np.sqrt(n) + 1e-12


def test_bad_input_names_argument_and_value():
    target, x, _ = setup("gaussian-1d")
    times = grids.karras(VE, 4)[::-1]
    with pytest.raises(ValueError, match="method is 'ddpm'"):
        flow_log_density("ddpm", VE, times, target, x)
    with pytest.raises(ValueError, match="times is"):
        flow_log_density("heun", VE, times[::-1], target, x)
    with pytest.raises(ValueError, match="clock is 'hours'"):
        flow_log_density("heun", VE, times, target, x, clock="hours")
    with pytest.raises(ValueError, match="terminal is 'data'"):
        flow_log_density("heun", VE, times, target, x, terminal="data")
    with pytest.raises(ValueError, match="draws noise"):
        map_log_density(catalogue["ddpm"].tableau(VE, times[::-1]), target, x)


@pytest.mark.parametrize("name", BUTCHER)
def test_stages_stand_where_the_catalogues_do(name):
    # of two methods of one order, the places of the stages tell which it is
    tableau = catalogue[name].tableau(paths.EDM(), [2.0, 1.0])
    places = [2.0 - float(c) for c in BUTCHER[name].c]
    np.testing.assert_allclose(tableau.blocks[0].levels[0, :, 1], places, rtol=1e-13)
