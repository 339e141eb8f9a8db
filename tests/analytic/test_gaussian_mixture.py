"""Gaussian mixtures against high-precision densities, their numerical derivatives, and Bayes' rule."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from analytic.mixtures import weights as mixture_weights
from analytic.mixtures.gaussian_mixture import GaussianMixture

TURN = np.array([[0.8, -0.6], [0.6, 0.8]])
FULL = [TURN @ np.diag([1.0, 0.04]) @ TURN.T, TURN.T @ np.diag([0.5, 0.3]) @ TURN]
FLAT = [np.outer([3.0, 4.0], [3.0, 4.0]) / 25.0, np.diag([0.2, 0.3])]
MEANS = [[-1.0, 0.5], [1.2, 0.8]]
# Three dimensions, since eigenvectors in the plane often come as a symmetric matrix, its own transpose.
SPACE = [
    [[1.0, 0.3, -0.2], [0.3, 0.6, 0.25], [-0.2, 0.25, 0.4]],
    [[0.3, -0.2, 0.1], [-0.2, 0.9, 0.4], [0.1, 0.4, 0.5]],
]
SPACE_MEANS = [[-1.0, 0.5, 0.2], [1.2, 0.8, -0.4]]
MIXTURES: dict[str, tuple[Any, Any, Any]] = {
    "line": ([0.3, 0.7], [-1.0, 1.2], [0.25, 0.36]),
    "line of three": ([0.2, 0.5, 0.3], [[-2.0], [0.0], [0.5]], [[0.01], [1.0], [0.3]]),
    "shared": ([0.3, 0.7], MEANS, 0.3),
    "isotropic": ([0.3, 0.7], MEANS, [0.3, 0.05]),
    "diagonal": ([0.3, 0.7], MEANS, [[0.3, 0.05], [0.1, 1.0]]),
    "full": ([0.3, 0.7], MEANS, FULL),
    "space": ([0.3, 0.7], SPACE_MEANS, SPACE),
    "single full": ([1.0], [[0.4, -0.3]], FULL[:1]),
    "atoms": ([0.3, 0.7], MEANS, 0.0),
    "atom and width": ([0.3, 0.7], MEANS, [0.0, 0.4]),
    "singular": ([0.3, 0.7], MEANS, FLAT),
}
LEVELS = [(1.0, 0.3), (0.6, 0.8), (1.0, 20.0), (0.01, 1.0), (1.0, 0.02)]


def covariance_matrices(arguments: tuple[Any, Any, Any]) -> np.ndarray:
    """Covariances (K, dim, dim) from what the constructor was given, by its documented shapes."""
    weights, means, covariances = arguments
    components, dim = len(weights), np.reshape(means, (len(weights), -1)).shape[1]
    given_array = np.asarray(covariances, dtype=float)
    if given_array.ndim == 3:
        return given_array
    if given_array.ndim < 2:
        given_array = np.broadcast_to(given_array, (components,))[:, None] * np.ones(dim)
    return given_array[:, :, None] * np.eye(dim)


def reference_log_density(arguments: tuple[Any, Any, Any], alpha: float, sigma: float) -> Any:
    """Log-density of x_t as a function of mpmath numbers, from the textbook formula."""
    weights, means, _ = arguments
    rows = np.reshape(means, (len(weights), -1))
    dim = rows.shape[1]
    parts = []
    for weight, mean, covariance in zip(weights, rows, covariance_matrices(arguments), strict=True):
        total = mpmath.mpf(alpha) ** 2 * mpmath.matrix(covariance.tolist())
        total += mpmath.mpf(sigma) ** 2 * mpmath.eye(dim)
        parts.append((mpmath.mpf(weight), mpmath.mpf(alpha) * mpmath.matrix(mean.tolist()), total))

    def log_density(*x: Any) -> Any:
        density = mpmath.mpf(0)
        for weight, mean, total in parts:
            residual = mpmath.matrix(x) - mean
            square = (residual.T * mpmath.lu_solve(total, residual))[0]
            scale = mpmath.sqrt((2 * mpmath.pi) ** dim * mpmath.det(total))
            density += weight * mpmath.exp(-square / 2) / scale
        return mpmath.log(density)

    return log_density


def derivatives(function: Any, x: np.ndarray) -> tuple[Any, Any, Any]:
    """Value, gradient and Hessian of a function of mpmath numbers, by differences at 60 digits."""
    dim, h = len(x), mpmath.mpf(10) ** -18
    point = [mpmath.mpf(float(v)) for v in x]

    def at(*moves: tuple[int, int]) -> Any:
        moved = list(point)
        for axis, sign in moves:
            moved[axis] += sign * h
        return function(*moved)

    gradient = mpmath.matrix(dim, 1)
    hessian = mpmath.matrix(dim, dim)
    for i in range(dim):
        gradient[i] = (at((i, 1)) - at((i, -1))) / (2 * h)
        for j in range(dim):
            corners = at((i, 1), (j, 1)) - at((i, 1), (j, -1)) - at((i, -1), (j, 1)) + at((i, -1), (j, -1))
            hessian[i, j] = corners / (4 * h * h)
    return at(), gradient, hessian


def as_array(matrix: Any) -> np.ndarray:
    return np.array(matrix.tolist(), dtype=float)


def points_at(mixture: GaussianMixture, alpha: float, sigma: float, n: int) -> np.ndarray:
    noise = np.random.default_rng(7).standard_normal((n, mixture.dim))
    return alpha * mixture.sample(n, seed=3) + sigma * noise


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("name", MIXTURES)
def test_every_function_of_a_point_follows_from_the_density_by_differentiation(
    name: str, level: tuple[float, float]
) -> None:
    alpha, sigma = level
    mixture = GaussianMixture(*MIXTURES[name])
    noised = mixture.noised(alpha, sigma)
    x = points_at(mixture, alpha, sigma, 2)
    log_density, score, hessian = noised.log_density(x), noised.score(x), noised.hessian(x)
    denoised, jacobian = mixture.denoise(x, alpha, sigma), mixture.denoise_jacobian(x, alpha, sigma)
    with mpmath.workdps(60):
        function = reference_log_density(MIXTURES[name], alpha, sigma)
        for i, point in enumerate(x):
            value, gradient, second = derivatives(function, point)
            # Tweedie: D = (x + sigma^2 score) / alpha, and its derivative.
            tweedie = (mpmath.matrix(point.tolist()) + mpmath.mpf(sigma) ** 2 * gradient) / mpmath.mpf(alpha)
            slope = (mpmath.eye(len(point)) + mpmath.mpf(sigma) ** 2 * second) / mpmath.mpf(alpha)
            assert abs(log_density[i] - float(value)) < 2e-14 * max(1.0, abs(float(value)))
            for found, exact in (
                (score[i], as_array(gradient)[:, 0]),
                (hessian[i], as_array(second)),
                (denoised[i], as_array(tweedie)[:, 0]),
                (jacobian[i], as_array(slope)),
            ):
                # Where x itself is many spreads from zero, its own rounding bounds what can be had.
                np.testing.assert_allclose(found, exact, rtol=0, atol=5e-14 * max(np.abs(exact).max(), 1e-3))


@pytest.mark.parametrize("name", MIXTURES)
def test_far_from_all_components_the_denoiser_still_follows_the_density(name: str) -> None:
    mixture = GaussianMixture(*MIXTURES[name])
    x = np.full((1, mixture.dim), 1e8) * [1.0, 0.3, -0.2][: mixture.dim]
    with mpmath.workdps(60):
        function = reference_log_density(MIXTURES[name], 1.0, 0.5)
        point = [mpmath.mpf(float(v)) for v in x[0]]
        _, gradient, _ = derivatives(lambda *u: function(*u), x[0])
        exact = as_array(mpmath.matrix(point) + gradient / 4)[:, 0]
    np.testing.assert_allclose(mixture.denoise(x, 1.0, 0.5)[0], exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sigma", [1e-200, 1e-10, 1.0, 1e4, 1e100])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e8, 1e160])
@pytest.mark.parametrize("variance", [0.0, 1e-300, 1.0, [0.0, 1.0], [[1.0, 0.0], [1e-300, 2.0]]], ids=str)
def test_no_level_and_no_distance_gives_nan(sigma: float, size: float, variance: Any) -> None:
    mixture = GaussianMixture([0.5, 0.5], MEANS, variance)
    x = np.array([[size, -size], [size, size], [0.0, size]])
    denoised = mixture.denoise(x, 1.0, sigma)
    assert np.isfinite(denoised).all()
    # Gains lie in [0, 1]: the answer is between the means and the point, coordinate by coordinate.
    assert (np.abs(denoised) <= 1.0000001 * np.maximum(np.abs(x), 1.2)).all()
    assert not np.isnan(mixture.denoise_jacobian(x, 1.0, sigma)).any()
    assert not np.isnan(mixture.posterior(x, 1.0, sigma).weights).any()


@pytest.mark.parametrize("size", [1.0, 1e8, 1e160])
def test_tiny_variances_give_densities_without_nan(size: float) -> None:
    mixture = GaussianMixture([0.5, 0.5], MEANS, 1e-300)
    x = np.array([[size, -size], [0.0, size]])
    assert not np.isnan(mixture.log_density(x)).any()
    # Beyond, the score itself leaves the range of floats.
    if size <= 1e8:
        assert np.isfinite(mixture.score(x)).all()


def test_without_noise_the_denoiser_is_a_division_and_without_signal_the_mean() -> None:
    mixture = GaussianMixture(*MIXTURES["full"])
    x = np.array([[1.0, -2.0], [1e8, 3.0]])
    np.testing.assert_array_equal(mixture.denoise(x, 0.5, 0.0), 2.0 * x)
    np.testing.assert_array_equal(
        mixture.denoise_jacobian(x, 0.5, 0.0), np.broadcast_to(2 * np.eye(2), (2, 2, 2))
    )
    mean = np.array([0.3, 0.7]) @ np.array(MEANS)
    np.testing.assert_allclose(mixture.denoise(x, 0.0, 3.0), [mean, mean], rtol=1e-15)
    assert not mixture.denoise_jacobian(x, 0.0, 3.0).any()
    np.testing.assert_array_equal(mixture.posterior(x, 0.5, 0.0).sample(), 2.0 * x)
    np.testing.assert_array_equal(mixture.posterior(x, 0.0, 1.0).weights, [[0.3, 0.7]] * 2)
    with pytest.raises(ValueError, match="alpha and sigma are both 0"):
        mixture.denoise(x, 0.0, 0.0)


def test_atoms_are_denoised_by_a_softmax_over_the_data() -> None:
    generator = np.random.default_rng(0)
    data = generator.uniform(-1.0, 1.0, (300, 16))
    x = data[:5] + 0.7 * generator.standard_normal((5, 16))
    distances = ((x[:, None, :] - 0.9 * data) ** 2).sum(axis=2)
    expected = special.softmax(-distances / (2 * 0.7**2), axis=1) @ data
    mixture = GaussianMixture(np.full(300, 1 / 300), data, 0.0)
    np.testing.assert_allclose(mixture.denoise(x, 0.9, 0.7), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "covariances",
    [0.0, 0.09, np.linspace(0.05, 0.2, 300), np.linspace(0.05, 0.2, 300 * 16).reshape(300, 16)],
    ids=["atoms", "shared", "isotropic", "diagonal"],
)
@pytest.mark.parametrize("sigma", [0.01, 0.3, 5.0])
def test_matrix_products_agree_with_differences_formed_one_by_one(
    covariances: Any, sigma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    # Far from the origin, where products that are not centred would lose four digits.
    mixture = GaussianMixture(np.full(300, 1 / 300), 50.0 + generator.uniform(-1, 1, (300, 16)), covariances)
    x = mixture.sample(40) + sigma * generator.standard_normal((40, 16))
    noised = mixture.noised(1.0, sigma)
    functions = (
        lambda: mixture.denoise(x, 1.0, sigma),
        lambda: sigma * noised.score(x),
        lambda: noised.log_density(x),
    )
    products = [function() for function in functions]
    monkeypatch.setattr(mixture_weights, "PRODUCTS_FROM", 10**9)
    for product, function in zip(products, functions, strict=True):
        np.testing.assert_allclose(product, function(), rtol=1e-12, atol=1e-12)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = GaussianMixture(*MIXTURES["full"])
    x = mixture.sample(50)
    whole = mixture.denoise(x, 0.8, 0.6), mixture.hessian(x), mixture.log_density(x)
    monkeypatch.setattr(mixture_weights, "CHUNK_NUMBERS", 28)
    parts = mixture.denoise(x, 0.8, 0.6), mixture.hessian(x), mixture.log_density(x)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)
    assert mixture.denoise(x[:0], 0.8, 0.6).shape == (0, 2)


@pytest.mark.parametrize("name", MIXTURES)
def test_torch_gives_what_numpy_gives_in_its_own_dtype(name: str) -> None:
    torch = pytest.importorskip("torch")
    mixture = GaussianMixture(*MIXTURES[name])
    x = mixture.sample(6)
    tensor = torch.asarray(x)
    noised = mixture.noised(0.8, 0.6)
    for found, expected in (
        (mixture.denoise(tensor, 0.8, 0.6), mixture.denoise(x, 0.8, 0.6)),
        (mixture.denoise_jacobian(tensor, 0.8, 0.6), mixture.denoise_jacobian(x, 0.8, 0.6)),
        (noised.log_density(tensor), noised.log_density(x)),
        (noised.score(tensor), noised.score(x)),
        (noised.hessian(tensor), noised.hessian(x)),
    ):
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13, atol=1e-14)
    single = tensor.to(torch.float32)
    assert mixture.denoise(single, 0.8, 0.6).dtype == torch.float32
    assert mixture.denoise(x.astype(np.float32), 0.8, 0.6).dtype == np.float32
    # Computed in float64 and rounded once: precision lost elsewhere is not hidden in the target.
    exact = mixture.denoise(single.numpy().astype(np.float64), 0.8, 0.6).astype(np.float32)
    np.testing.assert_array_max_ulp(mixture.denoise(single, 0.8, 0.6).numpy(), exact, maxulp=1)


def test_torch_differentiates_the_log_density_into_the_score() -> None:
    torch = pytest.importorskip("torch")
    mixture = GaussianMixture(*MIXTURES["full"])
    x = torch.asarray(mixture.sample(5)).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_density(x).sum(), x)
    np.testing.assert_allclose(gradient.numpy(), mixture.score(x).detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", MIXTURES)
def test_noising_twice_is_noising_once(name: str) -> None:
    mixture = GaussianMixture(*MIXTURES[name])
    twice = mixture.noised(0.8, 0.5).noised(0.5, 0.3)
    once = mixture.noised(0.4, math.hypot(0.25, 0.3))
    np.testing.assert_allclose(twice.means, once.means, rtol=1e-15)
    np.testing.assert_allclose(twice.variances, once.variances, rtol=1e-14)


def test_moments_are_integrals_of_the_density() -> None:
    mixture = GaussianMixture(*MIXTURES["line of three"])
    nodes = np.linspace(-9.0, 9.0, 20001)
    density = np.exp(mixture.log_density(nodes[:, None]))
    assert abs(integrate.trapezoid(density, nodes) - 1.0) < 1e-13
    assert abs(integrate.trapezoid(nodes * density, nodes) - mixture.mean()[0]) < 1e-13
    centred = (nodes - mixture.mean()[0]) ** 2
    assert abs(integrate.trapezoid(centred * density, nodes) - mixture.covariance()[0, 0]) < 1e-13


@pytest.mark.parametrize("name", MIXTURES)
def test_covariance_is_within_plus_between(name: str) -> None:
    mixture = GaussianMixture(*MIXTURES[name])
    weights, means, _ = MIXTURES[name]
    rows = np.reshape(means, (len(weights), -1))
    second = np.einsum("k,kij->ij", weights, covariance_matrices(MIXTURES[name]))
    second += np.einsum("k,ki,kj->ij", weights, rows, rows)
    mean = np.asarray(weights) @ rows
    np.testing.assert_allclose(mixture.mean(), mean, rtol=1e-14)
    np.testing.assert_allclose(mixture.covariance(), second - np.outer(mean, mean), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", ["single full", "singular"])
def test_spectrum_rebuilds_the_covariance(name: str) -> None:
    spectrum = GaussianMixture(*MIXTURES[name]).condition(0).spectrum()
    assert spectrum.basis is not None
    rebuilt = spectrum.basis @ np.diag(spectrum.variances) @ spectrum.basis.T
    np.testing.assert_allclose(rebuilt, covariance_matrices(MIXTURES[name])[0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(spectrum.mean, MIXTURES[name][1][0])


def test_a_rank_deficient_matrix_has_zero_variances() -> None:
    direction = np.random.default_rng(2).standard_normal((8, 3))
    mixture = GaussianMixture([1.0], np.zeros((1, 8)), (direction @ direction.T)[None])
    assert np.count_nonzero(mixture.variances) == 3
    with pytest.raises(ValueError, match=r"score needs a density.*component 0.*noised"):
        mixture.score(np.zeros((1, 8)))


def test_diagonal_matrices_need_no_rotation() -> None:
    mixture = GaussianMixture([0.5, 0.5], MEANS, [np.diag([1.0, 2.0]), np.diag([3.0, 0.0])])
    assert mixture.rotations is None
    np.testing.assert_array_equal(mixture.variances, [[1.0, 2.0], [3.0, 0.0]])


def test_one_axis_of_covariances_is_isotropic_and_two_are_diagonals_also_where_components_equal_dim() -> None:
    np.testing.assert_array_equal(
        GaussianMixture([0.5, 0.5], MEANS, [1.0, 2.0]).variances, [[1.0, 1.0], [2.0, 2.0]]
    )
    np.testing.assert_array_equal(
        GaussianMixture([0.5, 0.5], MEANS, [[1.0, 0.5], [0.5, 2.0]]).variances, [[1.0, 0.5], [0.5, 2.0]]
    )


@pytest.mark.parametrize("name", MIXTURES)
def test_conditions_on_a_partition_add_up_to_the_whole(name: str) -> None:
    mixture = GaussianMixture(*MIXTURES[name]).noised(1.0, 0.1)
    last = mixture.components - 1
    x = mixture.sample(5)
    rest = np.arange(last) if last else np.array([0])
    total = np.exp(mixture.condition(last).log_density(x)) * mixture.weights[last]
    if last:
        total += np.exp(mixture.condition(rest).log_density(x)) * mixture.weights[:last].sum()
    np.testing.assert_allclose(total, np.exp(mixture.log_density(x)), rtol=1e-12)


# ---------------------------------------------------------------- posterior


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_posterior_moments_are_the_denoiser_and_its_jacobian(name: str, level: tuple[float, float]) -> None:
    alpha, sigma = level
    mixture = GaussianMixture(*MIXTURES[name])
    x = points_at(mixture, alpha, sigma, 4)
    posterior = mixture.posterior(x, alpha, sigma)
    np.testing.assert_allclose(posterior.mean(), mixture.denoise(x, alpha, sigma), rtol=1e-11, atol=1e-13)
    centred = posterior.means - posterior.mean()[:, None, :]
    covariance = np.einsum("nk,kij->nij", posterior.weights, posterior.covariances)
    covariance += np.einsum("nk,nki,nkj->nij", posterior.weights, centred, centred)
    jacobian = mixture.denoise_jacobian(x, alpha, sigma)
    np.testing.assert_allclose(alpha / sigma**2 * covariance, jacobian, rtol=1e-10, atol=1e-12)


def test_posterior_density_is_prior_times_likelihood() -> None:
    mixture = GaussianMixture(*MIXTURES["full"])
    x, alpha, sigma = np.array([[0.3, -0.4]]), 0.7, 0.5
    posterior = mixture.posterior(x, alpha, sigma)
    law = GaussianMixture(
        posterior.weights[0] / posterior.weights[0].sum(), posterior.means[0], posterior.covariances
    )
    clean = np.random.default_rng(1).standard_normal((20, 2))
    likelihood = stats.norm.logpdf(x, alpha * clean, sigma).sum(axis=1)
    bayes = mixture.log_density(clean) + likelihood - mixture.noised(alpha, sigma).log_density(x)
    np.testing.assert_allclose(law.log_density(clean), bayes, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["space", "singular", "diagonal", "atom and width"])
def test_posterior_samples_follow_the_posterior(name: str) -> None:
    # Kolmogorov-Smirnov on two projections of 20000 draws: alarm at p < 1e-4, so 8e-4 over the four cases.
    mixture = GaussianMixture(*MIXTURES[name])
    point, alpha, sigma = np.array([0.2, 0.5, -0.1])[: mixture.dim], 0.8, 0.7
    posterior = mixture.posterior(np.tile(point, (20000, 1)), alpha, sigma)
    samples = posterior.sample(seed=5)
    assert np.isfinite(samples).all()
    for direction in (np.eye(mixture.dim)[0], np.array([0.6, 0.7, 0.4])[: mixture.dim]):
        covariances = direction @ posterior.covariances @ direction
        # An atom has no continuous law; noise it a little, on both sides of the comparison.
        blur = 0.05
        law = GaussianMixture(
            posterior.weights[0] / posterior.weights[0].sum(),
            posterior.means[0] @ direction,
            np.maximum(covariances, 0.0) + blur**2,
        )
        blurred = samples @ direction + blur * np.random.default_rng(0).standard_normal(20000)
        assert stats.kstest(blurred, law.cdf).pvalue > 1e-4


def test_a_posterior_row_does_not_depend_on_later_rows() -> None:
    mixture = GaussianMixture(*MIXTURES["diagonal"])
    x = mixture.sample(9000, seed=4)
    full = mixture.posterior(x, 1.0, 0.5).sample(seed=1)
    np.testing.assert_allclose(mixture.posterior(x[:8200], 1.0, 0.5).sample(seed=1), full[:8200], rtol=1e-13)
    assert not np.array_equal(mixture.posterior(x, 1.0, 0.5).sample(seed=2), full)


# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize("name", ["line", "full"])
def test_a_longer_sample_begins_with_the_shorter_one(name: str) -> None:
    mixture = GaussianMixture(*MIXTURES[name])
    longest = mixture.sample(20000, seed=11)
    for n in (0, 1, 8191, 8192, 8193, 16385):
        np.testing.assert_array_equal(mixture.sample(n, seed=11), longest[:n])
    assert not np.array_equal(longest[:8192], longest[8192:16384])
    assert not np.array_equal(mixture.sample(10, seed=12), longest[:10])


def test_samples_on_the_line_follow_the_cdf() -> None:
    # Kolmogorov-Smirnov, 50000 draws, alarm at p < 1e-4: sees a shift of the cdf of 0.01.
    for name in ("line", "line of three"):
        mixture = GaussianMixture(*MIXTURES[name])
        assert stats.kstest(mixture.sample(50000, seed=1)[:, 0], mixture.cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", ["space", "singular", "diagonal"])
def test_samples_have_the_moments_of_each_component(name: str) -> None:
    # Six standard errors on at most 12 numbers for 2 components of 3 mixtures: false alarm below 2e-7.
    mixture = GaussianMixture(*MIXTURES[name])
    n = 40000
    for k in range(2):
        samples = mixture.condition(k).sample(n, seed=k)
        exact = covariance_matrices(MIXTURES[name])[k]
        errors = np.abs(samples.mean(axis=0) - MIXTURES[name][1][k])
        assert (errors <= 6 * np.sqrt(np.diag(exact) / n) + 1e-12).all()
        spread = np.sqrt((np.outer(np.diag(exact), np.diag(exact)) + exact**2) / n)
        assert (np.abs(np.cov(samples.T) - exact) <= 6 * spread + 1e-12).all()


# ---------------------------------------------------------------- properties

numbers = st.floats(-5.0, 5.0)
positive = st.floats(0.05, 4.0)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(positive, numbers, numbers, positive), min_size=1, max_size=4),
    st.tuples(numbers, numbers),
    st.tuples(st.floats(0.1, 1.0), positive),
)
def test_denoiser_moves_with_the_target_and_does_not_see_how_its_covariance_was_written(
    components: list[tuple[float, float, float, float]],
    shift: tuple[float, float],
    level: tuple[float, float],
) -> None:
    array = np.array(components)
    weights = array[:, 0] / math.fsum(array[:, 0])
    means, variances = array[:, 1:3], array[:, 3]
    alpha, sigma = level
    x = np.array([[0.0, 1.0], [-6.0, 2.0]])
    base = GaussianMixture(weights, means, variances).denoise(x, alpha, sigma)
    moved = GaussianMixture(weights, means + shift, variances).denoise(
        x + alpha * np.array(shift), alpha, sigma
    )
    np.testing.assert_allclose(moved - shift, base, rtol=0, atol=1e-10)
    turned = means @ TURN.T
    matrices = np.array([TURN @ (v * np.eye(2)) @ TURN.T + 1e-3 * np.ones((2, 2)) for v in variances])
    plain = np.array([v * np.eye(2) + 1e-3 * TURN.T @ np.ones((2, 2)) @ TURN for v in variances])
    rotated = GaussianMixture(weights, turned, (matrices + matrices.transpose(0, 2, 1)) / 2)
    straight = GaussianMixture(weights, means, (plain + plain.transpose(0, 2, 1)) / 2)
    np.testing.assert_allclose(
        rotated.denoise(x @ TURN.T, alpha, sigma),
        straight.denoise(x, alpha, sigma) @ TURN.T,
        rtol=0,
        atol=1e-10,
    )


# ---------------------------------------------------------------- bad input


def test_parameters_are_copied_and_read_only() -> None:
    means = np.array(MEANS)
    mixture = GaussianMixture([0.3, 0.7], means, 0.3)
    means[0, 0] = 99.0
    assert mixture.means[0, 0] == -1.0
    for array in (mixture.weights, mixture.means, mixture.variances):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0.3, 0.6], MEANS, 1.0), ValueError, r"weights sum to 0\.89.*weights / weights\.sum"),
        (([0.0, 1.0], MEANS, 1.0), ValueError, r"weights\[0\] is .*0\.0.*leave a component"),
        (([1.5, -0.5], MEANS, 1.0), ValueError, r"weights\[1\] is .*-0\.5"),
        (([], np.zeros((0, 2)), 1.0), ValueError, r"weights has shape \(0,\)"),
        (([np.nan, 1.0], MEANS, 1.0), ValueError, r"weights holds nan at index \(0,\)"),
        ((["a", "b"], MEANS, 1.0), TypeError, r"weights has dtype"),
        (([1.0], [0.0, 1.0], 1.0), ValueError, r"means has shape \(2,\) but there are 1 weights"),
        (([0.5, 0.5], [[1.0], [1.0, 2.0]], 1.0), ValueError, r"means is ragged"),
        (([0.5, 0.5], [[np.inf, 0], [0, 0]], 1.0), ValueError, r"means holds inf at index \(0, 0\); remove"),
        (([0.5, 0.5], MEANS, -1.0), ValueError, r"covariances is .*-1\.0.*>= 0"),
        (([0.5, 0.5], MEANS, [1.0, -2.0]), ValueError, r"covariances\[1\] is .*-2\.0"),
        (([0.5, 0.5], MEANS, [1.0, 2.0, 3.0]), ValueError, r"covariances has shape \(3,\).*\(2, 2, 2\) full"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]), ValueError, r"not positive semi-definite.*-1"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]]), ValueError, r"covariances\[0\] is not symmetric"),
    ],
)
def test_bad_parameters_are_named(
    arguments: tuple[Any, Any, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        GaussianMixture(*arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.denoise(np.zeros(2), 1.0, 1.0), ValueError, r"x has shape \(2,\); give \(n, 2\)"),
        (lambda m: m.denoise(np.zeros((2, 3)), 1.0, 1.0), ValueError, r"x has shape \(2, 3\)"),
        (
            lambda m: m.denoise(np.zeros((2, 2), dtype=complex), 1.0, 1.0),
            TypeError,
            r"x has dtype complex128",
        ),
        (lambda m: m.denoise(np.zeros((2, 2)), -1.0, 1.0), ValueError, r"alpha is -1\.0; give .*>= 0"),
        (lambda m: m.denoise(np.zeros((2, 2)), 1.0, np.nan), ValueError, r"sigma is nan"),
        (
            lambda m: m.denoise(np.zeros((2, 2)), 1.0, [1.0, 2.0]),
            TypeError,
            r"sigma is \[1\.0, 2\.0\]; give one",
        ),
        (lambda m: m.noised("a", 1.0), TypeError, r"alpha is 'a'"),
        (lambda m: m.sample(-1), ValueError, r"n is -1; give an integer >= 0"),
        (lambda m: m.sample(1.5), TypeError, r"n is 1\.5; give an integer"),
        (lambda m: m.sample(1, seed=-3), ValueError, r"seed is -3"),
        (lambda m: m.sample(1, seed=2**128), ValueError, r"seed is \d+; give an integer below"),
        (lambda m: m.condition([]), ValueError, r"labels is \[\]; give at least one"),
        (lambda m: m.condition(2), ValueError, r"labels is 2; component indices run from 0 to 1"),
        (lambda m: m.condition([0, 0]), ValueError, r"labels is \[0, 0\]; give each component once"),
        (lambda m: m.condition([0.5]), TypeError, r"labels is \[0\.5\]; give integer"),
        (
            lambda m: m.spectrum(),
            ValueError,
            r"spectrum needs a single Gaussian.*2 components.*covariance\(\)",
        ),
        (lambda m: m.cdf(0.0), ValueError, r"cdf needs dim = 1, this mixture has dim = 2"),
        (lambda m: m.log_density(np.zeros((1, 2))), ValueError, r"component 1 is singular; use noised"),
    ],
)
def test_bad_calls_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(GaussianMixture([0.5, 0.5], MEANS, [1.0, 0.0]))


def test_nan_stays_in_its_row() -> None:
    for name in MIXTURES:
        mixture = GaussianMixture(*MIXTURES[name])
        x = mixture.sample(3)
        x[1] = np.nan
        denoised = mixture.denoise(x, 0.8, 0.6)
        assert np.isnan(denoised[1]).all()
        np.testing.assert_allclose(denoised[[0, 2]], mixture.denoise(x[[0, 2]], 0.8, 0.6), rtol=1e-12)
