"""What reductions keep of parts is what all samples say, and the same bits however they are cut."""

from __future__ import annotations

import resource
from typing import Any

import numpy as np
import pytest

from analytic import GaussianMixture, chains, paths, sequences
from solvers import catalogue, grids, sample
from solvers.reductions import Histogram, Moments, Ngrams

TARGET = GaussianMixture([0.4, 0.6], [[10.0, 0.0], [11.0, 1.0]], [[[0.5, 0.2], [0.2, 0.3]]] * 2)
PATH = paths.VP()
TABLEAU = catalogue["ddpm"].tableau(PATH, grids.log_snr(PATH, 8))
EDGES = np.array([-1.0, 0.0, 0.5, 2.0, 10.0, 11.0])
ANGLES = np.array([[0.6, 0.8], [1.0, 0.0], [-0.8, 0.6]])
CHAIN = sequences.MarkovSequence([0.5, 0.3, 0.2], [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], 5)
NOISE = chains.Absorbing(3)
KERNEL = catalogue["tweedie-tau-leaping"].kernel(NOISE, grids.uniform(NOISE, 6))


def bits(found: Any) -> list[bytes]:
    return [(one.sums if isinstance(one, Moments) else one.counts).tobytes() for one in found]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_they_are_those_of_all_samples_to_the_bit_for_any_cut(dtype: str) -> None:
    n = 230
    x = sample(TABLEAU, TARGET, n, seed=3, first=5, dtype=dtype).astype(np.float64)
    asked = (Moments(), Moments(100.0), Histogram(EDGES), Histogram(np.linspace(-5, 20, 40), ANGLES))
    whole = sample(TABLEAU, TARGET, n, seed=3, first=5, dtype=dtype, reduce=asked)
    for part, device in ((1, "cpu"), (7, ("cpu", "cpu", "cpu")), (64, "cpu"), (1000, ("cpu", "cpu"))):
        cut = sample(TABLEAU, TARGET, n, seed=3, first=5, dtype=dtype, reduce=asked, part=part, device=device)
        assert bits(cut) == bits(whole)
    ends = [
        sample(TABLEAU, TARGET, m, seed=3, first=at, dtype=dtype, reduce=asked)
        for at, m in ((105, 130), (5, 100))
    ]
    assert bits([a + b for a, b in zip(*ends, strict=True)]) == bits(whole)
    for moments in whole[:2]:
        assert moments.count == n
        np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.covariance, np.cov(x.T, bias=True), atol=1e-9)
    for d in range(2):
        inside = np.histogram(x[:, d], EDGES)[0]
        np.testing.assert_array_equal(whole[2].counts[d, 1:-1], inside)
        assert whole[2].counts[d, 0] == np.sum(x[:, d] < EDGES[0])
        assert whole[2].counts[d].sum() == n
    np.testing.assert_array_equal(
        whole[3].counts[:, 1:-1], [np.histogram(x @ v, np.linspace(-5, 20, 40))[0] for v in ANGLES]
    )


def test_a_sample_on_an_edge_is_right_of_it_but_for_the_last() -> None:
    found = Histogram([0.0, 1.0, 2.0]).of(np.array([[0.0], [1.0], [2.0], [-1.0], [2.5]]))
    assert found.counts is not None
    assert found.counts.tolist() == [[1, 1, 2, 1]]


