"""Text as a Markov chain over characters."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from analytic import sequences
from analytic.sequences import LETTERS, TEXT


def test_text_is_chapter_one_whole_and_in_plain_characters() -> None:
    assert TEXT.startswith(
        "It is a truth universally acknowledged, that a single man in possession of a good fortune"
    )
    assert TEXT.endswith("its solace was visiting and news.\n")
    assert TEXT.isascii()
    assert len(TEXT) == 4475
    assert len(TEXT.split()) == 855


@pytest.mark.parametrize("text", [TEXT, sequences.fold(TEXT), "abracadabra"], ids=["text", "folded", "short"])
def test_encoding_and_decoding_is_a_round_trip(text: str) -> None:
    alphabet = sequences.alphabet_of(text)
    tokens = sequences.encode(text, alphabet)
    assert sequences.decode(tokens[None], alphabet) == [text]
    assert tokens.max() == len(alphabet) - 1


def test_decode_shows_the_mask() -> None:
    assert sequences.decode([[0, 2, 1]], "ab") == ["a_b"]
    assert sequences.decode([[0, 2, 1]], "ab", mask="?") == ["a?b"]


def test_fold_leaves_letters_and_single_spaces() -> None:
    assert sequences.fold('"Oh! Single,\n\nmy dear,') == "oh single my dear"
    assert set(sequences.fold(TEXT)) <= set(LETTERS)


def around(text: str, order: int) -> Counter[str]:
    circle = text + text[: order - 1]
    return Counter(circle[i : i + order] for i in range(len(text)))


@pytest.mark.parametrize("order", [1, 2])
def test_without_smoothing_the_chain_has_the_ngrams_of_the_text(order: int) -> None:
    alphabet = sequences.alphabet_of(TEXT)
    law = sequences.from_text(TEXT, order=order, length=300, smoothing=0.0)
    for size in range(1, order + 2):
        expected = np.zeros((len(alphabet),) * size)
        for gram, count in around(TEXT, size).items():
            expected[tuple(alphabet.index(c) for c in gram)] = count / len(TEXT)
        np.testing.assert_allclose(law.ngram(size), expected, rtol=1e-11, atol=1e-15)


def test_smoothing_mixes_each_order_with_the_one_below() -> None:
    text = "abacab"
    one = sequences.from_text(text, order=1, length=5, smoothing=0.1)
    frequency = np.array([3, 2, 1]) / 6
    counted = np.array([[0, 2 / 3, 1 / 3], [1, 0, 0], [1, 0, 0]])  # ab ba ac ca ab ba, around the circle
    mixed = 0.9 * counted + 0.1 * frequency
    np.testing.assert_allclose(one.transition, mixed, rtol=1e-14)
    np.testing.assert_allclose(one.marginals, np.tile(frequency, (5, 1)), rtol=1e-13)
    two = sequences.from_text(text, order=2, length=5, smoothing=0.1)
    np.testing.assert_allclose(two.second, mixed, rtol=1e-14)
    np.testing.assert_allclose(two.transition[0, 1], 0.9 * np.array([1, 0, 0]) + 0.1 * mixed[1], rtol=1e-14)
    # ba is followed by c once and by b once; bb does not occur.
    np.testing.assert_allclose(
        two.transition[1, 0], 0.9 * np.array([0, 0.5, 0.5]) + 0.1 * mixed[0], rtol=1e-14
    )
    np.testing.assert_allclose(two.transition[1, 1], mixed[1], rtol=1e-14)


@pytest.mark.parametrize("order", [1, 2])
def test_with_smoothing_no_partly_revealed_sequence_is_impossible(order: int) -> None:
    text = sequences.fold(TEXT)
    law = sequences.from_text(text, order=order, length=60, alphabet=LETTERS)
    rng = np.random.default_rng(30)
    tokens = rng.integers(0, len(LETTERS), size=(20, 60))
    present = sequences.encode("".join(sorted(set(text))), LETTERS)
    tokens = present[tokens % len(present)]
    tokens[rng.random(tokens.shape) < 0.5] = len(LETTERS)
    posterior = law.masked_posterior(tokens)
    np.testing.assert_allclose(posterior.sum(axis=2), 1.0, rtol=1e-13)


def test_second_order_chain_of_text_is_the_better_model_of_it() -> None:
    text = sequences.fold(TEXT)
    rates = [sequences.from_text(text, order, 500, LETTERS).entropy_rate() for order in (1, 2)]
    assert rates[1] < rates[0] - 0.3
    score = [
        sequences.from_text(text, order, len(text), LETTERS).log_probability(
            sequences.encode(text, LETTERS)[None]
        )[0]
        for order in (1, 2)
    ]
    assert score[1] > score[0]
