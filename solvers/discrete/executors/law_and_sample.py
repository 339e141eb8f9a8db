"""`law` and `sample` of kernels: the same moves carry a probability vector or draw tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import sequences

from ...numerics.jit import check_counts, check_threads, in_parallel, using_threads
from ...numerics.philox import check_seed
from ..flow import Array, noising
from ..kernel import Kernel
from ..model.cavities import Model
from ..model.every_state import Tables
from ..moves.move import Stream
from ..moves.site import START, draw_rows
from .fused import trajectories

CHUNK_BYTES = 1 << 26
MOST_ROWS = 1 << 20  # sequences of one launch on a device


def law(
    kernel: Kernel,
    data: sequences.SequenceLaw,
    initial: str | ArrayLike = "marginal",
    at: str = "end",
    tables: Tables | None = None,
) -> Array:
    """Exact law of a sampler of tokens.

    Parameters
    ----------
    kernel : Kernel
    data : SequenceLaw
    initial : str or (S,) * L array
        "marginal": the data noised to the grid's start; "prior": independent sites of the noise's prior; or any pmf.
    at : str
        "end", or "all" for the laws at every node of the grid (and after the finaliser).
    tables : Tables, optional
        Tables of the same process and data, to share them between calls.

    Returns
    -------
    (S,) * L array, or (nodes, S, ..., S) for "all"

    Raises
    ------
    ValueError
        Too many states, another vocabulary, a pmf that is none.
    FloatingPointError
        The sampler reaches states of probability zero, or a step has probabilities outside [0, 1].
    """
    if at not in ("end", "all"):
        raise ValueError(f"at is {at!r}: use 'end' or 'all'")
    tables = tables or Tables(kernel.process, data)
    shape = (tables.states,) * tables.length
    weights = _start_law(kernel, tables, initial)
    kept = [weights]
    with using_threads(tables.threads):
        for step in (*kernel.steps, *([kernel.final] if kernel.final else [])):
            for move in step:
                weights = move.push(weights, tables)
            if at == "all":
                kept.append(weights)
    return np.stack(kept).reshape(-1, *shape) if at == "all" else weights.reshape(shape)


def _start_law(kernel: Kernel, tables: Tables, initial: str | ArrayLike) -> Array:
    if isinstance(initial, str):
        if initial == "marginal":
            return tables.evidence(float(kernel.grid[0])).copy()
        if initial == "prior":
            return tables.product(np.asarray(kernel.process.prior))
        raise ValueError(f"initial is {initial!r}: use 'marginal', 'prior' or a pmf of shape (S,) * L")
    weights = np.asarray(initial, dtype=np.float64)
    if weights.shape != (tables.states,) * tables.length:
        raise ValueError(f"initial has shape {weights.shape}: give {(tables.states,) * tables.length}")
    if not (weights >= 0).all():
        raise ValueError(
            f"initial holds {float(weights.min())!r}: give probabilities, which are not negative"
        )
    if abs(weights.sum() - 1) > 1e-12:
        raise ValueError(
            f"initial sums to {float(weights.sum())!r}: give probabilities that sum to one within 1e-12"
        )
    return weights.ravel()


def sample(
    kernel: Kernel,
    data: sequences.SequenceLaw,
    n: int,
    seed: int = 0,
    initial: str | ArrayLike = "marginal",
    *,
    first: int = 0,
    threads: int | None = None,
    device: str = "cpu",
) -> NDArray[Any]:
    """Draw token sequences with a kernel, compiled and in parallel.

    Draws are addressed by (seed, sample, move, site), so that the same tokens come out for any number of threads
    and any cut of the samples into calls: `sample(..., n=5, first=3)` is `sample(..., n=8)[3:]`.

    Parameters
    ----------
    kernel : Kernel
    data : SequenceLaw
    n : int
    seed : int
        0 .. 2^64 - 1.
    initial : str or (n, L) array of integers
        "marginal", "prior", or the tokens to start from: with some of them revealed under a mask, this is
        infilling.
    first : int
        Address of the first sample.
    threads : int, optional
        Of the CPU; all that numba has by default.
    device : str
        "cpu", or "cuda", "cuda:1", ... for a GPU, where the tokens stay: a CuPy array is returned. Kernels run
        there on a MarkovSequence, guided ones on Labelled ones, event-driven ones on other data too; those with
        `Gibbs` or `ConfidentRemask` moves run on a CPU alone.

    Returns
    -------
    (n, L) array of int16, or int32 for more than 32767 states

    Raises
    ------
    ValueError, TypeError
        An argument that cannot be; the message names it.
    FloatingPointError
        A sample reached a state of probability zero, or a step has probabilities outside [0, 1].
    MemoryError
        The tokens, or one sequence with its scratch, take more memory than is free on the device.
    """
    parts = stream(kernel, data, n, seed, initial, first=first, threads=threads, device=device)
    shape, kind = (n, data.length), _kind(kernel)
    if device == "cpu":
        return _gathered(parts, np.empty(shape, kind), first)
    there = _device(device)
    with there.current():
        size = n * data.length * np.dtype(kind).itemsize
        there.check_room(
            size, "draw fewer samples in a call, with first= for the rest, or take them from stream"
        )
        return _gathered(parts, there.xp.empty(shape, kind), first)


def _gathered(parts: Iterator[tuple[int, Any]], out: Any, first: int) -> Any:
    """Fill out (n, L) with all parts of `stream`."""
    for begin, tokens in parts:
        out[begin - first : begin - first + len(tokens)] = tokens
    return out


def stream(
    kernel: Kernel,
    data: sequences.SequenceLaw,
    n: int,
    seed: int = 0,
    initial: str | ArrayLike = "marginal",
    *,
    first: int = 0,
    threads: int | None = None,
    rows: int | None = None,
    device: str = "cpu",
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Draw the token sequences of `sample` part by part, in memory that does not grow with n.

    Parameters
    ----------
    kernel, data, n, seed, initial, first, threads, device
        As in `sample`.
    rows : int, optional
        Sequences in a part; by default as many as keep it near 64 MB. Of no effect on the tokens.

    Yields
    ------
    first : int
        Address of the part's first sample.
    tokens : (rows or less, L) array

    Raises
    ------
    ValueError, TypeError
        At once, as `sample`.
    FloatingPointError, MemoryError
        As `sample`, in the part concerned.
    """
    key, model = check_seed(seed), Model(kernel.process, data)
    check_counts(n, first)
    check_threads(threads)
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int | np.integer) or rows < 1):
        raise ValueError(f"rows is {rows!r}: give a whole number, at least 1")
    start = _start_tokens(kernel, data, n, initial)
    if device != "cpu":
        return _on_gpu(kernel, model, n, key, initial, start, first, rows, device)
    fused = trajectories(kernel.moves, model)
    if rows is None:
        # move by move, cavities and flows of every site are kept
        states = 1 if fused else data.vocabulary + kernel.process.states
        rows = max(64, CHUNK_BYTES // (8 * data.length * states))

    def part(begin: int) -> NDArray[Any]:
        stop = min(n, begin + rows)
        if start is None:
            tokens, table = _start(kernel, data, initial, stop - begin, key, first + begin)
            in_parallel(draw_rows, len(tokens), table, tokens, key, first + begin, START)
        else:
            tokens = start[begin:stop]
        if fused:
            fused.draw(tokens, key, first + begin)
        else:
            for number, move in enumerate(kernel.moves):
                move.draw(tokens, model, Stream(key, first + begin, number))
        return tokens.astype(_kind(kernel))

    return _parts(part, range(0, n, rows), first, threads)


def _device(name: str) -> Any:
    from ...cuda.device import Device

    return Device(name)


def _on_gpu(
    kernel: Kernel,
    model: Model,
    n: int,
    key: Any,
    initial: Any,
    start: NDArray[Any] | None,
    first: int,
    rows: int | None,
    name: str,
) -> Iterator[tuple[int, Any]]:
    """Return the parts of `stream` on a device."""
    from .cuda.runner import Runner

    device = _device(name)
    with device.current():
        runner = Runner(kernel, model, device)

    def parts() -> Iterator[tuple[int, Any]]:
        with device.current():  # now that the caller has taken what it keeps
            most = min(rows or MOST_ROWS, runner.rows())
        for begin in range(0, n, most):
            stop = min(n, begin + most)
            with device.current():
                if start is None:
                    tokens, table = _start(kernel, model.data, initial, stop - begin, key, first + begin)
                    states = runner.start(tokens, table, key, first + begin)
                else:
                    states = runner.sent(start[begin:stop])
                drawn = runner.draw(states, key, first + begin).astype(_kind(kernel))
            yield first + begin, drawn

    return parts()


def _parts(
    part: Callable[[int], NDArray[Any]], begins: range, first: int, threads: int | None
) -> Iterator[tuple[int, NDArray[Any]]]:
    for begin in begins:
        with using_threads(threads):
            tokens = part(begin)
        yield first + begin, tokens


def _kind(kernel: Kernel) -> Any:
    """Smallest signed integers that hold the states."""
    return np.int16 if kernel.process.states < 1 << 15 else np.int32


def _start_tokens(
    kernel: Kernel, data: sequences.SequenceLaw, n: int, initial: str | ArrayLike
) -> NDArray[Any] | None:
    """Return the tokens given as a start, checked, or None for a law to draw them from."""
    if isinstance(initial, str):
        if initial not in ("marginal", "prior"):
            raise ValueError(
                f"initial is {initial!r}: use 'marginal', 'prior' or an (n, {data.length}) array of tokens"
            )
        return None
    tokens = np.asarray(initial)
    if tokens.shape != (n, data.length) or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(
            f"initial is an array of {tokens.dtype} with shape {tokens.shape}: give integers, ({n}, {data.length})"
        )
    wrong = (tokens < 0) | (tokens >= kernel.process.states)
    if wrong.any():
        raise ValueError(f"initial holds {tokens[wrong][0]}: tokens go from 0 to {kernel.process.states - 1}")
    return tokens.astype(np.int64)


def _start(
    kernel: Kernel, data: sequences.SequenceLaw, initial: Any, n: int, seed: Any, first: int
) -> tuple[NDArray[np.int64], Array]:
    """Return tokens (n, L) and a table (V, S): a start state is drawn from its token's row of the table.

    Where all rows are the same, data are not drawn and the tokens are zeros.
    """
    process = kernel.process
    table = noising(process, float(kernel.grid[0]))
    if initial == "prior":
        table = np.tile(np.asarray(process.prior), (process.vocabulary, 1))
    table = np.ascontiguousarray(table)
    if (table == table[0]).all():
        return np.zeros((n, data.length), np.int64), table
    return data.sample(n, int(seed), first), table