def test_quantiles_and_distances_are_those_of_samples_but_for_a_bins_width() -> None:
    n, edges = 20_000, np.linspace(-15, 20, 3501)
    x = sample(TABLEAU, TARGET, n, seed=1)
    found = sample(TABLEAU, TARGET, n, seed=1, reduce=Histogram(edges, ANGLES))
    u = np.array([0.001, 0.1, 0.5, 0.99])
    np.testing.assert_allclose(found.quantile(u), np.quantile(x @ ANGLES.T, u, axis=0).T, atol=0.02)
    assert np.isnan(Histogram(np.linspace(9, 10, 5), ANGLES).of(x).quantile(0.5)).any()
    other = GaussianMixture([0.4, 0.6], [[10.3, 0.0], [11.3, 1.0]], [[[0.5, 0.2], [0.2, 0.3]]] * 2)
    draws = other.sample(2_000_000, seed=2)
    probabilities = (np.arange(n) + 0.5) / n
    apart = [np.sort(x @ v) - np.quantile(draws @ v, probabilities) for v in ANGLES]
    assert found.w2(other) == pytest.approx(np.sqrt(np.mean(np.square(apart))), rel=0.01)
    exact = Histogram(edges, ANGLES).of(TARGET.sample(n, seed=5))
    assert exact.w2(other) == pytest.approx(np.sqrt(np.mean((ANGLES @ [0.3, 0.0]) ** 2)), rel=0.1)
    with pytest.raises(ValueError, match="some samples lie beyond"):
        Histogram(np.linspace(9, 10, 5)).of(x).w2(TARGET)


def test_neighbours_among_tokens_are_counted() -> None:
    tokens = sample(KERNEL, CHAIN, 300, seed=4, initial="prior")
    asked = [Ngrams(1, 4), Ngrams(3, 4)]
    whole = sample(KERNEL, CHAIN, 300, seed=4, initial="prior", reduce=asked)
    assert bits(sample(KERNEL, CHAIN, 300, seed=4, initial="prior", reduce=asked, part=11)) == bits(whole)
    expected = np.zeros((4, 4, 4), int)
    for row in tokens:
        for i in range(3):
            expected[tuple(row[i : i + 3])] += 1
    np.testing.assert_array_equal(whole[1].counts, expected)
    np.testing.assert_array_equal(whole[0].counts, np.bincount(tokens.ravel(), minlength=4))


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    tableau = catalogue["euler"].tableau(PATH, grids.log_snr(PATH, 2))
    sample(tableau, TARGET, 1 << 20, reduce=Moments(), part=1 << 16)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = sample(tableau, TARGET, 1 << 23, reduce=Moments(), part=1 << 16)  # 128 MB of samples
    assert found.count == 1 << 23
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


@pytest.mark.parametrize(
    ("keywords", "error", "says"),
    [
        ({"device": ()}, ValueError, "device is empty"),
        ({"device": "gpu"}, ValueError, "device is 'gpu'"),
        ({"initial": np.zeros((5, 2))}, TypeError, "initial is an array"),
        ({"part": 0}, ValueError, "part is 0: give a whole number, at least 1"),
        ({"reduce": "mean"}, TypeError, "reduce has 'mean'"),
        ({"reduce": Moments(1e-4)}, OverflowError, "give Moments a scale of at least"),
        ({"n": 0}, ValueError, "n is 0"),
    ],
)
def test_bad_arguments_are_named(keywords: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        sample(TABLEAU, TARGET, **{"n": 5, "reduce": Moments()} | keywords)


def test_bad_reductions_are_named() -> None:
    for edges in ([1.0, 1.0], [1.0]):
        with pytest.raises(ValueError, match="increasing numbers"):
            Histogram(edges)
    with pytest.raises(ValueError, match="edges differ"):
        Histogram([0.0, 1.0]) + Histogram([0.0, 2.0])
    with pytest.raises(ValueError, match="add moments of one scale"):
        Moments() + Moments(2.0)
    many = Moments(1.0, 1 << 33, np.zeros((2, 2), np.int64))
    with pytest.raises(OverflowError, match="keep moments of more samples apart"):
        many + Moments().of(np.zeros((1, 1)))
    with pytest.raises(ValueError, match="no moments of no samples"):
        _ = Moments().mean
    with pytest.raises(ValueError, match="no quantiles of no samples"):
        Histogram([0.0, 1.0]).quantile(0.5)
    with pytest.raises(ValueError, match="sequences have 5 tokens"):
        Ngrams(6, 3).of(np.zeros((2, 5), int))
