"""`sample`: whole trajectories in compiled, parallel code, the mixture's score inside the loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat
import numba
import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ...numerics.jit import (
    COMPILED,
    INNER,
    UNCOUNTED,
    check_counts,
    check_threads,
    in_parallel,
    using_threads,
)
from ...numerics.lanes import BYTES, fma, load, start_of, store
from ...numerics.philox import MAX_CHANNELS, MAX_DIM, check_seed, fill_normals
from ...protocols import Target
from ..imperfect import perturb_block
from ..tableau import Tableau
from .initial import as_mixture, check_samples
from .mixture_block import INITIAL_STEP
from .mixture_lanes import Level, evaluate_lanes, level_of, prepare
from .mixture_products import Panels, evaluate_products, for_a_chunk, panels_of, prepare_products
from .packed import Packed, pack
from .trajectory import Plan, begin, carry_plainly, plan_of

DTYPES = ("float64", "float32")
# Samples of a chunk, and what their states may take of a core's own memory.
MOST_IN_A_CHUNK, BYTES_OF_A_CHUNK = 2048, 131072


class Chunk(NamedTuple):
    """Some samples on their way: m of them, a whole number of lanes, of which the first `rows` are wanted.

    states (2 R + S + C + 1, dim, m): registers, those of the next step, evaluations, channels, and a stage's input;
    picked, factors (R + S + C,): terms of a sum, as rows of states; words (2, m) of noise; logits, as
    `evaluate_lanes` or `evaluate_products` wants them; and the components at a level, one by one.
    """

    states: Any
    picked: Any
    factors: Any
    words: Any
    logits: Any
    level: Level
    row: int
    rows: int


@njit(**INNER)
def _pick(chunk: Chunk, coefficients: Any, count: int, first: int, picked: int) -> int:
    """Add the terms among `count` rows of states from `first` on whose coefficients are not zero; return how many."""
    for j in range(count):
        if coefficients[j] != chunk.factors.dtype.type(0.0):
            chunk.picked[picked] = first + j
            chunk.factors[picked] = coefficients[j]
            picked += 1
    return picked


@njit(**INNER)
def _sum(chunk: Chunk, count: int, into: int) -> None:
    """Fill a row of states with the sum of so many terms that were picked: three in one go through memory."""
    states, picked, factors = chunk.states, chunk.picked, chunk.factors
    kind, start, size = states.dtype.type, start_of(states), states.shape[1] * states.shape[2]
    for term in range(0, max(count, 1), 3):
        left, a, p = count - term, into, kind(0.0)
        if left > 0:
            a, p = picked[term], factors[term]
        b = c = a
        q = r = p
        if left > 1:
            b, q = picked[term + 1], factors[term + 1]
        if left > 2:
            c, r = picked[term + 2], factors[term + 2]
        for i in range(0, size, BYTES // states.itemsize):
            value = load(start, a * size + i) * p
            if left > 1:
                value = fma(load(start, b * size + i), q, value)
            if left > 2:
                value = fma(load(start, c * size + i), r, value)
            if term > 0:
                value = value + load(start, into * size + i)
            store(start, into * size + i, value)


@njit(**UNCOUNTED)
def _advance(plan: Plan, i: int, chunk: Chunk, panels: Panels | None, now: int) -> None:
    """Carry a chunk through step i, as `trajectory.advance` does: from the registers at `now` to the other ones."""
    packed, states = plan.packed, chunk.states
    stages, channels, out = packed.counts[i, 0], packed.counts[i, 1], packed.counts[i, 3]
    R, S, C = packed.U.shape[2], packed.U.shape[1], packed.G.shape[2]
    F, xi, input_ = 2 * R, 2 * R + S, 2 * R + S + C
    kind = states.dtype.type
    dim, m = states.shape[1:]
    for c in range(channels):
        if plan.noise.shape[0] > 0:
            for d in range(dim):
                for lane in range(chunk.rows):
                    states[xi + c, d, lane] = plan.noise[packed.first_channel[i] + c, chunk.row + lane, d]
        else:
            fill_normals(plan.seed, plan.first + chunk.row, i, c, chunk.words, states[xi + c])
    everywhere, none = plan.normaliser.shape[0] == 1, np.int64(0)  # a literal would compile all for itself
    for s in range(stages):
        count = _pick(chunk, packed.U[i, s], R, now, none)
        count = _pick(chunk, packed.A[i, s], s, F, count)
        count = _pick(chunk, packed.G[i, s], channels, xi, count)
        at = input_
        if count == 1 and chunk.factors[0] == kind(1.0):
            at = chunk.picked[0]  # it is there already
        else:
            _sum(chunk, count, input_)
        alpha, sigma, asked = packed.levels[i, s, 0], packed.levels[i, s, 1], packed.asks[i, s]
        if sigma == kind(0.0) and asked[1] == kind(0.0):
            for d in range(dim):
                for lane in range(m):
                    states[F + s, d, lane] = asked[0] * (states[at, d, lane] / alpha)
        else:
            normaliser = plan.normaliser[0 if everywhere else i, 0 if everywhere else s]
            if panels is None:
                prepare(plan.target, normaliser, asked, alpha, sigma, chunk.level)
                evaluate_lanes(chunk.level, states[at], states[F + s], chunk.logits)
            else:
                prepare_products(plan.target, normaliser, asked, alpha, sigma, panels)
                evaluate_products(panels, alpha, states[at], states[F + s], chunk.logits)
        if plan.errs:
            perturb_block(plan.wrong.linear[i, s], plan.wrong.fields[i, s], states[at], states[F + s])
    for r in range(out):
        count = _pick(chunk, packed.V[i, r], R, now, none)
        count = _pick(chunk, packed.B[i, r], stages, F, count)
        count = _pick(chunk, packed.H[i, r], channels, xi, count)
        _sum(chunk, count, R - now + r)


@njit(**COMPILED)
def _trajectories(begin_: int, end: int, plan: Plan, panels: Panels | None, size: int, x: Any) -> None:
    """Run chunks begin_ .. end - 1 of the rows of x (n, dim) in place: initial points, where given, become final ones.

    So many samples (a whole number of lanes) are a chunk, whose states stay in a core's own memory. Without panels what
    needs them is not compiled.
    """
    n, dim = x.shape
    N, S, R = plan.packed.U.shape
    C, K = plan.packed.G.shape[2], plan.target.means.shape[0]
    kind = x.dtype
    lanes = BYTES // x.itemsize
    for place in range(begin_, end):
        row = place * size
        rows = min(size, n - row)
        m = (rows + lanes - 1) // lanes * lanes
        if panels is None:
            own, logits = None, np.empty((K, lanes), kind)
        else:
            own, logits = for_a_chunk(panels), np.empty((len(panels.offsets), 2 * lanes), kind)
        chunk = Chunk(
            np.zeros((2 * R + S + C + 1, dim, m), kind),
            np.empty(R + S + C, np.int64),
            np.empty(R + S + C, kind),
            np.empty((2, m), np.uint64),
            logits,
            level_of(plan.target),
            row,
            rows,
        )
        begin(plan, x, row, chunk.states[:R], chunk.words, chunk.states[2 * R])
        now = np.int64(0)  # a literal would compile all for itself
        for i in range(N):
            _advance(plan, i, chunk, own, now)
            now = R - now
        for lane in range(rows):
            for d in range(dim):
                x[row + lane, d] = chunk.states[now, d, lane]


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
            size = _chunk(packed, x)
            if numba.config.DISABLE_JIT:  # there are no vectors in the interpreter
                carry_plainly(0, -(-n // size), plan, size, x)
            else:
                in_parallel(_trajectories, -(-n // size), plan, panels_of(plan.target), size, x)
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


def _chunk(packed: Packed, x: NDArray[Any]) -> int:
    """Return how many samples a core takes at a time: few enough for its memory, and for all cores to be busy."""
    n, dim = x.shape
    lanes = BYTES // x.itemsize
    S, R = packed.U.shape[1:]
    each = (2 * R + S + packed.G.shape[2] + 1) * dim * x.itemsize
    most = min(MOST_IN_A_CHUNK, BYTES_OF_A_CHUNK // each, n // (4 * numba.get_num_threads()))
    return max(most // lanes, 1) * lanes


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
