"""Sequence laws by name or file, and draws of any law cut into parts."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytic import sequences
from tests.analytic.sequence_examples import EXAMPLES, Example

SHORT = ("smooth", "sharp", "independent")


@pytest.mark.parametrize("name", sequences.catalogue)
def test_every_name_gives_one_law_with_a_description(name: str) -> None:
    data = sequences.load(name)
    assert isinstance(data, sequences.SequenceLaw)
    assert data is sequences.load(name)
    assert data.entropy() > 0
    description = sequences.catalogue[name].description
    assert description
    assert not description.endswith(".")


@pytest.mark.parametrize("name", SHORT)
def test_short_laws_are_small_enough_for_exact_laws_of_samplers(name: str) -> None:
    data = sequences.load(name)
    assert data.vocabulary == 3
    assert np.array(data.pmf()).min() > 0  # no zeros, so that every sampler can follow


@pytest.mark.parametrize(("name", "keep"), [("smooth", 0.7), ("sharp", 0.98)])
def test_cyclic_chains_have_the_table_of_their_description(name: str, keep: float) -> None:
    pmf = np.array(sequences.load(name).pmf())
    for x in itertools.product(range(3), repeat=3):
        steps = [keep if b == (a + 1) % 3 else (1 - keep) / 2 for a, b in itertools.pairwise(x)]
        assert pmf[x] == pytest.approx((3 - x[0]) / 6 * np.prod(steps), rel=1e-13)


def test_independent_tokens_are_the_product_of_their_marginals() -> None:
    data = sequences.load("independent")
    table = np.einsum("a,b,c,d->abcd", *data.marginals)
    np.testing.assert_allclose(data.pmf(), table, rtol=1e-13)
    assert not np.allclose(data.marginals[0], data.marginals[1])


@pytest.mark.parametrize(("name", "order"), [("text", 1), ("text-2", 2)])
def test_texts_are_chains_of_the_quoted_text(name: str, order: int) -> None:
    data = sequences.load(name)
    assert (data.vocabulary, data.length) == (len(sequences.LETTERS), 1000)
    tokens = sequences.encode(sequences.fold(sequences.TEXT)[:1000], sequences.LETTERS)
    own = sequences.from_text(sequences.fold(sequences.TEXT), order=order, alphabet=sequences.LETTERS)
    assert data.log_probability(tokens[None])[0] == own.log_probability(tokens[None])[0]


def test_the_second_order_explains_the_text_better_than_the_first() -> None:
    tokens = sequences.encode(sequences.fold(sequences.TEXT)[:1000], sequences.LETTERS)[None]
    first, second = (sequences.load(name).log_probability(tokens)[0] for name in ("text", "text-2"))
    assert second > first + 50


def test_a_text_file_is_a_target_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("Bananas, an ABBA band. " * 40, "utf-8")
    data = sequences.load(file)
    assert (data.vocabulary, data.length) == (len(sequences.LETTERS), 1000)
    folded = sequences.fold(file.read_text("utf-8"))
    assert folded.startswith("bananas an abba band bananas")
    own = sequences.from_text(folded, alphabet=sequences.LETTERS)
    draws = own.sample(3)
    np.testing.assert_array_equal(
        sequences.load(str(file)).log_probability(draws), own.log_probability(draws)
    )
    np.testing.assert_array_equal(data.sample(3), draws)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smoth", ["sequence is 'smoth'", "did you mean smooth"]),
        ("zzz", ["sequence is 'zzz'", "`assay list sequences` has all names", "a file ends in .txt"]),
        ("nowhere.txt", ["target is 'nowhere.txt'", "does not exist", "existing .txt file"]),
        ("own.csv", ["sequence is 'own.csv'", "a file ends in .txt"]),
    ],
)
def test_unknown_names_and_missing_files_are_named_with_a_remedy(name: str, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"(target|sequence) is") as caught:
        sequences.load(name)
    for word in words:
        assert word in str(caught.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.txt"
    file.write_text("", "utf-8")
    with pytest.raises(ValueError, match="text"):
        sequences.load(file)


def test_what_is_no_name_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"str, bytes or os\.PathLike"):
        sequences.load(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("example", EXAMPLES)
@settings(max_examples=15, deadline=None)
@given(first=st.integers(0, 40), n=st.integers(0, 20), seed=st.integers(0, 2**128 - 1))
def test_draws_with_a_first_address_are_parts_of_longer_draws(
    example: Example, first: int, n: int, seed: int
) -> None:
    data, _ = example(np.random.default_rng(50), 0.2)  # type: ignore[operator]
    np.testing.assert_array_equal(data.sample(n, seed, first), data.sample(first + n, seed)[first:])


def test_draws_far_along_need_no_draws_before_them() -> None:
    data = sequences.load("sharp")
    far = 10**15
    np.testing.assert_array_equal(data.sample(5, 1, far), data.sample(9, 1, far - 4)[4:])
    assert (data.sample(50, 1, far) != data.sample(50, 1)).any()


@pytest.mark.parametrize(("first", "kind"), [(-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_addresses_are_whole_numbers(first: object, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"first is {first!r}"):
        sequences.load("smooth").sample(2, 0, first)  # type: ignore[arg-type]
