"""What holds exactly for token samplers on any grid, and the slope of what does not."""

from __future__ import annotations

import numpy as np
import pytest

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Tables, law
from studies.inference import Slope, fit
from tests.solvers.token_loops import MASK, NOISES, SHARP, SMOOTH, UNIFORM, Loops, State, distance, markov

CHAINS = [*NOISES, chains.GaussianOrdinal(3, 0.8, "cosine"), chains.PureDeath(3, "cosine")]
D3PMS = [chains.D3PM.uniform([0.1, 0.3, 0.5], 3), chains.D3PM.absorbing(4, 3), chains.D3PM.banded(3, 3, 1)]
FIRST_ORDER = ("discrete-euler", "tau-leaping", "poisson-tau-leaping-reject", "tweedie-tau-leaping")
named = pytest.mark.parametrize("noise", CHAINS, ids=lambda noise: noise.name)


@pytest.mark.parametrize("noise", [*CHAINS, *D3PMS], ids=repr)
def test_ancestral_sampling_of_one_token_is_exact_on_any_grid(noise: chains.SiteProcess) -> None:
    data = sequences.Product([[0.5, 0.3, 0.2]])
    grid = [noise.start, 1, 0] if isinstance(noise, chains.D3PM) else [noise.start, 0.6, 0.5, 0.01]
    found = law(catalogue["tweedie-tau-leaping"].kernel(noise, grid), data)
    np.testing.assert_allclose(found, Tables(noise, data).evidence(grid[-1]), rtol=0, atol=1e-14)


def test_masked_euler_is_ancestral_sampling_for_the_linear_schedule_and_no_other() -> None:
    data = markov(SHARP, 4)

    def gap(schedule: str, name: str) -> float:
        noise = chains.Absorbing(3, schedule)
        grid = grids.uniform(noise, 6)
        both = [law(catalogue[n].kernel(noise, grid), data) for n in (name, "tweedie-tau-leaping")]
        return distance(*both)

    assert gap("linear", "discrete-euler") < 1e-14
    assert gap("linear", "tau-leaping") > 1e-3
    assert gap("cosine", "discrete-euler") > 1e-3
    assert gap("polynomial", "discrete-euler") > 1e-3


@named
def test_plug_in_fed_with_the_cavity_is_ancestral_sampling(noise: chains.Chain) -> None:
    data, grid = markov(SHARP, 3), grids.uniform(noise, 4)
    fed = law(catalogue["plug-in-posterior"].kernel(noise, grid, fed="cavity"), data)
    exact = law(catalogue["tweedie-tau-leaping"].kernel(noise, grid), data)
    np.testing.assert_allclose(fed, exact, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("transition", "floor"), [(SMOOTH, 0.257), (SHARP, 0.369)], ids=["smooth", "sharp"])
def test_plug_in_fed_with_the_mean_keeps_a_floor_unless_the_noise_is_a_mask(
    transition: np.ndarray, floor: float
) -> None:
    data = markov(transition, 4)

    def error(noise: chains.Chain, steps: int, name: str = "plug-in-posterior") -> float:
        found = law(catalogue[name].kernel(noise, grids.geometric(noise, steps)), data)
        return distance(found, Tables(noise, data).evidence(noise.stop))

    coarse, fine = error(chains.Uniform(3, "constant"), 32), error(chains.Uniform(3, "constant"), 64)
    assert abs(fine / coarse - 1) < 0.05
    assert fine == pytest.approx(floor, abs=0.01)
    assert error(chains.Uniform(3, "constant"), 64, "tweedie-tau-leaping") < 0.05
    masks = chains.Absorbing(3, "polynomial")
    assert error(masks, 16) == pytest.approx(error(masks, 16, "tweedie-tau-leaping"), abs=1e-14)


@named
def test_settling_by_the_posterior_is_one_more_ancestral_step(noise: chains.Chain) -> None:
    data = markov(SHARP, 3)
    kernel = catalogue["tau-leaping"].kernel(noise, [0.9, 0.5, 0.2], finalise="posterior")
    ((ancestral,),) = catalogue["tweedie-tau-leaping"].kernel(noise, [0.2, 0.0]).steps
    _, _, before, settled = law(kernel, data, at="all")
    np.testing.assert_array_equal(settled.ravel(), ancestral.push(before.ravel(), Tables(noise, data)))


@pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=lambda noise: noise.name)
def test_settling_by_the_largest_entry_takes_each_site_to_its_most_probable_token(
    noise: chains.Chain,
) -> None:
    data = markov(SHARP, 2)
    loops = Loops(noise, data)
    kernel = catalogue["tau-leaping"].kernel(noise, [0.9, 0.4], finalise="argmax")
    nodes = law(kernel, data, at="all")

    def step(x: State) -> dict[State, float]:
        return {tuple(int(np.argmax(loops.endpoint(0.4, x, site))) for site in range(2)): 1.0}

    np.testing.assert_allclose(nodes[2].ravel(), loops.push(nodes[1].ravel(), step), rtol=1e-14)


def test_nothing_is_settled_at_the_data_itself() -> None:
    kernel = catalogue["tweedie-tau-leaping"].kernel(MASK, [1.0, 0.5, 0.0], finalise="argmax")
    assert kernel.final == ()


LADDERS = [
    *((name, chains.Absorbing(3, "polynomial")) for name in FIRST_ORDER),
    *((name, chains.Uniform(3, "constant")) for name in (*FIRST_ORDER, "poisson-tau-leaping")),
]


def slope_of_tv(name: str, noise: chains.Chain, length: int, steps: list[int]) -> Slope:
    tables = Tables(noise, markov(SMOOTH, length))
    errors = [
        distance(
            law(catalogue[name].kernel(noise, grids.geometric(noise, n)), tables.data, tables=tables),
            tables.evidence(noise.stop),
        )
        for n in steps
    ]
    return fit(steps, errors, 1e-14)


@pytest.mark.parametrize(("name", "noise"), LADDERS, ids=lambda value: getattr(value, "name", value))
def test_total_variation_falls_with_slope_one(name: str, noise: chains.Chain) -> None:
    slope = slope_of_tv(name, noise, 3, [8, 16, 32, 64, 128])
    assert slope.status == "settled"
    assert slope.low <= 1.0 <= slope.high
    assert slope.high - slope.low < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("name", "noise"), LADDERS, ids=lambda value: getattr(value, "name", value))
def test_total_variation_falls_with_slope_one_on_long_ladders(name: str, noise: chains.Chain) -> None:
    slope = slope_of_tv(name, noise, 4, [8, 16, 32, 64, 128, 256])
    assert slope.status == "settled"
    assert slope.low <= 1.0 <= slope.high
    assert slope.high - slope.low < 0.2
