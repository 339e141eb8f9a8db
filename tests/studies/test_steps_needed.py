"""The number of steps at which an error meets a target: dips, floors and guesses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from studies.scaling import needs
from studies.steps_needed import NotReachedError, crossing, steps_to_reach, steps_to_stay
from tests.studies.test_cli import Run, assay  # noqa: F401  (a fixture)

Array = NDArray[np.float64]


def test_an_order_floor_is_told_from_steps_that_do_not_suffice() -> None:
    with pytest.raises(NotReachedError, match="no longer falls"):
        steps_to_stay(lambda steps: 0.5 + 1 / steps**2, 0.1, 64)
    with pytest.raises(NotReachedError, match=r"0\.016$"):
        steps_to_stay(lambda steps: 1.024 / steps, 0.001, 64)
    with pytest.raises(NotReachedError, match="unstable"):
        steps_to_stay(lambda steps: float("inf"), 0.001, 64)


def test_a_dip_where_two_terms_cancel_is_not_taken_for_the_answer() -> None:
    def error(steps: int) -> float:
        return abs(1 / steps - 8 / steps**2)

    expected = (1 + np.sqrt(1 - 4 * 0.01 * 8)) / 0.02
    assert steps_to_reach(error, 0.01) < 9
    assert steps_to_stay(error, 0.01) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("near", [0.4, 3.0, 40.0, 55.3, 300.0, 1e7])
def test_a_guess_changes_nothing_but_the_work(near: float) -> None:
    asked: set[int] = set()

    def error(steps: int) -> float:
        asked.add(steps)
        return 3.0 / steps + 20.0 / steps**2

    assert steps_to_reach(error, 0.06, near=near, most=1 << 12) == steps_to_reach(error, 0.06)
    if near == 55.3:
        asked.clear()
        steps_to_reach(error, 0.06, near=near)
        assert len(asked) <= 4


def test_a_wider_bracket_moves_the_crossing_by_less_than_a_fit_can_see() -> None:
    def error(steps: int) -> float:
        return 3.0 / steps**2 + 50.0 / steps**3

    exact, coarse = (crossing(error, 1e-5, 512, 1024, precision) for precision in (0.0, needs.PRECISION))
    assert coarse == pytest.approx(exact, rel=needs.INTERPOLATION)
    assert error(int(exact)) > 1e-5 >= error(int(exact) + 1)
