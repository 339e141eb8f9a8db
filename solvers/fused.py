"""`sample`: whole trajectories in compiled, parallel code, the mixture's score inside the loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from .imperfect import Imperfect, Perturbation, perturb_block, perturbation
from .initial import as_mixture, check_samples
from .jit import COMPILED, PARALLEL, check_counts, check_threads, using_threads
from .mixture_block import INITIAL_STEP, Mixture, draw, evaluate, mixture
from .noise import LANES, MAX_CHANNELS, MAX_DIM, check_seed, fill_normals
from .packed import Packed, pack
from .protocols import Target
from .tableau import SCORE, Tableau

DTYPES = ("float64", "float32")


@njit(**COMPILED)
def _combine(out: Any, coefficients: Any, terms: Any, count: int, fresh: bool) -> None:
    """Out (dim, lanes) = or += sum_i coefficients[i] terms[i]; zero coefficients are skipped."""
    dim, lanes = out.shape
    for i in range(count):
        c = coefficients[i]
        if c == 0.0:
            continue
        for d in range(dim):
            if fresh:
                for lane in range(lanes):
                    out[d, lane] = c * terms[i, d, lane]
            else:
                for lane in range(lanes):
                    out[d, lane] += c * terms[i, d, lane]
        fresh = False
    if fresh:
        out[:] = 0.0


@njit(**PARALLEL)
def _trajectories(
    packed: Packed,
    wrong: Perturbation,
    target: Mixture,
    start: Mixture,
    x: Any,
    given: bool,
    noise: Any,
    seed: Any,
    first: int,
    errs: bool,
) -> None:
    """Run samples first .. first + n - 1 in place: x (n, dim) is the initial (if `given`) and becomes the final.

    `noise` (channels, n, dim) is used in place of the addressed stream when it has channels.
    """
    n, dim = x.shape
    N, S, R = packed.U.shape
    C, K = packed.G.shape[2], target.means.shape[0]
    dtype = x.dtype
    for block in prange((n + LANES - 1) // LANES):
        begin = block * LANES
        lanes = min(LANES, n - begin)
        Z, new = np.zeros((R, dim, lanes), dtype), np.zeros((R, dim, lanes), dtype)
        F, xi = np.empty((S, dim, lanes), dtype), np.empty((C, dim, lanes), dtype)
        U, work = np.empty((dim, lanes), dtype), np.empty((K + 2 + dim, lanes), dtype)
        words, wide = np.empty((2, lanes), np.uint64), np.empty((dim, lanes))
        if given:
            for lane in range(lanes):
                for d in range(dim):
                    Z[0, d, lane] = x[begin + lane, d]
        else:
            draw(start, seed, first + begin, words, wide, Z[0])
        for i in range(N):
            stages, channels, into, out = packed.counts[i]
            for m in range(channels):
                if noise.shape[0] > 0:
                    for lane in range(lanes):
                        for d in range(dim):
                            xi[m, d, lane] = noise[packed.first_channel[i] + m, begin + lane, d]
                else:
                    fill_normals(seed, first + begin, i, m, words, wide)
                    for d in range(dim):
                        for lane in range(lanes):
                            xi[m, d, lane] = wide[d, lane]
            for s in range(stages):
                _combine(U, packed.U[i, s], Z, into, True)
                _combine(U, packed.A[i, s], F, s, False)
                _combine(U, packed.G[i, s], xi, channels, False)
                evaluate(
                    target, packed.score[i, s], packed.levels[i, s, 0], packed.levels[i, s, 1], U, F[s], work
                )
                if errs:
                    perturb_block(wrong.linear[i, s], wrong.fields[i, s], U, F[s])
            for r in range(out):
                _combine(new[r], packed.V[i, r], Z, into, True)
                _combine(new[r], packed.B[i, r], F, stages, False)
                _combine(new[r], packed.H[i, r], xi, channels, False)
            Z, new = new, Z
        for lane in range(lanes):
            for d in range(dim):
                x[begin + lane, d] = Z[0, d, lane]


def sample(
    tableau: Tableau,
    target: Target,
    n: int,
    seed: int = 0,
    initial: str | ArrayLike | Target = "marginal",
    *,
    dtype: str = "float64",
    device: str = "cpu",
    noise: NDArray[np.float64] | None = None,
    first: int = 0,
    threads: int | None = None,
) -> NDArray[Any]:
    """Draw samples with any tableau on a Gaussian mixture, compiled and in parallel.

    Noise is addressed by (seed, sample, step, channel), so the same samples come out bit for bit for any number
    of threads and however a range of samples is cut into calls: `sample(..., n=5, first=3)` is
    `sample(..., n=8)[3:]`.

    Parameters
    ----------
    tableau : Tableau
    target : Gaussian mixture
    n : int
        Number of samples, 1 or more.
    seed : int
        0 .. 2^64 - 1.
    initial : str, (n, dim) array, or law
        "marginal": the target noised to the start level; "prior": N(0, prior_deviation^2 I); an array of start
        points; or a law, a GaussianMixture or GaussianLaw, to draw them from.
    dtype : str
        "float64" or "float32", in which registers, coefficients and evaluations are kept.
    device : str
        "cpu".
    noise : (channels, n, dim) array, optional
        Deviates to use, in the order of `tableau.channels`, in place of the seed's.
    first : int
        Address of the first sample.
    threads : int, optional
        All that numba has by default.

    Returns
    -------
    (n, dim) array

    Raises
    ------
    ValueError, TypeError
        An argument that cannot be; the message names it.
    FloatingPointError
        A sample became NaN or infinite: the method is unstable on this grid.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}: use one of {DTYPES}")
    if device != "cpu":
        raise ValueError(f"device is {device!r}: use 'cpu'")
    check_counts(n, first)
    check_threads(threads)
    key = check_seed(seed)
    dim = target.means.shape[1]
    packed = pack(tableau)
    if packed.G.shape[2] >= MAX_CHANNELS or dim > MAX_DIM or len(tableau) >= INITIAL_STEP:
        raise ValueError(
            f"tableau has {packed.G.shape[2]} channels a step in dim {dim}: at most {MAX_CHANNELS - 1} and {MAX_DIM}"
        )
    for block in tableau.blocks:
        at_data = np.any(block.levels[:, [kind == SCORE for kind in block.kinds], 1] == 0)
        if at_data and np.any(target.variances == 0):
            raise ValueError(
                "target has a component of zero variance, whose score at sigma = 0 does not exist: stop at sigma > 0"
            )
    kind = np.dtype(dtype)
    if isinstance(initial, str) or hasattr(initial, "means") or hasattr(initial, "variances"):
        start, given, x = mixture(as_mixture(initial, tableau, target), kind), False, np.empty((n, dim), kind)
    else:
        start, given = mixture(target, kind), True
        x = check_samples("initial", initial, (n, dim)).astype(kind)
    noise = (
        np.empty((0, 0, 0))
        if noise is None
        else check_samples("noise", noise, (len(tableau.channels), n, dim))
    )
    cast: Any = Packed._make(array.astype(kind) if array.dtype == np.float64 else array for array in packed)
    wrong: Any = Perturbation._make(array.astype(kind) for array in perturbation(packed, target))
    errs = isinstance(target, Imperfect)
    with using_threads(threads):
        _trajectories(cast, wrong, mixture(target, kind), start, x, given, noise, key, first, errs)
    bad = ~np.isfinite(x).all(axis=1)
    if np.any(bad):
        raise FloatingPointError(
            f"{tableau.name} gave {int(bad.sum())} of {n} samples that are not finite, "
            f"the first number {int(np.argmax(bad))}: take more steps or another grid"
        )
    return x
