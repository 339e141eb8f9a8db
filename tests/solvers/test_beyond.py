"""What holds for every method on a process other than noising: executors agree, laws are those of samples."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
import torch
from scipy import stats

from analytic import GaussianMixture, targets
from solvers import Tableau, catalogue, law, run, sample
from solvers.continuous.executors.shared_path import shared_noise
from studies.setting import Setting

PLANE = GaussianMixture([1.0], [[0.8, -0.5]], [[[0.6, 0.35], [0.35, 0.3]]])
MILD = GaussianMixture([1.0], [[0.8, -0.5]], [[[0.9, 0.3], [0.3, 0.7]]])
TARGETS = {
    "line": (targets.load("easy-1d"), 70),
    "rotated": (targets.load("rotated-2d"), 70),
    "isotropic": (targets.load("pair-2d"), 5),
}
NAMES = sorted(catalogue.beyond)
COARSE = {
    "phase-space-lambda-ddim"
}  # what it freezes, eps by Cholesky's factor, turns fast: off by 1 at 32 steps
FALSE_ALARM = 1e-6  # of the comparison of laws and samples, all methods together
SAMPLES = 100_000


def built(name: str, steps: int = 5) -> Tableau:
    method = catalogue[name]
    setting = Setting().of(method)
    return method.tableau(setting.path, setting.nodes(steps))


@pytest.mark.parametrize("name", NAMES)
def test_executors_agree_and_a_saved_tableau_is_the_same(name: str, tmp_path: Any) -> None:
    tableau = built(name)
    for label, (target, n) in TARGETS.items():
        fused = sample(tableau, target, n, seed=9)
        numpy = run(tableau, target, "marginal", seed=9, n=n, full=True)
        bound = 1e-12 * max(1.0, *(float(np.abs(x).max()) for x in numpy.trajectory))
        np.testing.assert_allclose(fused, numpy.x, rtol=0, atol=bound, err_msg=label)
        start = numpy.trajectory[0]
        on_torch = run(tableau, target, torch.from_numpy(start.copy()), seed=9)
        np.testing.assert_allclose(on_torch.numpy(), numpy.x, rtol=0, atol=bound, err_msg=label)
        on_strict = run(tableau, target, strict.asarray(start), seed=9)
        np.testing.assert_allclose(np.asarray(on_strict), numpy.x, rtol=0, atol=bound, err_msg=label)
    tableau.save(tmp_path / "tableau.npz")
    loaded = Tableau.load(tmp_path / "tableau.npz", path=tableau.path)
    assert str(loaded) == str(tableau)
    assert loaded.channels == tableau.channels
    np.testing.assert_array_equal(run(loaded, target, start, seed=9), numpy.x)


@pytest.mark.parametrize("name", NAMES)
def test_the_law_is_that_of_samples(name: str) -> None:
    # Whitened by the exact law, two means and three second moments: so many samples see a deviation that is wrong by
    # 1.5 %
    tableau = built(name)
    exact = law(tableau, PLANE)
    x = sample(tableau, PLANE, SAMPLES, seed=2024)
    white = np.linalg.solve(np.linalg.cholesky(exact.covariance), (x - exact.mean).T)
    moments = white @ white.T / SAMPLES - np.eye(2)
    quantile = stats.norm.isf(FALSE_ALARM / len(NAMES) / 5 / 2) / np.sqrt(SAMPLES)
    assert np.abs(white.mean(axis=1)).max() < quantile
    assert np.abs(np.diag(moments)).max() < quantile * np.sqrt(2)
    assert abs(moments[0, 1]) < quantile


@pytest.mark.parametrize("name", NAMES)
def test_coarse_and_fine_grids_share_their_noise(name: str) -> None:
    # of a method whose noise is all of one path, ends on ever finer grids come together
    steps = 128 if name in COARSE else 32
    tableaux = [built(name, N) for N in (steps, 4 * steps, 16 * steps)]
    if any(c.functional is None for c in tableaux[0].channels):
        pytest.skip("noise of no path")
    x = MILD.sample(200, seed=1)
    noises = shared_noise(tableaux, 200, 2, seed=3)
    ends = [run(t, MILD, x, noise=z) for t, z in zip(tableaux, noises, strict=True)]
    coarse, fine = (float(np.sqrt(np.mean((a - ends[2]) ** 2))) for a in ends[:2])
    # of strong order 1/2 at least, to which the last rung itself adds
    assert fine < coarse / 1.8, (coarse, fine)
    assert coarse < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_the_path_of_another_process_is_named(name: str) -> None:
    setting = Setting()
    with pytest.raises(ValueError, match=rf"{name} is for {catalogue[name].process} ones: give "):
        catalogue[name].tableau(setting.path, setting.nodes(4))
