"""Every way of handing a model, a start or noise to the executors; and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import GaussianMixture, paths, targets
from solvers import Tableau, Trace, catalogue, denoiser, grids, run, sample
from solvers.continuous.executors.law import marginal
from solvers.numerics.philox import normals

Array = NDArray[np.float64]
VP, LINEAR = paths.VP(), paths.Linear()
PLANE = GaussianMixture([1.0], [[0.8, -0.5]], [[[0.6, 0.35], [0.35, 0.3]]])
LINE, ROTATED = targets.load("easy-1d"), targets.load("rotated-2d")
ATOMS = GaussianMixture([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], 0.0)


def _models(target: GaussianMixture, path: Any) -> dict[tuple[str, str], Any]:
    """The same target under every prediction and every clock."""

    def at(t: float) -> tuple[float, float]:
        return float(path.alpha(t)), float(path.sigma(t))

    def score(x: Array, a: float, s: float) -> Array:
        return target.noised(a, s).score(x)

    def eps(x: Array, a: float, s: float) -> Array:
        return -s * score(x, a, s)

    def velocity(x: Array, t: float) -> Array:
        return path.d_alpha(t) * target.denoise(x, *at(t)) + path.d_sigma(t) * eps(x, *at(t))

    def raw(x: Array, c_noise: float) -> Array:
        s, data = np.exp(4 * c_noise), 0.5
        y = x * np.sqrt(s**2 + data**2)
        skip, out = data**2 / (s**2 + data**2), s * data / np.sqrt(s**2 + data**2)
        return (target.denoise(y, 1.0, s) - skip * y) / out

    models: dict[tuple[str, str], Any] = {("v", "t"): velocity, ("F", "sigma"): raw}
    for name, f in (("x0", target.denoise), ("eps", eps), ("score", score)):
        models[name, "level"] = f
        models[name, "t"] = lambda x, t, f=f: f(x, *at(t))
        models[name, "sigma"] = lambda y, s, f=f: f(y, 1.0, s)
    return models


@pytest.mark.parametrize("path", [VP, LINEAR, paths.VE(0.02, 20)], ids=["vp", "linear", "ve"])
@pytest.mark.parametrize("method", ["dpm-solver++-3m", "edm-churn", "predictor-corrector", "stochastic-heun"])
def test_every_prediction_and_clock_gives_the_targets_own_samples(path: Any, method: str) -> None:
    target = ROTATED
    # churn evaluates above the start, where a path may end: leave it room
    zero = float(path.sigma(0.0)) == 0
    tableau = catalogue[method].tableau(path, grids.log_snr(path, 5, start=0.7, append_zero=zero))
    x = target.noised(*tableau.start).sample(20, seed=3)
    expected = run(tableau, target, x, seed=6)
    for (predicts, takes), model in _models(target, path).items():
        got = run(tableau, denoiser(model, predicts=predicts, takes=takes, path=path), x, seed=6)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9, err_msg=f"{predicts} {takes}")
    plain = run(tableau, _models(target, path)["x0", "t"], x, seed=6)
    np.testing.assert_allclose(plain, expected, rtol=0, atol=1e-9)


def test_full_gives_registers_trajectory_status_and_the_models_calls() -> None:
    target, calls = ROTATED, []

    def model(x: Array, alpha: float, sigma: float) -> Array:
        calls.append((alpha, sigma))
        return target.denoise(x, alpha, sigma)

    for name, method in catalogue.continuous.items():
        tableau = method.tableau(VP, grids.log_snr(VP, 5))
        x = target.noised(*tableau.start).sample(4, seed=3)
        x.setflags(write=False)
        calls.clear()
        result = run(tableau, denoiser(model, takes="level"), x, seed=6, full=True)
        assert len(calls) == result.nfe == tableau.nfe, name
        assert result.status == "ok"
        assert len(result.trajectory) == len(tableau) + 1
        assert result.trajectory[0] is x
        assert result.x is result.registers[0] is result.trajectory[-1]
        assert len(result.registers) == tableau.blocks[-1].registers_out
        np.testing.assert_array_equal(result.x, run(tableau, target, x, seed=6))


def test_noise_handed_over_is_used_in_tableau_order() -> None:
    target = ROTATED
    for name in ("ddpm", "stochastic-heun", "predictor-corrector"):
        tableau = catalogue[name].tableau(VP, grids.log_snr(VP, 4))
        x = target.noised(*tableau.start).sample(30, seed=3)
        noise = np.stack([normals(8, 30, 2, c.step, 0) for c in tableau.channels])
        expected = sample(tableau, target, 30, seed=8, initial=x)
        np.testing.assert_array_equal(sample(tableau, target, 30, initial=x, noise=noise), expected)
        np.testing.assert_array_equal(run(tableau, target, x, noise=noise), run(tableau, target, x, seed=8))
        assert not np.allclose(sample(tableau, target, 30, initial=x, noise=noise[::-1]), expected)


def test_initial_may_be_a_word_an_array_or_a_law() -> None:
    tableau = catalogue["ddpm"].tableau(VP, grids.log_snr(VP, 4, start=0.6))
    prior = GaussianMixture([1.0], np.zeros((1, 2)), tableau.prior_deviation**2)
    mixture = ROTATED
    for target, word, same in (
        (mixture, "marginal", mixture.noised(*tableau.start)),
        (mixture, "prior", prior),
        (PLANE, "marginal", marginal(PLANE, *tableau.start)),
    ):
        expected = sample(tableau, target, 40, seed=3, initial=word)
        np.testing.assert_allclose(sample(tableau, target, 40, seed=3, initial=same), expected, atol=1e-13)
        np.testing.assert_allclose(run(tableau, target, word, 3, n=40), expected, atol=1e-11)
        np.testing.assert_allclose(run(tableau, target, same, 3, n=40), expected, atol=1e-11)
    begin = mixture.noised(*tableau.start).sample(40, seed=1)
    kept = begin.copy()
    np.testing.assert_allclose(
        sample(tableau, mixture, 40, 3, initial=begin), run(tableau, mixture, begin, 3), rtol=0, atol=1e-12
    )
    np.testing.assert_array_equal(begin, kept)
    assert not np.allclose(sample(tableau, mixture, 40, 3), sample(tableau, mixture, 40, 3, initial="prior"))


# ---------------------------------------------------------------- refusals

TABLEAU = catalogue["ddpm"].tableau(VP, grids.log_snr(VP, 4))
POINTS = np.zeros((3, 2))
NAN = np.array([[0.0, np.nan]] * 3)
BAD: list[tuple[str, Any, type[Exception], str]] = [
    ("dtype", lambda: sample(TABLEAU, PLANE, 3, dtype="half"), ValueError, "dtype is 'half': use one of"),
    ("device", lambda: sample(TABLEAU, PLANE, 3, device="tpu"), ValueError, "device is 'tpu': use"),
    ("n", lambda: sample(TABLEAU, PLANE, 0), ValueError, "n is 0: give a whole number"),
    ("n fraction", lambda: sample(TABLEAU, PLANE, 2.5), ValueError, "n is 2.5: give a whole number"),
    ("first", lambda: sample(TABLEAU, PLANE, 3, first=-1), ValueError, "first is -1: give a whole number"),
    (
        "threads",
        lambda: sample(TABLEAU, PLANE, 3, threads=0),
        ValueError,
        "threads is 0: give a whole number",
    ),
    ("seed", lambda: sample(TABLEAU, PLANE, 3, seed=-1), ValueError, r"seed is -1: give an integer"),
    ("seed type", lambda: sample(TABLEAU, PLANE, 3, seed=0.5), TypeError, r"seed is 0.5: give an integer"),
    ("word", lambda: sample(TABLEAU, PLANE, 3, initial="x"), ValueError, "initial is 'x': use 'marginal'"),
    (
        "shape",
        lambda: sample(TABLEAU, PLANE, 3, initial=np.zeros((2, 2))),
        ValueError,
        r"initial has shape \(2, 2\)",
    ),
    (
        "nan",
        lambda: sample(TABLEAU, PLANE, 3, initial=NAN),
        ValueError,
        r"initial\[0, 1\] is nan: give finite",
    ),
    ("law", lambda: sample(TABLEAU, PLANE, 3, initial=LINE), ValueError, "the target has 2"),
    (
        "noise",
        lambda: sample(TABLEAU, PLANE, 3, noise=np.zeros((1, 3, 2))),
        ValueError,
        r"noise has shape .*\(4, 3, 2\)",
    ),
    (
        "run shape",
        lambda: run(TABLEAU, PLANE, np.zeros(3)),
        ValueError,
        r"initial has shape \(3,\): give \(n, dim\)",
    ),
    (
        "run dtype",
        lambda: run(TABLEAU, PLANE, POINTS.astype(int)),
        TypeError,
        "initial has dtype int64: give",
    ),
    ("run nan", lambda: run(TABLEAU, PLANE, NAN), ValueError, "initial holds a NaN"),
    (
        "run noise",
        lambda: run(TABLEAU, PLANE, POINTS, noise=POINTS),
        ValueError,
        r"noise has shape .*\(4, 3, 2\)",
    ),
    ("run n", lambda: run(TABLEAU, PLANE, "marginal"), ValueError, "initial is 'marginal': give"),
    ("run model", lambda: run(TABLEAU, 3, POINTS), TypeError, "model is 3: give a target"),
    ("predicts", lambda: denoiser(PLANE.denoise, predicts="x"), ValueError, "predicts is 'x': use one of"),
    ("takes", lambda: denoiser(PLANE.denoise, takes="x"), ValueError, "takes is 'x': use one of"),
    ("path", lambda: denoiser(PLANE.denoise), ValueError, "path is None: give the path"),
    (
        "v",
        lambda: denoiser(PLANE.denoise, predicts="v", takes="level"),
        ValueError,
        "takes is 'level' with predicts='v'",
    ),
    (
        "F",
        lambda: denoiser(PLANE.denoise, predicts="F", takes="level"),
        ValueError,
        "takes is 'level' with predicts='F'",
    ),
    ("model", lambda: denoiser(3), TypeError, "model is 3: give a callable"),
    (
        "sigma_data",
        lambda: denoiser(abs, takes="level", sigma_data=0.0),
        ValueError,
        "sigma_data is 0.0: give a positive",
    ),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_a_bad_argument_is_named_with_its_value_and_the_remedy(
    call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def _unstable() -> Tableau:
    path = paths.VP(0.1, 2e4)
    return catalogue["euler-maruyama"].tableau(path, grids.uniform(path, 300))


def test_overflow_is_an_error_of_sample_and_run_and_a_status_of_a_full_run() -> None:
    tableau, target = _unstable(), targets.load("gaussian-1d")
    with pytest.raises(FloatingPointError, match="3 of 3 samples that are not finite, the first number 0"):
        sample(tableau, target, 3)
    with np.errstate(all="ignore"):
        with pytest.raises(FloatingPointError, match=r"step \d+ of euler-maruyama gave .*: take more steps"):
            run(tableau, target, np.ones((3, 1)))
        result = run(tableau, target, np.ones((3, 1)), full=True)
    assert result.status.startswith("step ")
    assert len(result.trajectory) == 301


def test_a_score_of_the_target_itself_needs_a_target_with_a_density() -> None:
    trace = Trace("langevin", LINEAR, [0.5, 0.0])
    for step in trace.steps():
        step.close(step.registers[0])
    step = trace.stay(0.0)
    (x,) = step.registers
    step.close(x + 0.01 * step.score(x, step.now) + 0.02**0.5 * step.noise(None))
    tableau, target = trace.tableau(), ROTATED
    np.testing.assert_allclose(
        sample(tableau, target, 20, seed=2), run(tableau, target, "marginal", seed=2, n=20), atol=1e-12
    )
    with pytest.raises(ValueError, match=r"model has no score\(x\)"):
        run(tableau, denoiser(target.denoise, takes="level"), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="zero variance, whose score at sigma = 0 does not exist"):
        sample(tableau, ATOMS, 2)
