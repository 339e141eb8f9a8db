"""Long sequences by samples: log-likelihood and bigrams, with exact draws as the floor."""

from __future__ import annotations

import numpy as np
import pytest

from analytic import chains, sequences
from studies.engine import run
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
    found, _ = on_text.exact_draws("letters", letters, n=400)
    (value,), (error,) = found.errors, found.uncertainty
    assert abs(value + letters.entropy_rate()) < 5 * error
    assert error < 0.01


def test_samples_come_nearer_to_the_text_with_more_steps(letters: sequences.MarkovSequence) -> None:
    (job,) = token_jobs(["tweedie-tau-leaping"])
    setting = default_settings(27, long=True)[0]
    likelihood, bigram = on_text.text_errors(job, "letters", letters, setting, budgets=(2, 8, 64), n=200)
    own = -letters.entropy_rate()
    assert np.all(np.diff(likelihood.errors) > 0.02)
    assert likelihood.errors[-1] == pytest.approx(own, abs=0.05)
    assert np.all(np.diff(bigram.errors) < 0)
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
    (value,), (error,) = found.errors, found.uncertainty
    assert abs(value + letters.entropy_rate()) < 5 * error


def test_the_table_has_exact_draws_as_its_last_row(letters: sequences.MarkovSequence) -> None:
    (job,) = token_jobs(["discrete-euler"])
    setting = default_settings(27, long=True)[0]
    study = on_text.TextErrors([(job, setting)], "letters", letters, samples=16)
    _, bigram = study.reports(run(study))
    assert list(bigram.frame["method"]) == ["discrete-euler", "exact draws"]
    assert bigram.frame.loc[1, "8 steps"] == bigram.frame.loc[1, "128 steps"]
    (excerpt,) = bigram.notes
    assert excerpt.startswith("discrete-euler, masks, 128 steps: ")
    assert set(excerpt.split(": ")[1]) <= set(sequences.LETTERS)  # the finaliser left no mask
