"""Loops: adaptive solvers against SciPy and the flow, exact kernels, steps scaled by norms, noise that is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import solve_ivp

from analytic import paths, targets
from solvers import catalogue, denoiser, grids, loops, run

VP, LINEAR = paths.VP(), paths.Linear()
PAIR, LINE = targets.load("pair-2d"), targets.load("easy-1d")


def _start(path: Any, t: float, n: int, target: Any = PAIR) -> Any:
    return target.noised(float(path.alpha(t)), float(path.sigma(t))).sample(n, seed=3)


def _solve(name: str, path: Any, grid: Any, model: Any, x: Any, **options: Any) -> loops.Outcome:
    return loops.catalogue[name].solve(path, grid, model, x, **options)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
@pytest.mark.parametrize(
    ("path", "ends"), [(VP, (1.0, 1e-3)), (LINEAR, (1.0, 0.0))], ids=["vp", "from noise to data"]
)
def test_dormand_prince_is_scipys_step_by_step(
    path: Any, ends: tuple[float, float], tolerance: float
) -> None:
    x = _start(path, ends[0], 6)

    def velocity(t: float, y: Any) -> Any:
        z = y.reshape(x.shape)
        a, s = float(path.alpha(t)), float(path.sigma(t))
        D = PAIR.denoise(z, a, s)
        eps = (z - a * D) / s if s else 0 * z
        ds = float(path.d_sigma(t)) if s else 0.0
        return (float(path.d_alpha(t)) * D + ds * eps).reshape(-1)

    theirs = solve_ivp(velocity, ends, x.reshape(-1), method="RK45", rtol=tolerance, atol=tolerance)
    mine = _solve("dormand-prince", path, ends, PAIR, x, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(mine.times, theirs.t, rtol=1e-6)
    np.testing.assert_allclose(mine.x.reshape(-1), theirs.y[:, -1], atol=1e-9)
    assert mine.nfe[0] == theirs.nfev


@pytest.mark.parametrize(("name", "order"), [("dpm-solver-12", 2), ("dpm-solver-23", 3)])
def test_adaptive_dpm_solvers_follow_the_flow_as_closely_as_asked(name: str, order: int) -> None:
    ends = (1.0, 1e-3)
    x = _start(VP, 1.0, 40)
    truth = _solve("dormand-prince", VP, ends, PAIR, x, rtol=1e-10, atol=1e-12).x
    found = [_solve(name, VP, ends, PAIR, x, rtol=tol, atol=tol / 5) for tol in (0.05, 0.005, 0.0005)]
    errors = [float(np.max(np.abs(f.x - truth))) for f in found]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 2e-3
    assert found[0].nfe[0] < found[1].nfe[0] < found[2].nfe[0]
    for f in found:
        assert f.nfe[0] == order * (f.accepted[0] + f.rejected[0])
        assert len(f.times) == f.accepted[0] + 1
        assert (f.times[0], f.times[-1]) == ends


def test_a_realised_grid_is_a_tableau_and_gives_the_same_samples() -> None:
    x = _start(VP, 1.0, 10)
    found = _solve("dpm-solver-23", VP, (1.0, 1e-3), PAIR, x)
    np.testing.assert_allclose(
        run(catalogue["dpm-solver-3"].tableau(VP, found.times), PAIR, x), found.x, atol=1e-12
    )


def test_a_first_step_that_is_too_long_is_rejected_and_counted() -> None:
    x = _start(VP, 1.0, 10)
    found = _solve("dpm-solver-12", VP, (1.0, 1e-3), PAIR, x, first=8.0)
    assert found.rejected[0] > 0
    assert "of steps rejected" in str(found)


def test_the_worst_sample_decides_for_its_batch_as_published() -> None:
    x = _start(VP, 1.0, 20)
    together = _solve("dpm-solver-12", VP, (1.0, 1e-3), PAIR, x)
    alone = _solve("dpm-solver-12", VP, (1.0, 1e-3), PAIR, x[:1])
    assert alone.nfe[0] <= together.nfe[0]
    assert np.max(np.abs(alone.x - together.x[:1])) > 1e-6


def test_the_reverse_kernel_of_a_mixture_is_exact_in_one_step_and_ddpm_is_not() -> None:
    """Kolmogorov and Smirnov's test at a false-alarm rate of 1e-4."""
    n, stop = 20_000, 0.05
    x = _start(VP, 1.0, n, LINE)
    truth = LINE.noised(float(VP.alpha(stop)), float(VP.sigma(stop))).sample(n, seed=11)[:, 0]
    exact = _solve("exact-ancestral", VP, (1.0, stop), LINE, x, seed=5)
    assert stats.ks_2samp(exact.x[:, 0], truth).pvalue > 1e-4
    assert exact.nfe[0] == 1
    ddpm = run(catalogue["ddpm"].tableau(VP, [1.0, stop]), LINE, x, seed=5)[:, 0]
    assert stats.ks_2samp(ddpm, truth).pvalue < 1e-12
    middle = _solve("exact-ancestral", VP, (1.0, 0.6, 0.3, stop), LINE, x, seed=6)
    assert stats.ks_2samp(middle.x[:, 0], truth).pvalue > 1e-4


