"""The study of draws: chains of float32 draws by plain loops, the predicted sizes, growth with N, samples."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analytic import chains
from studies.draws.draw_law import DRAWS, draw_law
from studies.draws.study import (
    NOISES,
    TARGET,
    Draws,
    ancestral_rows,
    effective_temperature,
    growth,
    predicted_law,
    sampled_counts,
    summary,
)
from studies.engine import run


def precision(target=TARGET, noises=NOISES, draws=DRAWS, steps=(2,), bits=None) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    """What the study finds, as a data frame."""
    return pd.DataFrame([asdict(one) for one in run(Draws(draws, noises, target, steps, bits))])


FALSE_ALARM = 1e-6  # of each statistical test here
MASKED = {"absorbing linear": NOISES["absorbing linear"]}
RACES = tuple(name for name in DRAWS if "gumbel-" in name or "race" in name)
W = np.array(TARGET)


@pytest.mark.parametrize("label", NOISES)
def test_rows_are_bayes_and_lead_to_the_target(label: str) -> None:
    noise = NOISES[label]
    start, rows = ancestral_rows(noise, TARGET, 5)
    law = start
    times = np.linspace(noise.start, 0.0, 6)
    for n in range(5):
        alpha_s, alpha_t = (float(noise.alpha(t)) for t in (times[n + 1], times[n]))
        for x in range(noise.states):
            for y in range(noise.states):
                if label.startswith("absorbing"):
                    leave = (alpha_s - alpha_t) / (1 - alpha_t)
                    masked = 1 - leave if y == 4 else leave * TARGET[y]
                    expected = masked if x == 4 else float(x == y)
                else:
                    ratio = alpha_t / alpha_s
                    marginal = [a * p + (1 - a) / 4 for a, p in ((alpha_s, TARGET[y]), (alpha_t, TARGET[x]))]
                    expected = marginal[0] * (ratio * (x == y) + (1 - ratio) / 4) / marginal[1]
                assert rows[n, x, y] == pytest.approx(expected, abs=1e-14)
        law = law @ rows[n]
    np.testing.assert_allclose(law[:4], W, rtol=0, atol=1e-14)


def test_law_of_the_chain_is_that_of_loops_over_its_draws() -> None:
    frame = precision(draws=["gumbel-float32", "gumbel"], steps=(3, 2), bits=6)
    assert list(frame.columns[:5]) == ["draw", "noise", "steps", "tv", "predicted"]
    assert len(frame) == 12
    for label, noise in NOISES.items():
        for N in (2, 3):
            start, rows = ancestral_rows(noise, TARGET, N)
            law = list(start)
            for table in rows:
                drawn = [draw_law(row, "gumbel-float32", bits=6) for row in table]
                law = [sum(law[x] * drawn[x][y] for x in range(noise.states)) for y in range(noise.states)]
            truth = [*TARGET, 0.0][: noise.states]
            tv = sum(abs(a - b) for a, b in zip(law, truth, strict=True)) / 2
            entropy = -sum(a * math.log(a) for a in law if a > 0) + sum(a * math.log(a) for a in TARGET)
            record = frame[(frame.draw == "gumbel-float32") & (frame.noise == label) & (frame.steps == N)]
            assert record.tv.item() == pytest.approx(tv, abs=1e-14)
            assert record.entropy_change.item() == pytest.approx(entropy, abs=1e-13)


@pytest.mark.parametrize("draw", RACES)
@pytest.mark.parametrize("kept", [0.999, 0.9, 1.0])
def test_predicted_race_is_the_law_up_to_a_small_part_of_a_cell(draw: str, kept: float) -> None:
    bits = 14
    row = np.array([*(W * (1 - kept)), kept])
    error = predicted_law(row, draw, bits) - draw_law(row, draw, bits=bits)
    assert np.all(np.abs(error) < np.maximum(2 * row, 0.02) * 2.0**-bits)
    np.testing.assert_allclose(predicted_law(row, draw, bits).sum(), 1.0, rtol=0, atol=1e-15)


@pytest.mark.parametrize("draw", [name for name in DRAWS if "inverse" in name])
def test_predicted_inverse_cdf_is_the_law_on_average_over_rows(draw: str) -> None:
    bits = None if draw == "inverse-cdf" else 10
    leave = np.random.default_rng(1).uniform(0.02, 0.3, size=4000)[:, None]
    rows = np.hstack([leave * W, 1 - leave])
    error = (draw_law(rows, draw, bits=bits) - predicted_law(rows, draw, bits)) * 2.0**10
    # each is spread over a cell: the mean of 4000 has a deviation below 0.01 of one
    assert np.all(np.abs(error.mean(axis=0)) < 0.05)
    assert bits is None or np.all(np.abs(error.std(axis=0)) > 0.2)


def test_what_conventions_change_is_predicted_at_full_bits() -> None:
    rows = np.random.default_rng(2).dirichlet([1.0] * 5, size=50)
    short = rows[np.cumsum(rows.astype(np.float32), axis=1, dtype=np.float32)[:, -1] < 1]
    assert len(short) > 3
    first = [
        law(short, "inverse-cdf-float32-unforced") - law(short, "inverse-cdf-float32")
        for law in (draw_law, predicted_law)
    ]
    assert np.all(first[0][:, 0] >= 2.0**-24)
    np.testing.assert_array_equal(*first)

    rare = np.array([2e-5, 1e-5, 4e-6, 1 - 3.4e-5])
    added = [
        law(rare, "exponential-race-float32-epsilon") - law(rare, "exponential-race-float32")
        for law in (draw_law, predicted_law)
    ]
    # u = 0 of the last category is a cell, epsilon 1e-10: all but a few percent of that
    np.testing.assert_allclose(*added, rtol=0, atol=5e-12)


@pytest.mark.parametrize(
    "draw", ["gumbel-float32-tiny", "exponential-race-float32-epsilon", "gumbel-float32"]
)
def test_masked_error_is_the_formula_of_the_module(draw: str) -> None:
    N, bits = 64, 16
    start, rows = ancestral_rows(NOISES["absorbing linear"], TARGET, N)
    law = start
    for table in draw_law(rows, draw, bits=bits):
        law = law @ table
    expected = N * (4 * W - 1) / 4 / 2**bits
    if draw == "gumbel-float32":
        expected += N * (np.eye(4)[0] - W) / 2 / 2**bits
    # the next term is a relative N V / 2^bits, and a relative 1/N for the sum over steps
    np.testing.assert_allclose(law[:4] - W, expected, rtol=0.02, atol=0.02 * np.abs(expected).max())


def test_rounded_uniform_numbers_leave_an_error_of_second_order() -> None:
    N, bits = 1024, 18
    frame = precision(noises=MASKED, draws=["exponential-race-float32-rounded"], steps=[N], bits=bits)
    errors = 5 * N**2 * (W * np.sum(1 / W) - 1 / W) / 36 / 4.0**bits
    # the next term is a relative N/(M w), at most 0.08, with a coefficient below one; what does not grow is 1e-2
    assert frame.tv.item() == pytest.approx(np.abs(errors).sum() / 2, rel=0.05)


def test_error_of_gumbel_draws_grows_as_the_number_of_steps_and_is_the_predicted_one() -> None:
    frame = precision(noises=MASKED, draws=["gumbel-float32-tiny"], steps=(8, 16, 32, 64, 128, 256), bits=21)
    slope = growth(frame.steps.tolist(), frame.tv)
    assert slope.status == "settled"
    assert slope.low < slope.value < slope.high
    assert slope.value == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(frame.tv[2:], frame.predicted[2:], rtol=0.01)


def test_draws_in_float64_stay_exact_and_the_entropy_falls_with_the_others() -> None:
    w = 1 / np.arange(1, 13)
    noises = {"mask": chains.Absorbing(12)}
    draws = ["inverse-cdf", "gumbel", "gumbel-float32", "exponential-race-float32-epsilon"]
    frame = precision(w / w.sum(), noises, draws, steps=(16, 32, 64, 128), bits=12)
    shown = summary(frame).set_index("draw")
    assert list(shown.growth[:2]) == ["exact", "exact"]
    assert np.all(np.abs(shown.temperature[:2] - 1) < 1e-10)
    assert np.all(shown.entropy_change[2:] < -0.02)
    assert np.all(shown.temperature[2:] < 0.97)
    falling = frame[frame.draw == "gumbel-float32"].entropy_change.to_numpy()
    assert np.all(np.diff(falling) < 0)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.9])
def test_effective_temperature_is_that_of_a_tempered_law(temperature: float) -> None:
    tempered = W ** (1 / temperature)
    assert effective_temperature(tempered / tempered.sum(), W) == pytest.approx(temperature, rel=1e-9)
    assert np.isnan(effective_temperature(W, [0.25] * 4))


@pytest.mark.parametrize(
    ("label", "draw"), [("absorbing linear", "gumbel-float32"), ("uniform linear", "gumbel-float32-tiny")]
)
def test_samples_follow_the_exact_law_and_not_the_target(label: str, draw: str) -> None:
    noise, N, bits, n = NOISES[label], 48, 9, 200_000
    counts = sampled_counts(noise, TARGET, draw, N, n, seed=7, bits=bits)[:4]
    start, rows = ancestral_rows(noise, TARGET, N)
    law = start
    for table in draw_law(rows, draw, bits=bits):
        law = law @ table
    assert counts.sum() == n
    law = law[:4] / law[:4].sum()
    assert stats.chisquare(counts, law * n).pvalue > FALSE_ALARM
    assert stats.chisquare(counts, W * n).pvalue < FALSE_ALARM


def test_unknown_draws_and_noise_of_another_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean"):
        precision(draws=["gumbel-float"], steps=(2,))
    with pytest.raises(ValueError, match="4 probabilities"):
        precision([0.5, 0.5], draws=["gumbel"], steps=(2,))
    with pytest.raises(ValueError, match="from 1 to 24"):
        precision(draws=["gumbel-float32"], steps=(2,), bits=30)
