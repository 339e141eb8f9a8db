"""Steps needed against size: the search for the crossing, and exponents that are known."""

from __future__ import annotations

import numpy as np
import pytest

from analytic import chains, sequences
from studies.engine import run
from studies.scaling import on_tokens
from studies.scaling.on_tokens import by_information, by_law, chain_of
from studies.scaling.study import TokenSteps
from studies.steps_needed import steps_to_reach


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
def test_the_crossing_of_a_power_law_is_found_exactly(order: float) -> None:
    asked: list[int] = []

    def error(steps: int) -> float:
        asked.append(steps)
        return 7.3 * steps**-order

    found = steps_to_reach(error, 0.01)
    assert found == pytest.approx((7.3 / 0.01) ** (1 / order), rel=1e-9)
    assert len(set(asked)) < 30


def test_the_crossing_is_between_the_whole_numbers_around_it() -> None:
    def error(steps: int) -> float:
        return 3.0 / steps + 20.0 / steps**2 + 0.1 * np.sin(steps) / steps**2

    found = steps_to_reach(error, 0.05)
    assert error(int(np.ceil(found))) <= 0.05 < error(int(np.floor(found)))


def test_a_target_below_the_floor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"target is 0.01, not reached in 64 steps: the error is 0.5"):
        steps_to_reach(lambda steps: 0.5, 0.01, most=64)


def test_information_and_enumeration_agree_on_what_masked_sampling_costs() -> None:
    """Path KL of the exact law on a grid from all masks to none, against the sum over the profile."""
    from solvers import catalogue, grids
    from solvers.discrete import path_kl

    data, noise = chain_of(3, 4), chains.Absorbing(3, "linear")
    for steps in (3, 7):
        kernel = catalogue["tweedie-tau-leaping"].kernel(noise, grids.uniform(noise, steps, stop=0.0))
        assert path_kl(kernel, data).sum() == pytest.approx(by_information(data, "even")(steps), abs=1e-13)


def test_steps_for_a_fixed_path_kl_grow_linearly_with_the_length_under_masks() -> None:
    for schedule in ("even", "optimal"):
        steps = [steps_to_reach(by_information(chain_of(3, n), schedule), 0.1) for n in (64, 128, 256)]
        assert np.diff(np.log2(steps)) == pytest.approx([1, 1], abs=0.03)


def test_the_optimal_schedule_needs_fewer_steps() -> None:
    sharp = sequences.MarkovSequence([0.5, 0.5], [[0.98, 0.02], [0.02, 0.98]], 64)
    even, best = (steps_to_reach(by_information(sharp, s), 0.1) for s in ("even", "optimal"))
    assert best < 0.8 * even


def test_a_fit_of_the_steps_returns_the_exponent_put_in() -> None:
    sizes = (4, 8, 16, 32, 64)
    ladder = on_tokens.Ladder(
        "length", "masks", "even", "TV", 0.01, sizes, lambda n: lambda steps: n**1.5 / steps
    )
    (found,) = ladder.measure()
    assert found.exponent.value == pytest.approx(1.5, abs=1e-6)
    assert found.exponent.low <= 1.5 <= found.exponent.high
    assert on_tokens.summary([found]).loc[0, "exponent"].startswith("1.500")
    assert len(on_tokens.frame([found])) == 5


def test_uniform_noise_needs_fewer_steps_than_masks_for_the_same_tv_on_a_geometric_grid() -> None:
    data = chain_of(2, 3)
    masks = steps_to_reach(by_law(chains.Absorbing(2, "polynomial"), data, "TV"), 0.02)
    uniform = steps_to_reach(by_law(chains.Uniform(2, "constant"), data, "TV"), 0.02)
    assert uniform < masks


@pytest.mark.slow
def test_every_ladder_of_the_study_is_measured() -> None:
    found = run(TokenSteps())
    assert len(found) == 10
    long = [s for s in found if s.sizes[-1] == 1000]
    assert [s.exponent.value for s in long] == pytest.approx([1, 1], abs=0.01)
