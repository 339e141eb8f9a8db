"""A move of another kind is one class: everything that runs kernels runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analytic import chains
from solvers.discrete import Kernel, Sites, Tables, bridge, law, path_kl, sample, walk
from solvers.discrete.executors.evaluations import evaluations
from solvers.discrete.model.cavities import Model
from tests.solvers.made_up_move import OneSite
from tests.solvers.token_loops import MASK, SMOOTH, UNIFORM, chi_square, distance, markov

ALARM = 1e-7  # false-alarm rate of each of two checks by samples


def site_by_site(noise: Any, length: int, steps: int = 4) -> Kernel:
    grid = np.linspace(0.8, 0.2, steps + 1)
    return walk(
        "site-by-site", noise, grid, lambda t, s: [OneSite(bridge(noise, t, s), i) for i in range(length)]
    )


@pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=["masked", "uniform"])
def test_a_move_of_another_kind_has_law_samples_path_and_evaluations(noise: chains.Chain) -> None:
    one, data, kernel = markov(SMOOTH, 1), markov(SMOOTH, 3), site_by_site(noise, 3)
    exact = Tables(noise, one).evidence(0.2)
    assert distance(law(site_by_site(noise, 1), one), exact) < 1e-15
    assert chi_square(law(kernel, data), sample(kernel, data, 20_000, seed=4)) > ALARM
    np.testing.assert_allclose(path_kl(site_by_site(noise, 1), one), 0.0, rtol=0, atol=1e-13)
    coarse, fine = (path_kl(site_by_site(noise, 3, steps), data).sum() for steps in (4, 16))
    if noise is MASK:  # where the posterior does not age, sites one after the other are the exact step
        assert max(abs(coarse), abs(fine)) < 1e-14
    else:
        assert 0 < 2 * fine < coarse < 1
    assert kernel.evaluations(3) == 12
    assert (evaluations(kernel, data, 5) == 12).all()
    assert kernel.finalised("posterior").evaluations(3) == 13


def test_steps_may_have_no_moves() -> None:
    data, idle = markov(SMOOTH, 2), walk("idle", MASK, [0.8, 0.5], lambda t, s: [])
    np.testing.assert_array_equal(law(idle, data).ravel(), Tables(MASK, data).evidence(0.8))
    assert idle.aim(data) is data
    assert idle.finalised("posterior").evaluations(2) == 1


def test_a_move_that_draws_in_its_own_way_does_not_inherit_what_a_gpu_does() -> None:
    class Idle(Sites):
        def draw(self, *_: Any) -> None: ...

    class Same(Sites): ...

    flow, model = bridge(MASK, 0.8, 0.5), Model(MASK, markov(SMOOTH, 2))
    assert Idle(flow, "probability").thread(model) is None
    assert Same(flow, "probability").thread(model) is not None
