"""Moments and histograms by parts against those of all samples at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analytic import GaussianMixture, paths
from solvers import catalogue, grids, sample
from solvers.continuous.executors import statistics as reductions
from solvers.continuous.executors.statistics import statistics

TARGET = GaussianMixture([0.4, 0.6], [[100.0, 0.0], [101.0, 1.0]], [[[0.5, 0.2], [0.2, 0.3]]] * 2)
TABLEAU = catalogue["ddpm"].tableau(paths.VP(), grids.log_snr(paths.VP(), 8))
EDGES = np.array([-1.0, 0.0, 0.5, 2.0, 100.0, 101.0])


@pytest.mark.parametrize("part", [1, 7, 64, 100, 1000])
@pytest.mark.parametrize("devices", ["cpu", ("cpu", "cpu", "cpu")])
def test_parts_add_up_to_the_whole(part: int, devices: Any) -> None:
    n = 100
    x = sample(TABLEAU, TARGET, n, seed=3, first=5)
    found = statistics(TABLEAU, TARGET, n, seed=3, first=5, edges=EDGES, part=part, devices=devices)
    assert found.count == n
    np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(x.T, bias=True), rtol=0, atol=1e-12)
    assert found.counts is not None
    for d in range(2):
        np.testing.assert_array_equal(found.counts[d], np.histogram(x[:, d], EDGES)[0])


def test_single_precision_is_summed_in_double() -> None:
    x = sample(TABLEAU, TARGET, 3000, seed=3, dtype="float32").astype(np.float64)
    found = statistics(TABLEAU, TARGET, 3000, seed=3, dtype="float32", part=1000)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(x.T, bias=True), rtol=0, atol=1e-11)
    assert found.counts is None


def test_a_dropped_term_or_part_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sample(TABLEAU, TARGET, 50, seed=3)
    plain = reductions.Statistics.__add__
    for spoiled in (
        lambda a, b: reductions.Statistics(
            a.count + b.count,
            plain(a, b).mean,
            (a.covariance * a.count + b.covariance * b.count) / (a.count + b.count),
            None,
        ),
        lambda a, b: b,
    ):
        monkeypatch.setattr(reductions.Statistics, "__add__", spoiled)
        found = statistics(TABLEAU, TARGET, 50, seed=3, part=10)
        assert np.abs(found.covariance - np.cov(x.T, bias=True)).max() > 1e-6


@pytest.mark.parametrize(
    ("keywords", "error", "says"),
    [
        ({"devices": ()}, ValueError, "devices is empty"),
        ({"devices": "gpu"}, ValueError, "device is 'gpu'"),
        ({"edges": [1.0, 1.0]}, ValueError, "edges is .*increasing"),
        ({"edges": [1.0]}, ValueError, "edges is .*increasing"),
        ({"initial": np.zeros((5, 2))}, TypeError, "initial is an array"),
        ({"part": 0}, ValueError, "part is 0: give a whole number, at least 1"),
    ],
)
def test_bad_arguments_are_named(keywords: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        statistics(TABLEAU, TARGET, 5, **keywords)
