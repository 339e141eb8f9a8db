"""Networks of an interpolant: the velocity alone or with the score, or what the ends are expected to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from analytic import paths

from .denoiser import like

Array = Any  # an array of any namespace the array API knows
ENDS = "ends"
PREDICTS = (("v",), ("v", "score"), ("v", "z"), (ENDS,))


@dataclass(frozen=True)
class FlowModel:
    """A model that can be asked for the velocity and the score at any level of an interpolant. Made by `flow_model`."""

    model: Callable[..., Any]
    predicts: tuple[str, ...]
    path: paths.Transport

    process: ClassVar[str] = "interpolant"

    def ask(self, x: Array, alpha: float, sigma: float, a: float, b: float) -> Array:
        """Return a velocity + b score at x (n, ...), a sample at a level of the path; one model evaluation.

        Raises ValueError for a score that the model does not hold: of a velocity alone, or where gamma = 0 of what is
        divided by it; errors of `like`.
        """
        t = float(self.path.time(alpha, sigma))
        found = self.model(x, t)
        if self.predicts == (ENDS,):
            return self._of_ends(x, t, found, a, b)
        heads = [found] if len(self.predicts) == 1 else found
        v, *second = self._read(heads, x, len(self.predicts))
        if b == 0:
            return a * v
        if not second:
            raise ValueError(
                "predicts is 'v', and the method asks for the score as well: give a model of both, predicts=('v', "
                "'score') or ('v', 'z'), or a method without noise"
            )
        if self.predicts[1] == "score":
            return a * v + b * second[0]
        variance = float(self.path.weights(t).variance[0])
        self._needs_noise(variance, t)
        return a * v - b / variance**0.5 * second[0]

    def _of_ends(self, x: Array, t: float, found: Any, a: float, b: float) -> Array:
        w = self.path.weights(t)
        ends = self._read(found, x, self.path.marginals)
        flow = sum(float(slope) * end for slope, end in zip(w.slopes[0], ends, strict=True))
        variance, half_rate = float(w.variance[0]), float(w.half_rate[0])
        if b == 0 and half_rate == 0:
            return a * flow
        self._needs_noise(variance, t)
        score = (sum(float(c) * end for c, end in zip(w.of[0], ends, strict=True)) - x) / variance
        return a * (flow - half_rate * score) + b * score

    def _needs_noise(self, variance: float, t: float) -> None:
        if variance == 0:
            raise ValueError(
                f"predicts is {self.predicts!r}, which holds no score at t = {t:g}, where gamma = 0: keep the grid "
                "clear of that time, or give a model of the velocity and the score"
            )

    def _read(self, found: Any, x: Array, count: int) -> list[Array]:
        if not isinstance(found, tuple | list) or len(found) != count:
            raise TypeError(
                f"model returned {type(found).__name__}: return {count} arrays like x, {self.predicts!r}"
            )
        return [like(one, x, "model") for one in found]


def flow_model(
    model: Callable[..., Any], path: paths.Transport, predicts: str | tuple[str, ...] = ("v", "score")
) -> FlowModel:
    """Wrap a network of an interpolant as a model that `run` takes with tableaux on its path.

    Parameters
    ----------
    model : callable
        (x, t) -> an array like x, or a tuple of arrays, of any library `run` is given.
    path : paths.Interpolant or its kin
    predicts : str or tuple
        "v": the velocity E[dx_t/dt | x], for methods without noise; ("v", "score"): a pair; ("v", "z"): a pair with
        E[z|x], z the interpolant's noise, in the place of the score; "ends": a tuple of E[x_k|x], the data's first,
        which hold the score where gamma > 0, and the velocity there or on a path without noise.

    Raises
    ------
    TypeError, ValueError
        No callable, a path that is no interpolant, or words that are none.

    References
    ----------
    Albergo, Boffi and Vanden-Eijnden 2023 (Stochastic interpolants), section 2: velocity, score and denoiser.
    """
    if not callable(model):
        raise TypeError(f"model is {model!r}: give a callable (x, t) -> arrays")
    if not isinstance(path, paths.Transport):
        raise TypeError(f"path is {path!r}: give an interpolant, or use solvers.denoiser for a Gaussian path")
    heads = (predicts,) if isinstance(predicts, str) else tuple(predicts)
    if heads not in PREDICTS:
        raise ValueError(f"predicts is {predicts!r}: use 'v', ('v', 'score'), ('v', 'z') or '{ENDS}'")
    return FlowModel(model, heads, path)
