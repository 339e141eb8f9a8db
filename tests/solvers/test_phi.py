"""The phi-functions against mpmath's hypergeometric function, for steps from the tiniest to the longest."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.numerics.phi import phi

ULP = 2.0**-52


def _exact(k: int, z: float) -> float:
    """phi_k(z) = 1F1(1; k + 1; z)/k! (Kummer), in 60 digits."""
    with mpmath.workdps(60):
        return float(mpmath.hyp1f1(1, k + 1, mpmath.mpf(z)) / mpmath.factorial(k))


@pytest.mark.parametrize("k", range(6))
def test_phi_has_full_relative_accuracy_for_any_step(k: int) -> None:
    sizes = np.concatenate([np.geomspace(1e-300, 1e-3, 30), np.geomspace(1e-3, 700, 120), [2.0, 2 - 1e-15]])
    z = np.concatenate([-sizes, [0.0], sizes])
    exact = np.array([_exact(k, float(value)) for value in z])
    np.testing.assert_allclose(phi(k, z), exact, rtol=12 * ULP, atol=0)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(0, 5), st.floats(-700, 50))
def test_phi_obeys_its_recursion(k: int, z: float) -> None:
    # phi_k = 1/k! + z phi_{k+1}, in which nothing cancels for z >= 0
    scale = abs(float(phi(k, z))) + abs(z * float(phi(k + 1, z)))
    assert abs(phi(k, z) - (1 / float(mpmath.factorial(k)) + z * phi(k + 1, z))) < 40 * ULP * (1 + scale)


def test_phi_of_an_infinite_step_is_its_limit() -> None:
    for k in range(5):
        assert phi(k, -np.inf) == 0


def test_phi_keeps_the_shape_and_refuses_negative_indices() -> None:
    assert phi(2, np.zeros((3, 4))).shape == (3, 4)
    with pytest.raises(ValueError, match="k is -1: phi-functions are numbered from 0"):
        phi(-1, 0.0)
