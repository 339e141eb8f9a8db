"""Orders are inferred, not eyeballed: what the inference confirms, refutes and leaves open."""

from __future__ import annotations

import numpy as np
import pytest

from studies.inference import Slope, exceeds, fit, fit_sampled, judge

STEPS = [16, 32, 64, 128, 256, 512]


def ladder(*terms: tuple[float, float], steps: list[int] = STEPS) -> np.ndarray:
    """Errors sum_i c_i N^-p_i."""
    return sum(c * np.array(steps, float) ** -p for c, p in terms)


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, 4])
def test_the_order_of_a_clean_ladder_lies_in_a_narrow_interval(order: float) -> None:
    slope = fit(STEPS, ladder((1.0, order), (3.0, order + 1)))
    assert slope.status == "settled"
    assert slope.low <= order <= slope.high
    assert slope.high - slope.low < 0.05


@pytest.mark.parametrize("claimed", [2, 3, 4])
@pytest.mark.parametrize("curvature", [-5.0, 0.5, 20.0])
def test_a_claim_one_order_too_high_is_refuted(claimed: int, curvature: float) -> None:
    slope = fit(STEPS, np.abs(ladder((1.0, claimed - 1), (curvature, claimed))))
    assert judge(claimed, slope) != "confirmed"
    assert judge(claimed - 1, slope) != "refuted"


def test_a_small_lower_order_term_keeps_the_higher_claim_from_being_confirmed() -> None:
    # 1e-3 N^-2 under N^-3: every rung still reads near 3, but by more every time
    slope = fit(STEPS, ladder((1e-3, 2), (1.0, 3)))
    assert slope.status == "drifting"
    assert judge(3, slope) == "unresolved"
    longer = [16 * 2**k for k in range(14)]
    assert judge(3, fit(longer, ladder((1e-3, 2), (1.0, 3), steps=longer))) == "refuted"


def test_a_floor_is_found_and_left_out() -> None:
    errors = np.maximum(ladder((1.0, 3), (1.0, 4)), 1e-6)
    slope = fit(STEPS, errors, 5e-7)
    assert slope.floor == pytest.approx(1e-6)
    assert judge(3, slope) in ("confirmed", "unresolved")
    assert judge(4, slope) != "confirmed"


def test_only_rungs_beyond_a_sign_change_are_read() -> None:
    signed = ladder((1.0, 2), (-40.0, 3))  # crosses zero at N = 40
    slope = fit(STEPS, np.abs(signed), 0.0, signed)
    assert slope.crossing == (32, 64)
    assert slope.window[0] >= 64
    short = fit(STEPS[:4], np.abs(signed[:4]), 0.0, signed[:4])
    assert short.status == "crossing"
    assert judge(2, short) == "unresolved"


def test_an_identically_zero_error_reads_exact_and_confirms_any_order() -> None:
    slope = fit(STEPS, np.zeros(6), 1e-16)
    assert slope.status == "exact"
    assert str(slope) == "exact"
    assert judge(7, slope) == "confirmed"


def test_unstable_rungs_are_left_out_and_an_unstable_ladder_settles_nothing() -> None:
    errors = ladder((1.0, 2), (1.0, 3))
    errors[0] = np.inf
    assert fit(STEPS, errors).low <= 2 <= fit(STEPS, errors).high
    assert fit(STEPS, np.full(6, np.nan)).status == "diverged"
    assert judge(1, fit(STEPS, np.full(6, np.nan))) == "unresolved"


def test_one_refuting_ladder_outweighs_confirming_ones_and_silence_decides_nothing() -> None:
    two = fit(STEPS, ladder((1.0, 2), (1.0, 3)))
    three = fit(STEPS, ladder((1.0, 3), (1.0, 4)))
    nothing = Slope(float("nan"), float("nan"), float("nan"), (16, 512), "floor")
    assert judge(3, three, two) == "refuted"
    assert judge(3, three, nothing) == "confirmed"
    assert judge(3, nothing) == "unresolved"
    assert judge(1, two) == "confirmed"  # a claim is a lower bound


@pytest.mark.parametrize("order", [1, 2])
def test_sampled_intervals_hold_the_true_order_and_miss_a_wrong_one(order: int) -> None:
    # 200 noisy ladders at level 0.99: the interval also covers curvature, so misses are rarer than 1 %.
    # P(more than 8 misses of 200 at 1 %) = 2e-4; seeds are fixed.
    rng = np.random.default_rng(order)
    truth = ladder((1.0, order), (1.0, order + 1))
    misses, wrong = 0, 0
    for _ in range(200):
        groups = truth[None, :, None] * np.ones((32, 6, 2)) + 1e-3 * truth.min() * rng.standard_normal(
            (32, 6, 2)
        )
        slope = fit_sampled(STEPS, groups)[2]
        misses += not slope.low <= order <= slope.high
        wrong += judge(order + 1, slope) == "confirmed"
    assert misses <= 8
    assert wrong == 0


