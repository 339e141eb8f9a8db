"""Mixtures by lanes and by products of matrices, and whole samples, against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from analytic import GaussianMixture, paths
from solvers import catalogue, grids, sample
from solvers.continuous.executors import mixture_block, mixture_lanes, mixture_products
from solvers.continuous.executors.mixture_block import components
from solvers.continuous.executors.packed import pack
from solvers.continuous.executors.trajectory import carry_plainly, plan_of
from solvers.numerics.lanes import BYTES

FLOATS = (np.float32, np.float64)


def targets_of(dim: int) -> dict[str, GaussianMixture]:
    rng = np.random.default_rng(dim)
    means = rng.standard_normal((6, dim))
    weights = np.array([0.3, 0.2, 0.2, 0.15, 0.1, 0.05])
    found = {
        "one": GaussianMixture([1.0], means[:1], rng.uniform(0.1, 1, (1, dim))),
        "shared": GaussianMixture(weights, means, np.tile(rng.uniform(0.1, 1, dim), (6, 1))),
        "isotropic": GaussianMixture(weights, means, np.repeat(rng.uniform(0.1, 1, (6, 1)), dim, 1)),
        "diagonal": GaussianMixture(weights, means, rng.uniform(0.1, 1, (6, dim))),
    }
    if dim > 1:
        root_of = rng.standard_normal((6, dim, dim))
        found["rotated"] = GaussianMixture(
            weights, means, root_of @ root_of.transpose(0, 2, 1) + 0.1 * np.eye(dim)
        )
    return found


@njit
def _evaluate(target: Any, normaliser: Any, asked: Any, alpha: Any, sigma: Any, x: Any, out: Any) -> None:
    level = mixture_lanes.level_of(target)
    mixture_lanes.prepare(target, normaliser, asked, alpha, sigma, level)
    logits = np.empty((len(normaliser), BYTES // x.itemsize), x.dtype)
    mixture_lanes.evaluate_lanes(level, x, out, logits)


@pytest.mark.parametrize("asked", [(1.0, 0.0), (0.0, 1.0), (0.7, -0.4)], ids=["denoiser", "score", "both"])
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_mixtures_by_lanes_are_the_plain_ones(dim: int, asked: tuple[float, float]) -> None:
    """Near, and so far that no component's weight is left but by reduction; each lane for itself."""
    for name, target in targets_of(dim).items():
        for alpha, sigma in ((0.8, 0.6), (1.0, 0.02), (0.05, 1.0)):
            x = np.random.default_rng(1).standard_normal((dim, 48))
            x[:, ::3] *= 300.0
            right = np.empty_like(x)
            of_data, of_score = asked
            normaliser = np.log(target.weights)
            if target.rotations is not None or name in ("isotropic", "diagonal"):
                normaliser = normaliser - np.log(alpha**2 * target.variances + sigma**2).sum(axis=1) / 2
            numbers = (np.array([of_data, of_score]), alpha, sigma)
            work = np.empty((len(normaliser) + 2 + dim, 48))
            mixture_block.evaluate(components(target), normaliser, *numbers, x, right, work)
            scale = np.abs(right).max(axis=0)
            for kind in FLOATS:
                given = (numbers[0].astype(kind), kind(alpha), kind(sigma))
                found = np.empty(x.shape, kind)
                _evaluate(components(target, kind), normaliser.astype(kind), *given, x.astype(kind), found)
                # rounding of x itself, of which the score makes x/sigma^2
                allowed = 60 * np.finfo(kind).eps * (1 + np.abs(x).max(axis=0) / sigma) * (scale + 1 / sigma)
                assert np.all(np.abs(found - right) <= allowed), (name, alpha, sigma, kind)


@njit
def _evaluate_at_once(
    target: Any, normaliser: Any, asked: Any, alpha: Any, sigma: Any, x: Any, out: Any
) -> bool:
    level = mixture_lanes.level_of(target)
    mixture_lanes.prepare(target, normaliser, asked, alpha, sigma, level)
    done: bool = mixture_lanes._evaluate_at_once(level, x, out)
    return done


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("K", [5, 6])
def test_one_long_pass_gives_the_bits_of_three_short_ones(K: int, kind: Any) -> None:
    """Machines with many registers take it; a sample far off sends all through three passes, and changes no other."""
    near = np.random.default_rng(2).standard_normal((2, 48)).astype(kind)
    far = near.copy()
    far[:, 7] = 1e4
    isotropic = targets_of(2)["isotropic"]
    target = components(
        GaussianMixture(np.full(K, 1 / K), isotropic.means[:K], isotropic.variances[:K]), kind
    )
    given = (np.zeros(K, kind), np.array([0.7, -0.4], kind), kind(0.8), kind(0.6))
    at_once, in_passes = np.empty_like(near), np.empty_like(far)
    assert _evaluate_at_once(target, *given, near, at_once)
    assert not _evaluate_at_once(target, *given, far, in_passes)
    _evaluate(target, *given, far, in_passes)
    assert np.isfinite(in_passes).all()
    others = np.arange(48) != 7
    np.testing.assert_array_equal(at_once[:, others], in_passes[:, others])


def _products(target: Any, *arguments: Any) -> None:
    _by_panels(target, mixture_products.panels_of(target), *arguments)


