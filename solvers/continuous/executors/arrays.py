"""`run`: any tableau on any model, over numpy, torch or CuPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import array_api_compat
import numpy as np

from analytic import reprs

from ...numerics.philox import check_seed, normals
from ...protocols import Path, matched
from ..denoiser import combined, denoiser, like
from ..tableau import Tableau
from .initial import as_mixture
from .mixture_block import draw_samples

Array = Any


@dataclass(frozen=True)
class Solution:
    """What `run(..., full=True)` returns.

    Attributes
    ----------
    x : (n, ...) array
        The final samples.
    registers : tuple of (n, ...) arrays
        All registers at the end; the first is x.
    status : str
        "ok", or which step first gave a number that is not finite.
    nfe : int
        Model evaluations per sample.
    trajectory : list of (n, ...) arrays
        The sample before the first step and after each step.
    """

    x: Array
    registers: tuple[Array, ...]
    status: str
    nfe: int
    trajectory: list[Array]

    __repr__ = reprs.brief


def asking(model: Any, path: Path | None) -> Callable[[Array, float, float, float, float], Array]:
    """Return ask(x, alpha, sigma, a, b) = a E[x_0|x] + b score from a target, a `Denoiser` or a callable D(x, t).

    A model that answers for itself, as one of an interpolant does with its velocity, has an `ask`.
    """
    if hasattr(model, "ask"):
        asked: Callable[[Array, float, float, float, float], Array] = model.ask
        return asked
    if hasattr(model, "denoise"):

        def of_target(x: Array, alpha: float, sigma: float, a: float, b: float) -> Array:
            if sigma > 0 or b == 0:
                D = like(model.denoise(x, alpha, sigma), x, "model")
                return combined(D, x, alpha, sigma, a, b)
            if not hasattr(model, "score"):
                raise ValueError(
                    "model has no score(x), which an evaluation at sigma = 0 needs: give a target"
                )
            score = like(model.score(x / alpha), x, "model.score") / alpha
            return b * score if a == 0 else a / alpha * x + b * score

        return of_target
    if callable(model):
        if path is None:
            raise ValueError(
                "tableau has no path, which D(x, t) needs: load it with Tableau.load(file, path=...)"
            )
        return denoiser(model, predicts="x0", takes="t", path=path).ask
    raise TypeError(f"model is {model!r}: give a target, solvers.denoiser(...) or a callable D(x, t)")


def check_noise(what: str, model: Any) -> None:
    """Raise ValueError if a model has a flow alone, for what draws noise."""
    if getattr(model, "flow_only", False):
        raise ValueError(
            f"{what} draws noise, but {model!r} has a flow and no SDE: take a method without noise, such as heun"
        )


def run(
    tableau: Tableau,
    model: Any,
    initial: Any,
    seed: int = 0,
    *,
    n: int | None = None,
    noise: Array | None = None,
    full: bool = False,
    first: int = 0,
) -> Any:
    """Run a tableau with any model, on the arrays of any library the array API standard covers.

    Parameters
    ----------
    tableau : Tableau
    model : target, Denoiser or callable
        A target with `denoise(x, alpha, sigma)`, what `solvers.denoiser` returns, or a plain D(x, t). On an interpolant
        an `analytic.Interpolated`, or what `solvers.flow_model` returns.
    initial : (n, ...) array, str or law
        Start points, of any shape behind the first axis, whose library, dtype and device the result has; or, with `n`
        and a target as the model, "marginal", "prior" or a law as in `sample`, on numpy arrays.
    seed : int
        0 .. 2^64 - 1; the deviates are those of `sample`, whatever shape a sample has.
    n : int, optional
        Number of samples where `initial` is no array.
    noise : (channels, n, ...) array, optional
        Deviates in the order of `tableau.channels`, in place of the seed's.
    full : bool
        Return a `Solution`, in which a numerical failure is a status, not an error.
    first : int
        Address of the first sample.

    Returns
    -------
    (n, ...) array, or Solution

    Raises
    ------
    ValueError, TypeError
        An argument that cannot be, or a model that returns no array like the one it was given; the message names it.
    FloatingPointError
        The sample became NaN or infinite, without `full`.
    """
    check_seed(seed)
    if tableau.channels:
        check_noise(f"tableau is {tableau.name!r}, which", model)
    matched(tableau, model)
    ask = asking(model, tableau.path)
    if isinstance(initial, str) or hasattr(initial, "variances"):
        if n is None or not hasattr(model, "noised"):
            raise ValueError(
                f"initial is {initial!r}: give an (n, dim) array, or n= and a target as the model"
            )
        initial = draw_samples(as_mixture(initial, tableau, model), n, seed, first)
    if not array_api_compat.is_array_api_obj(initial):
        initial = np.asarray(initial, dtype=np.float64)
    xp, device = array_api_compat.array_namespace(initial), array_api_compat.device(initial)
    x = initial
    if x.ndim < 2:
        raise ValueError(f"initial has shape {tuple(x.shape)}: give (n, dim), or a longer shape behind n")
    if not xp.isdtype(x.dtype, "real floating"):
        raise TypeError(f"initial has dtype {x.dtype}: give floating-point numbers")
    if not bool(xp.all(xp.isfinite(x))):
        raise ValueError("initial holds a NaN or an infinity: give finite numbers")
    if noise is not None and tuple(noise.shape) != (len(tableau.channels), *x.shape):
        raise ValueError(f"noise has shape {tuple(noise.shape)}: give {(len(tableau.channels), *x.shape)}")

    size = prod(x.shape[1:])
    registers: list[Array] = [x]
    trajectory, status, drawn = [x], "ok", 0
    for index, step in enumerate(tableau.steps):
        xi = []
        for channel in range(len(step.functionals)):
            if noise is None:
                deviates = normals(seed, x.shape[0], size, index, channel, first).reshape(x.shape)
                z = xp.asarray(deviates, dtype=x.dtype, device=device)
            else:
                z = xp.asarray(noise[drawn + channel, ...], dtype=x.dtype, device=device)
            xi.append(z)
        drawn += len(xi)
        F: list[Array] = []
        for i in range(step.stages):
            U = _combined(xp, x, (step.U[0, i], registers), (step.A[0, i], F), (step.G[0, i], xi))
            F.append(ask(U, *step.levels[0, i].tolist(), *step.asks[0, i].tolist()))
        registers = [
            _combined(xp, x, (step.V[0, r], registers), (step.B[0, r], F), (step.H[0, r], xi))
            for r in range(step.registers_out)
        ]
        trajectory.append(registers[0])
        if status == "ok" and not bool(xp.all(xp.isfinite(registers[0]))):
            status = f"step {index} of {tableau.name} gave a number that is not finite"
            if not full:
                raise FloatingPointError(f"{status}: take more steps or another grid")
    if full:
        return Solution(registers[0], tuple(registers), status, tableau.nfe, trajectory)
    return registers[0]


def _combined(xp: Any, like: Array, *parts: tuple[Any, list[Array]]) -> Array:
    """Sum coefficient * array over all parts, leaving zero coefficients out."""
    total = None
    for coefficients, arrays in parts:
        for c, array in zip(coefficients.tolist(), arrays, strict=False):
            if c != 0:
                total = c * array if total is None else total + c * array
    return xp.zeros_like(like) if total is None else total
