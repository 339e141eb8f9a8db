"""Noisy two-step methods: the joint density of two iterates, against routes that share nothing with it."""

from __future__ import annotations

import numpy as np
import pytest

from analytic import GaussianMixture, paths
from solvers import catalogue, density, grids, law

GAUSSIAN = GaussianMixture([1.0], [1.0], [0.25])
EASY = GaussianMixture([0.4, 0.6], [-1.0, 1.2], [0.25, 0.36])
NARROW = GaussianMixture([0.3, 0.7], [-1.2, 1.3], [0.01, 0.04])
VE, VP = paths.VE(0.02, 20.0), paths.VP()
METHODS = {
    "two-step": ("sde-dpm-solver++-2m", {}),
    "two-step, heun": ("sde-dpm-solver++-2m", {"variant": "heun"}),
    # the flow's two-step method, with noise from the corrector
    "corrected": ("predictor-corrector", {"predictor": "dpm-solver++-2m"}),
}


@pytest.mark.parametrize("label", METHODS)
@pytest.mark.parametrize(
    ("path", "steps", "zero"),
    [(VE, 24, False), (VP, 24, False), (VP, 12, True)],
    ids=["ve", "vp", "vp to zero"],
)
def test_on_one_gaussian_the_density_is_the_exact_law(
    label: str, path: paths.Gaussian, steps: int, zero: bool
) -> None:
    name, options = METHODS[label]
    tableau = catalogue[name].tableau(path, grids.log_snr(path, steps, append_zero=zero), **options)
    f, exact = density(tableau, GAUSSIAN), law(tableau, GAUSSIAN)
    assert abs(f.mean - exact.mean[0]) < 1e-9
    assert abs(f.variance / exact.variances[0] - 1) < 1e-9
    assert f.error < 1e-9


@pytest.mark.parametrize("variant", ["midpoint", "heun"])
def test_three_steps_agree_with_quadrature_over_all_pairs(variant: str) -> None:
    times = np.array([1.0, 0.6, 0.35, 0.2])
    tableau = catalogue["sde-dpm-solver++-2m"].tableau(VP, times, variant=variant)
    x = np.linspace(-7.0, 7.0, 561)
    dx = x[1] - x[0]
    a, s, lam = VP.alpha(times), VP.sigma(times), VP.log_snr(times)
    D = [EASY.denoise(x[:, None], float(a[n]), float(s[n]))[:, 0] for n in range(3)]
    h = np.diff(lam)
    fresh = -np.expm1(-2 * h)

    def normal(z: np.ndarray, deviation: float) -> np.ndarray:
        return np.exp(-((z / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))

    def drift(n: int) -> np.ndarray:
        return s[n + 1] / s[n] * np.exp(-h[n]) * x + a[n + 1] * fresh[n] * D[n]

    def weight(n: int) -> float:
        r = h[n - 1] / h[n]
        exact = 1 - fresh[n] / (2 * h[n])  # (exp(-2h) - 1 + 2h)/(2h)
        return float(a[n + 1] * (fresh[n] / 2 if variant == "midpoint" else exact) / r)

    deviation = s[1:] * np.sqrt(fresh)
    start = np.exp(EASY.noised(float(a[0]), float(s[0])).log_density(x[:, None]))
    joint = start * normal(x[:, None] - drift(0), deviation[0])  # (x_1, x_0)
    for n in (1, 2):
        following = np.empty_like(joint)
        for i in range(len(x)):
            mean = drift(n)[i] + weight(n) * (D[n][i] - D[n - 1])
            following[:, i] = normal(x[:, None] - mean, deviation[n]) @ joint[i] * dx
        joint = following
    reference = joint.sum(axis=1) * dx
    f = density(tableau, EASY)
    assert np.abs(f.pdf(x) - reference).max() < 1e-9
    assert f.error < 1e-9


def test_the_error_estimate_is_small_and_the_order_is_two() -> None:
    found = []
    for steps in (64, 128, 256):
        tableau = catalogue["sde-dpm-solver++-2m"].tableau(VE, grids.karras(VE, steps))
        f = density(tableau, EASY)
        assert f.error < 1e-9
        found.append(f.tv(EASY.noised(1.0, 0.02)))
    local = np.log2(np.array(found[:-1]) / found[1:])
    # the local slopes come down on 2 by about half the way each doubling
    assert 2 - 0.01 < 2 * local[1] - local[0] < 2 + 0.02


def test_the_error_estimate_stays_small_on_narrow_components() -> None:
    tableau = catalogue["sde-dpm-solver++-2m"].tableau(VE, grids.karras(VE, 96))
    assert density(tableau, NARROW).error < 1e-6


def test_three_variables_are_refused_with_a_reason() -> None:
    tableau = catalogue["sde-dpm-solver++-2m"].tableau(VE, grids.karras(VE, 8), start="exact")
    with pytest.raises(ValueError, match=r"sde-dpm-solver\+\+-2m.*variables.*`sample`"):
        density(tableau, EASY)
