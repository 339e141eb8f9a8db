"""Correctors of tokens: what leaves p_t alone and how nearly, against plain loops, in order, in samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analytic import chains
from solvers import catalogue, grids
from solvers.discrete import Tables, law, resample, sample
from solvers.discrete.moves.gibbs import Gibbs
from solvers.discrete.moves.guided import Guided
from solvers.methods.discrete.correctors import CORRECTORS, correction
from tests.solvers.token_loops import (
    MASK,
    NOISES,
    SHARP,
    SMOOTH,
    UNIFORM,
    Loops,
    State,
    chi_square,
    distance,
    leap,
    markov,
    slopes,
)

ALARM = 1e-7  # false-alarm rate of each check by samples, of which there are fewer than ten
noises = pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
transitions = pytest.mark.parametrize("transition", [SMOOTH, SHARP], ids=["smooth", "sharp"])
# every corrector with the noises it takes
PAIRS = [
    (corrector, noise)
    for corrector in CORRECTORS
    for noise in (NOISES if corrector != "dfm" else [MASK, UNIFORM])
]
pairs = pytest.mark.parametrize(
    ("corrector", "noise"), PAIRS, ids=lambda value: getattr(value, "name", value)
)


def kernel(noise: chains.Chain, steps: int, start: float = 0.9, stop: float = 0.1, **options: Any) -> Any:
    grid = grids.uniform(noise, steps, start=start, stop=stop)
    return catalogue["ctmc-predictor-corrector"].kernel(noise, grid, **options)


def errors(noise: chains.Chain, transition: np.ndarray, steps: list[int], **options: Any) -> list[float]:
    data = markov(transition, 3)
    tables = Tables(noise, data)
    laws = [law(kernel(noise, n, **options), data, tables=tables) for n in steps]
    return [distance(p, tables.evidence(0.1)) for p in laws]


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize("corrector", ["forward-backward", "dfm"])
def test_the_generators_leave_the_marginal_alone(corrector: str, noise: chains.Chain) -> None:
    if corrector == "dfm" and noise not in (MASK, UNIFORM):
        with pytest.raises(ValueError, match="flow matching takes"):
            correction(noise, 0.4, corrector, 0.1)
        return
    loops, t = Loops(noise, markov(SHARP, 2)), 0.4
    backward = loops.reverse if corrector == "forward-backward" else loops.velocity
    p, G = loops.marginal(t), loops.generator(t, backward, loops.forward)
    np.testing.assert_allclose(p @ G, 0.0, rtol=0, atol=1e-13)
    assert np.abs(p @ loops.generator(t, backward)).max() > 1e-2


@pairs
@transitions
def test_steps_move_the_marginal_by_the_square_of_their_length(
    corrector: str, noise: chains.Chain, transition: np.ndarray
) -> None:
    data = markov(transition, 3)
    tables = Tables(noise, data)
    p = tables.evidence(0.4)
    moved = [distance(correction(noise, 0.4, corrector, h).push(p, tables), p) for h in (2e-3, 1e-3)]
    if corrector == "gibbs-parallel":
        assert min(moved) > 1e-3
    elif corrector.startswith("gibbs"):
        assert max(moved) < 1e-13
    else:
        assert slopes(moved)[0] == pytest.approx(2.0, abs=0.05)


def conditional(loops: Loops, t: float, x: State, site: int) -> list[float]:
    """Law of one site at t given the others, from the table of p_t."""
    p = loops.marginal(t)
    law_ = [float(p[loops.index[(*x[:site], y, *x[site + 1 :])]]) for y in range(loops.S)]
    return [v / sum(law_) for v in law_]


def corrected_by_loops(loops: Loops, corrector: str, t: float, s: float) -> np.ndarray:
    """Tau-leaping from t to s, then one corrector step at s that lasts as long."""
    L = loops.length

    def leaps(x: State, at: float, *rates: Any) -> dict[State, float]:
        flows = [[sum(parts) for parts in zip(*(r(at, x, i) for r in rates), strict=True)] for i in range(L)]
        return loops.product([leap(flows[i], x[i], t - s) for i in range(L)])

    def redraw(weights: np.ndarray, site: int) -> np.ndarray:
        return loops.push(
            weights,
            lambda x: {
                (*x[:site], y, *x[site + 1 :]): p for y, p in enumerate(conditional(loops, s, x, site))
            },
        )

    weights = loops.push(loops.marginal(t), lambda x: leaps(x, t, loops.reverse))
    if corrector == "forward-backward":
        return loops.push(weights, lambda x: leaps(x, s, loops.reverse, loops.forward))
    if corrector == "dfm":
        return loops.push(weights, lambda x: leaps(x, s, loops.velocity, loops.forward))
    if corrector == "gibbs-parallel":
        return loops.push(weights, lambda x: loops.product([conditional(loops, s, x, i) for i in range(L)]))
    if corrector == "gibbs-random":
        return sum((redraw(weights, i) for i in range(L)), np.zeros(len(weights))) / L
    for i in range(L):
        weights = redraw(weights, i)
    return weights


@pairs
def test_one_interval_is_the_papers(corrector: str, noise: chains.Chain) -> None:
    data = markov(SHARP, 2)
    slow = corrected_by_loops(Loops(noise, data), corrector, 0.7, 0.5)
    fast = law(kernel(noise, 1, 0.7, 0.5, corrector=corrector), data).ravel()
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=lambda noise: noise.name)
@transitions
@pytest.mark.parametrize("corrector", ["forward-backward", "dfm"])
def test_leaping_correctors_keep_order_1(corrector: str, noise: chains.Chain, transition: np.ndarray) -> None:
    assert slopes(errors(noise, transition, [64, 128], corrector=corrector))[0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=lambda noise: noise.name)
@transitions
def test_a_gibbs_sweep_each_interval_gains_an_order(noise: chains.Chain, transition: np.ndarray) -> None:
    # it shrinks what is there by a factor that does not tend to one, so errors of O(h^2) a step do not add up
    plain = errors(noise, transition, [64, 128], corrector="forward-backward", entry=0.0)
    swept = errors(noise, transition, [64, 128], corrector="gibbs")
    assert slopes(plain)[0] == pytest.approx(1.0, abs=0.1)
    assert slopes(swept)[0] == pytest.approx(2.0, abs=0.15)


def test_sites_redrawn_at_once_keep_an_error_on_any_grid() -> None:
    found = errors(MASK, SHARP, [32, 64], corrector="gibbs-parallel")
    assert min(found) > 0.1
    assert abs(slopes(found)[0]) < 0.1


@pytest.mark.parametrize("predictor", ["tweedie-tau-leaping", "dfm-euler", "theta-trapezoidal"])
def test_any_method_can_predict(predictor: str) -> None:
    data = markov(SMOOTH, 2)
    plain = law(catalogue[predictor].kernel(MASK, [0.9, 0.6, 0.3]), data)
    idle = kernel(MASK, 2, 0.9, 0.3, predictor=predictor, entry=0.1)
    np.testing.assert_allclose(law(idle, data), plain, rtol=0, atol=1e-15)
    swept = law(kernel(MASK, 2, 0.9, 0.3, predictor=predictor, corrector="gibbs"), data)
    exact = Tables(MASK, data).evidence(0.3)
    assert distance(swept, exact) < distance(plain, exact)


def test_evaluations_and_steps_are_counted() -> None:
    assert kernel(MASK, 4, corrector_steps=2).evaluations(5) == 4 * (1 + 2)
    assert kernel(MASK, 4, corrector="gibbs").evaluations(5) == 4 * (1 + 5)
    assert kernel(MASK, 4, corrector="gibbs-random", corrector_steps=3).evaluations(5) == 4 * (1 + 3)
    assert kernel(MASK, 4, stop=0.0).evaluations(5) == 4 + 3  # none at t = 0
    assert kernel(MASK, 4, entry=0.5).evaluations(5) == 4 + 3
    assert Gibbs(resample(MASK, 0.5)).evaluations(7) == 7


def test_predictors_that_count_masks_or_are_guided_stay_what_they_are() -> None:
    counted = kernel(
        MASK, 4, predictor="maskgit"
    )  # which reveals one of five sites at least, and the rest at last
    assert (counted.evaluations(5), counted.end(5)) == (4 * (1 + 1), 0.1)
    (last,) = kernel(MASK, 4, predictor="guided-ancestral", finalise="posterior").final
    assert isinstance(last, Guided)


@pairs
def test_samples_follow_the_law(corrector: str, noise: chains.Chain) -> None:
    data, kern = markov(SMOOTH, 3), kernel(noise, 3, corrector=corrector)
    assert chi_square(law(kern, data), sample(kern, data, 100_000, seed=8)) > ALARM


@pytest.mark.slow
@pairs
def test_many_samples_follow_the_law(corrector: str, noise: chains.Chain) -> None:
    data, kern = markov(SHARP, 4), kernel(noise, 5, corrector=corrector, corrector_steps=2)
    assert chi_square(law(kern, data), sample(kern, data, 200_000, seed=9)) > ALARM


@pytest.mark.parametrize("corrector", CORRECTORS)
def test_samples_depend_neither_on_threads_nor_on_cuts(corrector: str) -> None:
    data, kern = markov(SMOOTH, 5), kernel(UNIFORM, 3, corrector=corrector)
    whole = sample(kern, data, 300, seed=7, threads=1)
    np.testing.assert_array_equal(whole, sample(kern, data, 300, seed=7, threads=2))
    np.testing.assert_array_equal(whole[100:], sample(kern, data, 200, seed=7, first=100))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corrector": "langevin"}, "corrector is 'langevin': use"),
        ({"corrector_steps": 0}, "corrector_steps is 0: use"),
        ({"corrector_size": -1.0}, "corrector_size is -1.0: use"),
        ({"entry": float("nan")}, "entry is nan: use"),
        ({"predictor": "tau-leeping"}, "tau-leaping"),
        ({"predictor": "ddim"}, "continuous"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel(MASK, 2, **options)
