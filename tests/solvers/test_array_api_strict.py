"""`run` and mixtures keep to the array API standard, which is what lets them run on a GPU's arrays as they are.

array-api-strict has nothing else, refuses arrays of two devices in one operation, and does not let NumPy read the
arrays of a device other than its CPU. So a call that only NumPy knows, or an array made in the wrong place, fails.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import array_api_strict as strict
import numpy as np
import pytest

from analytic import GaussianMixture, paths
from solvers import Imperfect, ScoreError, Trace, catalogue, denoiser, grids, run

PATH = paths.VP()
THERE, ELSEWHERE = strict.Device("device1"), strict.Device("device2")
GENERATOR = np.random.default_rng(5)
MANY = GENERATOR.normal(size=(64, 20))  # enough numbers for products of matrices
TARGETS = {
    "line": GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3]),
    "shared": GaussianMixture([0.2, 0.8], [[-1.0, 0.0], [1.0, 1.0]], 0.2),
    "diagonal": GaussianMixture([0.2, 0.8], [[-1.0, 0.0], [1.0, 1.0]], [[0.1, 0.2], [0.3, 0.4]]),
    "rotated": GaussianMixture(
        [0.4, 0.6], [[-1.0, 0.0], [1.0, 1.0]], [[[0.5, 0.2], [0.2, 0.3]], [[0.2, -0.1], [-0.1, 0.4]]]
    ),
    "many, shared": GaussianMixture(np.full(64, 1 / 64), MANY, 0.1),
    "many, diagonal": GaussianMixture(np.full(64, 1 / 64), MANY, np.exp(MANY)),
}
LEVELS = [(0.6, 0.8), (0.0, 1.0), (1.0, 0.0)]


def there(x: Any) -> Any:
    return strict.asarray(x, device=THERE)


def back(x: Any) -> Any:
    assert x.device == THERE
    return np.asarray(x.to_device(strict.Device("CPU_DEVICE")))


def assert_same(found: Any, expected: Any) -> None:
    found = back(found)
    assert found.dtype == expected.dtype
    # the same operations in the same order, but for NumPy's own choices in sums and products
    bound = 64 * float(np.finfo(expected.dtype).eps) * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_mixture_answers_on_the_device_it_is_asked_on(name: str, dtype: str) -> None:
    target = TARGETS[name]
    x = GENERATOR.normal(size=(7, target.dim)).astype(dtype)
    x[0] *= 1e9 if dtype == "float32" else 1e160  # squares overflow: the scaled route
    for function in ("log_density", "score", "hessian"):
        with np.errstate(over="ignore"):
            assert_same(getattr(target, function)(there(x[1:])), getattr(target, function)(x[1:]))
    for alpha, sigma in LEVELS:
        assert_same(target.denoise_jacobian(there(x), alpha, sigma), target.denoise_jacobian(x, alpha, sigma))
        assert_same(target.denoise(there(x), alpha, sigma), target.denoise(x, alpha, sigma))


@pytest.mark.parametrize("name", sorted(catalogue.continuous))
def test_every_method_runs_on_strict_arrays(name: str) -> None:
    tableau = catalogue[name].tableau(PATH, grids.log_snr(PATH, 4))
    for target in (TARGETS["line"], TARGETS["rotated"]):
        for dtype in ("float64", "float32"):
            x = GENERATOR.normal(size=(5, target.dim)).astype(dtype)
            expected = run(tableau, target, x, seed=3)
            assert expected.dtype == dtype
            assert_same(run(tableau, target, there(x), seed=3), expected)


def test_given_noise_may_come_from_any_place() -> None:
    tableau, target = catalogue["ddpm"].tableau(PATH, grids.log_snr(PATH, 4)), TARGETS["diagonal"]
    x = GENERATOR.normal(size=(5, 2))
    noise = GENERATOR.normal(size=(len(tableau.channels), 5, 2))
    expected = run(tableau, target, x, noise=noise)
    for given in (noise, there(noise)):
        assert_same(run(tableau, target, there(x), noise=given), expected)


@pytest.mark.parametrize(
    ("predicts", "takes"), [("x0", "t"), ("eps", "sigma"), ("v", "t"), ("score", "level"), ("F", "sigma")]
)
def test_every_kind_of_model_stays_in_its_library_and_float_type(predicts: str, takes: str) -> None:
    tableau = catalogue["heun"].tableau(PATH, grids.log_snr(PATH, 4))

    def network(x: Any, *clock: float) -> Any:
        xp = array_api_compat.array_namespace(x)
        return clock[-1] * xp.tanh(x)

    model = denoiser(network, predicts, takes, PATH)
    for dtype in ("float64", "float32"):
        x = GENERATOR.normal(size=(5, 2)).astype(dtype)
        expected = run(tableau, model, x)
        assert expected.dtype == dtype
        assert_same(run(tableau, model, there(x)), expected)


@pytest.mark.parametrize("what", ["value", "relative", "wave", "bump"])
def test_imperfect_targets_run_on_strict_arrays(what: str) -> None:
    tableau = catalogue["heun"].tableau(PATH, grids.log_snr(PATH, 4))
    wrong = Imperfect(TARGETS["rotated"], ScoreError(0.1) if what == "value" else ScoreError(0.1, what))
    x = GENERATOR.normal(size=(5, 2))
    assert_same(run(tableau, wrong, there(x)), run(tableau, wrong, x))


@pytest.mark.parametrize(
    "only_numpy",
    [
        lambda x: np.exp(x),
        lambda x: x.copy(),
        lambda x: x[0] + x,
        lambda x: x[:100, :],
        lambda x: x + strict.ones((1, 2), device=ELSEWHERE),
        lambda x: x + np.ones(2),
    ],
    ids=["a ufunc", "a method", "a short index", "a long slice", "another device", "a NumPy array"],
)
def test_what_only_numpy_can_do_is_caught(only_numpy: Any) -> None:
    tableau = catalogue["heun"].tableau(PATH, grids.log_snr(PATH, 4))
    x = GENERATOR.normal(size=(5, 2))
    with pytest.raises((TypeError, ValueError, AttributeError, IndexError, RuntimeError)):
        run(tableau, denoiser(lambda x, alpha, sigma: only_numpy(x), takes="level"), there(x))


WRONG: dict[str, tuple[Any, str]] = {
    "another shape": (lambda x, *_: x[:, :0], r"returned shape \(3, 0\) for x of shape \(3, 2\)"),
    "one number a sample": (lambda x, *_: strict.sum(x, axis=1), r"returned shape \(3,\) for x"),
    "a number": (lambda x, *_: 0.5, "returned 0.5 for x of shape"),
    "another dtype": (lambda x, *_: strict.astype(x, strict.float32), "returned dtype .*float32 for x"),
    "another device": (lambda x, *_: x.to_device(ELSEWHERE), "an array on .*device2.* for x on .*device1"),
    "another library": (lambda x, *_: np.zeros((3, 2)), "an array of .*numpy for x of .*strict"),
}


class Target:
    """A model with a denoiser and a score of its own."""

    def __init__(self, answer: Any, score: Any) -> None:
        self.denoise, self.score = answer, score


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("kind", ["plain", "eps", "target", "score of a target"])
def test_what_a_model_returns_is_an_array_like_the_one_it_was_given(case: str, kind: str) -> None:
    """Nothing is broadcast, converted or moved: an answer of another kind names itself and what was expected."""
    answer, said = WRONG[case]
    models: dict[str, Any] = {
        "plain": answer,
        "eps": denoiser(answer, predicts="eps", takes="sigma"),
        "target": Target(answer, answer),
        "score of a target": Target(lambda x, *_: x, answer),
    }
    tableau = catalogue["heun"].tableau(PATH, grids.log_snr(PATH, 3))
    if kind == "score of a target":
        trace = Trace("asks at the data", PATH, grids.log_snr(PATH, 1, append_zero=True))
        for step in trace.steps():
            (x,) = step.registers
            step.close(x + 0.1 * step.score(x, step.next))
        tableau = trace.tableau()
    with pytest.raises((ValueError, TypeError), match=said):
        run(tableau, models[kind], there(GENERATOR.normal(size=(3, 2))))


@pytest.mark.parametrize("method", ["heun", "sde-dpm-solver++-2m", "predictor-corrector"])
def test_samples_of_any_shape_are_those_of_rows_of_numbers(method: str) -> None:
    """Images, with the noise of their pixels in a row: to the bit."""
    tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, 4))
    start = GENERATOR.normal(size=(5, 2, 3, 4))

    def model(x: Any, t: float) -> Any:
        return x / (1 + t)

    rows = run(tableau, model, start.reshape(5, 24), seed=3)
    images = run(tableau, model, start, seed=3, full=True)
    np.testing.assert_array_equal(images.x, rows.reshape(start.shape))
    assert all(register.shape == start.shape for register in (*images.registers, *images.trajectory))
    noise = GENERATOR.normal(size=(len(tableau.channels), *start.shape))
    given = run(tableau, model, there(start), noise=there(noise))
    flat = run(tableau, model, start.reshape(5, 24), noise=noise.reshape(-1, 5, 24))
    assert_same(given, flat.reshape(start.shape))
    with pytest.raises(ValueError, match="noise has shape"):
        run(tableau, model, start, noise=noise[:, :, :1])
    with pytest.raises(ValueError, match=r"initial has shape \(5,\)"):
        run(tableau, model, start[:, 0, 0, 0])
