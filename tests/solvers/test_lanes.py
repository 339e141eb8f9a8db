"""Lanes do what scalars do, each for itself; primitives, normals and mixtures by lanes against plain forms."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import numba
import numpy as np
import pytest
from numba import njit

from analytic import GaussianMixture, paths
from solvers import catalogue, grids, sample
from solvers.continuous.executors import mixture_block, mixture_lanes, mixture_products
from solvers.continuous.executors.mixture_block import components
from solvers.continuous.executors.packed import pack
from solvers.continuous.executors.trajectory import carry_plainly, plan_of
from solvers.numerics import philox, primitives
from solvers.numerics.jit import COMPILED, in_parallel, using_threads
from solvers.numerics.lanes import (
    BYTES,
    any_of,
    at,
    beyond,
    convert,
    fma,
    join,
    lane_of,
    larger,
    load,
    ordinals,
    reinterpret,
    root,
    select,
    spread,
    start_of,
    store,
)

FLOATS, WORDS = (np.float32, np.float64), (np.uint32, np.uint64)


@njit
def _arithmetic(x: Any, y: Any, out: Any) -> None:
    p, q, r = start_of(x), start_of(y), start_of(out)
    kind = x.dtype.type
    a, b, n = load(p, 0), load(q, 0), len(x)
    for i, value in enumerate(
        (
            a + b,
            a - b,
            a * b,
            a / b,
            -a,
            kind(2.0) - a,
            root(larger(a, kind(0.0))),
            fma(a, b, kind(-1.0)),
            select(a < b, a, b),
            select(a >= kind(0.25), b, kind(7.0)),
            spread(at(p, 1)) + load(beyond(q, 0), 0),
        )
    ):
        store(r, i * n, value)


@pytest.mark.parametrize("kind", FLOATS)
def test_arithmetic_is_that_of_each_lane(kind: Any) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, BYTES // kind().itemsize)).astype(kind)
    out = np.empty((11, len(x)), kind)
    _arithmetic(x, y, out)
    exact = [
        kind(float(Fraction(float(a)) * Fraction(float(b)) - 1)) for a, b in zip(x, y, strict=True)
    ]  # rounded twice in float32, which shows in none of these
    wanted = [x + y, x - y, x * y, x / y, -x, 2 - x, np.sqrt(np.maximum(x, 0)), exact, np.minimum(x, y)]
    wanted += [np.where(x >= 0.25, y, 7), x[1] + y]
    for found, right in zip(out, wanted, strict=True):
        np.testing.assert_array_equal(found, np.asarray(right, kind))
    assert np.any(out[7] != (x * y - kind(1)))  # which is rounded twice


@njit
def _bits(x: Any, y: Any, out: Any) -> bool:
    p, q, r = start_of(x), start_of(y), start_of(out)
    kind = x.dtype.type
    a, b, n = load(p, 0), load(q, 0), len(x)
    values = (a + b, a * b, a & b, a | b, a ^ b, a << kind(3), a >> kind(5), select(a > b, a, b))
    for i, value in enumerate(values):
        store(r, i * n, value)
    return bool(any_of(a == b))


@pytest.mark.parametrize("kind", WORDS)
def test_bits_are_those_of_each_lane(kind: Any) -> None:
    most = np.iinfo(kind).max
    x, y = np.random.default_rng(0).integers(0, most, (2, BYTES // kind().itemsize), kind, endpoint=True)
    out = np.empty((8, len(x)), kind)
    assert not _bits(x, y, out)
    wanted = [x + y, x * y, x & y, x | y, x ^ y, x << kind(3), x >> kind(5), np.maximum(x, y)]
    np.testing.assert_array_equal(out, wanted)
    y[-1] = x[-1]
    assert _bits(x, y, out)


@njit
def _conversions(x: Any, halves: Any, floats: Any, signed: Any) -> Any:
    a = load(start_of(x), 0)
    store(start_of(halves), 0, join(convert(a, np.uint32), convert(a >> np.uint64(32), np.uint32)))
    store(start_of(floats), 0, reinterpret(ordinals(np.uint64(1 << 62)), np.float64))
    small = reinterpret(load(start_of(halves), 0), np.int32)
    store(start_of(signed), 0, convert(small, np.float32))
    return lane_of(a, 3)


def test_conversions_keep_numbers_and_reinterpretations_keep_bits() -> None:
    x = np.random.default_rng(0).integers(0, 2**64, 8, np.uint64)
    halves, floats, signed = np.empty(16, np.uint32), np.empty(8), np.empty(16, np.float32)
    assert _conversions(x, halves, floats, signed) == x[3]
    np.testing.assert_array_equal(halves, np.concatenate([x.astype(np.uint32), (x >> np.uint64(32))]))
    np.testing.assert_array_equal(
        floats, (np.uint64(1 << 62) + np.arange(8, dtype=np.uint64)).view(np.float64)
    )
    np.testing.assert_array_equal(signed, halves.view(np.int32).astype(np.float32))


def test_only_contiguous_arrays_have_a_start() -> None:
    with pytest.raises(numba.TypingError, match="give one that is contiguous"):
        njit(lambda a: at(start_of(a), 0))(np.zeros(8)[::2])


# ---------------------------------------------------------------- primitives


@njit
def _by_lanes(x: Any, exp: Any, exp2: Any, log: Any, sine: Any, cosine: Any) -> None:
    p = start_of(x)
    kind = x.dtype.type
    for i in range(0, len(x), BYTES // x.itemsize):
        a = load(p, i)
        store(start_of(exp), i, primitives.exp(-a))
        store(start_of(exp2), i, primitives.exp2(-a))
        store(start_of(log), i, primitives.log(a))
        s, c = primitives.sincospi(larger(kind(0.25) - a, kind(-0.25)))
        store(start_of(sine), i, s)
        store(start_of(cosine), i, c)


@njit
def _by_scalars(x: Any, exp: Any, exp2: Any, log: Any, sine: Any, cosine: Any) -> None:
    kind = x.dtype.type
    for i in range(len(x)):
        exp[i], exp2[i], log[i] = primitives.exp(-x[i]), primitives.exp2(-x[i]), primitives.log(x[i])
        sine[i], cosine[i] = primitives.sincospi(max(kind(0.25) - x[i], kind(-0.25)))


@pytest.mark.parametrize("kind", FLOATS)
def test_primitives_of_lanes_are_those_of_scalars_to_the_bit(kind: Any) -> None:
    x = np.concatenate([np.random.default_rng(0).random(4000), np.geomspace(1e-30, 2000, 96)]).astype(kind)
    found, right = np.empty((5, len(x)), kind), np.empty((5, len(x)), kind)
    _by_lanes(x, *found)
    _by_scalars(x, *right)
    np.testing.assert_array_equal(found, right)


def ulps(found: Any, exact: Any) -> float:
    """Largest error in units in the last place."""
    return float(
        np.max(np.abs(found - exact) / np.spacing(np.abs(exact).astype(found.dtype)).astype(np.longdouble))
    )


@pytest.mark.parametrize(
    ("kind", "least", "least_2"), [(np.float32, -87.0, -126), (np.float64, -708.0, -1022)]
)
def test_primitives_are_as_accurate_as_they_say_over_all_their_range(
    kind: Any, least: float, least_2: int
) -> None:
    """A dense scan: two million points, and both sides of every half power of two, where polynomials end."""
    halves = np.arange(0, -least_2, 0.5)
    x = np.concatenate([np.linspace(0, -least_2, 2**21 - 1), halves, np.nextafter(halves, 0)])
    x = np.abs(np.resize(x, -(-len(x) // 16) * 16)).astype(kind)
    found = np.empty((5, len(x)), kind)
    _by_lanes(x, *found)
    exact = x.astype(np.longdouble)
    assert 0.5 < ulps(found[1], np.exp2(-exact)) <= 1.0
    above = x <= -least
    assert 0.5 < ulps(found[0][above], np.exp(-exact[above])) <= 1.5

    u = np.concatenate([np.linspace(0, 1, 2**21 + 1)[1:], np.geomspace(1e-37, 1, 2**16)]).astype(kind)
    found = np.empty((5, len(u)), kind)
    _by_lanes(u, *found)
    exact = u.astype(np.longdouble)
    inside = u < 1
    assert 0.5 < ulps(found[2][inside], np.log(exact[inside])) <= 2.0
    quarter = np.maximum(kind(0.25) - u, kind(-0.25)).astype(np.longdouble) * np.arccos(np.longdouble(-1))
    off = {np.float32: 9e-8, np.float64: 1.5e-16}[kind]
    assert np.abs(found[3] - np.sin(quarter)).max() <= off
    assert np.abs(found[4] - np.cos(quarter)).max() <= off


@njit
def _from_words(words: Any, out: Any) -> None:
    for lane in range(words.shape[1]):
        out[0, lane], out[1, lane] = philox.box_muller(words[0, lane], words[1, lane], out.dtype.type)


@pytest.mark.parametrize(("kind", "off"), [(np.float32, 4e-7), (np.float64, 8e-16)])
def test_normals_of_lanes_are_box_mullers_of_their_words(kind: Any, off: float) -> None:
    n, first, seed = (
        45,
        (5 << 32) - 20,
        np.uint64((9 << 32) + 3),
    )  # numbers of samples pass 2^32, lanes are not full
    out, words = np.empty((5, n), kind), np.empty((2, n), np.uint64)
    philox.fill_normals(seed, first, 17, 3, words, out)
    for pair in range(3):
        philox.fill_words(seed, first, 17, 3, pair, words)
        right = np.empty((2, n), kind)
        _from_words(words, right)
        rows = out[2 * pair : 2 * pair + 2]
        np.testing.assert_allclose(rows, right[: len(rows)], rtol=off, atol=off)


# ---------------------------------------------------------------- mixtures


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
def _products(target: Any, normaliser: Any, asked: Any, alpha: Any, sigma: Any, x: Any, out: Any) -> None:
    panels = mixture_products.for_a_chunk(mixture_products.panels_of(target))
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
    assert len(mixture_products.panels_of(components(target)).centre) == 9
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
    x = np.full(16, np.nan, kind)
    for primitives_of in (_by_lanes, _by_scalars):
        found = np.empty((5, 16), kind)
        primitives_of(x, *found)
        assert np.all(np.isnan(found[:2]))
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


# ---------------------------------------------------------------- threads


@njit(**COMPILED)
def _count(begin: int, end: int, seen: Any) -> int:
    for i in range(begin, end):
        seen[i] += 1
    return end - begin


def test_threads_share_a_range_out_without_overlap() -> None:
    for threads in (1, 2):
        for count in (0, 1, 2, 7, 1000):
            seen = np.zeros(count, np.int64)
            with using_threads(threads):
                assert sum(in_parallel(_count, count, seen)) == count
            assert np.all(seen == 1)


def test_what_a_part_raises_is_raised() -> None:
    def work(begin: int, end: int) -> None:
        if begin:
            raise FloatingPointError(threading.current_thread().name)

    with using_threads(2), pytest.raises(FloatingPointError):
        in_parallel(work, 100)
