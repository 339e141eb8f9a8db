"""Linear diffusions of (x, v) against SciPy, mpmath, quadrature and automatic differentiation."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.integrate import quad, solve_ivp
from scipy.linalg import expm

from analytic import GaussianMixture, paths, targets
from analytic.paths.phase_space import exponential, noise_factor

PATHS: dict[str, Any] = {
    "cld": paths.CLD(),
    "overdamped": paths.CLD(beta=3.0, friction=1.7, gamma=0.5),
    "underdamped": paths.CLD(beta=1.0, friction=0.9, time=0.8),
    "psld": paths.PSLD(),
    "psld-wide": paths.PSLD(friction=1.0, nu=3.0, gamma=1.0),
}
every_path = pytest.mark.parametrize("name", PATHS)


def van_loan(F: np.ndarray, N: np.ndarray, t: float) -> np.ndarray:
    """Covariance after a time t from none, by Van Loan 1978, theorem 1."""
    block = expm(t * np.block([[-F, N], [np.zeros((2, 2)), F.T]]))
    return block[2:, 2:].T @ block[:2, 2:]


@every_path
def test_flow_and_covariance_are_those_of_the_matrix_exponential(name: str) -> None:
    p = PATHS[name]
    F, N, start = p.drift, np.diag(p.diffusion), np.diag([0.0, p.velocity])
    for t in (1e-4, 1e-2, 0.3):
        Psi, L = expm(F * t), p.factor(t)[0]
        np.testing.assert_allclose(exponential(F, np.array([t]))[0], Psi, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(p.signal(t)[0], Psi[:, 0], rtol=1e-13, atol=1e-14)
        C = van_loan(F, N, t) + Psi @ start @ Psi.T
        np.testing.assert_allclose(L @ L.T, C, rtol=1e-10, atol=1e-16)
        assert L[0, 1] == 0
    # over a long time Van Loan's matrix is too ill-conditioned: the equation of the covariance, integrated
    flow = solve_ivp(
        lambda t, C: (F @ C.reshape(2, 2) + C.reshape(2, 2) @ F.T + N).ravel(),
        (0.0, p.time),
        start.ravel(),
        rtol=1e-11,
        atol=1e-13,
    )
    L = p.factor(p.time)[0]
    np.testing.assert_allclose(L @ L.T, flow.y[:, -1].reshape(2, 2), atol=1e-9)
    S = np.diag(p.stationary)
    np.testing.assert_allclose(F @ S + S @ F.T + N, 0, atol=1e-13)


@every_path
def test_backwards_the_process_keeps_its_stationary_law(name: str) -> None:
    p = PATHS[name]
    S, F, N = np.diag(p.stationary), p.drift, np.diag(p.diffusion)
    for h in (1e-3, 0.1, 0.7):
        flow, L = (m[0] for m in p.reversal(h))
        np.testing.assert_allclose(flow, expm(-(F + N @ np.linalg.inv(S)) * h), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(L @ L.T, S - flow @ S @ flow.T, atol=1e-14)


@pytest.mark.parametrize("name", ["cld", "psld"])
def test_every_entry_of_the_factor_keeps_its_digits_near_the_data(name: str) -> None:
    """S - Psi (S - Sigma_0) Psi^T in 80 digits, where float64 has lost all of them."""
    p = PATHS[name]
    with mp.workdps(80):
        if name == "cld":
            b, M = mpf(p.beta), mpf(p.mass)
            F = b * mp.matrix([[0, 1 / M], [-1, -mpf(p.friction) / M]])
        else:
            b, M = mpf(p.beta), 4 / (mpf(p.nu) - mpf(p.friction)) ** 2
            F = b / 2 * mp.matrix([[-mpf(p.friction), 1 / M], [-1, -mpf(p.nu)]])
        S, start = mp.diag([1, M]), mp.diag([0, mpf(p.gamma) * M])
        for t in (1e-8, 1e-5, 1e-2):
            Psi = mp.expm(F * mpf(t), method="taylor")
            C = S - Psi * (S - start) * Psi.T
            x = mp.sqrt(C[0, 0])
            exact = [x, C[1, 0] / x, mp.sqrt(C[1, 1] - C[1, 0] ** 2 / C[0, 0])]
            L = p.factor(t)[0]
            for found, value in zip((L[0, 0], L[1, 0], L[1, 1]), exact, strict=True):
                assert abs(mpf(float(found)) - value) < 2e-13 * abs(value), (t, found, value)


def test_stiff_and_swinging_processes_keep_their_covariance_too() -> None:
    for F, t in (([[0.0, 20.0], [-20.0, -100.0]], 1.0), ([[0.0, 20.0], [-20.0, -1.0]], 1.0)):
        drift, N = np.array(F), np.array([0.0, 3.0])
        L = noise_factor(drift, N, np.array([t]))[0]
        S = 3.0 / (2 * -drift[1, 1]) * np.eye(2)  # of a rotation with friction on v
        Psi = expm(drift * t)
        np.testing.assert_allclose(L @ L.T, S - Psi @ S @ Psi.T, atol=1e-12 * S[0, 0])


@every_path
def test_the_marginal_of_x_is_a_gaussian_path(name: str) -> None:
    p = PATHS[name]
    t = np.linspace(0.02, p.time - 0.02, 23)
    e = 1e-5
    for scale in ("alpha", "sigma", "log_snr"):
        function, slope = getattr(p, scale), getattr(p, f"d_{scale}")
        np.testing.assert_allclose(
            (function(t + e) - function(t - e)) / (2 * e), slope(t), rtol=2e-6, atol=1e-9
        )
    np.testing.assert_allclose(p.g2(t), -2 * p.sigma(t) ** 2 * p.d_log_snr(t), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(p.time_of_log_snr(p.log_snr(t)), t, rtol=1e-12)
    assert (p.alpha(0.0), p.sigma(0.0), p.log_snr(0.0)) == (1.0, 0.0, np.inf)
    assert p.prior_deviation(p.time) == 1.0
    assert p.g2(0.0) == pytest.approx(p.diffusion[0])
    assert p.d_sigma(0.0) == pytest.approx(
        p.drift[0, 1] * np.sqrt(p.velocity) if not p.diffusion[0] else np.inf
    )


@every_path
def test_what_the_flow_of_one_datum_keeps_solves_its_equation(name: str) -> None:
    p = PATHS[name]
    N = np.diag(p.diffusion)

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        L = p.factor(t)[0]
        return ((p.drift + N @ np.linalg.inv(L @ L.T) / 2) @ y.reshape(2, 2)).ravel()

    times = (0.7, 0.2, 0.01)
    for t, s in pairwise(times):
        flow = solve_ivp(slope, (t, s), np.eye(2).ravel(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(p.kept(t, s)[0], flow.y[:, -1].reshape(2, 2), atol=1e-8)
    two = p.kept(0.2, 0.01)[0] @ p.kept(0.7, 0.2)[0]
    np.testing.assert_allclose(p.kept(0.7, 0.01)[0], two, atol=1e-10)
    to_data = p.kept(0.01, 0.0)[0]
    np.testing.assert_allclose(to_data[0], 0, atol=1e-15)  # x ends at the datum
    C = p.factor(0.01)[0]
    assert np.linalg.norm(to_data[1] @ C) == pytest.approx(np.sqrt(p.velocity), rel=1e-10)


@pytest.mark.parametrize("name", ["cld", "psld"])
def test_one_observation_gives_the_denoiser_and_the_score_of_phase_space(name: str) -> None:
    """Against quadrature over x_0 and against automatic differentiation of the mixture's density in (x, v)."""
    torch = pytest.importorskip("torch")
    p, target = PATHS[name], targets.load("easy-1d")
    rng = np.random.default_rng(0)
    for t in (0.003, 0.1, 0.5, 1.0):
        a, L = p.signal(t)[0], p.factor(t)[0]
        C = L @ L.T
        z = target.sample(6, 1) * a + rng.standard_normal((6, 2)) @ L.T
        precision = 1 / (a @ np.linalg.solve(C, a))
        u = (z @ np.linalg.solve(C, a) * precision)[:, None]
        D = target.denoise(u, 1.0, float(np.sqrt(precision)))[:, 0]
        score = (D[:, None] * a - z) @ np.linalg.inv(C)

        w, m, v = (
            torch.tensor(q, dtype=torch.float64)
            for q in (target.weights, target.means[:, 0], target.variances[:, 0])
        )
        point, a_, C_ = (torch.tensor(q, dtype=torch.float64) for q in (z, a, C))
        point.requires_grad_()
        whole = v[:, None, None] * torch.outer(a_, a_) + C_
        components = torch.distributions.MultivariateNormal(m[:, None] * a_, whole)
        density = torch.logsumexp(torch.log(w) + components.log_prob(point[:, None, :]), dim=1)
        (gradient,) = torch.autograd.grad(density.sum(), point)
        np.testing.assert_allclose(score, gradient.numpy(), rtol=1e-8, atol=1e-8)

        for one, expected in zip(z[:2], D[:2], strict=True):

            def weight(x0: float, power: int, z: Any = one, a: Any = a, C: Any = C) -> float:
                rest = z - a * x0
                log = float(target.log_density(np.array([[x0]]))[0]) - rest @ np.linalg.solve(C, rest) / 2
                return float(x0**power * np.exp(log))

            near = float(expected)
            low, high = near - 12 * min(np.sqrt(precision), 1.0), near + 12 * min(np.sqrt(precision), 1.0)
            total, moment = (
                quad(weight, low, high, args=(k,), epsabs=0, epsrel=1e-11, limit=400)[0] for k in (0, 1)
            )
            assert moment / total == pytest.approx(near, abs=2e-8)


