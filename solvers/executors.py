"""The two executors that serve both halves: what is run decides which code runs it."""

from __future__ import annotations

from functools import partial
from typing import Any, overload

from numpy.typing import NDArray

from analytic import sequences

from . import discrete
from .continuous.executors import fused
from .continuous.executors import law as gaussian
from .continuous.executors.law_of_interpolant import law_of_interpolant
from .continuous.tableau import Tableau
from .numerics.jit import check_counts
from .protocols import GaussianTarget, Target, matched
from .reductions import reduced


@overload
def law(
    method: Tableau, target: GaussianTarget, initial: Any = ..., **keywords: Any
) -> gaussian.GaussianLaw: ...
@overload
def law(
    method: discrete.Kernel, target: sequences.SequenceLaw, initial: Any = ..., **keywords: Any
) -> NDArray[Any]: ...
def law(method: Any, target: Any, initial: Any = "marginal", **keywords: Any) -> Any:
    """Exact law of a sampler: of a tableau on a Gaussian or between two, or of a kernel on short token sequences.

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
    matched(tableau := _tableau(method), target)
    of: Any = law_of_interpolant if tableau.process == "interpolant" else gaussian.law
    found: gaussian.GaussianLaw = of(tableau, target, initial, **keywords)
    return found


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
        take `first`, `threads` and `device`. And `reduce`, a reduction or several (`solvers.reductions`): samples are
        drawn in parts, in memory that does not grow with n, and only what they keep is returned, the same to the bit
        for parts of any size (`part`); `device` may then be several.

    Returns
    -------
    (n, dim) floats, or (n, L) integers, or what `reduce` keeps

    Raises
    ------
    TypeError
        A method of neither kind; an array to start from, which parts have none of.
    ValueError, FloatingPointError
        As the two.
    """
    tokens = isinstance(method, discrete.Kernel)
    if not tokens and not hasattr(target, "variances"):
        raise TypeError(f"target is {target!r}, which is no law that compiled code knows: use `run`")
    if not tokens:
        matched(_tableau(method), target)
    draw: Any = discrete.sample if tokens else fused.sample
    draw = partial(draw, method if tokens else _tableau(method), target)
    reduce = keywords.pop("reduce", None)
    if reduce is None:
        return draw(n, seed, initial, **keywords)
    if not (isinstance(initial, str) or hasattr(initial, "means") or hasattr(initial, "variances")):
        raise TypeError("initial is an array of start points, which parts have none of: give a word or a law")
    first, device, part = keywords.pop("first", 0), keywords.pop("device", "cpu"), keywords.pop("part", None)
    check_counts(n, first)
    each = 8 * (target.length if tokens else target.means.shape[1])
    return reduced(
        lambda count, **place: draw(count, seed, initial, **place, **keywords),
        n,
        first,
        each,
        device,
        reduce,
        part,
    )


def _tableau(method: Any) -> Tableau:
    if not isinstance(method, Tableau):
        raise TypeError(
            f"method is {method!r}: give a Tableau or a Kernel, as method.tableau and method.kernel make"
        )
    return method
