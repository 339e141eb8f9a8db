"""The executors agree with each other bit for bit or to rounding, and with the exact law."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import special, stats

from analytic import GaussianMixture, paths, targets
from solvers import catalogue, grids, law, run, sample

Array = NDArray[np.float64]
VP, LINEAR = paths.VP(), paths.Linear()
# an exact start adds steps of other shapes, which take long to compile: for CI
STARTS = [
    pytest.param(name, start, id=f"{name}-{start}", marks=pytest.mark.slow if start == "exact" else ())
    for name, method in catalogue.continuous.items()
    for start in (("practical", "exact") if method.multistep else ("practical",))
]
PLANE = GaussianMixture([1.0], [[0.8, -0.5]], [[[0.6, 0.35], [0.35, 0.3]]])
DIGITS = targets.load("digits")
TARGETS = {
    "line": (targets.load("easy-1d"), 70),
    "rotated": (targets.load("rotated-2d"), 70),
    "isotropic": (targets.load("pair-2d"), 5),
    "diagonal": (
        GaussianMixture([0.3, 0.7], [[-1.0, 0.3, 0.1], [1.0, 0, 0.2]], [[0.1, 0.5, 0.0], [0.2, 0.3, 0.4]]),
        5,
    ),
    "atoms": (GaussianMixture(np.full(50, 0.02), DIGITS.means[:50], 0.0), 3),
}
FALSE_ALARM = 1e-6  # of the comparison of laws and samples, all methods together


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    """Keep torch from waiting on busy cores over arrays of a few hundred numbers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "start"), STARTS)
def test_fused_equals_arrays_on_numpy_and_on_torch(name: str, start: str) -> None:
    for path, zero in ((VP, True), (LINEAR, False)):
        tableau = catalogue[name].tableau(
            path, grids.log_snr(path, 5, start=0.9, append_zero=zero), start=start
        )
        for label, (target, n) in TARGETS.items():
            fused = sample(tableau, target, n, seed=9)
            numpy = run(tableau, target, "marginal", seed=9, n=n, full=True)
            bound = 1e-12 * max(1.0, *(float(np.abs(x).max()) for x in numpy.trajectory))
            np.testing.assert_allclose(fused, numpy.x, rtol=0, atol=bound, err_msg=label)
            on_torch = run(tableau, target, torch.from_numpy(numpy.trajectory[0].copy()), seed=9)
            assert isinstance(on_torch, torch.Tensor)
            np.testing.assert_allclose(on_torch.numpy(), numpy.x, rtol=0, atol=bound, err_msg=label)


@pytest.mark.parametrize(("name", "start"), STARTS)
def test_law_agrees_with_many_fused_samples(name: str, start: str) -> None:
    # Whitened by the exact law: two means, three second moments and a Kolmogorov-Smirnov distance. So many
    # samples see a relative error of a deviation of one percent.
    n = 250_000
    tableau = catalogue[name].tableau(VP, grids.log_snr(VP, 5, start=0.8, stop=0.02), start=start)
    exact = law(tableau, PLANE)
    x = sample(tableau, PLANE, n, seed=2024)
    white = np.linalg.solve(np.linalg.cholesky(exact.covariance), (x - exact.mean).T)
    moments = white @ white.T / n - np.eye(2)
    quantile = stats.norm.isf(FALSE_ALARM / len(STARTS) / 6 / 2)
    assert np.abs(white.mean(axis=1)).max() < quantile / np.sqrt(n)
    assert np.abs(np.diag(moments)).max() < quantile * np.sqrt(2 / n)
    assert abs(moments[0, 1]) < quantile / np.sqrt(n)
    cdf = special.ndtr(np.sort((white[0] + white[1]) / np.sqrt(2)))
    ranks = np.arange(n) / n
    distance = max(float(np.max(cdf - ranks)), float(np.max(ranks + 1 / n - cdf)))
    assert distance * np.sqrt(n) < stats.kstwobign.isf(FALSE_ALARM / len(STARTS) / 6)


@pytest.mark.parametrize(("name", "start"), STARTS)
def test_samples_are_bit_identical_for_any_threads_and_any_cut(name: str, start: str) -> None:
    target = TARGETS["rotated"][0]
    tableau = catalogue[name].tableau(VP, grids.log_snr(VP, 4), start=start)
    whole = sample(tableau, target, 333, seed=5, threads=1)
    if numba.config.NUMBA_NUM_THREADS > 1:
        np.testing.assert_array_equal(sample(tableau, target, 333, seed=5, threads=2), whole)
    cuts = (0, 1, 65, 130, 331, 333)
    parts = [sample(tableau, target, b - a, seed=5, first=a) for a, b in pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    part = run(tableau, target, "marginal", seed=5, n=3, first=330)
    np.testing.assert_allclose(part, whole[330:], rtol=0, atol=1e-12 * max(1, np.abs(whole).max()))


@pytest.mark.parametrize(("name", "start"), STARTS)
def test_float32_stays_within_its_rounding(name: str, start: str) -> None:
    # On an easy target a few hundred units in the last place of 2^-23, over ten steps
    target = TARGETS["line"][0]
    tableau = catalogue[name].tableau(LINEAR, grids.uniform(LINEAR, 10, start=0.9, stop=0.05), start=start)
    wide = sample(tableau, target, 500, seed=1)
    single = sample(tableau, target, 500, seed=1, dtype="float32")
    assert single.dtype == np.float32
    assert np.abs(single - wide).max() < 300 * 2.0**-23 * np.abs(wide).max()


def test_seeds_and_samples_differ() -> None:
    tableau, target = catalogue["ddpm"].tableau(VP, grids.log_snr(VP, 4)), TARGETS["rotated"][0]
    one, two = (sample(tableau, target, 100, seed=seed) for seed in (0, 1))
    assert len(np.unique(np.concatenate([one, two]))) == 400
