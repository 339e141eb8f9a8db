"""Named sequence laws, and a user's own text by its path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..names import unknown
from .labelled import Labelled
from .law import SequenceLaw
from .markov import MarkovSequence
from .product import Product
from .text import LETTERS, TEXT, fold, from_text


@dataclass(frozen=True)
class Named:
    """A sequence law that can be asked for by name.

    Attributes
    ----------
    description : str
        One line for the list of targets.
    build : callable
        Takes nothing, gives the law.
    """

    description: str
    build: Callable[[], SequenceLaw]


def load(name_or_path: str | os.PathLike[str]) -> SequenceLaw:
    """Build a named law, or the character chain of order 1 of a .txt file, 1000 characters long.

    A file is folded to the 27 characters of `LETTERS`.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown (near names are given), or the file is missing or empty.
    """
    name = os.fspath(name_or_path)
    if name in catalogue:
        return _built(name)
    if Path(name).suffix == ".txt":
        if not Path(name).is_file():
            raise ValueError(f"target is {name!r}, a file that does not exist; give an existing .txt file")
        return from_text(fold(Path(name).read_text("utf-8")), alphabet=LETTERS)
    raise unknown("sequence", name, catalogue, "a file ends in .txt")


@cache
def _built(name: str) -> SequenceLaw:
    return catalogue[name].build()


def _cyclic(keep: float, vocabulary: int = 3, length: int = 3, back: bool = False) -> MarkovSequence:
    """Chain that goes to the next (or last) token in the cycle with probability `keep`, to all others alike."""
    rest = (1.0 - keep) / (vocabulary - 1)
    transition = np.full((vocabulary, vocabulary), rest) + (keep - rest) * np.roll(
        np.eye(vocabulary), -1 if back else 1, axis=1
    )
    weights = np.arange(vocabulary, 0, -1.0)
    return MarkovSequence(weights / weights.sum(), transition / transition.sum(axis=1, keepdims=True), length)


catalogue: Mapping[str, Named] = MappingProxyType(
    {
        "smooth": Named(
            "chain of 3 tokens out of 3, next in the cycle with probability 0.7", lambda: _cyclic(0.7)
        ),
        "sharp": Named(
            "chain of 3 tokens out of 3, next in the cycle with probability 0.98", lambda: _cyclic(0.98)
        ),
        "independent": Named(
            "4 independent tokens out of 3",
            lambda: Product(np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5], [0.7, 0.2, 0.1]])),
        ),
        "two-classes": Named(
            "chains of 3 tokens out of 3 with two labels: next in the cycle, or the token before",
            lambda: Labelled([_cyclic(0.7), _cyclic(0.7, back=True)], [0.4, 0.6]),
        ),
        "text": Named(
            "1000 characters of English, each by the one before",
            lambda: from_text(fold(TEXT), alphabet=LETTERS),
        ),
        "text-2": Named(
            "1000 characters of English, each by the two before",
            lambda: from_text(fold(TEXT), order=2, alphabet=LETTERS),
        ),
    }
)
