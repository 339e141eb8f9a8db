"""Long sequences: no underflow, and the nearest-revealed shortcut under masks."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytic import sequences
from analytic.sequences import markov
from tests.analytic.sequence_examples import simplex


def exact_chain(
    first: np.ndarray, step: np.ndarray, likelihood: np.ndarray
) -> tuple[np.ndarray, np.ndarray, mpmath.mpf]:
    """Posterior, cavity and log evidence by sums of numbers that have no smallest exponent."""
    size = likelihood.shape[1]
    start, matrix = (
        [mpmath.mpf(float(p)) for p in first],
        [[mpmath.mpf(float(p)) for p in row] for row in step],
    )
    seen = [[mpmath.mpf(float(p)) for p in row] for row in likelihood]
    before, after = [start], [[mpmath.mpf(1)] * size]
    for row in seen[:-1]:
        message = [f * q for f, q in zip(before[-1], row, strict=True)]
        before.append([mpmath.fsum(message[a] * matrix[a][b] for a in range(size)) for b in range(size)])
    for row in reversed(seen[1:]):
        message = [f * q for f, q in zip(after[-1], row, strict=True)]
        after.append([mpmath.fsum(message[b] * matrix[a][b] for b in range(size)) for a in range(size)])
    after.reverse()
    cavity = [[f * g for f, g in zip(*pair, strict=True)] for pair in zip(before, after, strict=True)]
    posterior = [[c * q for c, q in zip(*pair, strict=True)] for pair in zip(cavity, seen, strict=True)]

    def normalised(rows: list[list[mpmath.mpf]]) -> np.ndarray:
        return np.array([[float(w / mpmath.fsum(row)) for w in row] for row in rows])

    return normalised(posterior), normalised(cavity), mpmath.log(mpmath.fsum(posterior[0]))


@pytest.mark.parametrize(("length", "decades"), [(10_000, 3.0), (1_500, 100.0)])
def test_long_chain_agrees_with_unbounded_exponents(length: int, decades: float) -> None:
    rng = np.random.default_rng(20)
    first, step = simplex(rng, 3), simplex(rng, 3, 3)
    likelihood = 10.0 ** (-decades * rng.random((length, 3)))
    law = sequences.MarkovSequence(first, step, length)
    posterior, cavity, log_evidence = law.both(likelihood[None])
    with mpmath.workdps(25):
        expected = exact_chain(first, step, likelihood)
    np.testing.assert_allclose(posterior[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(cavity[0], expected[1], rtol=1e-12)
    assert log_evidence[0] == pytest.approx(float(expected[2]), rel=1e-13)


def test_other_laws_do_not_underflow_at_length_ten_thousand() -> None:
    rng = np.random.default_rng(21)
    first, step = simplex(rng, 3), simplex(rng, 3, 3)
    likelihood = rng.random((1, 10_000, 3)) * 1e-30
    chain = sequences.MarkovSequence(first, step, 10_000).both(likelihood)
    for law in (
        sequences.HiddenMarkov(first, step, np.eye(3), 10_000),
        sequences.Tree(list(range(-1, 9_999)), first, step),
        sequences.SecondOrderMarkov(first, step, np.broadcast_to(step, (3, 3, 3)), 10_000),
    ):
        for mine, theirs in zip(law.both(likelihood), chain, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-11)
    strip = sequences.PottsStrip(2, 5_000, 3, 0.7)
    posterior, _, log_evidence = strip.both(likelihood)
    np.testing.assert_allclose(posterior.sum(axis=2), 1.0, rtol=1e-13)
    assert np.isfinite(log_evidence).all()


def test_entropy_of_a_long_chain_is_the_mean_of_its_draws_log_probability() -> None:
    rng = np.random.default_rng(22)
    law = sequences.MarkovSequence(simplex(rng, 6), simplex(rng, 6, 6), 2_000)
    scores = -law.log_probability(law.sample(400, seed=3))
    assert abs(scores.mean() - law.entropy()) < 5.0 * scores.std() / 20.0


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    length=st.integers(1, 40),
    zeros=st.sampled_from([0.0, 0.4]),
    share=st.floats(0.0, 1.0),
    in_time=st.booleans(),
)
def test_nearest_revealed_shortcut_is_the_general_posterior(
    seed: int, length: int, zeros: float, share: float, in_time: bool
) -> None:
    rng = np.random.default_rng(seed)
    step = (
        simplex(rng, length - 1, 4, 4, zeros=zeros)
        if in_time and length > 1
        else simplex(rng, 4, 4, zeros=zeros)
    )
    law = sequences.MarkovSequence(simplex(rng, 4, zeros=zeros), step, length)
    tokens = law.sample(4, seed=seed)
    # One row in four is no draw of the law: it may be impossible.
    tokens[3] = rng.integers(0, 4, size=length)
    tokens[rng.random(tokens.shape) < share] = 4
    for row in tokens[:, None]:
        likelihood = sequences.reveal(row, 4)
        try:
            expected = law.posterior(likelihood)
        except ValueError:
            with pytest.raises(ValueError, match="row 0 is impossible"):
                law.masked_posterior(row)
            continue
        np.testing.assert_allclose(law.masked_posterior(row), expected, rtol=1e-12, atol=1e-15)


def test_shortcut_does_not_depend_on_chunks_or_on_which_powers_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(23)
    first, step = simplex(rng, 5), simplex(rng, 5, 5)
    law = sequences.MarkovSequence(first, step, 200)
    tokens = law.sample(8, seed=2)
    dense, sparse = tokens.copy(), tokens.copy()
    dense[rng.random(tokens.shape) < 0.3] = 5
    sparse[rng.random(tokens.shape) < 0.97] = 5
    one, two = law.masked_posterior(dense), law.masked_posterior(sparse)
    np.testing.assert_array_equal(law.masked_posterior(dense), one)
    fresh = sequences.MarkovSequence(first, step, 200)
    np.testing.assert_array_equal(fresh.masked_posterior(sparse), two)
    monkeypatch.setattr(markov, "CHUNK_BYTES", 200 * 5 * 8 * 40)
    np.testing.assert_array_equal(law.masked_posterior(dense), one)
    monkeypatch.setattr(markov, "CHUNK_BYTES", 1)  # no room for the powers: forward-backward
    np.testing.assert_allclose(law.masked_posterior(sparse), two, rtol=1e-12)
