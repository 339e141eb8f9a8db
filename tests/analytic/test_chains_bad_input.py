"""Bad input to chains and schedules gives one clear error: which argument, which value, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analytic.chains import (
    D3PM,
    Absorbing,
    BirthDeath,
    GaussianOrdinal,
    General,
    Hybrid,
    PureDeath,
    Uniform,
    schedules,
)

MASK = Absorbing(3)
NAN = float("nan")
EVEN = [[0.5, 0.5], [0.5, 0.5]]

CASES: dict[str, tuple[Callable[[], Any], str, str, str]] = {
    # name: (call, argument, value, remedy)
    "an empty vocabulary": (lambda: Absorbing(0), "vocabulary", "0", ">= 1"),
    "one token to mix": (lambda: Uniform(1), "vocabulary", "1", ">= 2"),
    "a walk on one token": (lambda: BirthDeath(1), "vocabulary", "1", ">= 2"),
    "a large count": (lambda: PureDeath(2000), "vocabulary", "2000", "1024"),
    "an unknown schedule": (lambda: Absorbing(3, "cosin"), "schedule", "cosin", "cosine"),
    "uniform noise of no share": (lambda: Hybrid(3, 0.0), "p_uniform", "0.0", "above 0"),
    "nothing but uniform noise": (lambda: Hybrid(3, 1.0), "p_uniform", "1.0", "between 0 and 1"),
    "marginals of no chain": (lambda: Hybrid(3, 0.1, 2.5), "gamma", "2.5", "at most 2"),
    "no width": (lambda: GaussianOrdinal(5, 0.0), "width", "0.0", "above 0"),
    "alpha_min of one": (lambda: schedules.LogLinear(1.0), "alpha_min", "1.0", "between 0 and 1"),
    "sigmas that fall": (lambda: schedules.Geometric(2.0, 1.0), "sigma_min", "2.0", "smaller"),
    "a power below 0": (lambda: schedules.Polynomial(-1), "power", "-1", "above 0"),
    "no noise at all": (lambda: schedules.Constant(0.0), "total", "0.0", "above 0"),
    "a schedule that rises": (
        lambda: schedules.Given(lambda t: 1 - t + 2 * np.maximum(t - 0.5, 0), lambda t: -1 + 0 * t),
        "function",
        "0.5",
        "must not increase",
    ),
    "a schedule that starts late": (
        lambda: schedules.Given(lambda t: 0.9 - 0.1 * t, lambda t: -0.1 + 0 * t),
        "function",
        "0.9",
        "1 at t = 0",
    ),
    "a wrong slope": (
        lambda: schedules.Given(lambda t: 1 - t, lambda t: -2 + 0 * t),
        "derivative",
        "-2",
        "correct it",
    ),
    "a time beyond the end": (lambda: MASK.alpha(1.5), "t", "1.5", "[0, 1]"),
    "a time that is no number": (lambda: MASK.alpha([0.1, NAN]), "t", "nan", "[0, 1]"),
    "an alpha never reached": (lambda: schedules.LogLinear().time_of_alpha(1e-4), "alpha", "0.0001", "0.001"),
    "a noise never reached": (lambda: schedules.Constant(1.0).time_of_noise(0.9), "noise", "0.9", "value on"),
    "a transition backwards": (lambda: MASK.transition(0.5, 0.2), "s", "0.5", "swap"),
    "a transition from before the data": (lambda: MASK.transition(-0.1, 0.2), "s", "-0.1", "[0, 1]"),
    "rates that are infinite": (lambda: MASK.rates(1.0), "t", "1.0", "(0, 1)"),
    "reverse rates at the data": (
        lambda: MASK.reverse_rates(0.0, [0.5, 0.25, 0.25], 3),
        "t",
        "0.0",
        "between 0 and 1",
    ),
    "a posterior of another time": (
        lambda: PureDeath(3).reverse_rates_from_cavity(0.5, [1.0, 0.0, 0.0], 2),
        "tokens",
        "2",
        "can reach",
    ),
    "a token beyond the mask": (lambda: MASK.likelihood(0.5, [[0, 4]]), "tokens", "4", "0 to 3"),
    "a token below 0": (lambda: MASK.likelihood(0.5, [[-1]]), "tokens", "-1", "0 to 3"),
    "as many posteriors as tokens": (
        lambda: MASK.reverse_rates(0.5, [[0.5, 0.25, 0.25]], [0, 1]),
        "tokens",
        "(2,)",
        "(2, 3)",
    ),
    "a law that does not sum to one": (
        lambda: MASK.marginal(0.5, [0.5, 0.5, 0.5]),
        "p0",
        "1.5",
        "p0.sum(axis=-1, keepdims=True)",
    ),
    "a law over states": (lambda: MASK.marginal(0.5, [0.25] * 4), "p0", "(4,)", "3 probabilities"),
    "a negative posterior": (
        lambda: MASK.reverse_rates(0.5, [1.5, -0.5, 0.0], 3),
        "posterior",
        "-0.5",
        ">= 0",
    ),
    "a rate matrix that is not square": (lambda: General(np.zeros((2, 3))), "Q", "(2, 3)", "square"),
    "a negative rate": (lambda: General([[1.0, -1.0], [0.0, 0.0]]), "Q[0, 1]", "-1", ">= 0"),
    "rows of rates that do not sum to zero": (
        lambda: General([[-1.0, 1.0], [2.0, -1.0]]),
        "row 1",
        "1.0",
        "sums to zero",
    ),
    "a rate that is infinite": (lambda: General([[NAN, 1.0], [0.0, 0.0]]), "Q[0, 0]", "nan", "finite"),
    "more tokens than states": (lambda: General([[-1, 1], [1, -1]], vocabulary=3), "vocabulary", "3", "2"),
    "steps that do not sum to one": (lambda: D3PM([[[0.5, 0.4], [0.0, 1.0]]]), "matrices", "0.9", "sum"),
    "one matrix for all steps": (lambda: D3PM(EVEN), "matrices", "(2, 2)", "(steps, states, states)"),
    "beta above one": (lambda: D3PM.uniform([0.5, 1.5], 3), "betas[1]", "1.5", "[0, 1]"),
    "a Gaussian of no width": (lambda: D3PM.gaussian([0.0], 3), "betas[0]", "0", "above 0"),
    "a band beyond the tokens": (lambda: D3PM.banded(10, 5, width=5), "width", "5", "at most 4"),
    "a posterior of step 0": (lambda: D3PM([EVEN]).posterior(0), "step", "0", "1 to 1"),
    "a step beyond the last": (lambda: D3PM([EVEN]).transition(0, 2), "t", "2", "0 to 1"),
    "no prior": (lambda: D3PM([np.eye(2)]).prior, "matrices", "1", "start from"),
}

WRONG_TYPES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "half a token": (lambda: Absorbing(2.5), "vocabulary", "2.5"),  # type: ignore[arg-type]
    "a schedule that is a number": (lambda: Absorbing(3, 0.5), "schedule", "0.5"),  # type: ignore[arg-type]
    "a schedule of no functions": (lambda: schedules.Given(1.0, 2.0), "function", "1.0"),  # type: ignore[arg-type]
    "a time as text": (lambda: MASK.transition(0.1, "end"), "t", "end"),  # type: ignore[arg-type]
    "tokens as floats": (lambda: MASK.likelihood(0.5, [[0.0, 1.0]]), "tokens", "float64"),
    "rates as text": (lambda: General([["a", "b"], ["c", "d"]]), "Q", "'a'"),  # type: ignore[list-item]
    "half a step": (lambda: D3PM([EVEN]).transition(0, 0.5), "t", "0.5"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_values_raise_one_error_with_argument_value_and_remedy(name: str) -> None:
    call, argument, value, remedy = CASES[name]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    message = str(caught.value)
    assert argument in message
    assert value in message
    assert remedy in message


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_wrong_types_raise_one_error_with_argument_and_value(name: str) -> None:
    call, argument, value = WRONG_TYPES[name]
    with pytest.raises(TypeError) as caught:
        call()
    assert argument in str(caught.value)
    assert value in str(caught.value)
