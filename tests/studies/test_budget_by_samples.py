"""Budgets by samples: what densities say, no noise of samples in squares, and points and models of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import assay
from analytic import GaussianMixture, targets
from solvers import Imperfect, ScoreError
from studies.budget.coordinates import SlicedCoordinates
from studies.budget.parts import budget
from studies.specifications import job_of
from tests.studies.test_budget import EASY, bench_of


@pytest.mark.parametrize("method", ["heun", "ddpm"])
def test_samples_and_densities_give_the_same_parts(method: str) -> None:
    """On the line sliced W2 is W2. Sampled numbers are within 4.5 of their standard errors, most of them larger."""
    bench = bench_of("easy-1d", model=Imperfect(EASY, ScoreError(0.1, "relative")), samples=40_000)
    exact = budget(job_of(method), bench, 16)
    bench = replace(bench, _fine={})
    bench.__dict__["means"] = "samples"
    found = budget(job_of(method), bench, 16)
    assert abs(found.whole - exact.whole) < 4.5 * found.uncertainty < 0.15 * exact.whole
    for p, q in zip(found.parts, exact.parts, strict=True):
        assert abs(p.share - q.share) < 4.5 * (p.uncertainty + q.uncertainty) + 0.01 * q.size, p.name
    assert sum(p.share for p in found.parts) + found.remainder == pytest.approx(found.whole, rel=1e-12)


def test_the_sliced_norm_counts_no_noise_of_samples() -> None:
    """The mean over seeds of |a - b|^2 is that of the laws, which is nothing between samples of one law."""
    space = SlicedCoordinates(2)
    rng = np.random.default_rng(4)
    scales = np.sqrt(space.directions**2 @ [1.0, 4.0])
    moved = space.directions @ [0.1, 0.0]
    for shift in (0.0, 0.1):
        squares, naive = [], []
        for _ in range(200):
            x, y = (rng.standard_normal((1000, 2)) * [1, 2] for _ in range(2))
            v = space.of(x + np.array([shift, 0.0])) - space.of(y)
            squares.append(space.inner(v, v))
            naive.append(np.mean(v**2))
        wanted = np.mean(moved**2) if shift else 0.0
        error = np.std(squares) / np.sqrt(len(squares))
        assert abs(np.mean(squares) - wanted) < 4 * error < 0.2 * (np.mean(naive) - wanted)
    # the jackknife's word against what seeds say, of a whole that is seen
    wholes = []
    deviations = []
    for _ in range(200):
        x, y = (rng.standard_normal((1000, 2)) * [1, 2] for _ in range(2))
        v = space.of(1.5 * x) - space.of(y)
        wholes.append(space.norm(v))
        deviations.append(space.deviation(v, v))
    assert np.mean(wholes) == pytest.approx(0.5 * np.sqrt(np.mean(scales**2)), rel=0.02)
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(np.std(wholes), rel=0.25)


def test_moves_of_samples_add_up_to_the_move_of_their_coordinates() -> None:
    space = SlicedCoordinates(3)
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2003, 3))
    change = 1e-6 * (np.sin(x) + x[:, ::-1] ** 2)
    direction = np.cos(space.of(x)) + rng.standard_normal((10, 1, 1))
    wanted = space.inner(space.of(x + change) - space.of(x), direction)
    assert np.mean(space.moved(x, x, change, direction)) == pytest.approx(wanted, rel=1e-4)
    assert np.mean(space.moved(x, x, change, 1 + 0 * direction)) != pytest.approx(wanted, rel=0.1)


def test_points_and_models_of_ones_own_have_budgets(tmp_path: Path) -> None:
    points = np.random.default_rng(6).standard_normal((60, 3)) * [1.0, 0.5, 2.0]
    np.save(tmp_path / "mine.npy", points)
    (tmp_path / "model.py").write_text(
        "import numpy as np\ntakes = 'level'\n"
        "def wiener(x, alpha, sigma):\n"
        "    v = np.array([1.0, 0.25, 4.0])\n"
        "    return x * alpha * v / (alpha**2 * v + sigma**2)\n"
    )
    score = f"{tmp_path / 'model.py'}:wiener"
    mine = [str(tmp_path / "mine.npy")]
    result = assay.budget("ddpm", targets=mine, score=score, steps=[12], samples=4000)
    (found,) = result.frame.to_dict("records")
    assert found["means"] == "samples"
    assert found["precision size"] == 0
    # the model samples N(0, v), and the points are of it: the score's part is that of sixty points against the law
    law = targets.load(str(tmp_path / "mine.npy"))
    space = SlicedCoordinates(3)
    own = GaussianMixture([1.0], np.zeros((1, 3)), np.array([[1.0, 0.25, 4.0]]))
    apart = space.norm(space.of(own.sample(100_000, seed=1)) - space.of(law.sample(100_000, seed=2)))
    assert found["score size"] == pytest.approx(apart, rel=0.15)
    assert "± on W2: sliced W2 by samples" in result._repr_html_()
    with pytest.raises(ValueError, match="part is 'precision', but score is a model"):
        assay.budget("ddpm", targets=mine, score=score, parts=["precision"])
