"""Imperfect models of a target by the words a user names them with, and models of a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path as FilePath
from typing import Any, get_args

import numpy as np

from analytic import GaussianMixture
from analytic import targets as named
from solvers import Calibrated, Imperfect, denoiser
from solvers.continuous.denoiser import Denoiser
from solvers.continuous.imperfect import Shape
from solvers.protocols import Path

from . import specifications

MOST_KERNELS = 5000
CALIBRATED = "calibrated("


def score_of(text: str, target: GaussianMixture, path: Path | None = None) -> Any:
    """Return the imperfect model of a target that a user named, or None for "exact".

    "relative(0.02)" and the other shapes of `ScoreError`; "widths(1.1)", "weights(0.5, 0.5)", "missing(0)" and
    "kernel(200, 0.1)": the exact score of a mixture that is wrong, see below; the name of a target or a file of
    data: that target's own score; "calibrated(...)" of any of these: less the mean of its score. Where a path is given,
    also FILE.py:NAME, a function of one's own, see `own_model`.

    Raises
    ------
    ValueError
        Anything else, arguments that cannot be, or a target of another dimension.
    """
    if text.startswith(CALIBRATED) and text.endswith(")"):
        model = score_of(text[len(CALIBRATED) : -1], target, path)
        if model is None:
            raise ValueError(f"score is {text!r}: the exact score has mean 0, calibrate another")
        return Calibrated(model, target)
    if path is not None and specifications.is_file(text):
        return own_model(text, path)
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


def own_model(text: str, path: Path) -> Denoiser:
    """Return a function or a torch module of a user's file as a denoiser.

    It is called as model(x, clock) on NumPy arrays, a module on tensors. Attributes of it, or names of the file, say
    what it returns, `predicts` ("x0", "eps", "v", "score" or "F"; "x0" by default), and what its clock is, `takes`
    ("t", "sigma" or "level"; "t" by default).
    """
    model = OwnModel.of(text)
    return denoiser(model, model.said("predicts", "x0"), model.said("takes", "t"), path)


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A model of a user's file; it travels to other processes by its name, and its key is what it consists of.

    Attributes
    ----------
    text : str
        FILE.py:NAME.
    content : bytes
        Of the file.
    parameters : mapping of str to array
        Of a torch module, whose arrays it is called on.
    module, function : objects
        What the file is, and what is called.
    """

    text: str
    content: bytes
    parameters: Mapping[str, Any]
    module: Any = field(compare=False, repr=False)
    function: Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, text: str) -> OwnModel:
        """Load a model; ValueError as `specifications.object_of`."""
        module, found, options = specifications.object_of(text, "model")
        function: Any = (
            found(**options) if isinstance(found, type) else partial(found, **options) if options else found
        )
        content = FilePath(specifications.file_of(text)).read_bytes()
        if not hasattr(function, "state_dict"):
            return cls(text, content, {}, module, function)
        function.eval()
        parameters = {name: value.detach().cpu().numpy() for name, value in function.state_dict().items()}
        return cls(text, content, parameters, module, function)

    def said(self, name: str, default: str) -> str:
        """Return what the model or its file says of it."""
        return str(getattr(self.function, name, getattr(self.module, name, default)))

    def __reduce__(self) -> Any:
        """Travel by the name."""
        return OwnModel.of, (self.text,)

    def __call__(self, x: Any, *clock: float) -> Any:
        """Return what the model does, an array like x."""
        if not hasattr(self.function, "state_dict"):
            return self.function(x, *clock)
        import torch

        with torch.no_grad():
            found = self.function(torch.from_numpy(np.ascontiguousarray(x)), *clock).numpy()
        return found.astype(x.dtype if x.dtype.kind == "f" else np.float64)  # of tokens, probabilities


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
