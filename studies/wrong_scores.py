"""Imperfect models of a target by the words a user names them with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from analytic import GaussianMixture
from analytic import targets as named
from solvers import Imperfect
from solvers.continuous.imperfect import Shape

from . import specifications

MOST_KERNELS = 5000


def score_of(text: str, target: GaussianMixture) -> Any:
    """Return the imperfect model of a target that a user named, or None for "exact".

    "relative(0.02)" and the other shapes of `ScoreError`; "widths(1.1)", "weights(0.5, 0.5)", "missing(0)" and
    "kernel(200, 0.1)": the exact score of a mixture that is wrong, see below; the name of a target or a file of
    data: that target's own score.

    Raises
    ------
    ValueError
        Anything else, arguments that cannot be, or a target of another dimension.
    """
    name, arguments, keywords = specifications.split("score", text)
    if name == "exact":
        return None
    if name in MIXTURES:
        if target.rotations is not None:
            raise ValueError(
                f"score is {text!r}, for targets along the axes: this one is rotated, name another"
            )
        if keywords:
            raise ValueError(f"score is {text!r}: give its numbers without names")
        return MIXTURES[name](text, target, arguments)
    if name in get_args(Shape):
        return Imperfect(target, specifications.error_of(text))
    model = named.load(name)
    if model.dim != target.dim:
        raise ValueError(f"score is {text!r}, a target in {model.dim} dimensions: take one in {target.dim}")
    return model


def _widths(text: str, target: GaussianMixture, arguments: list[Any]) -> GaussianMixture:
    """All variances multiplied by a factor."""
    if len(arguments) != 1 or not arguments[0] > 0:
        raise ValueError(f"score is {text!r}: give one positive factor of the variances, as in widths(1.1)")
    return GaussianMixture(target.weights, target.means, arguments[0] * target.variances)


def _weights(text: str, target: GaussianMixture, arguments: list[Any]) -> GaussianMixture:
    """Other weights of the components, divided by their sum."""
    found = np.array(arguments, dtype=np.float64)
    if len(found) != target.components or not np.all(found > 0):
        raise ValueError(f"score is {text!r}: give {target.components} positive weights, one a component")
    return GaussianMixture(found / found.sum(), target.means, target.variances)


def _missing(text: str, target: GaussianMixture, arguments: list[Any]) -> GaussianMixture:
    """Without one of the components."""
    if len(arguments) != 1 or arguments[0] not in range(target.components) or target.components == 1:
        raise ValueError(
            f"score is {text!r}: give the component that is missing, 0 to {target.components - 1}, of two or more"
        )
    return target.condition([k for k in range(target.components) if k != arguments[0]])


def _kernel(text: str, target: GaussianMixture, arguments: list[Any]) -> GaussianMixture:
    """What score matching finds from n samples: Gaussian kernels of a bandwidth on each, of the seed 0."""
    if len(arguments) != 2 or arguments[0] not in range(1, MOST_KERNELS + 1) or not arguments[1] > 0:
        raise ValueError(
            f"score is {text!r}: give a number of samples up to {MOST_KERNELS} and a bandwidth, as in kernel(200, 0.1)"
        )
    n = arguments[0]
    return GaussianMixture(np.full(n, 1 / n), target.sample(n, seed=0), float(arguments[1]) ** 2)


MIXTURES: dict[str, Callable[[str, GaussianMixture, list[Any]], GaussianMixture]] = {
    "widths": _widths,
    "weights": _weights,
    "missing": _missing,
    "kernel": _kernel,
}