@njit
def _by_panels(
    target: Any, panels: Any, normaliser: Any, asked: Any, alpha: Any, sigma: Any, x: Any, out: Any
) -> None:
    panels = mixture_products.for_a_chunk(panels)
    mixture_products.prepare_products(target, normaliser, asked, alpha, sigma, panels)
    logits = np.empty((len(panels.offsets), 2 * BYTES // x.itemsize), x.dtype)
    mixture_products.evaluate_products(panels, alpha, x, out, logits)


@pytest.mark.parametrize("asked", [(1.0, 0.0), (0.0, 1.0), (0.7, -0.4)], ids=["denoiser", "score", "both"])
@pytest.mark.parametrize(("K", "dim"), [(8, 8), (13, 9), (40, 10)])
def test_mixtures_by_products_are_the_plain_ones(K: int, dim: int, asked: tuple[float, float]) -> None:
    """An odd number of vectors, so that the last is alone; variances 0 as of data, and others."""
    rng = np.random.default_rng(K)
    weights, means = rng.uniform(0.5, 1, K), 3 + rng.standard_normal((K, dim))
    for variances in (np.zeros(dim), rng.uniform(0.1, 0.5, dim)):
        target = GaussianMixture(weights / weights.sum(), means, np.tile(variances, (K, 1)))
        for alpha, sigma in ((0.8, 0.6), (1.0, 0.1), (0.05, 1.0)):
            x = alpha * target.sample(48, seed=1).T + sigma * rng.standard_normal((dim, 48))
            right, normaliser = np.empty_like(x), np.log(target.weights)
            numbers = (np.array(asked), alpha, sigma)
            mixture_block.evaluate(
                components(target), normaliser, *numbers, x, right, np.empty((K + 2 + dim, 48))
            )
            for kind in FLOATS:
                given = (np.array(asked, kind), kind(alpha), kind(sigma))
                found = np.empty(x.shape, kind)
                _products(components(target, kind), normaliser.astype(kind), *given, x.astype(kind), found)
                # of logits, as large as |x||m|/sigma^2, and of averages that the score divides by sigma^2
                allowed = (
                    20 * np.finfo(kind).eps * (1 + np.abs(means).max() / sigma) ** 2 * np.abs(right).max()
                )
                assert np.abs(found - right).max() <= allowed, (alpha, sigma, kind)


def test_samples_by_products_are_the_same_however_they_are_cut() -> None:
    rng = np.random.default_rng(3)
    target = GaussianMixture(np.full(12, 1 / 12), rng.standard_normal((12, 9)), np.full((12, 9), 0.1))
    panels = mixture_products.panels_of(components(target))
    assert panels is not None
    assert len(panels.centre) == 9
    path = paths.VP()
    tableau = catalogue["ddpm"].tableau(path, grids.uniform(path, 6))
    for dtype in ("float32", "float64"):
        whole = sample(tableau, target, 75, seed=2, dtype=dtype)
        parts = [(0, 1), (1, 17), (18, 40), (58, 17)]
        cut = np.concatenate([sample(tableau, target, n, seed=2, dtype=dtype, first=at) for at, n in parts])
        np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("kind", FLOATS)
def test_what_is_not_finite_stays_so(kind: Any) -> None:
    """Else a trajectory that overflows would end as a number like others."""
    for bad in (np.inf, -np.inf, np.nan, np.finfo(kind).max):
        for place in (0, 7):
            target = targets_of(8)["shared"]
            many = GaussianMixture(np.full(9, 1 / 9), np.arange(72.0).reshape(9, 8) / 9, np.full((9, 8), 0.1))
            for one, evaluate in ((target, _evaluate), (many, _products)):
                y = np.zeros((8, 16), kind)
                y[place, 3] = bad
                found = np.empty_like(y)
                numbers = (np.array([1, 0], kind), kind(0.9), kind(0.1))
                evaluate(components(one, kind), np.log(one.weights).astype(kind), *numbers, y, found)
                assert not np.all(np.isfinite(found[:, 3]))
                assert np.all(np.isfinite(np.delete(found, 3, axis=1)))


@pytest.mark.parametrize(
    "method", ["ddpm", "heun", "dpm-solver++-3m", "unipc", "sa-solver", "predictor-corrector"]
)
def test_samples_are_those_of_plain_loops(method: str) -> None:
    """But for rounding, of which float32 and float64 make the same 2^29 apart."""
    path = paths.VP()
    tableau = catalogue[method].tableau(path, grids.log_snr(path, 7))
    for target in (*targets_of(1).values(), *targets_of(2).values(), *targets_of(3).values()):
        plain, found = {}, {}
        for dtype in ("float32", "float64"):
            law = target.noised(*tableau.start)
            plan = plan_of(pack(tableau), target, law, dtype, np.uint64(4), 9)
            plain[dtype] = np.empty((50, target.dim), dtype)
            carry_plainly(0, 3, plan, 20, plain[dtype])
            found[dtype] = sample(tableau, target, 50, seed=4, first=9, dtype=dtype)
        made = max(np.abs(plain["float32"] - plain["float64"]).max(), 1e-7)
        assert np.abs(found["float32"] - plain["float64"]).max() <= 8 * made
        assert np.abs(found["float64"] - plain["float64"]).max() <= 8 * made * 2.0**-29


def test_a_lane_does_not_depend_on_its_neighbours() -> None:
    """Not even where one of them is computed again since it is far from everything."""
    target = targets_of(2)["diagonal"]
    normaliser = np.log(target.weights)
    x = np.random.default_rng(2).standard_normal((2, 16)).astype(np.float32)
    alone, beside = np.empty_like(x), np.empty_like(x)
    numbers = (np.array([1, 0], np.float32), np.float32(0.9), np.float32(0.1))
    parts = (components(target, np.float32), normaliser.astype(np.float32))
    _evaluate(*parts, *numbers, x, alone)
    x[:, 5] = 1e4
    _evaluate(*parts, *numbers, x, beside)
    others = np.arange(16) != 5
    np.testing.assert_array_equal(beside[:, others], alone[:, others])
    assert np.all(np.isfinite(beside))
