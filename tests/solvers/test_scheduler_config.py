"""Grids and paths as users have them: tables of sigmas, tables of alphas, and a pipeline's scheduler_config.json."""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest

from analytic import paths, targets
from solvers import catalogue, grids, run, scheduler_config, tables

SD: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
DPM = SD | {"_class_name": "DPMSolverMultistepScheduler"}
FLOW: dict[str, Any] = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}


def kappa(path: Any, times: Any) -> Any:
    return path.sigma(times) / path.alpha(times)


def test_the_table_of_stable_diffusion_has_its_known_ends() -> None:
    path = scheduler_config.of(SD).path
    # what k-diffusion prints for the v1 networks
    np.testing.assert_allclose(kappa(path, np.array([1000.0, 1.0])), [14.6146, 0.0291672], rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "steps", "indices"),
    [
        # numpy's own words of diffusers 0.3x, worked out by hand
        (SD, 4, [751, 501, 251, 1]),
        (SD | {"timestep_spacing": "linspace"}, 4, [999, 666, 333, 0]),
        (SD | {"timestep_spacing": "linspace"}, 3, [999, 499.5, 0]),
        (SD | {"timestep_spacing": "trailing", "steps_offset": 0}, 4, [999, 749, 499, 249]),
        (DPM, 4, [801, 601, 401, 201]),
        (DPM | {"timestep_spacing": "linspace"}, 4, [999, 749, 500, 250]),
        ({"_class_name": "DDIMScheduler"}, 4, [750, 500, 250, 0]),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": "trailing"}, 2, [999, 499]),
    ],
)
def test_spacings_take_the_networks_own_indices(settings: Any, steps: int, indices: list[float]) -> None:
    scheduler = scheduler_config.of(settings)
    times = scheduler(scheduler.path, steps)
    np.testing.assert_allclose(times[:-1] - 1, indices, atol=1e-9)
    assert times[-1] == 0
    assert scheduler.path.sigma(times[-1]) == 0


def test_ends_above_zero_are_where_the_file_says() -> None:
    for settings in (DPM | {"final_sigmas_type": "sigma_min"}, SD | {"set_alpha_to_one": False}):
        scheduler = scheduler_config.of(settings)
        assert scheduler(scheduler.path, 5)[-1] == 1.0


@pytest.mark.parametrize("kind", ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"])
def test_spaced_sigmas_keep_their_formula(kind: str) -> None:
    scheduler = scheduler_config.of(DPM | {kind: True})
    sigmas = kappa(scheduler.path, scheduler(scheduler.path, 7)[:-1])
    assert sigmas[0] == pytest.approx(14.6146, rel=1e-5)
    assert sigmas[-1] == pytest.approx(0.0291672, rel=1e-5)
    if kind == "use_karras_sigmas":
        np.testing.assert_allclose(np.diff(sigmas ** (1 / 7)), np.diff(sigmas ** (1 / 7))[0], rtol=1e-9)
    elif kind == "use_exponential_sigmas":
        np.testing.assert_allclose(np.diff(np.log(sigmas)), np.diff(np.log(sigmas))[0], rtol=1e-9)
    else:
        assert sigmas[3] == pytest.approx((sigmas[0] + sigmas[-1]) / 2, rel=1e-9)  # the beta law is symmetric


def test_a_flow_is_shifted_twice_as_published_and_by_resolution_once() -> None:
    def shift(s: Any, by: float) -> Any:
        return by * s / (1 + (by - 1) * s)

    scheduler = scheduler_config.of(FLOW)
    times = scheduler(scheduler.path, 4)
    np.testing.assert_allclose(times, [*shift(np.linspace(1, shift(0.001, 3.0), 4), 3.0), 0.0], rtol=1e-12)
    assert times[0] == 1.0
    dynamic = FLOW | {"use_dynamic_shifting": True}
    small, large = (scheduler_config.of(dynamic, sequence=n) for n in (256, 4096))
    np.testing.assert_allclose(small(small.path, 3)[:-1], shift(np.array([1, 0.5005, 0.001]), np.exp(0.5)))
    np.testing.assert_allclose(large(large.path, 3)[:-1], shift(np.array([1, 0.5005, 0.001]), np.exp(1.15)))
    np.testing.assert_array_equal(scheduler_config.of(dynamic)(large.path, 3), large(large.path, 3))


def test_zero_terminal_snr_starts_from_pure_noise_and_keeps_the_first_level() -> None:
    plain, scaled = (scheduler_config.of(SD | {"rescale_betas_zero_snr": flag}) for flag in (False, True))
    assert scaled.path.alpha(1000.0) == 0
    assert scaled.path.alpha(1.0) == pytest.approx(plain.path.alpha(1.0), rel=1e-12)
    target = targets.load("pair-2d")
    grid = scheduler_config.of(
        SD | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "steps_offset": 0}
    )
    tableau = catalogue["ddim"].tableau(grid.path, grid(grid.path, 10))
    x = np.random.default_rng(0).standard_normal((20, 2))
    assert np.all(np.isfinite(run(tableau, target, x)))
    karras = scheduler_config.of(DPM | {"rescale_betas_zero_snr": True, "use_karras_sigmas": True})
    with pytest.raises(ValueError, match="rescale_betas_zero_snr is true"):
        karras(karras.path, 5)


