"""Tokens in space: densities of places by changes of variables, velocities by enumeration, flows that reach the law."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

from analytic import paths, sequences
from solvers import grids, loops

ALL = [paths.Straight(), paths.Dirichlet(), paths.FisherRao(), paths.FisherRao("simplex")]
NAMES = ["straight", "dirichlet", "sphere", "simplex"]
EULER = loops.catalogue["simplex-euler"].solve
SPHERES = {"sphere": 0.5, "simplex": 1.0}  # of Dirichlet, whose roots the noise is


def log_map(x: Any, y: Any) -> Any:
    angle = np.arccos(np.clip(x @ y, -1, 1))
    return angle / np.sin(angle) * (y - x * np.cos(angle))


def exp_map(x: Any, v: Any) -> Any:
    r = np.linalg.norm(v)
    return x * np.cos(r) + v / r * np.sin(r)


def start_of(p: Any, token: int, t: float) -> Any:
    """Squares of the noise that a place of squares p comes from, given its token: all as a map of two shares."""
    x = np.sqrt(np.append(p, 1 - p.sum()))
    e = np.eye(3)[token]
    return exp_map(e, log_map(e, x) / t)[:2] ** 2


@pytest.mark.parametrize("uniform", SPHERES)
def test_geodesics_bring_the_density_that_a_change_of_variables_says(uniform: str) -> None:
    path, t, p, step = paths.FisherRao(uniform), 0.8, np.array([0.35, 0.3]), 1e-5
    logs = []
    for token in range(3):
        jacobian = np.stack(
            [
                (start_of(p + step * d, token, t) - start_of(p - step * d, token, t)) / (2 * step)
                for d in np.eye(2)
            ],
            axis=1,
        )
        there = start_of(p, token, t)
        prior = stats.dirichlet([SPHERES[uniform]] * 3).logpdf(np.append(there, 1 - there.sum()))
        logs.append(prior + np.log(abs(np.linalg.det(jacobian))))
    found = path.likelihood(np.sqrt(np.append(p, 1 - p.sum()))[None, None], t)[0, 0]
    np.testing.assert_allclose(np.log(found / found[0]), np.array(logs) - logs[0], atol=1e-8)


def test_places_that_a_token_does_not_lead_to_have_no_density() -> None:
    x = np.array([0.9, 0.07, 0.03])
    far = paths.FisherRao().likelihood(np.sqrt(x)[None, None], 0.5)[0, 0]
    assert far[0] == 1.0
    assert (far[1:] < 1e-100).all()
    np.testing.assert_allclose(paths.Straight().likelihood(x[None, None], 0.5)[0, 0], [1, 0, 0], atol=1e-100)
    np.testing.assert_array_equal(
        paths.Straight().likelihood(x[None, None], 0.94)[0, 0] > 0.5, [True, True, False]
    )


def test_the_dirichlet_path_has_its_density_and_its_speed() -> None:
    path, t, x = paths.Dirichlet(top=6.0), 0.3, np.array([0.5, 0.2, 0.05, 0.25])
    s = 6.0 * 0.7
    logs = np.array([stats.dirichlet(1 + s * np.eye(4)[v]).logpdf(x) for v in range(4)])
    found = np.log(path.likelihood(x[None, None], t)[0, 0])
    np.testing.assert_allclose(found - found[0], logs - logs[0], atol=1e-12)
    h = 1e-5
    slope = (special.betainc(s + 1 + h, 3, x) - special.betainc(s + 1 - h, 3, x)) / (2 * h)
    published = -slope * special.beta(s + 1, 3) / ((1 - x) ** 3 * x**s)
    np.testing.assert_allclose(path.speed(x, s) / x**s, published, rtol=2e-6)
    for power in (0.05, 0.5, 8.0):  # nodes are enough wherever x_v is, and at 0 nothing is left
        for near in (1e-9, 1e-3, 0.4, 0.999):
            gap = special.digamma(power + 4) - special.digamma(power + 1)
            exact, _ = integrate.quad(
                lambda u, g=gap, s=power: (1 - u) ** 2 * u**s * (np.log(u) + g),
                near,
                1,
                epsabs=1e-13,
                limit=400,
            )
            assert path.speed(np.array([near, 0.5, 0.5, 0.5]), power)[0] == pytest.approx(
                exact / (1 - near) ** 3, abs=2e-9
            )


def plain_velocity(path: Any, law: Any, x: Any, t: float) -> Any:
    """Mean velocity over all sequences, each with its own likelihood at all sites."""
    like, total, out = path.likelihood(x[None], t)[0], 0.0, np.zeros_like(x)
    for tokens, p in np.ndenumerate(law.pmf()):
        weight, speed = p, np.zeros_like(x)
        for i, v in enumerate(tokens):
            weight = weight * like[i, v]
            e = np.eye(x.shape[1])[v]
            if isinstance(path, paths.FisherRao):
                speed[i] = log_map(x[i], e) / t
            elif isinstance(path, paths.Straight):
                speed[i] = (e - x[i]) / t
            else:
                s = path.top * (1 - t)
                speed[i] = path.top * path.speed(x[i], s)[v] / x[i, v] ** s * (e - x[i])
        total, out = total + weight, out + weight * speed
    return out / total


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_velocities_are_means_over_all_sequences_and_steps_are_eulers(path: Any) -> None:
    law, times = sequences.load("smooth"), [1.0, 0.8, 0.6, 0.3]
    x = path.noise(4, 3, 3, seed=1)
    found = EULER(path, times, law, x)
    assert found.nfe[0] == 3
    for place, end in zip(x, found.x, strict=True):
        for t, s in pairwise(times):
            shift = (t - s) * plain_velocity(path, law, place, t)
            if isinstance(path, paths.FisherRao):
                place = np.maximum([exp_map(a, v) for a, v in zip(place, shift, strict=True)], 0)
                place = place / np.linalg.norm(place, axis=1, keepdims=True)
            else:
                place = np.maximum(place + shift, 0)
                place = place / place.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(end, place, atol=1e-9)


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_places_stay_where_they_belong(path: Any) -> None:
    x = EULER(path, grids.uniform(path, 6), sequences.load("sharp"), path.noise(200, 3, 3, seed=2)).x
    norm = x**2 if isinstance(path, paths.FisherRao) else x
    assert (x >= 0).all()
    np.testing.assert_allclose(norm.sum(axis=2), 1.0, atol=1e-12)


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_noise_is_the_dirichlet_law_it_should_be(path: Any) -> None:
    x = path.noise(40_000, 1, 3, seed=3)[:, 0]
    shares = x**2 if isinstance(path, paths.FisherRao) else x
    a = 0.5 if path == paths.FisherRao() else 1.0
    for k in range(3):
        assert stats.kstest(shares[:, k], stats.beta(a, 2 * a).cdf).pvalue > 1e-6  # 12 of them: 1e-5 in all


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_flows_of_one_binary_token_reach_its_law_with_the_order_of_euler(path: Any) -> None:
    law, u = sequences.Product([[0.3, 0.7]]), (np.arange(4000) + 0.5) / 4000
    errors = []
    for steps in (32, 64, 128):
        # two coordinates: quantiles of the first share, whose tokens change once
        a = 0.5 if path == paths.FisherRao() else 1.0
        share = special.betaincinv(a, a, u)
        x = np.stack([share, 1 - share], axis=1)[:, None, :]
        x = np.sqrt(x) if isinstance(path, paths.FisherRao) else x
        found = path.round(EULER(path, grids.uniform(path, steps), law, x).x)[:, 0]
        assert (np.diff(found) <= 0).all()
        errors.append(abs(float((found == 0).mean()) - 0.3))
    print(path, errors)
    assert errors[2] < 0.02
    assert errors[2] < 0.7 * errors[0] or errors[0] < 1e-3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: paths.FisherRao("ball"), "'sphere' or 'simplex'"),
        (lambda: paths.Dirichlet(0.0), "positive"),
        (lambda: paths.FisherRao().likelihood(np.ones((1, 1, 1)), 0.5), r"\(n, L, V\)"),
        (lambda: paths.FisherRao().likelihood(np.ones((1, 1, 2)), 0.0), "above 0"),
        (lambda: EULER(paths.VP(), [1.0, 0.5], sequences.load("smooth"), np.ones((1, 3, 3))), "simplex ones"),
        (
            lambda: EULER(ALL[0], [1.0, 0.5], sequences.load("smooth"), np.ones((1, 2, 3))),
            r"give \(n, 3, 3\)",
        ),
        (lambda: EULER(ALL[0], [1.0, 0.5], 3.0, np.ones((1, 2, 3))), "analytic.sequences"),
        (lambda: EULER(ALL[0], [1.0, 0.5], lambda x, t: x[:, 0], np.ones((1, 2, 3))), "model gave shape"),
        (lambda: loops.catalogue["heun"], "loop"),
    ],
)
def test_what_cannot_be_is_one_clear_line(call: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
