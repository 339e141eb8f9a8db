"""What a one-step kernel is made of: moves, each of which carries a law and draws samples by one function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from analytic import sequences

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, Flow
from ..model.cavities import Model, undefined
from ..model.every_state import Tables

Tokens = NDArray[Any]
LOST = 1e-13  # mass on states that the target forbids beyond which a law is refused
PARTS = 8


class Stream(NamedTuple):
    """Addresses of random numbers: the seed, the first sample's number and the move's number."""

    seed: Any
    first: int
    step: int


class Thread(NamedTuple):
    """What a GPU is given to carry out a move, a thread a sequence.

    Attributes
    ----------
    carry : callable (plan, model, lines, rows, units, r) -> None
        What thread r does to the column `plan.states[:, r]`; see `executors.cuda.kernels`. Its failures go to
        `plan.failed[r]`: an impossible row, and the number of laws that are none.
    told : tuple
        The move as compiled code takes it, `plan.told`: numbers and arrays.
    model : Transitions or Data
        The data as compiled code takes them.
    seen : tuple of Likelihood
        What states tell at the times when the model is asked, `plan.seen`.
    scratch : mapping of str to (type, sizes)
        Arrays of float or int to work with, for each thread: `plan.scratch.name[..., r]`.
    """

    carry: Callable[..., None]
    told: tuple[Any, ...]
    model: Any
    seen: tuple[Any, ...]
    scratch: Mapping[str, tuple[Any, ...]]


class Move(ABC):
    """A random change of the tokens that looks at the model.

    A move is `push` and `draw`; whatever else an executor asks has an answer here, which a move of another kind
    replaces.

    Attributes
    ----------
    nfe : float
        Evaluations of the model.
    by_events : bool
        True where the move goes from event to event inside its step, so that what it does between two nodes
        is not compared with the exact process.
    """

    nfe: float = 1.0
    by_events: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        # samples of a GPU are those of `draw`: a move that draws in another way has to say how there, too
        if "draw" in vars(cls) and "thread" not in vars(cls):
            cls.thread = Move.thread  # type: ignore[method-assign]

    @property
    def times(self) -> tuple[float, ...]:
        """Times at which the model is asked, as far as they are known beforehand."""
        return ()

    def evaluations(self, length: int) -> float:
        """Evaluations of the model on sequences of that length, expected where they are random."""
        return self.nfe

    def stay(self, masked: int, length: int) -> int | None:
        """Return how many of so many masked sites stay masked, by moves that count them; None by all others.

        A move that counts them asks the model nothing where all stay.
        """
        return None

    def aim(self, data: sequences.SequenceLaw) -> sequences.SequenceLaw:
        """Return the law that steps of this kind are meant to sample: the data, unless guided away from it."""
        return data

    def settling(self, plain: Any) -> Move:
        """Return what settles tokens at the grid's end after steps of this kind, where unguided `plain` would."""
        settled: Move = plain
        return settled

    @abstractmethod
    def push(self, weights: Array, tables: Tables) -> Array:
        """Carry weights (S^L,) through the move. Raises FloatingPointError where the model is undefined."""

    @abstractmethod
    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        """Move tokens (n, L) in place. Raises FloatingPointError for laws that are no probabilities."""

    def count(self, tokens: Tokens, model: Model, stream: Stream) -> NDArray[np.int64]:
        """Move tokens as `draw` does; return the evaluations of the model that each sample took, (n,)."""
        self.draw(tokens, model, stream)
        return np.full(len(tokens), int(self.evaluations(tokens.shape[1])))

    def thread(self, model: Model) -> Thread | None:
        """Return what a GPU is given, or None where the move runs on a CPU alone."""
        return None

    def impossible(self, why: str) -> FloatingPointError:
        """Return the error of a sample whose state the target forbids."""
        return undefined(self.times[0], why)

    def no_law(self, sites: int) -> FloatingPointError:
        """Return the error of so many sites whose law is no probability."""
        return FloatingPointError(f"{sites} sites had a negative or undefined probability: take more steps")

    def matrix(self, tables: Tables, possible: NDArray[np.bool_]) -> Array:
        """Return the laws from the possible states, (S^L, S^L), zero in the rows of others."""
        out = np.zeros((tables.size, tables.size))
        for x in np.flatnonzero(possible):
            out[x] = self.push(np.eye(1, tables.size, int(x))[0], tables)
        return out

    def rows(self, tables: Tables) -> Array | None:
        """Return the law of every site from every state, (S^L, L, S), or None if sites do not move independently."""
        return None


