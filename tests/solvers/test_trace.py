"""The tracer: a method of one's own in a few lines, its mistakes named; methods found by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analytic import paths, targets
from solvers import Tableau, Trace, catalogue, grids, law, sample, strong
from solvers.catalogue import Catalogue, Claim
from solvers.continuous.trace import Level

VP = paths.VP()
GRID = grids.log_snr(VP, 5)
ROTATED, LINE = targets.load("rotated-2d"), targets.load("gaussian-1d")


def test_a_method_of_ones_own_takes_few_lines_and_runs_on_every_executor() -> None:
    def mine(path: Any, grid: Any) -> Tableau:
        trace = Trace("mine", path, grid)
        for step in trace.steps():
            (x,) = step.registers
            D = step.denoise(x, step.now)
            ratio = step.next.sigma / step.now.sigma
            step.close(ratio * x + (step.next.alpha - ratio * step.now.alpha) * D)
        return trace.tableau()

    tableau, euler = mine(VP, GRID), catalogue["euler"].tableau(VP, GRID)
    np.testing.assert_allclose(sample(tableau, ROTATED, 9), sample(euler, ROTATED, 9), atol=1e-13)
    np.testing.assert_allclose(law(tableau, LINE).variances, law(euler, LINE).variances, rtol=1e-13)
    assert strong(tableau, LINE) == pytest.approx(strong(euler, LINE), rel=1e-12)


def test_a_run_of_steps_equals_the_steps_one_by_one() -> None:
    trace = Trace("whole", VP, GRID)
    step = trace.run()
    (x,) = step.registers
    D = step.denoise(x, step.now)
    step.close(step.next.sigma / step.now.sigma * (x - step.now.alpha * D) + D * step.next.alpha)
    (block,), (expected,) = trace.tableau().blocks, catalogue["euler"].tableau(VP, GRID).blocks
    np.testing.assert_allclose(block.V, expected.V, rtol=1e-14)
    np.testing.assert_allclose(block.B, expected.B, rtol=1e-12)


def test_combinations_add_subtract_scale_and_divide() -> None:
    step = Trace("algebra", VP, GRID).run(0, 1)
    (x,) = step.registers
    z = step.noise(None)
    total = -(np.array([2.0]) * x - z * 3.0) / 4.0 + x
    assert {symbol: float(value[0]) for symbol, value in total.terms.items()} == {
        ("Z", 0): 0.5,
        ("xi", 0): 0.75,
    }


def test_levels_between_nodes_lie_on_the_path_and_scaled_ones_beside_it() -> None:
    step = Trace("levels", VP, GRID).run(1, 2)
    assert step.between(0) is step.now
    assert step.between(1) is step.next
    for clock, of in (
        ("time", lambda l: l.t),
        ("log-snr", lambda l: l.log_snr),
        ("sigma", lambda l: l.kappa),
    ):
        level: Level = step.between(0.25, clock)
        np.testing.assert_allclose(of(level), 0.75 * of(step.now) + 0.25 * of(step.next), rtol=1e-12)
        np.testing.assert_allclose(level.alpha, VP.alpha(level.t))
    above = step.now.scaled(2.0)
    np.testing.assert_array_equal(above.kappa, 2 * step.now.kappa)
    assert np.isnan(above.t).all()
    np.testing.assert_allclose(np.exp(-above.log_snr), above.kappa)


def test_the_tracers_mistakes_are_named() -> None:
    trace = Trace("wrong", VP, GRID)
    with pytest.raises(ValueError, match=r"close\(\) got no register"):
        trace.run().close()
    with pytest.raises(ValueError, match=r"nodes -1..0 are outside the grid's 0..5"):
        trace.run(0, 2).node(-1)
    with pytest.raises(
        ValueError, match="offset is -1: a step inside a grid interval has no neighbouring nodes"
    ):
        next(trace.inside(0, 2)).node(-1)
    with pytest.raises(ValueError, match="strictly decrease"):
        Trace("wrong", VP, GRID[::-1])
    with pytest.raises(ValueError, match="blocks is empty"):
        trace.tableau()


# ---------------------------------------------------------------- the catalogue


def test_a_method_is_registered_once_and_found_by_name_alias_or_not_at_all() -> None:
    own = Catalogue()

    @own.method("mine", claims=[Claim(1, "ode", "here")], source="here", aliases=("my-own",))
    def mine(path: Any, grid: Any, eta: float = 1.0) -> Tableau:
        """Say what it does."""
        return replace(catalogue["euler"].tableau(path, grid), name="mine")

    assert own["my-own"] is own["mine"]
    assert list(own) == ["mine"]
    assert own["mine"].options == {"eta": 1.0}
    assert own["mine"].summary == "Say what it does."
    with pytest.raises(ValueError, match="name is 'my-own', which the catalogue has already"):
        own.method("my-own", claims=[], source="here")(mine)
    with pytest.raises(
        ValueError, match=r"method is 'hune', which is not known: did you mean .*heun.*`assay list methods`"
    ):
        catalogue["hune"]
    with pytest.raises(KeyError):
        catalogue["hune"]
    with pytest.raises(
        ValueError, match=r"start is 'warm': use one of \('practical', 'single-step', 'exact'\)"
    ):
        own["mine"].tableau(VP, GRID, start="warm")
    with pytest.raises(ValueError, match="option 'rho' is not one of mine's options: it has eta"):
        own["mine"].tableau(VP, GRID, rho=7)
    with pytest.raises(ValueError, match=r"'mine', a continuous one: use \.tableau"):
        own["mine"].kernel(VP, GRID)
    with pytest.raises(ValueError, match="sense is 'good'"):
        Claim(1, "good", "here")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="order is 0: give a positive number"):
        Claim(0, "ode", "here")
