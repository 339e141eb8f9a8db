"""The Fokker-Planck residual and its bounds, where everything is known in closed form."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from analytic import paths, targets
from solvers import catalogue, denoiser, grids, run
from studies.learned import residual_bounds as fp
from studies.learned.networks import OrnsteinUhlenbeck

PATH = OrnsteinUhlenbeck(4.0, 0.01)
GRID = grids.power(PATH, 200)
MIXTURE = targets.load("nine-2d")


def exact(target, path=PATH):
    return lambda x, t: target.noised(float(path.alpha(t)), float(path.sigma(t))).score(x)


def starts(n, dim, path=PATH, t=None):
    t = path.start if t is None else t
    return np.random.default_rng(0).standard_normal((n, dim)) * float(path.prior_deviation(t))


@pytest.mark.parametrize("path", [PATH, paths.VP(), paths.Linear()])
@pytest.mark.parametrize("t", [0.05, 0.4, 0.9])
def test_the_residual_of_an_exact_score_is_zero_on_any_path(path, t):
    x = np.random.default_rng(1).normal(size=(200, 2)) * 2
    score = exact(MIXTURE, path)
    terms = fp.parts(score, x, t)
    size = np.abs(terms.in_time).max()
    assert np.abs(fp.residual(score, path, x, t)).max() < 1e-4 * size


def test_the_residual_of_a_perturbed_score_has_its_closed_form():
    # s = -2x + M x with a matrix that is not symmetric, so no potential: rho = J v + (grad v)^T s, nothing else
    M = np.array([[0.3, 0.5], [-0.2, 0.1]])
    J = M - 2 * np.eye(2)
    x = np.random.default_rng(2).normal(size=(50, 2))
    f, g2 = -1.0, 1.0
    V = f * np.eye(2) - g2 / 2 * J
    expected = x @ (J @ V + V.T @ J).T
    np.testing.assert_allclose(fp.residual(lambda x, t: x @ J.T, PATH, x, 0.7), expected, atol=1e-7)


def test_parts_are_the_derivatives_of_a_polynomial_field():
    x = np.random.default_rng(3).normal(size=(20, 2))
    a, b = x.T
    t = 0.6
    found = fp.parts(
        lambda x, t: np.stack([x[:, 0] ** 2 * x[:, 1] + t**2, x[:, 0] * x[:, 1] ** 2 * t], 1), x, t
    )
    np.testing.assert_allclose(found.in_time, np.stack([0 * a + 2 * t, a * b**2], 1), atol=1e-8)
    jacobian = np.stack([np.stack([2 * a * b, a**2], 1), np.stack([b**2 * t, 2 * a * b * t], 1)], 1)
    np.testing.assert_allclose(found.jacobian, jacobian, atol=1e-8)
    # div = 2ab (1 + t)
    np.testing.assert_allclose(found.grad_divergence, 2 * (1 + t) * np.stack([b, a], 1), atol=1e-6)


def test_the_mismatch_is_the_score_less_that_of_the_ode_law():
    mean, variances = np.array([0.4, -0.3]), np.array([0.3, 0.6])

    def score(x, t):  # of a Gaussian, and a tilt that is wrong
        alpha, sigma = np.exp(-t), np.sqrt(-np.expm1(-2 * t) / 2)
        return -(x - alpha * mean) / (alpha**2 * variances + sigma**2) + 0.4 * x

    found = fp.mismatch(score, PATH, GRID, starts(20, 2))
    # by law: the ODE's end is Gaussian, whose score is known
    model = denoiser(score, predicts="score", takes="t", path=PATH)
    end = law_of_affine(model, catalogue["rk4"].tableau(PATH, GRID))
    x = found.x[-1]
    own = -(x - end.mean) / np.diag(end.covariance)
    np.testing.assert_allclose(found.e[-1], score(x, PATH.stop) - own, rtol=1e-4, atol=1e-5)
    log_density = multivariate_normal(end.mean, end.covariance).logpdf(x)
    np.testing.assert_allclose(found.log_density, log_density, atol=1e-5)


def law_of_affine(model, tableau):
    """Law of a tableau under an affine model, by running it on the basis: mean and covariance."""
    origin, unit = np.zeros((1, 2)), np.eye(2)
    mean = run(tableau, model, origin, noise=np.zeros((len(tableau.channels), 1, 2)))[0]
    J = (run(tableau, model, unit, noise=np.zeros((len(tableau.channels), 2, 2))) - mean).T
    return SimpleNamespace(mean=mean, covariance=J @ J.T * float(PATH.prior_deviation(PATH.start)) ** 2)


def shifted(shift=lambda t: 0.3):
    """Score of the stationary N(0, I/2), off by a vector that depends on time alone.

    ODE and SDE keep its covariance and end with two means.
    """
    return lambda x, t: -2 * x + shift(t) * np.array([1.0, 0.0])


def test_the_gronwall_bound_is_an_equality_for_a_constant_error():
    score = shifted()
    found = fp.mismatch(score, PATH, GRID, starts(40, 2))
    L = np.array([fp.lipschitz(score, PATH, float(t), found.x[0], safety=1.0) for t in GRID])
    bound = fp.gronwall_bound(found, PATH, L)
    model = denoiser(score, predicts="score", takes="t", path=PATH)
    ends = [law_of_affine(model, catalogue[m].tableau(PATH, GRID)).mean for m in ("rk4", "stochastic-heun")]
    measured = np.linalg.norm(ends[0] - ends[1])
    assert measured > 0.01
    # steps of L at the larger end, and trapezoids: a per cent at 200 nodes
    assert 1.0 <= bound / measured < 1.02


def test_the_kl_bound_exceeds_the_kl_and_is_near_it_where_the_error_is_late():
    # what the path's law knows and its end forgot is little if the error came at the end
    score = shifted(lambda t: 0.3 * np.exp(-t / 0.05))
    found = fp.mismatch(score, PATH, GRID, starts(40, 2))
    bound = fp.kl_bound(found, PATH).value
    model = denoiser(score, predicts="score", takes="t", path=PATH)
    a, b = (law_of_affine(model, catalogue[m].tableau(PATH, GRID)).mean for m in ("rk4", "stochastic-heun"))
    kl = np.sum((a - b) ** 2) / (2 * 0.5)
    assert 0 < kl < bound
    # the same end with the whole path's energy spent early says much less
    assert bound / kl < 200


def test_girsanovs_bound_is_the_energy_of_the_control():
    # e = c for all x where s = -2x + c and p stays N(m, 1/2): dm/dt = -m - (-2m + c)/2 = -c/2 from 0 at T
    score = shifted()
    found = fp.mismatch(score, PATH, GRID, starts(40, 2))
    t = GRID
    m = 0.3 / 2 * (PATH.start - t)
    # e = s - grad log p = (-2x + c) + 2(x - m) = c - 2m, up to the start's truncation
    assert np.abs(found.e[:, :, 0] - (0.3 - 2 * m)[:, None]).max() < 0.01
    energy = np.trapezoid((0.3 - 2 * m)[::-1] ** 2, t[::-1]) / 8
    assert abs(fp.kl_bound(found, PATH).value / energy - 1) < 0.02


def test_the_lipschitz_constant_of_a_mixture_is_that_of_its_hessian():
    x = np.stack(np.meshgrid(*[np.linspace(-3, 3, 41)] * 2), -1).reshape(-1, 2)
    t = 0.1
    marginal = MIXTURE.noised(float(PATH.alpha(t)), float(PATH.sigma(t)))
    expected = np.linalg.eigvalsh(marginal.hessian(x)).max() + 1.0
    assert abs(fp.lipschitz(exact(MIXTURE), PATH, t, x, safety=1.0) / expected - 1) < 1e-4
    assert fp.lipschitz(exact(MIXTURE), PATH, t, x) == pytest.approx(1.1 * expected, rel=1e-4)


def test_the_transport_bound_holds_for_gaussians_and_has_its_published_constant():
    # q = N(0, 1): log E exp(a x^2) = -log(1 - 2a)/2 below a = 1/2
    def log_moment(a):
        return -np.log(1 - 2 * a) / 2 if a < 0.5 else np.inf

    for shift in (0.01, 0.1, 1.0):
        assert fp.transport_bound(shift**2 / 2, log_moment) > shift
    a = np.linspace(0.01, 0.49, 2001)
    best = np.min((1.5 - np.log(1 - 2 * a) / 2) / a)
    expected = 2 * np.sqrt(best) * (np.sqrt(0.02) + 0.01**0.25)
    assert fp.transport_bound(0.02, log_moment) == pytest.approx(expected, rel=2e-3)
