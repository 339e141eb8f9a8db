"""Characters as tokens: a corpus turned into a Markov chain, the target for long sequences."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats, real_number, whole_number
from .markov import MarkovSequence
from .second_order import SecondOrderMarkov

TEXT = files("analytic").joinpath("texts", "pride_and_prejudice.txt").read_text("utf-8")
"""Chapter 1 of Jane Austen, Pride and Prejudice (London, 1813), in the public domain."""

LETTERS = " abcdefghijklmnopqrstuvwxyz"


def alphabet_of(text: str) -> str:
    """Return the distinct characters of a text, sorted.

    Raises
    ------
    TypeError, ValueError
        If text is not a str, or empty.
    """
    if not isinstance(text, str):
        raise TypeError(f"text is a {type(text).__name__}; give a str (decode bytes first)")
    if not text:
        raise ValueError("text is ''; give at least one character")
    return "".join(sorted(set(text)))


def fold(text: str) -> str:
    """Reduce a text to the 27 characters of `LETTERS`: lower case, one space for all else.

    Raises
    ------
    TypeError, ValueError
        If text is not a str, or empty.
    """
    alphabet_of(text)
    kept = "".join(character if character in LETTERS else " " for character in text.lower())
    return " ".join(kept.split())


def encode(text: str, alphabet: str) -> NDArray[np.int64]:
    """Turn a text into tokens, the places of its characters in the alphabet.

    Parameters
    ----------
    text : str
    alphabet : str
        Distinct characters; token v stands for alphabet[v].

    Returns
    -------
    (len(text),) int64 array

    Raises
    ------
    TypeError, ValueError
        If a character is not in the alphabet, or the alphabet holds one twice.
    """
    places = _places(alphabet)
    alphabet_of(text)
    try:
        return np.array([places[character] for character in text], dtype=np.int64)
    except KeyError as error:
        character = error.args[0]
        raise ValueError(
            f"text has {character!r} at position {text.index(character)}, which alphabet {alphabet!r:.80} lacks; "
            "add it, leave alphabet out, or pass fold(text) with alphabet LETTERS"
        ) from None


def decode(tokens: ArrayLike, alphabet: str, mask: str = "_") -> list[str]:
    """Turn tokens back into texts.

    Parameters
    ----------
    tokens : (n, length) integer array_like
        From 0 to len(alphabet); the last value is the mask.
    alphabet : str
        Distinct characters; token v stands for alphabet[v].
    mask : str
        Character to show for the mask.

    Returns
    -------
    list of n str

    Raises
    ------
    TypeError, ValueError
        If tokens are not integers of two axes in that range, or the alphabet holds a character twice.
    """
    size = len(_places(alphabet))
    array = np.asarray(tokens)
    if array.dtype.kind not in "iu":
        raise TypeError(f"tokens has dtype {array.dtype}; give integers")
    if array.ndim != 2:
        raise ValueError(f"tokens has shape {array.shape}; give (n, length), one sequence per row")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) <= size:
        raise ValueError(
            f"tokens run from {array.min()} to {array.max()}; give tokens from 0 to {size - 1}, or {size}, the mask"
        )
    characters = alphabet + mask[:1]
    return ["".join(characters[token] for token in row) for row in array]


def from_text(
    text: str, order: int = 1, length: int = 1000, alphabet: str | None = None, smoothing: float = 0.05
) -> MarkovSequence | SecondOrderMarkov:
    """Turn a text into a Markov chain over its characters.

    Frequencies are counted around the text as a circle, so that every character and pair has a successor and
    the chain of order 1 is stationary. With f the frequencies of one character, rows are mixed with those of
    the next lower order (deleted interpolation, Jelinek and Mercer 1980): P = (1 - smoothing) counted +
    smoothing f, and for order 2 a share `smoothing` of P; a pair that the text lacks takes P alone.

    Parameters
    ----------
    text : str
    order : int
        1 or 2: how many characters the next one depends on.
    length : int
        Of the sequences, in characters; at least `order`.
    alphabet : str, optional
        Distinct characters in the order of their tokens; by default those of the text, sorted. A character
        that the text lacks has probability zero.
    smoothing : float
        From 0 to 1. With 0 most sequences are impossible, and so are most partly noised ones that a sampler
        meets; above 0 every sequence of the text's characters is possible.

    Returns
    -------
    MarkovSequence or SecondOrderMarkov

    Raises
    ------
    TypeError, ValueError
        If the text has a character that the alphabet lacks, or another argument is out of range.
    """
    order = whole_number(order, "order", least=1)
    if order > 2:
        raise ValueError(f"order is {order}; give 1 or 2")
    share = real_number(smoothing, "smoothing")
    if share > 1.0:
        raise ValueError(f"smoothing is {share!r}; give a share from 0 to 1")
    characters = alphabet_of(text) if alphabet is None else alphabet
    tokens = encode(text, characters)
    size = len(characters)
    following = np.roll(tokens, -1)
    frequency = np.bincount(tokens, minlength=size) / len(tokens)
    counts = np.bincount(tokens * size + following, minlength=size**2).reshape(size, size)
    single = _rows(_mix(counts, np.broadcast_to(frequency, counts.shape), share))
    if order == 1:
        return MarkovSequence(_rows(frequency), single, length)
    triples = (tokens * size + following) * size + np.roll(tokens, -2)
    triple_counts = np.bincount(triples, minlength=size**3).reshape(size, size, size)
    double = _rows(_mix(triple_counts, np.broadcast_to(single, triple_counts.shape), share))
    return SecondOrderMarkov(_rows(frequency), single, double, length)


def _mix(counts: NDArray[np.int64], lower: Floats, share: float) -> Floats:
    """Mix relative counts over the last axis with the lower order; unseen rows are the lower order's."""
    totals = counts.sum(axis=-1, keepdims=True)
    return np.where(totals > 0, (1.0 - share) * counts / np.maximum(totals, 1) + share * lower, lower)


def _rows(weights: Floats) -> Floats:
    return weights / weights.sum(axis=-1, keepdims=True)


def _places(alphabet: str) -> dict[str, int]:
    if not isinstance(alphabet, str):
        raise TypeError(f"alphabet is a {type(alphabet).__name__}; give a str of distinct characters")
    places = {character: place for place, character in enumerate(alphabet)}
    if len(places) < len(alphabet) or not places:
        raise ValueError(f"alphabet is {alphabet!r:.80}; give at least one character, each once")
    return places
