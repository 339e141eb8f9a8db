"""The two executors that serve both halves: what is run decides which code runs it."""

from __future__ import annotations

from typing import Any, overload

from numpy.typing import NDArray

from analytic import sequences

from . import discrete
from .continuous.executors import fused
from .continuous.executors import law as gaussian
from .continuous.tableau import Tableau
from .protocols import GaussianTarget, Target


@overload
def law(
    method: Tableau, target: GaussianTarget, initial: Any = ..., **keywords: Any
) -> gaussian.GaussianLaw: ...
@overload
def law(
    method: discrete.Kernel, target: sequences.SequenceLaw, initial: Any = ..., **keywords: Any
) -> NDArray[Any]: ...
def law(method: Any, target: Any, initial: Any = "marginal", **keywords: Any) -> Any:
    """Exact law of a sampler: of a tableau on a Gaussian, or of a kernel on short token sequences.

    Parameters
    ----------
    method : Tableau or Kernel
    target : Gaussian target or SequenceLaw
    initial
        "marginal", "prior", or a law.
    **keywords
        See `solvers.continuous.executors.law.law` for tableaux and `solvers.discrete.law` for kernels (`at`, `tables`).

    Raises
    ------
    TypeError
        A method of neither kind.
    ValueError, FloatingPointError
        As the two.
    """
    if isinstance(method, discrete.Kernel):
        return discrete.law(method, target, initial, **keywords)
    return gaussian.law(_tableau(method), target, initial, **keywords)


@overload
def sample(
    method: Tableau, target: Target, n: int, seed: int = ..., initial: Any = ..., **keywords: Any
) -> NDArray[Any]: ...
@overload
def sample(
    method: discrete.Kernel,
    target: sequences.SequenceLaw,
    n: int,
    seed: int = ...,
    initial: Any = ...,
    **keywords: Any,
) -> NDArray[Any]: ...
def sample(
    method: Any, target: Any, n: int, seed: int = 0, initial: Any = "marginal", **keywords: Any
) -> NDArray[Any]:
    """Draw samples, compiled and in parallel: with a tableau from a Gaussian mixture, with a kernel from sequences.

    Noise is addressed by (seed, sample, step, channel), so the same samples come out bit for bit for any number
    of threads and however a range of samples is cut into calls: `sample(..., n=5, first=3)` is
    `sample(..., n=8)[3:]`.

    Parameters
    ----------
    method : Tableau or Kernel
    target : Gaussian mixture or SequenceLaw
    n : int
    seed : int
        0 .. 2^64 - 1.
    initial
        "marginal", "prior", an array of start points or tokens, or (for tableaux) a law.
    **keywords
        See `solvers.continuous.executors.fused.sample` for tableaux and `solvers.discrete.sample` for kernels; both
        take `first` and `threads`.

    Returns
    -------
    (n, dim) floats, or (n, L) integers

    Raises
    ------
    TypeError
        A method of neither kind.
    ValueError, FloatingPointError
        As the two.
    """
    if isinstance(method, discrete.Kernel):
        return discrete.sample(method, target, n, seed, initial, **keywords)
    return fused.sample(_tableau(method), target, n, seed, initial, **keywords)


def _tableau(method: Any) -> Tableau:
    if not isinstance(method, Tableau):
        raise TypeError(
            f"method is {method!r}: give a Tableau or a Kernel, as method.tableau and method.kernel make"
        )
    return method