class Independent(Move):
    """All sites move at once, independently given the tokens, so that the law of each site is enough.

    Attributes
    ----------
    flow : Flow
        Holds the time at which the model is asked.
    """

    flow: Flow

    @property
    def times(self) -> tuple[float, ...]:
        return (self.flow.t,)

    @abstractmethod
    def fill(self, tables: Tables) -> Array:
        """Return the law of every site from every state, (S^L, L, S), anything where the target forbids the state."""

    def rows(self, tables: Tables) -> Array:
        rows = self.fill(tables)
        rows[~tables.possible(self.flow.t)] = np.nan
        return rows

    def push(self, weights: Array, tables: Tables) -> Array:
        return spread(weights, self.usable(weights, tables))

    def matrix(self, tables: Tables, possible: NDArray[np.bool_]) -> Array:
        weights = possible.astype(np.float64)
        # with as many parts as states, part x is what came from state x
        parts = np.zeros((tables.size, tables.size))
        in_parallel(_spread, len(parts), weights, self.usable(weights, tables), parts)
        return parts

    def usable(self, weights: Array, tables: Tables) -> Array:
        """Return `rows` that can be spread from these weights; raises as `defined`."""
        return defined(self.rows(tables), weights, tables, self.flow.t)


def check_possible(weights: Array, possible: NDArray[np.bool_], t: float, remedy: str) -> None:
    """Raise FloatingPointError if weight lies on states that the target forbids."""
    mass = float(np.abs(weights[~possible]).sum())
    if mass > LOST:
        raise FloatingPointError(
            f"mass {mass:.3g} is on states of probability 0 at t = {t:g}, where the model is undefined: {remedy}"
        )


def defined(rows: Array, weights: Array, tables: Tables, t: float) -> Array:
    """Return rows that can be spread, zero where no weight is.

    Raises FloatingPointError if weight lies on states that the target forbids, or no probability comes out.
    """
    possible = tables.possible(t)
    check_possible(weights, possible, t, "give a target without zeros, or take more steps")
    used = np.logical_and(possible, weights != 0)
    if not np.isfinite(rows[used]).all():
        raise FloatingPointError(
            f"rates times the step overflow at t = {t:g}: take more steps, or start at a smaller t"
        )
    low = float(np.min(rows[used], initial=0.0))
    if low < -1e-12:
        raise FloatingPointError(f"a probability is {low:.3g} at t = {t:g}: take more steps")
    return np.where(used[:, None, None], rows, 0.0)


@njit(**COMPILED)
def outcomes(weight: float, rows: Any, places: Any, values: Any) -> int:
    """List the states that a product of rows (L, S) leads to and their weights; return how many there are."""
    L, S = rows.shape
    count = 1
    places[0, 0], values[0, 0] = 0, weight
    for i in range(L):
        now, then, new = i % 2, (i + 1) % 2, 0
        for k in range(count):
            for y in range(S):
                if rows[i, y] != 0.0:
                    places[then, new] = places[now, k] * S + y
                    values[then, new] = values[now, k] * rows[i, y]
                    new += 1
        count = new
    return count


@njit(**COMPILED)
def scatter(weight: float, rows: Any, places: Any, values: Any, out: Any) -> None:
    """Add weight times the product of rows (L, S) to out (S^L,); the last site in one sweep."""
    L, S = rows.shape
    count = outcomes(weight, rows[: L - 1], places, values)
    now = (L - 1) % 2
    for k in range(count):
        at, value = places[now, k] * S, values[now, k]
        for y in range(S):
            out[at + y] += value * rows[L - 1, y]


@njit(**COMPILED)
def _spread(begin: int, end: int, weights: Any, rows: Any, parts: Any) -> None:
    """Add to parts begin .. end - 1 of (P, S^L) where the weights of the states x = part modulo P go."""
    size = rows.shape[0]
    places, values = np.empty((2, size), np.int64), np.empty((2, size))
    for part in range(begin, end):
        for x in range(part, size, parts.shape[0]):
            if weights[x] != 0.0:
                scatter(weights[x], rows[x], places, values, parts[part])


def spread(weights: Array, rows: Array) -> Array:
    """Carry weights (S^L,) through the independent laws (S^L, L, S) of the sites."""
    parts = np.zeros((PARTS, len(weights)))
    in_parallel(_spread, len(parts), np.asarray(weights), rows, parts)
    return parts.sum(axis=0)