def test_the_reverse_kernel_takes_rotated_components_and_ends_at_the_data() -> None:
    rotated = targets.load("rotated-2d")
    n = 40_000
    x = _start(LINEAR, 1.0, n, rotated)
    found = _solve(
        "exact-ancestral", LINEAR, grids.uniform(LINEAR, 3, start=1.0, stop=0.0), rotated, x, seed=2
    ).x
    spread = np.sqrt(np.diag(rotated.covariance()) / n)
    assert np.all(np.abs(found.mean(axis=0) - rotated.mean()) < 5 * spread)
    np.testing.assert_allclose(np.cov(found.T), rotated.covariance(), rtol=0.05, atol=0.02)
    with pytest.raises(TypeError, match="give a Gaussian mixture"):
        _solve("exact-ancestral", VP, (1.0, 0.1), denoiser(rotated.denoise, takes="level"), x[:2])


def test_norms_as_they_come_are_those_of_the_algorithm() -> None:
    path, n = paths.VE(0.02, 20), 300
    grid = grids.karras(path, 6)
    x = _start(path, 1.0, n)
    none, some = (
        _solve("predictor-corrector-norm", path, grid, PAIR, x, predictor="euler", correctors=c)
        for c in (0, 1)
    )
    np.testing.assert_allclose(none.x, run(catalogue["euler"].tableau(path, grid), PAIR, x), atol=1e-12)
    assert (none.nfe[0], some.nfe[0]) == (6, 12)
    single = _solve("predictor-corrector-norm", path, grid, PAIR, x, norm="sample")
    part = _solve("predictor-corrector-norm", path, grid, PAIR, x[:7], norm="sample")
    batch = _solve("predictor-corrector-norm", path, grid, PAIR, x[:7])
    np.testing.assert_allclose(part.x, single.x[:7], atol=1e-12)  # a sample by itself
    assert np.max(np.abs(batch.x - _solve("predictor-corrector-norm", path, grid, PAIR, x).x[:7])) > 1e-6
    with pytest.raises(ValueError, match="a multistep method"):
        _solve("predictor-corrector-norm", path, grid, PAIR, x, predictor="dpm-solver++-2m")


def test_a_brownian_path_keeps_what_was_looked_at() -> None:
    n, steps = 4000, (1.0, 0.5, 0.25)
    seen = np.empty((n, 3))
    later = np.empty(n)
    for i in range(n):
        path = loops.gotta_go_fast.BrownianPath(np.random.default_rng([1, i]), (1,))
        seen[i] = [path.increment(h)[0] for h in steps]
        path.move(0.25)
        assert path.increment(0.75)[0] == pytest.approx(seen[i, 0] - seen[i, 2])
        later[i] = path.increment(0.25)[0]
        assert later[i] == pytest.approx(seen[i, 1] - seen[i, 2])
    expected = np.minimum.outer(steps, steps)
    np.testing.assert_allclose(np.cov(seen.T), expected, atol=5 * np.sqrt(2 / n))


def test_every_sample_has_steps_of_its_own_and_its_noise_survives_a_rejection() -> None:
    # large tolerances and a long first step, so that many tries are rejected by their noise
    path, n, stop = paths.VE(0.02, 4), 150, 0.4
    x = _start(path, 1.0, n, LINE)
    options = {"rtol": 0.1, "atol": 0.02, "first": 0.5}
    kept, redrawn = (
        _solve("gotta-go-fast", path, (1.0, stop), LINE, x, noise=noise, **options)
        for noise in ("kept", "redrawn")
    )
    for found in (kept, redrawn):
        assert found.rejected.sum() > 0.1 * found.accepted.sum()
        assert np.all(found.nfe == 2 * (found.accepted + found.rejected))
        assert found.times is None
    assert len(set(kept.nfe.tolist())) > 5  # every sample has steps of its own
    truth = LINE.noised(float(path.alpha(stop)), float(path.sigma(stop)))
    spread = float(np.sqrt(truth.covariance()[0, 0] / n))
    assert abs(kept.x.mean() - truth.mean()[0]) < 5 * spread


def test_a_sample_of_gotta_go_fast_depends_on_itself_alone() -> None:
    path = paths.VE(0.02, 4)
    x = _start(path, 1.0, 5, LINE)
    together = _solve("gotta-go-fast", path, (1.0, 0.5), LINE, x, seed=4)
    np.testing.assert_array_equal(
        _solve("gotta-go-fast", path, (1.0, 0.5), LINE, x[:2], seed=4).x, together.x[:2]
    )


def test_unknown_names_and_tolerances_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="loop is 'dopri'"):
        loops.catalogue["dopri"]
    x = _start(VP, 1.0, 2)
    for name in ("dormand-prince", "dpm-solver-23", "gotta-go-fast"):
        with pytest.raises(ValueError, match="rtol is -1"):
            _solve(name, VP, (1.0, 0.1), PAIR, x, rtol=-1)
    with pytest.raises(ValueError, match="need alpha > 0 and sigma > 0 at both"):
        _solve("dpm-solver-12", LINEAR, (1.0, 0.1), PAIR, x)
    with pytest.raises(ValueError, match="noise is 'new'"):
        _solve("gotta-go-fast", VP, (1.0, 0.1), PAIR, x, noise="new")
    assert loops.catalogue["gotta-go-fast"].options["noise"] == "kept"
