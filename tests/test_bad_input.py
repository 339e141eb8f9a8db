"""Bad input gives one clear error: which argument, which value, what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytic import GaussianMixture, data, distances, paths, targets
from solvers import Claim, Tableau, catalogue, denoiser, density, grids, law, run, sample, strong
from solvers.continuous.executors.shared_path import shared_noise

PATH = paths.VE(0.02, 20.0)
GRID = grids.karras(PATH, 4)
NORMAL = GaussianMixture([1.0], [[1.0]], 0.25)
PAIR = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.25)
FLAT = GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.25)
EULER = catalogue["euler"].tableau(PATH, GRID)
DDPM = catalogue["ddpm"].tableau(PATH, GRID)
NAN = float("nan")

CASES: dict[str, tuple[Callable[[], Any], str, str, str]] = {
    # name: (call, argument, value, remedy)
    "weights that do not sum to one": (
        lambda: GaussianMixture([0.5, 0.6], [0, 1], 1.0),
        "weights",
        "1.1",
        "weights.sum()",
    ),
    "a negative weight": (lambda: GaussianMixture([1.5, -0.5], [0, 1], 1.0), "weights", "-0.5", "positive"),
    "NaN in the means": (lambda: GaussianMixture([1.0], [[NAN]], 1.0), "means", "nan", "finite"),
    "as many means as weights": (lambda: GaussianMixture([0.5, 0.5], [[0.0]], 1.0), "means", "(1, 1)", "2"),
    "a negative variance": (lambda: GaussianMixture([1.0], [[0.0]], -1.0), "covariances", "-1", "0"),
    "a covariance that is not positive": (
        lambda: GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]),
        "covariances",
        "-1",
        "positive",
    ),
    "a covariance that is not symmetric": (
        lambda: GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]]),
        "covariances",
        "0.5",
        "symmetric",
    ),
    "covariances of a wrong shape": (
        lambda: GaussianMixture([1.0], [[0.0]], np.ones(3)),
        "covariances",
        "(3,)",
        "(1,)",
    ),
    "points of a wrong dimension": (lambda: NORMAL.score(np.zeros((5, 2))), "x", "(5, 2)", "(n, 1)"),
    "sigma below zero": (lambda: NORMAL.denoise(np.zeros((1, 1)), 1.0, -0.1), "sigma", "-0.1", "0"),
    "fewer than no samples": (lambda: NORMAL.sample(-1), "n", "-1", "0"),
    "a component that is not there": (lambda: PAIR.condition([2]), "labels", "2", "1"),
    "the spectrum of a mixture": (lambda: PAIR.spectrum(), "2", "components", "Gaussian"),
    "a quantile in two dimensions": (lambda: FLAT.quantile(0.5), "quantile", "2", "dim"),
    "an unknown target": (lambda: targets.load("esay-1d"), "target", "esay-1d", "easy-1d"),
    "sigma_min above sigma_max": (lambda: paths.VE(20.0, 0.02), "sigma_min", "20", "sigma_max"),
    "a negative rate": (lambda: paths.VP(beta_min=-1.0), "beta_min", "-1", "above 0"),
    "a path whose noise falls": (
        lambda: paths.Gaussian(lambda t: 1.0 + 0 * t, lambda t: 2.0 - t),
        "log-SNR",
        "decrease",
        "alpha",
    ),
    "no steps": (lambda: grids.karras(PATH, 0), "steps", "0", "1"),
    "half a step": (lambda: grids.uniform(PATH, 2.5), "steps", "2.5", "integer"),  # type: ignore[arg-type]
    "start below stop": (lambda: grids.uniform(PATH, 4, start=0.1, stop=0.9), "start", "0.1", "stop"),
    "a grid that does not decrease": (
        lambda: catalogue["heun"].tableau(PATH, [1.0, 0.5, 0.5]),
        "times",
        "0.5",
        "decreas",
    ),
    "a grid beyond the path": (lambda: grids.check(PATH, [3.0, 0.5]), "times", "3", "1"),
    "NaN in a grid": (lambda: grids.check(PATH, [1.0, NAN]), "times", "nan", "finite"),
    "an infinite log-SNR": (
        lambda: grids.log_snr(paths.Linear(), 4, start=1.0),
        "start",
        "1",
        "start=",
    ),
    "an unknown method": (
        lambda: catalogue["dpm-solver++-2n"],
        "method",
        "dpm-solver++-2n",
        "dpm-solver++-2m",
    ),
    "an unknown option": (lambda: catalogue["heun"].tableau(PATH, GRID, order=3), "option", "order", "clock"),
    "an unknown start": (
        lambda: catalogue["heun"].tableau(PATH, GRID, start="cold"),
        "start",
        "cold",
        "exact",
    ),
    "a kernel of a continuous method": (
        lambda: catalogue["heun"].kernel(None, GRID),
        "method",
        "heun",
        ".tableau",
    ),
    "an eta above one": (lambda: catalogue["ddim-eta"].tableau(PATH, GRID, eta=1.5), "eta", "1.5", "0 and 1"),
    "a stage outside the step": (
        lambda: catalogue["dpm-solver-2"].tableau(PATH, GRID, r1=0.0),
        "r1",
        "0.0",
        "<= 1",
    ),
    "negative correctors": (
        lambda: catalogue["predictor-corrector"].tableau(PATH, GRID, correctors=-1),
        "correctors",
        "-1",
        ">= 0",
    ),
    "too few steps for an exact start": (
        lambda: catalogue["deis-tab-3"].tableau(PATH, grids.karras(PATH, 3), start="exact"),
        "steps",
        "3",
        "more steps",
    ),
    "a claim of no order": (lambda: Claim(0, "ode", "x"), "order", "0", "positive"),
    "the law of a mixture": (lambda: law(EULER, PAIR), "2", "components", "Gaussian"),
    "an unknown initial law": (lambda: law(EULER, NORMAL, "noise"), "initial", "noise", "marginal"),
    "a strong error without a path": (
        lambda: strong(catalogue["edm-churn"].tableau(PATH, GRID), NORMAL),
        "tableau",
        "edm-churn",
        "no strong error",
    ),
    "a density in two dimensions": (lambda: density(EULER, FLAT), "target", "2", "law"),
    "sampling nothing": (lambda: sample(DDPM, NORMAL, 0), "n", "0", "at least 1"),
    "a seed below zero": (lambda: sample(DDPM, NORMAL, 1, seed=-1), "seed", "-1", "0 to"),
    "a seed that is no integer": (lambda: sample(DDPM, NORMAL, 1, seed=0.5), "seed", "0.5", "integer"),  # type: ignore[arg-type]
    "an unknown dtype": (lambda: sample(DDPM, NORMAL, 1, dtype="float16"), "dtype", "float16", "float32"),
    "an unknown device": (lambda: sample(DDPM, NORMAL, 1, device="tpu"), "device", "tpu", "cpu"),
    "start points of a wrong shape": (
        lambda: sample(DDPM, NORMAL, 3, initial=np.zeros((2, 1))),
        "initial",
        "(2, 1)",
        "(3, 1)",
    ),
    "noise of a wrong shape": (
        lambda: sample(DDPM, NORMAL, 3, noise=np.zeros((1, 3, 1))),
        "noise",
        "(1, 3, 1)",
        "(4, 3, 1)",
    ),
    "NaN in the start points": (lambda: run(DDPM, NORMAL, [[NAN]]), "initial", "NaN", "finite"),
    "start points that are no table": (lambda: run(DDPM, NORMAL, np.zeros(3)), "initial", "(3,)", "(n, dim)"),
    "a model that is none": (lambda: run(DDPM, 5, np.zeros((1, 1))), "model", "5", "callable"),
    "an unknown prediction": (lambda: denoiser(len, predicts="noise"), "predicts", "noise", "eps"),
    "a time without its path": (
        lambda: denoiser(len, predicts="eps", takes="t"),
        "path",
        "None",
        "give the path",
    ),
    "a shared path of two paths": (
        lambda: shared_noise(
            [DDPM, catalogue["ddpm"].tableau(paths.VP(), grids.uniform(paths.VP(), 4))], 1, 1
        ),
        "tableaux",
        "different paths",
        "one path",
    ),
    "samples with NaN": (lambda: distances.sliced_w2([[NAN]] * 9, [[0.0]] * 9), "x", "nan", "finite"),
    "samples of two dimensions": (
        lambda: distances.energy_distance(np.zeros((9, 2)), np.zeros((9, 3))),
        "y",
        "3",
        "2",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_error_names_argument_value_and_remedy(case: str) -> None:
    call, argument, value, remedy = CASES[case]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    for word in (argument, value, remedy):
        assert word in message, message
    assert "\n" not in message


def test_there_are_at_least_thirty() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nan.csv", "a,b\n1,2\n3,\n", ("row", "column", "nan")),
        ("empty.csv", "", ("no columns", "one sample per line")),
        ("data.txt", "1 2", (".txt", ".npy")),
        ("words.csv", "a,b\n1,x\n", ("'x'", "row 0", "numeric")),
    ],
)
def test_bad_data_files_say_where_and_what(
    tmp_path: Path, name: str, content: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises((ValueError, TypeError), match=name) as caught:
        data.read(file)
    for word in words:
        assert word in str(caught.value).lower()


def test_a_file_that_is_no_tableau_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    np.savez(file, a=np.ones(3))
    with pytest.raises(ValueError, match="no tableau"):
        Tableau.load(file)


def test_a_numerical_failure_is_a_status_and_never_a_silent_number() -> None:
    def model(x, t):  # type: ignore[no-untyped-def]
        return x * np.inf if t < 0.5 else x

    with np.errstate(invalid="ignore"):
        with pytest.raises(FloatingPointError, match=r"step \d of ddpm.*more steps"):
            run(DDPM, model, np.ones((2, 1)))
        result = run(DDPM, model, np.ones((2, 1)), full=True)
    assert "of ddpm gave a number that is not finite" in result.status
    assert len(result.trajectory) == 5
