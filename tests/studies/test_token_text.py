"""Long sequences by samples: log-likelihood and bigrams, with exact draws as the floor."""

from __future__ import annotations

import numpy as np
import pytest

from analytic import chains, sequences
from studies.order import on_text
from studies.order.on_tokens import TokenSetting, default_settings, token_jobs


@pytest.fixture(scope="module")
def letters() -> sequences.MarkovSequence:
    text = sequences.fold(sequences.TEXT)
    data = sequences.from_text(text, length=200, alphabet=sequences.LETTERS)
    assert isinstance(data, sequences.MarkovSequence)
    return data


def test_bigrams_count_neighbouring_pairs() -> None:
    counted = on_text.bigrams(np.array([[0, 1, 1], [2, 0, 1]], dtype=np.int16), 3)
    expected = np.zeros((3, 3))
    expected[0, 1], expected[1, 1], expected[2, 0] = 2 / 4, 1 / 4, 1 / 4
    np.testing.assert_array_equal(counted, expected)


def test_exact_draws_have_the_log_likelihood_of_their_entropy(letters: sequences.MarkovSequence) -> None:
    """A z of 5 has a false-alarm rate of 6e-7."""
    value, error = on_text.exact_draws("letters", letters, n=400)["log-likelihood"]
    assert abs(value + letters.entropy_rate()) < 5 * error
    assert error < 0.01


def test_samples_come_nearer_to_the_text_with_more_steps(letters: sequences.MarkovSequence) -> None:
    (job,) = token_jobs(["tweedie-tau-leaping"])
    setting = default_settings(27, long=True)[0]
    found, kept = on_text.text_errors(job, "letters", letters, setting, budgets=(2, 8, 64), n=200)
    likelihood, bigram = found
    own = -letters.entropy_rate()
    assert np.all(np.diff(likelihood.errors) > 0.02)
    assert likelihood.errors[-1] == pytest.approx(own, abs=0.05)
    assert np.all(np.diff(bigram.errors) < 0)
    assert kept[64].shape == (200, 200)
    assert kept[64].max() < 27  # the finaliser left no mask
    assert likelihood.nfe == (3, 9, 65)


def test_the_gap_in_log_likelihood_is_at_most_the_path_kl(letters: sequences.MarkovSequence) -> None:
    """KL(law, data) <= path KL by data processing, and the mean of log(law/data) over samples is the former reversed.

    Here the weaker fact that a sampler whose path KL is tiny has the entropy's log-likelihood: 2000 steps.
    """
    profile = sequences.InformationProfile(letters)
    assert profile.step_costs(np.linspace(0, 1, 2001)).sum() < 0.05
    (job,) = token_jobs(["tweedie-tau-leaping"])
    setting = TokenSetting("masks", chains.Absorbing(27, "linear"), "uniform")
    found, _ = on_text.text_errors(job, "letters", letters, setting, budgets=(2000,), n=100)
    assert abs(found[0].errors[0] + letters.entropy_rate()) < 5 * found[0].uncertainty[0]


def test_the_table_has_exact_draws_as_its_last_row(letters: sequences.MarkovSequence) -> None:
    (job,) = token_jobs(["discrete-euler"])
    setting = default_settings(27, long=True)[0]
    found, kept = on_text.text_errors(job, "letters", letters, setting, budgets=(2, 4), n=16)
    table = on_text.text_summary(found, "bigram", (0.125, 0.01))
    assert list(table["method"]) == ["discrete-euler", "exact draws"]
    assert table.loc[1, "4 steps"] == "0.1250±0.0100"
    assert on_text.excerpt(found[0], kept, letters).startswith("discrete-euler, masks, 4 steps: ")