@pytest.mark.parametrize("predicts", ["epsilon", "sample", "v_prediction"])
def test_a_network_of_any_prediction_is_the_same_denoiser(predicts: str) -> None:
    scheduler, target = scheduler_config.of(SD | {"prediction_type": predicts}), targets.load("pair-2d")
    path: Any = scheduler.path

    def network(x: Any, index: float) -> Any:
        a, s = float(path.alpha(index + 1)), float(path.sigma(index + 1))
        D = target.denoise(x, a, s)
        eps = (x - a * D) / s
        return {"epsilon": eps, "sample": D, "v_prediction": a * eps - s * D}[predicts]

    tableau = catalogue["dpm-solver++-2m"].tableau(path, scheduler(path, 6))
    x = target.noised(*tableau.start).sample(9, seed=0)
    np.testing.assert_allclose(
        run(tableau, scheduler.denoiser(network), x), run(tableau, target, x), atol=1e-11
    )


def test_a_flow_network_is_asked_for_its_velocity() -> None:
    scheduler, target = scheduler_config.of(FLOW), targets.load("pair-2d")
    path: Any = scheduler.path

    def network(x: Any, clock: float) -> Any:
        t = clock / 1000
        if t == 0:
            return -x
        D = target.denoise(x, 1 - t, t)
        return (x - (1 - t) * D) / t - D

    tableau = catalogue["heun"].tableau(path, scheduler(path, 6))
    x = np.random.default_rng(0).standard_normal((9, 2))
    np.testing.assert_allclose(
        run(tableau, scheduler.denoiser(network), x), run(tableau, target, x), atol=1e-11
    )


def test_a_file_that_cannot_be_read_says_what_is_wrong(tmp_path: FilePath) -> None:
    file = tmp_path / "scheduler_config.json"
    for text, message in (
        ("{", "which is no JSON"),
        ("[1]", "no object"),
        (json.dumps({"beta_schedule": "sigmoid"}), "schedule is 'sigmoid'"),
        (json.dumps({"prediction_type": "noise"}), "prediction_type is 'noise'"),
        (json.dumps({"use_lu_lambdas": True}), "use_lu_lambdas is True"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            scheduler_config.read(file)
    scheduler = scheduler_config.of(SD | {"timestep_spacing": "centred"})
    with pytest.raises(ValueError, match="timestep_spacing is 'centred'"):
        scheduler(scheduler.path, 4)
    with pytest.raises(ValueError, match="steps is 2000"):
        scheduler(scheduler.path, 2000)
    with pytest.raises(ValueError, match="a scheduler's grid is for its own path"):
        scheduler(paths.VP(), 4)


def test_a_table_keeps_its_levels_and_refines_between_them_in_log(tmp_path: FilePath) -> None:
    path = paths.VE(0.02, 20)
    file = tmp_path / "sigmas.txt"
    file.write_text("14.6, 6.5\n3.9 2.7 1.9 1.4 0.96 0.65 0.4 0.15\n")
    table = tables.read(file)
    assert (table.steps, table.name) == (9, "sigmas.txt")
    own, fine = (kappa(path, table(path, n)) for n in (9, 18))
    np.testing.assert_allclose(own, table.levels, rtol=1e-12)
    np.testing.assert_allclose(fine[::2], table.levels, rtol=1e-12)
    np.testing.assert_allclose(fine[1::2], np.sqrt(own[:-1] * own[1:]), rtol=1e-12)
    file.write_text("\n".join(map(str, reversed(table.levels))))
    assert tables.read(file).levels == table.levels


def test_a_table_may_end_at_the_data_or_be_of_times() -> None:
    path = paths.EDM()
    table = tables.table([8.0, 2.0, 0.5, 0.0])
    np.testing.assert_allclose(table(path, 3), [8, 2, 0.5, 0], rtol=1e-12)
    np.testing.assert_allclose(table(path, 5), [8, 4, 2, 1, 0.5, 0], rtol=1e-12)
    np.testing.assert_allclose(tables.table([0.9, 0.3, 0.1], of="time")(paths.VP(), 2), [0.9, 0.3, 0.1])
    with pytest.raises(ValueError, match="levels end at 0"):
        table(paths.VE(), 3)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([1.0], "levels has 1 entries"),
        ([1.0, 2.0], r"levels\[1\] is 2.0 after 1.0"),
        ([1.0, 0.0, 0.0], r"levels\[1\] is 0.0"),
        ([np.inf, 1.0], r"levels\[1\] is 1.0 after inf"),
    ],
)
def test_levels_that_are_no_grid_are_refused(levels: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tables.table(levels)


def test_ends_and_steps_that_a_table_cannot_have_are_refused() -> None:
    with pytest.raises(ValueError, match="a table of levels has its own ends"):
        tables.table([2.0, 1.0])(paths.EDM(), 2, stop=0.5)
    with pytest.raises(ValueError, match="steps is 1: give at least 2"):
        tables.table([2.0, 1.0, 0.0])(paths.EDM(), 1)


def test_published_tables_are_grids() -> None:
    for table in tables.ALIGNED.values():
        grid = table(paths.EDM(), 10)
        np.testing.assert_allclose(grid, table.levels, rtol=1e-12)
    path = scheduler_config.of(SD).path
    assert len(tables.ALIGNED["ays-sd15"](path, 10)) == 11
    assert grids.check(path, tables.ALIGNED["ays-sd15"](path, 10))[0] <= 1000
