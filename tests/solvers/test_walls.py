"""Steps over a wall: each answer against its plain loop, and reflection against all of space folded once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from analytic import Folded, GaussianMixture, fold, paths
from solvers import catalogue, denoiser, grids, loops, run
from solvers.numerics.philox import normals

BOX = Folded(GaussianMixture([0.4, 0.6], [[0.1, 0.3], [0.8, 0.9]], [[0.01, 0.02], [0.03, 0.01]]))
PATH = paths.VE(0.1, 1.5)
WALLS = ("reflected-euler", "projected-euler", "metropolis-euler")


def _plain(wall: str, x: Any, nodes: Any, seed: int) -> tuple[Any, Any]:
    taken = np.zeros(len(x), dtype=int)
    for k in range(len(nodes) - 1):
        t, s = nodes[k], nodes[k + 1]
        g = np.sqrt(float(PATH.g2(t)))
        score = (BOX.denoise(x, 1.0, float(PATH.sigma(t))) - x) / float(PATH.sigma(t)) ** 2
        z = normals(seed, len(x), 2, k, 0)
        for i in range(len(x)):
            on = x[i] + g**2 * score[i] * (t - s) + g * np.sqrt(t - s) * z[i]
            if wall == "projected-euler":
                on = np.minimum(np.maximum(on, 0), 1)
            if wall == "reflected-euler":
                while (on < 0).any() or (on > 1).any():
                    on = np.where(on < 0, -on, np.where(on > 1, 2 - on, on))
            if (on >= 0).all() and (on <= 1).all():
                x = np.concatenate([x[:i], on[None], x[i + 1 :]])
                taken[i] += 1
    return x, taken


@pytest.mark.parametrize("wall", WALLS)
def test_a_wall_is_answered_as_in_the_plain_loop(wall: str) -> None:
    nodes, x = grids.log_snr(PATH, 7), BOX.prior_sample(60, seed=1)
    found = loops.catalogue[wall].solve(PATH, nodes, BOX, x, seed=3)
    plain, taken = _plain(wall, x, nodes, 3)
    np.testing.assert_allclose(found.x, plain, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.accepted, taken)
    np.testing.assert_array_equal(found.rejected, 7 - taken)
    assert (found.rejected.sum() > 0) == (wall == "metropolis-euler")
    assert set(found.nfe) == {7}
    on_torch = loops.catalogue[wall].solve(PATH, nodes, BOX, torch.tensor(x), seed=3)
    np.testing.assert_allclose(on_torch.x.numpy(), found.x, rtol=0, atol=1e-12)
    asked = denoiser(lambda y, sigma: BOX.denoise(y, 1.0, sigma), takes="sigma")
    by_model = loops.catalogue[wall].solve(PATH, nodes, asked, x, seed=3)
    np.testing.assert_allclose(by_model.x, found.x, rtol=0, atol=1e-12)


def test_without_noise_reflecting_each_step_is_folding_once_and_a_flow_never_meets_a_wall() -> None:
    nodes, x = grids.log_snr(PATH, 6), BOX.prior_sample(200, seed=2)
    for name in ("euler", "heun", "ddim"):
        space = run(catalogue[name].tableau(PATH, nodes), BOX, x)
        found = loops.catalogue["reflected-euler"].solve(PATH, nodes, BOX, x, step=name)
        np.testing.assert_allclose(found.x, fold(space), rtol=0, atol=1e-12)
    fine = run(catalogue["rk4"].tableau(PATH, grids.log_snr(PATH, 60)), BOX, x, full=True)
    assert all(((at > 0) & (at < 1)).all() for at in fine.trajectory)


def test_steps_that_walls_have_no_meaning_for_are_refused() -> None:
    x = np.full((3, 2), 0.5)
    solve = loops.catalogue["projected-euler"].solve
    for call, words in (
        (lambda: solve(PATH, [1.0, 0.5], BOX, x, step="dpm-solver++-2m"), "multistep"),
        (lambda: solve(paths.VP(), [1.0, 0.5], BOX, x), "alpha changes the box"),
        (lambda: solve(PATH, [1.0, 0.5], BOX, x + 1), "outside the box"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


TIED = {  # methods for which x + 2 is not as x is
    "rex-rk4-as-published",  # its last stage has gone half the step
    "lambda-ddim",  # shrinks x towards 0
}


@pytest.mark.parametrize("name", sorted(set(catalogue.continuous) - TIED))
def test_every_method_is_the_same_seen_in_a_wall(name: str) -> None:
    # so that its steps folded are those of the method that folds: x to 2 - x and x to x + 2, noise with its sign
    tableau = catalogue[name].tableau(PATH, grids.log_snr(PATH, 5))
    rng = np.random.default_rng(4)
    x, z = rng.random((6, 2)), rng.standard_normal((len(tableau.channels), 6, 2))
    here = run(tableau, BOX, x, noise=z)
    bound = 1e-10 * max(1.0, float(np.abs(here).max()))
    np.testing.assert_allclose(run(tableau, BOX, 2 - x, noise=-z), 2 - here, rtol=0, atol=bound)
    np.testing.assert_allclose(run(tableau, BOX, x + 2, noise=z), here + 2, rtol=0, atol=bound)


@pytest.mark.parametrize("name", sorted(TIED))
def test_what_is_tied_to_the_origin_shows_at_a_wall(name: str) -> None:
    tableau, x = catalogue[name].tableau(PATH, grids.log_snr(PATH, 5)), BOX.prior_sample(6, seed=4)
    assert np.abs(run(tableau, BOX, x + 2) - run(tableau, BOX, x) - 2).max() > 1e-3  # 1e-10 are allowed above