def test_the_laws_of_several_dimensions_are_those_of_their_coordinates() -> None:
    target = GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [2.0, 0.0]], [[0.2, 0.4], [0.5, 0.1]])
    p = PATHS["cld"]
    a, L = p.signal(0.2)[0], p.factor(0.2)[0]
    C = L @ L.T
    s2 = 1 / (a @ np.linalg.solve(C, a))
    z = np.random.default_rng(1).standard_normal((5, 2, 2))  # sample, (x, v), coordinate
    u = np.einsum("i,nid->nd", np.linalg.solve(C, a) * s2, z)
    logs = []
    for w, m, v in zip(target.weights, target.means, target.variances, strict=True):
        log = np.full(5, np.log(w))
        for d in range(2):
            whole = v[d] * np.outer(a, a) + C
            rest = z[:, :, d] - a * m[d]
            log += (
                -np.einsum("ni,ij,nj->n", rest, np.linalg.inv(whole), rest) / 2
                - np.log(np.linalg.det(whole)) / 2
            )
        logs.append(log)
    r = np.exp(np.array(logs) - np.max(logs, axis=0))
    r /= r.sum(0)
    gains = target.variances / (target.variances + s2)
    expected = np.einsum(
        "kn,knd->nd", r, target.means[:, None] + gains[:, None] * (u - target.means[:, None])
    )
    np.testing.assert_allclose(target.denoise(u, 1.0, float(np.sqrt(s2))), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda: paths.CLD(friction=0.2),
            "CLD(beta=4.0, friction=0.2, mass=0.25, gamma=0.04, time=1.0) lets x swing",
        ),
        (lambda: paths.CLD(beta=-1.0), "beta is -1.0"),
        (lambda: paths.CLD(time=1e-3), "time is 0.001: give more than 0.001"),
        (lambda: paths.PSLD(nu=0.01), "nu is 0.01, friction 0.01: give a nu above the friction"),
        (lambda: paths.PSLD(gamma="a"), "gamma is 'a'"),
    ],
)
def test_parameters_that_make_no_path_are_refused(build: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        build()
    assert words in str(error.value)
