"""Interpolants against quadrature over their ends, the continuity equation, autodiff and other paths."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

from analytic import GaussianMixture, Interpolated, couplings, paths

# ends on the line that depend on one another within each component and over both
JOINT = GaussianMixture(
    [0.35, 0.65],
    [[-1.0, 0.6], [0.8, -0.9]],
    [[[0.3, 0.1], [0.1, 0.5]], [[0.4, -0.2], [-0.2, 0.35]]],
)
THREE = couplings.independent(
    GaussianMixture([0.4, 0.6], [-1.0, 0.7], [0.2, 0.4]),
    GaussianMixture([1.0], [0.3], 0.5),
    GaussianMixture([0.5, 0.5], [-0.8, 1.1], [0.3, 0.2]),
)
PATHS: dict[str, paths.Transport] = {
    "linear": paths.Interpolant(noise=0.7),
    "trigonometric": paths.Interpolant("trigonometric", noise=1.2),
    "encoding-decoding": paths.EncodingDecoding(),
    "no noise": paths.Interpolant("trigonometric", noise=0.0),
}
X = np.linspace(-2.0, 2.0, 9)


def written(name: str, t: float) -> tuple[float, float, float]:
    """alpha, beta and gamma as the paper writes them."""
    bridge = np.sqrt(t * (1 - t))
    if name == "linear":
        return 1 - t, t, 0.7 * bridge
    if name == "encoding-decoding":
        square = np.cos(np.pi * t) ** 2
        return square * (t < 0.5), square * (t > 0.5), np.sin(np.pi * t) ** 2
    gamma = 1.2 * bridge if name == "trigonometric" else 0.0
    size = np.sqrt(1 - gamma**2)
    return size * np.cos(np.pi * t / 2), size * np.sin(np.pi * t / 2), gamma


@pytest.mark.parametrize("name", PATHS)
def test_weights_are_the_papers_and_slopes_their_derivatives(name: str) -> None:
    path, h = PATHS[name], 1e-5
    for t in (0.1, 0.37, 0.62, 0.9):
        w = path.weights(t)
        alpha, beta, gamma = written(name, t)
        np.testing.assert_allclose([*w.of[0], w.variance[0]], [alpha, beta, gamma**2], rtol=1e-14, atol=1e-16)
        (a, b, c), (d, e, f) = written(name, t - h), written(name, t + h)
        numbers = [*w.slopes[0], 2 * w.half_rate[0]]
        np.testing.assert_allclose(numbers, np.array([d - a, e - b, f**2 - c**2]) / (2 * h), atol=1e-8)


def test_several_laws_are_passed_at_whole_times_with_a_continuous_velocity() -> None:
    path = paths.Multimarginal(3, noise=0.8)
    model = Interpolated(THREE, path)
    for k in range(3):
        np.testing.assert_array_equal(path.weights(float(k)).of[0], np.eye(3)[k])
        np.testing.assert_allclose(path.weights(float(k)).slopes, 0, atol=1e-15)
        assert path.weights(float(k)).variance[0] == 0
        log = model.marginal(float(k)).log_density(X[:, None])
        np.testing.assert_allclose(log, model.end(k).log_density(X[:, None]), rtol=1e-12)
    h = 1e-5
    for t in (0.2, 0.7, 1.4, 1.9):
        w, before, after = path.weights(t), path.weights(t - h), path.weights(t + h)
        np.testing.assert_allclose(w.slopes, (after.of - before.of) / (2 * h), atol=1e-8)
        np.testing.assert_allclose(w.half_rate, (after.variance - before.variance) / (4 * h), atol=1e-8)
        assert path.time(float(path.alpha(t)), float(path.sigma(t))) == pytest.approx(t, rel=1e-15)


@pytest.mark.parametrize("name", ["linear", "trigonometric", "encoding-decoding"])
@pytest.mark.parametrize("t", [0.2, 0.55, 0.9])
def test_marginal_velocity_score_and_ends_are_those_of_quadrature_over_the_ends(name: str, t: float) -> None:
    side = np.linspace(-5.5, 5.5, 241)
    x0, x1 = np.meshgrid(side, side, indexing="ij")
    density = np.exp(JOINT.log_density(np.stack([x0.ravel(), x1.ravel()], axis=1))).reshape(x0.shape)
    alpha, beta, gamma = written(name, t)
    h = 1e-5
    slopes = [(b - a) / (2 * h) for a, b in zip(written(name, t - h), written(name, t + h), strict=True)]
    model = Interpolated(JOINT, PATHS[name])
    found = [f(X[:, None], t)[:, 0] for f in (model.velocity, model.score)]
    ends = [model.expected(X[:, None], t, k)[:, 0] for k in (0, 1)]
    log = model.marginal(t).log_density(X[:, None])
    for i, x in enumerate(X):
        z = (x - alpha * x0 - beta * x1) / gamma
        weight = density * np.exp(-(z**2) / 2)
        total = weight.sum()
        first, second, noise = ((part * weight).sum() / total for part in (x0, x1, z))
        whole = total * (side[1] - side[0]) ** 2 / (np.sqrt(2 * np.pi) * gamma)
        assert log[i] == pytest.approx(np.log(whole), abs=1e-10)
        assert ends[0][i] == pytest.approx(first, abs=1e-10)
        assert ends[1][i] == pytest.approx(second, abs=1e-10)
        assert found[1][i] == pytest.approx(-noise / gamma, abs=1e-9)
        assert found[0][i] == pytest.approx(
            slopes[0] * first + slopes[1] * second + slopes[2] * noise, abs=1e-7
        )


@pytest.mark.parametrize("name", PATHS)
def test_the_velocity_carries_the_marginals_up_to_both_ends(name: str) -> None:
    """d rho/dt + d(rho v)/dx = 0, in differences of fourth order."""
    model, h = Interpolated(JOINT, PATHS[name]), 1e-3

    def rho(t: float, shift: float = 0.0) -> np.ndarray:
        return np.asarray(np.exp(model.marginal(t).log_density(X[:, None] + shift)))

    for t in (2 * h, 0.31, 0.49, 0.77, 1 - 2 * h):
        in_time = (8 * (rho(t + h) - rho(t - h)) - rho(t + 2 * h) + rho(t - 2 * h)) / (12 * h)
        flux = {k: rho(t, k * h) * model.velocity(X[:, None] + k * h, t)[:, 0] for k in (-2, -1, 1, 2)}
        in_space = (8 * (flux[1] - flux[-1]) - flux[2] + flux[-2]) / (12 * h)
        np.testing.assert_allclose(in_time, -in_space, atol=2e-8)


def test_the_score_is_the_gradient_by_automatic_differentiation_in_a_plane_and_libraries_agree() -> None:
    torch = pytest.importorskip("torch")
    data = GaussianMixture(
        [0.3, 0.7], [[-1.0, 0.4], [0.9, 0.0]], [[[0.5, 0.2], [0.2, 0.3]], [[0.3, 0.0], [0.0, 0.6]]]
    )
    base = GaussianMixture([0.5, 0.5], [[0.0, -1.0], [0.5, 1.2]], [0.4, 0.3])
    model = Interpolated(couplings.optimal(data, base), PATHS["trigonometric"])
    x = np.random.default_rng(0).standard_normal((7, 2))
    at = torch.tensor(x, requires_grad=True)
    law = model.marginal(0.4)
    torch.sum(law.log_density(at)).backward()
    np.testing.assert_allclose(model.score(x, 0.4), at.grad.numpy(), atol=1e-13)
    for of in (model.velocity, model.score, lambda x, t: model.ask(x, 0.6, 0.4, 0.3, -0.2)):
        expected = of(x, 0.4)
        np.testing.assert_allclose(of(torch.tensor(x), 0.4).numpy(), expected, atol=1e-14)
        np.testing.assert_allclose(np.asarray(of(strict.asarray(x), 0.4)), expected, atol=1e-14)
        assert of(torch.tensor(x, dtype=torch.float32), 0.4).dtype == torch.float32
    mixed = 0.3 * model.velocity(x, 0.4) - 0.2 * model.score(x, 0.4)
    np.testing.assert_allclose(model.ask(x, 0.6, 0.4, 0.3, -0.2), mixed, atol=1e-14)


@pytest.mark.parametrize(
    ("interpolant", "plain"),
    [
        (paths.Interpolant(noise=0.0), paths.Linear()),
        (paths.Interpolant("trigonometric", 0.0), paths.Trigonometric()),
    ],
)
def test_from_independent_noise_an_interpolant_is_the_plain_path(interpolant: Any, plain: Any) -> None:
    data = GaussianMixture([0.3, 0.7], [[-1.0, 0.4], [0.9, 0.0]], [0.5, 0.2])
    model = Interpolated(couplings.independent(data, GaussianMixture([1.0], [[0.0, 0.0]], 1.0)), interpolant)
    x = np.random.default_rng(1).standard_normal((6, 2))
    for t in (0.2, 0.5, 0.8):
        alpha, sigma, da, ds = (float(f(t)) for f in (plain.alpha, plain.sigma, plain.d_alpha, plain.d_sigma))
        D = data.denoise(x, alpha, sigma)
        np.testing.assert_allclose(model.expected(x, t, 0), D, atol=1e-13)
        np.testing.assert_allclose(model.velocity(x, t), da * D + ds * (x - alpha * D) / sigma, atol=1e-12)
        np.testing.assert_allclose(model.score(x, t), data.noised(alpha, sigma).score(x), atol=1e-12)


def test_both_ends_are_reached_and_the_middle_of_encoding_and_decoding_is_noise() -> None:
    for name, path in PATHS.items():
        model = Interpolated(JOINT, path)
        for t, k in ((0.0, 0), (1.0, 1)):
            end = JOINT.observed(np.eye(2)[k : k + 1])
            found = [
                law.log_density(X[:, None])
                for law in (model.marginal(t), model.noised(1 - t, t), model.end(k))
            ]
            for one in found:
                np.testing.assert_allclose(one, end.log_density(X[:, None]), rtol=1e-11, err_msg=name)
        np.testing.assert_allclose(model.mean(), JOINT.mean()[:1])
        np.testing.assert_allclose(model.covariance(), JOINT.covariance()[:1, :1])
    middle = Interpolated(JOINT, PATHS["encoding-decoding"]).marginal(0.5)
    np.testing.assert_allclose(
        middle.log_density(X[:, None]), -(X**2) / 2 - np.log(2 * np.pi) / 2, atol=1e-13
    )


def test_what_cannot_be_is_named() -> None:
    atoms = couplings.independent(GaussianMixture([1.0], [0.0], 0.0), GaussianMixture([1.0], [0.0], 1.0))
    model = Interpolated(atoms, paths.Interpolant())
    assert np.isfinite(model.velocity(X[:, None], 0.1)).all()
    with pytest.raises(ValueError, match=r"joint has a component without variance .* at t = 0"):
        model.velocity(X[:, None], 0.0)
    with pytest.raises(TypeError, match=r"path is VP.*give paths.Interpolant"):
        Interpolated(JOINT, paths.VP())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs the law of 3 vectors"):
        Interpolated(JOINT, paths.Multimarginal(3))
    with pytest.raises(ValueError, match="k is 2; give an end from 0 to 1"):
        model.end(2)
    with pytest.raises(ValueError, match=r"x has shape \(3, 2\)"):
        model.score(np.zeros((3, 2)), 0.5)
    with pytest.raises(ValueError, match="shape is 'square'"):
        paths.Interpolant("square")
    for wrong in (-0.1, 2.0):
        with pytest.raises(ValueError, match=rf"noise is {wrong}"):
            paths.Interpolant("trigonometric", wrong)
    with pytest.raises(TypeError, match="noise is 'much'"):
        paths.Multimarginal(3, noise="much")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"laws is 1; pass at least 2"):
        paths.Multimarginal(1)
    with pytest.raises(TypeError, match=r"laws is 2\.5"):
        paths.Multimarginal(2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"t is 1\.5"):
        paths.Interpolant().weights(1.5)
