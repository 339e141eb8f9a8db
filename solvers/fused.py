"""`sample`: whole trajectories in compiled, parallel code, the mixture's score inside the loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat
import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from .imperfect import Imperfect, Perturbation, perturb_block, perturbation
from .initial import as_mixture, check_samples
from .jit import COMPILED, PARALLEL, check_counts, check_threads, using_threads
from .mixture_block import INITIAL_STEP, Mixture, draw, evaluate, mixture, normalisers
from .noise import LANES, MAX_CHANNELS, MAX_DIM, check_seed, fill_normals
from .packed import Packed, pack
from .protocols import Target
from .tableau import SCORE, Tableau

DTYPES = ("float64", "float32")


class Plan(NamedTuple):
    """All that a trajectory reads: coefficients, errors of the model, the mixture, and what to start from.

    normaliser (N, S, K) or (1, 1, K), see `mixture_block.normalisers`; `noise` (channels, n, dim) replaces the
    addressed stream when it has channels; `given` is True where samples start at given points, `errs` where the
    model errs.
    """

    packed: Packed
    wrong: Perturbation
    target: Mixture
    normaliser: Any
    start: Mixture
    noise: Any
    seed: Any
    first: int
    given: bool
    errs: bool


@njit(**COMPILED)
def _combine(out: Any, coefficients: Any, terms: Any, fresh: bool) -> None:
    """Out (dim, lanes) = or += sum_i coefficients[i] terms[i]; zero coefficients, padding too, are skipped."""
    dim, lanes = out.shape
    zero = out.dtype.type(0.0)
    for i in range(terms.shape[0]):
        c = coefficients[i]
        if c == zero:
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
        for d in range(dim):
            for lane in range(lanes):
                out[d, lane] = zero


@njit(inline="always", **COMPILED)
def begin(plan: Plan, x: Any, row: int, Z: Any, words: Any, normals: Any) -> None:
    """Fill register 0 of Z (R, dim, lanes), and zero the others, for the samples from `row` of x (n, dim) on."""
    R, dim, lanes = Z.shape
    for r in range(1, R):
        for d in range(dim):
            for lane in range(lanes):
                Z[r, d, lane] = Z.dtype.type(0.0)
    if plan.given:
        for lane in range(lanes):
            for d in range(dim):
                Z[0, d, lane] = x[row + lane, d]
    else:
        draw(plan.start, plan.seed, plan.first + row, words, normals, Z[0])


@njit(inline="always", **COMPILED)
def advance(
    plan: Plan, i: int, row: int, Z: Any, new: Any, F: Any, xi: Any, U: Any, work: Any, words: Any
) -> None:
    """Carry the registers Z (R, dim, lanes) of the samples from `row` on through step i, into `new`.

    F (S, dim, lanes), xi (C, dim, lanes), U (dim, lanes), work (K + 2 + dim, lanes) and words (2, lanes) are scratch.
    """
    packed = plan.packed
    stages, channels, out = packed.counts[i, 0], packed.counts[i, 1], packed.counts[i, 3]
    dim, lanes = U.shape
    for m in range(channels):
        if plan.noise.shape[0] > 0:
            for lane in range(lanes):
                for d in range(dim):
                    xi[m, d, lane] = plan.noise[packed.first_channel[i] + m, row + lane, d]
        else:
            fill_normals(plan.seed, plan.first + row, i, m, words, xi[m])
    for s in range(stages):
        _combine(U, packed.U[i, s], Z, True)
        _combine(U, packed.A[i, s], F, False)
        _combine(U, packed.G[i, s], xi, False)
        everywhere = plan.normaliser.shape[0] == 1
        normaliser = plan.normaliser[0 if everywhere else i, 0 if everywhere else s]
        alpha, sigma = packed.levels[i, s, 0], packed.levels[i, s, 1]
        evaluate(plan.target, normaliser, packed.score[i, s], alpha, sigma, U, F[s], work)
        if plan.errs:
            perturb_block(plan.wrong.linear[i, s], plan.wrong.fields[i, s], U, F[s])
    for r in range(out):
        _combine(new[r], packed.V[i, r], Z, True)
        _combine(new[r], packed.B[i, r], F, False)
        _combine(new[r], packed.H[i, r], xi, False)


@njit(**PARALLEL)
def _trajectories(
    packed: Packed,
    wrong: Perturbation,
    target: Mixture,
    normaliser: Any,
    start: Mixture,
    noise: Any,
    seed: Any,
    first: int,
    given: bool,
    errs: bool,
    x: Any,
) -> None:
    """Run all rows of x (n, dim) in place: the initial points, where those are given, become the final ones."""
    n, dim = x.shape
    N, S, R = packed.U.shape
    C, K = packed.G.shape[2], target.means.shape[0]
    dtype = x.dtype
    for block in prange((n + LANES - 1) // LANES):
        row = block * LANES
        lanes = min(LANES, n - row)
        Z, new = np.empty((R, dim, lanes), dtype), np.zeros((R, dim, lanes), dtype)
        F, xi = np.empty((S, dim, lanes), dtype), np.empty((C, dim, lanes), dtype)
        U, work = np.empty((dim, lanes), dtype), np.empty((K + 2 + dim, lanes), dtype)
        words = np.empty((2, lanes), np.uint64)
        # made here, since a parallel loop takes no tuple of tuples
        plan = Plan(packed, wrong, target, normaliser, start, noise, seed, first, given, errs)
        begin(plan, x, row, Z, words, U)
        for i in range(N):
            advance(plan, i, row, Z, new, F, xi, U, work, words)
            Z, new = new, Z
        for lane in range(lanes):
            for d in range(dim):
                x[row + lane, d] = Z[0, d, lane]


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
        "cpu", or "cuda", "cuda:1", ... for a GPU, where the samples stay: a CuPy array is returned.
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
    law, x = None, np.empty((n, dim), dtype)
    if isinstance(initial, str) or hasattr(initial, "means") or hasattr(initial, "variances"):
        law = as_mixture(initial, tableau, target)
    else:
        x[:] = check_samples("initial", initial, (n, dim))
    if noise is not None:
        noise = check_samples("noise", noise, (len(tableau.channels), n, dim))
    plan = plan_of(packed, target, law, dtype, key, first, noise)
    if device == "cpu":
        with using_threads(threads):
            _trajectories(*plan, x)
    else:
        x = _on_gpu(plan, x, device)
    xp = array_api_compat.array_namespace(x)
    bad = ~xp.all(xp.isfinite(x), axis=1)
    if bool(xp.any(bad)):
        raise FloatingPointError(
            f"{tableau.name} gave {int(bad.sum())} of {n} samples that are not finite, "
            f"the first number {int(bad.argmax())}: take more steps or another grid"
        )
    return x


def plan_of(
    packed: Packed,
    target: Target,
    law: Target | None,
    dtype: str,
    seed: np.uint64,
    first: int = 0,
    noise: NDArray[np.float64] | None = None,
) -> Plan:
    """Lay out what trajectories read, in one float type. They start from a law, or with None at given points."""
    kind = np.dtype(dtype)
    return Plan(
        Packed._make(array.astype(kind) if array.dtype == np.float64 else array for array in packed),
        Perturbation._make(array.astype(kind) for array in perturbation(packed, target)),
        mixture(target, kind),
        normalisers(target, packed, kind),
        mixture(target if law is None else law, kind),
        np.empty((0, 0, 0), kind) if noise is None else noise.astype(kind),
        seed,
        first,
        law is None,
        isinstance(target, Imperfect),
    )


def _on_gpu(plan: Plan, x: NDArray[Any], name: str) -> Any:
    """Return the final samples, an array of the device; `x` holds the initial ones, if those are given."""
    from .cuda import trajectories
    from .cuda.device import Device

    device = Device(name)
    with device.current():
        device.check_room(2 * x.nbytes, "draw fewer samples in a call, with first= for the rest")
        there = device.xp.asarray(x) if plan.given else device.xp.empty(x.shape, x.dtype)
        trajectories.run(plan, there, device)
    return there
