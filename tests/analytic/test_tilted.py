"""Laws proportional to powers of densities, held against SciPy's quadrature, closed forms and rejection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from analytic import GaussianMixture, Tilted, targets

EASY, HARD = targets.load("easy-1d"), targets.load("hard-1d")
NARROW = GaussianMixture([1.0], [0.5], [0.3])
Array = NDArray[np.float64]


def log_of(mixture: GaussianMixture, x: Array) -> Array:
    return mixture.log_density(x[:, None])


def towards(scale: float) -> Callable[[Array], Array]:
    """Log of p(x) p(c | x)^scale, p(c | x) from its definition: the weight of a component times its density over p."""
    part = EASY.condition(1)
    return lambda x: log_of(EASY, x) + scale * (np.log(0.6) + log_of(part, x) - log_of(EASY, x))


LAWS: dict[str, tuple[Tilted, Callable[[Array], Array]]] = {
    **{f"guided {w}": (Tilted.towards(EASY, 1, w), towards(w)) for w in (0.0, 1.0, 2.5, 10.0)},
    "product": (Tilted((EASY, NARROW), (1.0, 1.0)), lambda x: log_of(EASY, x) + log_of(NARROW, x)),
    "negation": (Tilted((NARROW, EASY), (1.0, -0.5)), lambda x: log_of(NARROW, x) - 0.5 * log_of(EASY, x)),
    "hard, guided": (
        Tilted.towards(HARD, [0, 3], 4.0),
        lambda x: 4 * log_of(HARD.condition([0, 3]), x) - 3 * log_of(HARD, x),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_density_cdf_moments_and_noised_law_are_those_of_simpsons_rule(name: str) -> None:
    law, log_density = LAWS[name]
    x = np.linspace(-12.0, 12.0, 240_001)
    logs = log_density(x)
    values = np.exp(logs - logs.max())
    values /= integrate.simpson(values, x=x)
    seen = np.array([-1.3, 0.2, 1.1, 3.9])
    np.testing.assert_allclose(np.exp(law.log_density(seen)), np.interp(seen, x, values), rtol=1e-10)
    below = slice(0, int(np.searchsorted(x, 0.7 - 1e-9)) + 1)
    assert float(law.cdf(x[below][-1])) == pytest.approx(
        integrate.simpson(values[below], x=x[below]), abs=1e-11
    )
    mean = integrate.simpson(x * values, x=x)
    assert law.mean == pytest.approx(mean, abs=1e-11)
    assert law.variance == pytest.approx(integrate.simpson((x - mean) ** 2 * values, x=x), abs=1e-11)
    alpha, sigma, y = 0.8, 0.1, 0.9
    noised = integrate.simpson(values * stats.norm.pdf(y, alpha * x, sigma), x=x)
    found = float(np.exp(law.noised(alpha, sigma).log_density(np.array([[y]])))[0])
    assert found == pytest.approx(noised, abs=1e-11)
    bayes = integrate.simpson(x * values * stats.norm.pdf(y, alpha * x, sigma), x=x) / noised
    D = float(law.atoms(sigma / alpha).denoise(np.array([[y]]), alpha, sigma)[0, 0])
    assert pytest.approx(bayes, abs=1e-9) == D


def test_a_gaussian_to_a_power_is_one_and_its_constant_the_known_one() -> None:
    law = Tilted((GaussianMixture([1.0], [0.0], [2.0]), GaussianMixture([1.0], [0.0], [1.0])), (-2.0, 3.0))
    assert law.variance == pytest.approx(1 / (3 - 2 / 2), abs=1e-13)
    assert law.log_normaliser == pytest.approx(
        np.log(2 * np.pi) * (0.5 - 0.5) + np.log(2.0) + 0.5 * np.log(1 / 2), abs=1e-13
    )
    product = EASY.times(NARROW)
    np.testing.assert_allclose(
        Tilted((EASY, NARROW), (1.0, 1.0)).log_density(np.linspace(-2, 3, 11)),
        product.log_density(np.linspace(-2, 3, 11)[:, None]),
        atol=1e-12,
    )


def test_draws_follow_the_cdf_and_in_the_plane_the_density() -> None:
    """Kolmogorov's bound at 1e-9 false alarms; in the plane the shares of a grid's cells, within five deviations."""
    scale, n = 4.0, 100_000
    kept = np.sort(Tilted.draw_towards(EASY, 1, scale, n)[:, 0])
    levels = Tilted.towards(EASY, 1, scale).cdf(kept)
    gap = np.abs(levels - (np.arange(n) + 0.5) / n).max()
    assert gap < np.sqrt(np.log(2 / 1e-9) / (2 * n)) + 0.5 / n
    wrong = Tilted.towards(EASY, 1, scale + 1).cdf(kept)
    assert np.abs(wrong - (np.arange(n) + 0.5) / n).max() > 2 * gap
    plane, labels = targets.load("rotated-2d"), [1, 2]
    edges = np.linspace(-4.0, 4.0, 241)
    x = np.stack(
        np.meshgrid((edges[1:] + edges[:-1]) / 2, (edges[1:] + edges[:-1]) / 2, indexing="ij"), axis=-1
    )
    logs = scale * plane.condition(labels).log_density(x.reshape(-1, 2))
    logs -= (scale - 1) * plane.log_density(x.reshape(-1, 2))
    cells = np.exp(logs - logs.max()).reshape(8, 30, 8, 30).sum(axis=(1, 3))
    cells /= cells.sum()
    drawn = Tilted.draw_towards(plane, labels, scale, n, 3)
    shares = np.histogram2d(drawn[:, 0], drawn[:, 1], edges[::30])[0] / n
    assert (np.abs(shares - cells) < 5 * np.sqrt(cells / n) + 1e-4).all()


def test_bad_laws_are_named() -> None:
    plane = targets.load("pair-2d")
    for parts, powers, said in (
        ((EASY,), (1.0, 2.0), "powers has 2 numbers"),
        ((plane,), (1.0,), "dim = 1"),
        ((GaussianMixture([1.0], [0.0], [0.0]),), (1.0,), "variance 0"),
        ((NARROW, EASY), (-2.0, 1.0), "does not fall far out"),
        ((EASY,), (np.nan,), "finite"),
    ):
        with pytest.raises(ValueError, match=said):
            Tilted(parts, powers)
    with pytest.raises(ValueError, match="level with signal and noise"):
        Tilted((EASY,), (1.0,)).noised(0.0, 1.0)
    with pytest.raises(ValueError, match=r"scale is 0\.5; give at least 1"):
        Tilted.draw_towards(EASY, 1, 0.5, 10)
    with pytest.raises(ValueError, match="samples are kept"):
        Tilted.draw_towards(GaussianMixture([0.5, 0.5], [0.0, 0.1], 1.0), 1, 60.0, 10)
    with pytest.raises(ValueError, match="finest is 0"):
        Tilted((EASY,), (1.0,)).atoms(0)