def test_noise_that_swamps_the_ladder_reads_floor() -> None:
    rng = np.random.default_rng(3)
    errors, uncertainty, slope = fit_sampled(STEPS, rng.standard_normal((32, 6, 3)))
    assert slope.status == "floor"
    assert judge(1, slope) == "unresolved"
    assert errors.shape == uncertainty.shape == (6,)


@pytest.mark.parametrize(
    ("steps", "errors", "word"),
    [([16, 16, 32, 64], np.ones(4), "increasing"), ([16, 32], np.ones(3), "one error a rung")],
)
def test_bad_ladders_are_refused(steps: list[int], errors: np.ndarray, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        fit(steps, errors)


LONG = [16 * 2**k for k in range(9)]


def test_an_error_that_comes_to_stay_is_no_order() -> None:
    """What is left of a wrong coefficient: even where two terms cancel on the way, and slopes settle nowhere."""
    for signed in (
        5e-4 + ladder((0.1, 1), steps=LONG),
        5e-4 - ladder((0.1, 1), steps=LONG),
        3e-3 + ladder((4.0, 2), steps=LONG[:6]),
    ):
        slope = fit(LONG[: len(signed)], np.abs(signed), 1e-15, signed)
        assert judge(1, slope) == judge(0.5, slope) == "refuted"
    signed = 5e-4 - ladder((0.6, 1), steps=LONG)
    crossed = fit(LONG, np.abs(signed), 1e-15, signed)
    assert crossed.status == "stalled"
    assert crossed.floor == pytest.approx(5e-4, rel=0.1)
    assert str(crossed) == "stalls at 5.0e-04"
    for order in (0.5, 1, 2):  # an error that falls on does not stay, whatever its second term
        for second in (-30.0, -3.0, 30.0):
            signed = ladder((1.0, order), (second, order + 1), steps=LONG)
            assert fit(LONG, np.abs(signed), 1e-15, signed).status in ("settled", "crossing", "drifting")


def test_an_error_that_grows_refutes() -> None:
    slope = fit(STEPS, 1e-3 * np.exp(np.array(STEPS) / 100))
    assert slope.status == "growing"
    assert judge(1, slope) == "refuted"


def test_rounding_of_float32_is_a_floor_if_it_is_declared() -> None:
    rounding = 4e-16 * np.sqrt(LONG)
    resting = ladder((2.0, 1), steps=LONG) + 1e-6 * np.random.default_rng(0).uniform(0.5, 1.5, len(LONG))
    declared = fit(LONG, resting, rounding * 2**29)
    assert declared.floor is None or declared.floor > 1e-7
    assert judge(1, declared) == "confirmed"
    steep = fit(LONG, ladder((2.0, 4), steps=LONG) + 1e-7, rounding * 2**29)
    assert steep.status == "floor"
    assert judge(4, steep) == "unresolved"
    # undeclared it is what a wrong coefficient leaves
    assert judge(4, fit(LONG, ladder((2.0, 4), steps=LONG) + 1e-7, rounding)) == "refuted"


def test_a_ladder_that_drifts_well_above_a_claim_confirms_it() -> None:
    slope = fit(LONG[:6], ladder((1.0, 3), (0.002, 2), steps=LONG[:6]))
    assert slope.status == "drifting"
    assert (judge(2, slope), judge(3, slope)) == ("confirmed", "unresolved")
    assert exceeds(2, slope)
    assert not exceeds(2, fit(STEPS, ladder((1.0, 2))))


def test_too_few_rungs_are_too_few_steps() -> None:
    assert fit(STEPS[:3], ladder((1.0, 2))[:3], 1e-15).status == "too few steps"
    assert fit(STEPS, ladder((1.0, 4)), 1e-6).status == "floor"
    assert fit(STEPS, [np.nan] * 4 + [1e-3, 1e-4]).status == "diverged"


def test_an_interval_just_below_a_claim_refutes_it() -> None:
    near = fit(STEPS, ladder((1.0, 1.982)))
    assert near.high < 2
    assert judge(2, near) == "refuted"


def test_slopes_that_turn_a_little_below_an_order_do_not_refute_it() -> None:
    """Slopes of Heun's method in total variation on an interpolant of noise 1, which come to 2 from below."""
    local = np.array([1.979, 1.962, 1.969, 1.982, 1.991])
    errors = np.exp2(-np.concatenate([[0.0], np.cumsum(local)]))
    said = [judge(2, fit(STEPS[:rungs], errors[:rungs])) for rungs in range(4, 7)]
    assert said == ["confirmed", "unresolved", "confirmed"]
    assert judge(2.5, fit(STEPS, errors)) == "refuted"
