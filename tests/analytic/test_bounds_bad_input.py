"""What the evidence bounds refuse, and how they say so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analytic import chains, sequences
from analytic.bounds import conditional, continuous_time, discrete_time
from analytic.chains import schedules

UNIFORM, DATA = chains.Uniform(2), sequences.Enumerated([[0.4, 0.1], [0.5, 0.0]])
KINKED = schedules.Given(
    lambda t: np.where(t < 0.37, 1 - t, 0.63 - (t - 0.37) / 3), lambda t: np.where(t < 0.37, -1.0, -1 / 3)
)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: discrete_time("mask", [1, 0], DATA, [[0, 0]]), TypeError, "noise is 'mask'; give a noise"),
        (
            lambda: discrete_time(UNIFORM, [1, 0], np.eye(2) / 2, [[0, 0]]),
            TypeError,
            "(?s)data is .*; give a law",
        ),
        (
            lambda: discrete_time(chains.Uniform(3), [1, 0], DATA, [[0, 0]]),
            ValueError,
            "build both for the same",
        ),
        (lambda: discrete_time(UNIFORM, [1, 0], DATA, [[0, 2]]), ValueError, r"tokens\[0, 1\] is 2"),
        (
            lambda: discrete_time(UNIFORM, [1, 0], DATA, [[0, 0], [1, 1]]),
            ValueError,
            "probability 0 .* in row 1",
        ),
        (
            lambda: discrete_time(UNIFORM, [0, 1], DATA, [[0, 0]]),
            ValueError,
            "grid goes from 0.0 to 1.0; give",
        ),
        (lambda: discrete_time(UNIFORM, [1], DATA, [[0, 0]]), ValueError, r"grid has shape \(1,\)"),
        (lambda: discrete_time(UNIFORM, [2, 0], DATA, [[0, 0]]), ValueError, "times from 0 to 1"),
        (
            lambda: discrete_time(chains.D3PM.uniform(3, 2), [2.5, 0], DATA, [[0, 0]]),
            ValueError,
            "whole times",
        ),
        (
            lambda: discrete_time(UNIFORM, [1, 0], DATA, [[0, 0]], parametrisation="mean"),
            ValueError,
            "parametrisation is 'mean'; use 'average' or 'plug-in'",
        ),
        (
            lambda: discrete_time(UNIFORM, [1, 0], DATA, [[0, 0]], initial="data"),
            ValueError,
            "initial is 'data'; use 'prior'",
        ),
        (lambda: discrete_time(UNIFORM, [1, 0], DATA, [[0, 0]], draws=1), ValueError, "draws is 1; .* >= 2"),
        (lambda: discrete_time(UNIFORM, [1, 0], DATA, [[0, 0]], draws=2, seed=-1), ValueError, "seed is -1"),
        (
            lambda: discrete_time(
                UNIFORM, [1, 0], sequences.Product(np.full((18, 2), 0.5)), np.zeros((1, 18), int)
            ),
            ValueError,
            r"2\^18 = 262144 noisy states, more than 131072: give draws=",
        ),
        (lambda: continuous_time(chains.D3PM.uniform(3, 2), DATA, [[0, 0]]), TypeError, "use discrete_time"),
        (
            lambda: continuous_time(UNIFORM, DATA, [[0, 0]], start=0.1, stop=0.2),
            ValueError,
            "stop is 0.2 and start is 0.1",
        ),
        (
            lambda: continuous_time(chains.Absorbing(2, KINKED), sequences.Product([[0.4, 0.6]]), [[0]]),
            FloatingPointError,
            "the time integral from 0 to 1 is known to",
        ),
        (lambda: conditional(DATA, [0, 3]), ValueError, "is 3; give tokens"),
        (lambda: conditional(DATA, [[0, 2]]), ValueError, "tokens has shape"),
        (
            lambda: conditional(sequences.Product(np.full((30, 2), 0.5)), np.full(30, 2)),
            ValueError,
            "30 masked sites, 1073741824 ways",
        ),
        (lambda: conditional(DATA, [1, 1]), ValueError, "tokens reveals what has probability 0"),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
