"""theta-RK-2 and theta-trapezoidal: against plain loops, in order, in samples; where order 2 is and where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Tables, law, path_kl, sample
from tests.solvers.token_loops import (
    MASK,
    MILD,
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
METHODS = ("theta-rk-2", "theta-trapezoidal")


def kernel(
    name: str, noise: chains.Chain, steps: int, start: float = 0.9, stop: float = 0.1, **options: Any
) -> Any:
    return catalogue[name].kernel(noise, grids.uniform(noise, steps, start=start, stop=stop), **options)


def tv(
    name: str, noise: chains.Chain, data: sequences.SequenceLaw, steps: list[int], **options: Any
) -> list[float]:
    tables = Tables(noise, data)
    exact = tables.evidence(0.1)
    return [distance(law(kernel(name, noise, n, **options), data, tables=tables), exact) for n in steps]


def two_stages_by_loops(
    loops: Loops, name: str, t: float, s: float, theta: float, clip: bool, convention: str
) -> np.ndarray:
    """The papers' step from p_t: rates of the first state held, those of the second taken, added and leapt with."""
    h, S, possible = t - s, loops.S, [x for x in loops.states if loops.marginal(t)[loops.index[x]] > 0]
    held = {x: [loops.reverse(t, x, i) for i in range(loops.length)] for x in possible}
    now = {z: [loops.reverse(t - theta * h, z, i) for i in range(loops.length)] for z in possible}

    def step(x: State) -> dict[State, float]:
        first = loops.product([leap(held[x][i], x[i], theta * h) for i in range(loops.length)])
        out = dict.fromkeys(loops.states, 0.0)
        for z, p in first.items():
            if p == 0:
                continue
            if name == "theta-rk-2":
                origin, w_held, w_now, span = x, 1 - 1 / (2 * theta), 1 / (2 * theta), h
            else:
                scale = 2 * theta * (1 - theta)
                origin, span = z, (1 - theta) * h
                w_held, w_now = -((1 - theta) ** 2 + theta**2) / scale, 1 / scale
            laws = []
            for i, from_ in enumerate(origin):
                flows = [0.0] * S
                for y in range(S):
                    if y == from_:
                        continue
                    # the same target, or the same displacement from each of the two states
                    a = y if convention == "target" else x[i] + (y - from_)
                    b = y if convention == "target" else z[i] + (y - from_)
                    total = w_held * held[x][i][a] if 0 <= a < S else 0.0
                    total += w_now * now[z][i][b] if 0 <= b < S else 0.0
                    flows[y] = max(total, 0.0) if clip else total
                laws.append(leap(flows, from_, span))
            for end, q in loops.product(laws).items():
                out[end] += p * q
        return out

    return loops.push(loops.marginal(t), step)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize("convention", ["target", "jump"])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize(("name", "theta"), [("theta-rk-2", 0.4), ("theta-trapezoidal", 0.3)])
def test_one_step_is_the_papers(
    name: str, theta: float, clip: bool, convention: str, noise: chains.Chain
) -> None:
    data = markov(SHARP, 2)
    loops = Loops(noise, data)
    slow = two_stages_by_loops(loops, name, 0.7, 0.4, theta, clip, convention)
    options = {"theta": theta, "clip": clip, "convention": convention}
    fast = law(kernel(name, noise, 1, 0.7, 0.4, **options), data).ravel()
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=lambda noise: noise.name)
@pytest.mark.parametrize("transition", [SMOOTH, SHARP], ids=["smooth", "sharp"])
@pytest.mark.parametrize("theta", [0.3, 0.5])
def test_trapezoidal_without_positive_part_is_of_order_2(
    noise: chains.Chain, transition: np.ndarray, theta: float
) -> None:
    errors = tv("theta-trapezoidal", noise, markov(transition, 2), [32, 64], clip=False, theta=theta)
    assert slopes(errors)[-1] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=lambda noise: noise.name)
def test_the_positive_part_makes_trapezoidal_of_order_1_on_sharp_data(noise: chains.Chain) -> None:
    errors = tv("theta-trapezoidal", noise, markov(SHARP, 2), [128, 256])
    assert slopes(errors)[-1] == pytest.approx(1.0, abs=0.15)


