"""Schedules against 120-digit formulas, at both ends and between."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.interpolate import PchipInterpolator

from analytic import chains
from analytic.chains import schedules
from tests.analytic.chain_references import DIGITS, Scale, alphas

SCHEDULES = alphas()
every_schedule = pytest.mark.parametrize("name", SCHEDULES)
INSIDE = np.array([1e-12, 1e-6, 1e-3, 0.2, 0.5, 0.77, 0.999, 1 - 1e-6, 1 - 1e-12])
SMALL = 4e-15


def schedule_of(name: str) -> tuple[schedules.Schedule, Scale]:
    return SCHEDULES[name]


@every_schedule
def test_alpha_noise_and_rates_keep_their_relative_accuracy_at_both_ends(name: str) -> None:
    schedule, alpha = schedule_of(name)
    with mp.workdps(DIGITS):
        for k, t in enumerate(INSIDE):
            exact, h = alpha(mpf(t)), mpf(10) ** -40
            slope = (alpha(mpf(t) + h) - alpha(mpf(t) - h)) / (2 * h)
            # alpha = exp(-B) magnifies the rounding of a large B.
            slack = SMALL * max(1.0, float(-mp.log(exact)))
            assert schedule.alpha(INSIDE)[k] == pytest.approx(float(exact), rel=slack, abs=0)
            assert schedule.noise(t) == pytest.approx(float(1 - exact), rel=SMALL, abs=0)
            assert schedule.d_alpha(t) == pytest.approx(float(slope), rel=slack, abs=0)
            assert schedule.rate(t) == pytest.approx(float(-slope / exact), rel=2 * SMALL, abs=0)
            assert schedule.integrated_rate(t) == pytest.approx(float(-mp.log(exact)), rel=SMALL, abs=0)


@every_schedule
def test_times_are_found_again_from_alpha_and_from_noise(name: str) -> None:
    schedule, alpha = schedule_of(name)
    with mp.workdps(DIGITS):
        for t in INSIDE:
            exact, h = alpha(mpf(t)), mpf(10) ** -40
            slope = abs((alpha(mpf(t) + h) - alpha(mpf(t) - h)) / (2 * h))
            # The rounding of the argument, carried over to t.
            from_alpha = float(exact / slope) * 4e-16 + 1e-15
            from_noise = float((1 - exact) / slope) * 4e-16 + 1e-15 * t
            slack = 4 * max(1.0, float(-mp.log(exact)))
            assert abs(schedule.time_of_alpha(float(exact)) - t) <= slack * from_alpha
            assert abs(schedule.time_of_noise(float(1 - exact)) - t) <= slack * from_noise


@every_schedule
def test_times_of_alphas_next_to_one_lose_no_digits(name: str) -> None:
    schedule, _ = schedule_of(name)
    for k in (5, 20, 50):
        expected = float(schedule.time_of_noise(2.0**-k))
        assert schedule.time_of_alpha(1 - 2.0**-k) == pytest.approx(expected, rel=1e-15, abs=0)


@every_schedule
def test_schedules_start_at_the_data_and_fall(name: str) -> None:
    schedule, _ = schedule_of(name)
    t = np.linspace(0, 1, 101)
    assert schedule.alpha(0.0) == 1
    assert schedule.noise(0) == 0
    assert np.all(np.diff(schedule.alpha(t)) < 0)
    assert schedule.alpha(t.reshape(1, 101)).shape == (1, 101)
    assert schedule.time_of_noise(0.0) == 0
    assert schedule.time_of_alpha(schedule.alpha(1.0)) == pytest.approx(1.0, abs=1e-14)


@every_schedule
def test_step_gives_the_ratio_of_alphas_and_its_complement(name: str) -> None:
    schedule, alpha = schedule_of(name)
    with mp.workdps(DIGITS):
        for s, t in ((0.0, 1e-9), (1e-9, 1e-3), (0.2, 0.7), (0.9, 0.95), (0.999, 1 - 1e-6)):
            ratio = alpha(mpf(t)) / alpha(mpf(s))
            kept, lost = schedule.step(s, t)
            assert kept == pytest.approx(float(ratio), rel=1e-13, abs=0)
            assert lost == pytest.approx(float(1 - ratio), rel=1e-13, abs=0)
    assert schedule.step(1.0, 1.0) == (1.0, 0.0)


def test_a_schedule_of_ones_own_gives_the_same_chain_as_the_named_one() -> None:
    own = schedules.Given(lambda t: 1 - t**2, lambda t: -2 * t)
    named = schedules.Polynomial(2.0)
    t = np.linspace(0, 1, 33)
    np.testing.assert_allclose(own.alpha(t), named.alpha(t), rtol=0, atol=1e-15)
    np.testing.assert_allclose(own.time_of_alpha(named.alpha(t)), t, rtol=0, atol=1e-14)
    np.testing.assert_allclose(own.time_of_noise(named.noise(t[1:])), t[1:], rtol=0, atol=1e-13)
    ours, theirs = chains.Uniform(3, own), chains.Uniform(3, named)
    np.testing.assert_allclose(ours.transition(0.1, 0.8), theirs.transition(0.1, 0.8), rtol=1e-14)
    np.testing.assert_allclose(ours.rates(0.5), theirs.rates(0.5), rtol=1e-14)


def test_a_schedule_that_its_owner_changes_answers_anew() -> None:
    """Answers are kept for frozen schedules alone; a class that inherits from one is not frozen itself."""

    class Scaled(schedules.Polynomial):
        scale = 1.0

        def _alpha(self, t: np.ndarray) -> np.ndarray:
            return 1 - self.scale * (1 - super()._alpha(t))

    own = Scaled(2.0)
    assert float(own.alpha(0.5)) == 0.75
    own.scale = 0.5
    assert float(own.alpha(0.5)) == 0.875


def test_a_tabulated_profile_is_a_schedule() -> None:
    curve = PchipInterpolator([0, 0.3, 0.6, 1], [1, 0.9, 0.2, 0])
    schedule = schedules.Given(curve, curve.derivative())
    assert schedule.alpha(0.6) == pytest.approx(0.2)
    assert schedule.time_of_alpha(0.9) == pytest.approx(0.3)


@pytest.mark.parametrize("name", schedules.NAMED)
def test_names_stand_for_schedules_with_default_parameters(name: str) -> None:
    assert schedules.named(name) == schedules.NAMED[name]()
    assert chains.Absorbing(3, name) == chains.Absorbing(3, schedules.NAMED[name]())
