"""Every refused input names the argument, its value and the remedy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

from analytic import distances
from tests.analytic.normal_laws import normal_density

POINTS = np.zeros((5, 2))
BAD_INPUTS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: distances.gaussian_w2([0, 0], [1, 1], [0], [1]),
        ValueError,
        r"mean_a has dimension 2 and mean_b has 1",
    ),
    (
        lambda: distances.gaussian_w2([0, np.nan], [1, 1], [0, 0], 1),
        ValueError,
        r"mean_a has the value nan at \[1\]",
    ),
    (lambda: distances.gaussian_w2([0], [-1], [0], [1]), ValueError, r"covariance_a has the variance -1"),
    (
        lambda: distances.gaussian_w2([0, 0], 1, [0, 0], [[1, 2], [2, 1]]),
        ValueError,
        r"covariance_b has the eigenvalue -1",
    ),
    (
        lambda: distances.gaussian_w2([0, 0], [[1, 2], [0, 1]], [0, 0], 1),
        ValueError,
        r"covariance_a differs from its transp",
    ),
    (
        lambda: distances.gaussian_w2([0, 0], np.ones(3), [0, 0], 1),
        ValueError,
        r"covariance_a has shape \(3,\)",
    ),
    (lambda: distances.gaussian_w2(POINTS, 1, POINTS, 1), ValueError, r"mean_a has shape \(5, 2\)"),
    (lambda: distances.gaussian_w2("one", 1, 0, 1), TypeError, r"mean_a = 'one' is not an array"),
    (lambda: distances.gaussian_tv(0, -1, 0, 1), ValueError, r"variance_a = -1\.0"),
    (lambda: distances.gaussian_tv([0, 1], 1, 0, 1), ValueError, r"mean_a has shape \(2,\)"),
    (lambda: distances.w2_1d([1.0], [1.0, 2.0]), ValueError, r"a has 1 samples: give at least 2"),
    (lambda: distances.w2_1d(POINTS, POINTS), ValueError, r"a has shape \(5, 2\)"),
    (lambda: distances.w2_1d(special.ndtri, lambda u: u[:3]), ValueError, r"b returned shape"),
    (lambda: distances.w2_1d(special.ndtri, lambda u: u * np.nan), ValueError, r"b returned nan at"),
    (
        lambda: distances.tv_1d(normal_density(0, 1), normal_density(0, 1), [1, 0]),
        ValueError,
        r"breakpoints = \[1",
    ),
    (
        lambda: distances.tv_1d(normal_density(0, 1), lambda x: -x, [-9, 9]),
        ValueError,
        r"density_b returned -.*non-negative",
    ),
    (
        lambda: distances.kl_1d(lambda x: 0 * x + 800, lambda x: 0 * x, [0, 1]),
        ValueError,
        r"log_density_a returned 800",
    ),
    (lambda: distances.w2_samples(POINTS, np.zeros((5, 3))), ValueError, r"x has dimension 2 and y has 3"),
    (lambda: distances.w2_samples(np.zeros((5001, 2)), np.zeros((5001, 2))), ValueError, r"5001.*sliced_w2"),
    (lambda: distances.sliced_w2(POINTS, POINTS, projections=1), ValueError, r"projections = 1"),
    (lambda: distances.energy_distance(POINTS[:2], POINTS), ValueError, r"x has 2 samples: give at least 3"),
    (lambda: distances.mmd(POINTS, POINTS), ValueError, r"x and y have a median distance of 0"),
    (lambda: distances.mmd(POINTS, POINTS, bandwidth=-1), ValueError, r"bandwidth = -1"),
    (
        lambda: distances.moment_errors(POINTS, [0, 0], np.eye(2)),
        ValueError,
        r"x has 5 samples for 5 moments",
    ),
    (
        lambda: distances.moment_errors(POINTS, [0, 0, 0], 1),
        ValueError,
        r"mean has shape \(3,\): give \(2,\)",
    ),
    (lambda: distances.tv_witness([0.0], [[0, 1]], 1.5), ValueError, r"probability = 1\.5"),
    (lambda: distances.tv_witness([0.0], [[0, 2], [1, 3]], 0.5), ValueError, r"witness = .*disjoint"),
    (lambda: distances.tv_witness([0.0], [0, 1], 0.5), ValueError, r"witness has shape \(2,\)"),
    (lambda: distances.tv_witness([0.0], lambda x: x, 0.5), TypeError, r"witness returned dtype float64"),
    (
        lambda: distances.tv_witness(POINTS, lambda x: x > 0, 0.5),
        ValueError,
        r"witness returned shape \(5, 2\)",
    ),
    (lambda: distances.Estimate(0, 1).interval(95), ValueError, r"level = 95"),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), BAD_INPUTS, ids=[message for _, _, message in BAD_INPUTS]
)
def test_bad_input_names_argument_and_value(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
