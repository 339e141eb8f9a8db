"""`sample`: whole trajectories in compiled, parallel code, the mixture's score inside the loop."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from ...numerics.jit import PARALLEL, check_counts, check_threads, using_threads
from ...numerics.philox import LANES, MAX_CHANNELS, MAX_DIM, check_seed
from ...protocols import Target
from ..imperfect import Perturbation
from ..tableau import Tableau
from .initial import as_mixture, check_samples
from .mixture_block import INITIAL_STEP, Components
from .packed import Packed, pack
from .trajectory import Plan, advance, begin, plan_of

DTYPES = ("float64", "float32")


@njit(**PARALLEL)
def _trajectories(
    packed: Packed,
    wrong: Perturbation,
    target: Components,
    normaliser: Any,
    start: Components,
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

    Components
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
        at_data = np.any((block.levels[:, :, 1] == 0) & (block.asks[:, :, 1] != 0))
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


def _on_gpu(plan: Plan, x: NDArray[Any], name: str) -> Any:
    """Return the final samples, an array of the device; `x` holds the initial ones, if those are given."""
    from ...cuda.device import Device
    from . import on_cuda

    device = Device(name)
    with device.current():
        device.check_room(2 * x.nbytes, "draw fewer samples in a call, with first= for the rest")
        there = device.xp.asarray(x) if plan.given else device.xp.empty(x.shape, x.dtype)
        on_cuda.run(plan, there, device)
    return there
