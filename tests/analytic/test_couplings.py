"""Couplings: their marginals, optimality by linear programming, the Schroedinger bridge by Sinkhorn's iterations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from analytic import GaussianMixture, Interpolated, couplings, distances, paths

DATA = GaussianMixture(
    [0.3, 0.45, 0.25],
    [[-1.0, 0.4], [0.9, 0.0], [0.0, 2.0]],
    [[[0.5, 0.2], [0.2, 0.3]], [[0.3, -0.1], [-0.1, 0.6]], [[0.2, 0.0], [0.0, 0.2]]],
)
BASE = GaussianMixture(
    [0.5, 0.5], [[0.0, -1.0], [0.5, 1.2]], [[[0.4, 0.0], [0.0, 0.9]], [[0.3, 0.1], [0.1, 0.2]]]
)
A, B = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([[0.3, -0.1], [-0.1, 2.0]])
ONE, OTHER = GaussianMixture([1.0], [[0.2, -0.4]], A[None]), GaussianMixture([1.0], [[1.0, 0.5]], B[None])
I2 = np.eye(2)


def blocks(joint: GaussianMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    C = joint.covariance()
    return C[:2, :2], C[:2, 2:], C[2:, 2:]


@pytest.mark.parametrize("how", ["independent", "optimal"])
def test_ends_of_a_coupling_are_the_two_laws(how: str) -> None:
    joint = getattr(couplings, how)(DATA, BASE)
    x = np.random.default_rng(0).standard_normal((20, 2)) * 1.5
    for k, law in enumerate((DATA, BASE)):
        found = joint.observed(np.eye(4)[2 * k : 2 * k + 2])
        np.testing.assert_allclose(found.log_density(x), law.log_density(x), atol=1e-12)
    assert joint.components == 6 if how == "independent" else joint.components <= 4


def test_the_optimal_plan_is_that_of_linear_programming_over_distances_of_gaussians() -> None:
    joint = couplings.optimal(DATA, BASE)
    costs = np.array(
        [
            [distances.gaussian_w2(m, C, n, D) ** 2 for n, D in zip(BASE.means, BASE.matrices, strict=True)]
            for m, C in zip(DATA.means, DATA.matrices, strict=True)
        ]
    )
    rows = [np.kron(np.eye(3), np.ones((1, 2))), np.kron(np.ones((1, 3)), np.eye(2))]
    sums = np.concatenate([DATA.weights, BASE.weights])
    best = scipy.optimize.linprog(costs.ravel(), A_eq=np.concatenate(rows), b_eq=sums).fun
    gap = joint.observed(np.concatenate([I2, -I2], axis=1))
    found = np.trace(gap.covariance()) + np.sum(gap.mean() ** 2)
    assert found == pytest.approx(best, rel=1e-12)
    apart = couplings.independent(DATA, BASE).observed(np.concatenate([I2, -I2], axis=1))
    assert found < 0.8 * (np.trace(apart.covariance()) + np.sum(apart.mean() ** 2))


def test_between_two_gaussians_the_map_is_the_gradient_of_a_convex_function_that_carries_one_to_the_other() -> (
    None
):
    _, C, _ = blocks(couplings.optimal(ONE, OTHER))
    T = np.linalg.solve(A, C).T  # x_1 - mean = T (x_0 - mean)
    np.testing.assert_allclose(T, T.T, atol=1e-13)
    np.testing.assert_allclose(T @ A @ T.T, B, atol=1e-13)
    assert np.linalg.eigvalsh(T).min() > 0


def sinkhorn(noise: float, rounds: int = 400) -> np.ndarray:
    """Iterated scaling of exp(-|x - y|^2/(2 noise^2)) by Gaussian factors, one marginal after the other."""
    L = I2 / noise**2
    P, Q = np.zeros((2, 2)), np.zeros((2, 2))
    for _ in range(rounds):
        P = np.linalg.inv(A) - L + L @ np.linalg.inv(Q + L) @ L
        Q = np.linalg.inv(B) - L + L @ np.linalg.inv(P + L) @ L
    return np.linalg.inv(np.block([[P + L, -L], [-L, Q + L]]))


@pytest.mark.parametrize("noise", [0.4, 1.0, 3.0])
def test_ends_of_the_schroedinger_bridge_are_those_of_sinkhorn(noise: float) -> None:
    joint = couplings.schroedinger(ONE, OTHER, noise)
    np.testing.assert_allclose(joint.covariance(), sinkhorn(noise), atol=1e-12)
    root = scipy.linalg.sqrtm(A).real  # the published formula
    D = scipy.linalg.sqrtm(4 * root @ B @ root + noise**4 * I2).real
    published = (root @ D @ np.linalg.inv(root) - noise**2 * I2) / 2
    np.testing.assert_allclose(blocks(joint)[1], published, atol=1e-13)


def test_without_noise_the_bridge_is_optimal_transport_and_with_much_its_ends_are_independent() -> None:
    best = couplings.optimal(ONE, OTHER).covariance()
    np.testing.assert_allclose(couplings.schroedinger(ONE, OTHER, 0.0).covariance(), best, atol=1e-14)
    gaps = [np.abs(couplings.schroedinger(ONE, OTHER, s).covariance() - best).max() for s in (0.2, 0.1, 0.05)]
    np.testing.assert_allclose(np.array(gaps[:-1]) / gaps[1:], 4, rtol=0.1)  # noise^2
    for noise in (1e2, 1e4):  # in which the published formula cancels
        cross = blocks(couplings.schroedinger(ONE, OTHER, noise))[1]
        np.testing.assert_allclose(cross * noise**2, A @ B, rtol=1e-2)


@pytest.mark.parametrize("noise", [0.4, 1.3])
def test_the_interpolant_of_the_schroedinger_coupling_is_the_bridge(noise: float) -> None:
    """Marginals, drift and covariances of two times as Bunne et al. 2023 have them; not so of another coupling."""
    path = paths.Interpolant(noise=noise)
    apart = {}
    for how in ("schroedinger", "independent"):
        arguments = (ONE, OTHER, noise) if how == "schroedinger" else (ONE, OTHER)
        joint = getattr(couplings, how)(*arguments)
        model = Interpolated(joint, path)
        C = blocks(joint)[1]

        def published(t: float, C: np.ndarray = C) -> tuple[np.ndarray, np.ndarray]:
            """Covariance and drift of the SDE forward in time, per unit of x - mean."""
            S = (1 - t) ** 2 * A + t**2 * B + t * (1 - t) * (C + C.T + noise**2 * I2)
            R = t * (B - C) - (1 - t) * (A - C.T) - noise**2 * t * I2
            return S, R @ np.linalg.inv(S)

        def down(t: float, model: Interpolated = model) -> np.ndarray:
            """v - noise^2/2 score, per unit of x - mean."""
            at = model.moments(t)
            return (at.drifts[0, 0] + noise**2 / 2 * I2) @ np.linalg.inv(at.covariances[0, 0])

        for t in (0.0, 0.2, 0.7, 1.0):
            S, drift = published(t)
            np.testing.assert_allclose(model.marginal(t).covariance(), S, atol=1e-13)
            x = np.random.default_rng(3).standard_normal((4, 2))
            mean, slope = model.marginal(t).mean(), OTHER.means[0] - ONE.means[0]
            found = model.velocity(x, t) + noise**2 / 2 * model.score(x, t)
            np.testing.assert_allclose(found, slope + (x - mean) @ drift.T, atol=1e-12)
        gap = 0.0
        for s, t in ((0.0, 1.0), (0.2, 0.6), (0.5, 0.9)):
            kept = scipy.integrate.solve_ivp(
                lambda u, y: (down(u) @ y.reshape(2, 2)).ravel(), (t, s), I2.ravel(), rtol=1e-10, atol=1e-12
            ).y[:, -1]
            of_sde = kept.reshape(2, 2) @ published(t)[0]
            of_bridges = (
                (1 - s) * (1 - t) * A
                + s * t * B
                + (1 - s) * t * C
                + s * (1 - t) * C.T
                + noise**2 * s * (1 - t) * I2
            )
            gap = max(gap, float(np.abs(of_sde - of_bridges).max()))
        apart[how] = gap
    assert apart["schroedinger"] < 1e-8
    assert apart["independent"] > 0.05


def test_a_dependent_base_is_what_was_done_to_the_data() -> None:
    H = np.array([[1.0, 0.0], [0.5, 0.0]])
    joint = couplings.dependent(DATA, H, 0.3)
    assert joint.components == DATA.components
    first, cross, second = blocks(joint)
    C = DATA.covariance()
    np.testing.assert_allclose(first, C, atol=1e-14)
    np.testing.assert_allclose(cross, C @ H.T, atol=1e-14)
    np.testing.assert_allclose(second, H @ C @ H.T + 0.09 * I2, atol=1e-14)


def test_what_cannot_be_coupled_is_named() -> None:
    with pytest.raises(ValueError, match="give laws of one dimension"):
        couplings.independent(DATA, GaussianMixture([1.0], [0.0], 1.0))
    with pytest.raises(ValueError, match="laws has 1 laws"):
        couplings.independent(DATA)
    with pytest.raises(ValueError, match=r"base is .*closed form between single Gaussians"):
        couplings.schroedinger(ONE, BASE, 1.0)
    with pytest.raises(ValueError, match="noise"):
        couplings.schroedinger(ONE, OTHER, -1.0)
    with pytest.raises(ValueError, match=r"A has shape \(1, 2\)"):
        couplings.dependent(DATA, [[1.0, 0.0]])
