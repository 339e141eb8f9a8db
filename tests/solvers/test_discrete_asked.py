"""The law of a sampler of tokens that asks a model of one's own: that of the exact one where the model is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import chains, distances, sequences
from solvers import catalogue, grids, law
from solvers.discrete import Tables
from solvers.discrete.model.asked import AskedTables, NoModelError

DATA = sequences.MarkovSequence(
    [0.5, 0.3, 0.2], [[0.1, 0.7, 0.2], [0.2, 0.2, 0.6], [0.6, 0.1, 0.3]], length=3
)
NOISES = [chains.Absorbing(3), chains.Uniform(3), chains.Hybrid(3, 0.2)]
METHODS = (
    "tweedie-tau-leaping",
    "tau-leaping",
    "theta-trapezoidal",
    "discrete-euler",
    "ctmc-predictor-corrector",
)
Model = Callable[[NDArray[np.int64], float], Any]


def posterior(noise: chains.Chain, data: sequences.SequenceLaw = DATA) -> Model:
    """Bayes' rule, sequence by sequence of the data."""
    words = np.stack(np.unravel_index(np.arange(3**3), (3,) * 3), axis=1)
    prior = np.asarray(data.pmf()).ravel()

    def model(tokens: NDArray[np.int64], t: float) -> Any:
        told = np.asarray(noise.transition(0, t))[:3]
        each = prior * np.prod(told[words[None, :, :], tokens[:, None, :]], axis=2)  # (n, words)
        out = np.zeros((len(tokens), 3, 3))
        for word, weight in zip(words, each.T, strict=True):
            out[:, np.arange(3), word] += weight[:, None]
        total = out.sum(axis=2, keepdims=True)
        return np.where(total > 0, out / np.where(total > 0, total, 1), 1 / 3)

    return model


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: type(noise).__name__)
@pytest.mark.parametrize("method", METHODS)
def test_an_exact_model_has_the_law_of_the_exact_posterior(method: str, noise: chains.Chain) -> None:
    kernel = catalogue[method].kernel(noise, grids.geometric(noise, 6), finalise="posterior")
    own = law(kernel, DATA, tables=AskedTables(noise, DATA, posterior(noise)))
    np.testing.assert_allclose(own, law(kernel, DATA), atol=1e-12)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: type(noise).__name__)
def test_a_model_of_other_data_samples_those(noise: chains.Chain) -> None:
    """By many small steps from the prior."""
    other = sequences.MarkovSequence(
        [0.2, 0.3, 0.5], [[0.3, 0.4, 0.3], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], length=3
    )
    kernel = catalogue["tweedie-tau-leaping"].kernel(noise, grids.geometric(noise, 400), finalise="posterior")
    own = law(kernel, DATA, "prior", tables=AskedTables(noise, DATA, posterior(noise, other)))[:3, :3, :3]
    assert distances.table_tv(np.asarray(other.pmf()), own) < 0.01
    assert distances.table_tv(np.asarray(DATA.pmf()), own) > 0.2


def test_what_is_no_answer_is_said() -> None:
    noise = NOISES[0]
    kernel = catalogue["tau-leaping"].kernel(noise, grids.geometric(noise, 2), finalise="posterior")
    for model, said in (
        (lambda tokens, t: np.ones((len(tokens), 3)), "give"),
        (lambda tokens, t: np.ones((len(tokens), 3, 3)), "add up to 1"),
        (lambda tokens, t: np.full((len(tokens), 3, 3), np.nan), "add up to 1"),
    ):
        with pytest.raises(ValueError, match=said):
            law(kernel, DATA, tables=AskedTables(noise, DATA, model))
    events = catalogue["gillespie"].kernel(noise, grids.geometric(noise, 2), finalise="posterior")
    with pytest.raises(NoModelError, match="asks the target itself"):
        law(events, DATA, tables=AskedTables(noise, DATA, posterior(noise)))
    assert isinstance(Tables(noise, DATA).data, sequences.MarkovSequence)