def test_trapezoidal_is_of_order_2_where_no_rate_falls_below_half() -> None:
    # under a mask rates of a site are posteriors times a time factor, and those of MILD stay within a factor of 2
    kept = tv("theta-trapezoidal", MASK, markov(MILD, 3), [16, 32, 64])
    np.testing.assert_allclose(slopes(kept), 2.0, atol=0.1)
    np.testing.assert_allclose(
        kept, tv("theta-trapezoidal", MASK, markov(MILD, 3), [16, 32, 64], clip=False), rtol=1e-6
    )
    data, tables = markov(MILD, 3), Tables(MASK, markov(MILD, 3))
    paths = [float(path_kl(kernel("theta-trapezoidal", MASK, n), data, tables).sum()) for n in (8, 16)]
    assert slopes(paths)[-1] > 1.9


@pytest.mark.parametrize("noise", [MASK, UNIFORM], ids=lambda noise: noise.name)
@pytest.mark.parametrize("transition", [SMOOTH, SHARP], ids=["smooth", "sharp"])
@pytest.mark.parametrize("clip", [True, False])
def test_rk_2_is_of_order_1(noise: chains.Chain, transition: np.ndarray, clip: bool) -> None:
    errors = tv("theta-rk-2", noise, markov(transition, 2), [32, 64], clip=clip)
    assert slopes(errors)[-1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("name", METHODS)
def test_both_are_of_order_1_in_path_kl_on_sharp_data(name: str) -> None:
    data, tables = markov(SHARP, 2), Tables(MASK, markov(SHARP, 2))
    paths = [float(path_kl(kernel(name, MASK, n), data, tables).sum()) for n in (32, 64, 128)]
    assert slopes(paths)[-1] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("name", "order"), [("theta-rk-2", 1), ("theta-trapezoidal", 2)])
def test_on_one_masked_token_the_state_the_second_stage_starts_from_decides(name: str, order: int) -> None:
    # a token revealed in the first stage has no rates left, which RK-2 counts as rates of the masked state
    data = markov(SHARP, 1)
    exact = Tables(MASK, data).evidence(0.1)
    errors = [distance(law(kernel(name, MASK, n), data), exact) for n in (16, 32, 64)]
    np.testing.assert_allclose(slopes(errors), order, atol=0.1)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_samples_follow_the_law(name: str, noise: chains.Chain) -> None:
    data = markov(SMOOTH, 3)
    kern = kernel(name, noise, 4, convention="jump" if noise.name == "birth-death" else "target")
    assert chi_square(law(kern, data), sample(kern, data, 100_000, seed=3)) > ALARM


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("transition", [SMOOTH, SHARP], ids=["smooth", "sharp"])
def test_many_samples_follow_the_law(name: str, transition: np.ndarray) -> None:
    data = markov(transition, 4)
    for noise in (MASK, UNIFORM):
        kern = kernel(name, noise, 6)
        assert chi_square(law(kern, data), sample(kern, data, 200_000, seed=4)) > ALARM


@pytest.mark.parametrize("name", METHODS)
def test_samples_depend_neither_on_threads_nor_on_cuts(name: str) -> None:
    data, kern = markov(SMOOTH, 5), kernel(name, UNIFORM, 3)
    whole = sample(kern, data, 300, seed=7, threads=1)
    np.testing.assert_array_equal(whole, sample(kern, data, 300, seed=7, threads=2))
    np.testing.assert_array_equal(whole[100:], sample(kern, data, 200, seed=7, first=100))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("theta-rk-2", {"theta": 0.0}, "theta is 0.0: use"),
        ("theta-rk-2", {"theta": 1.1}, "theta is 1.1: use"),
        ("theta-trapezoidal", {"theta": 1.0}, "theta is 1.0: use"),
        ("theta-trapezoidal", {"convention": "nu"}, "convention is 'nu': use"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel(name, MASK, 2, **options)


def test_a_signed_measure_is_not_sampled() -> None:
    with pytest.raises(ValueError, match="clip is False"):
        sample(kernel("theta-trapezoidal", MASK, 2, clip=False), markov(SMOOTH, 2), 10)
