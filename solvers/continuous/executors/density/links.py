"""Which kind of noise each step adds, read off its coefficients: the sampler as maps with noise between them.

The chain is: map, add noise, map, add noise, ..., map. A step whose noise only its output sees ends a map with
it; one whose noise all of it sees alike begins with it; one whose noise is seen in two ways is a map of two
variables, after which it may add another noise. Registers beside the sample matter only while a later step uses them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..packed import Packed

# Proportions of coefficients that agree to this relative size are equal.
_SAME = 1e-12
_REMEDY = "measure it by coupled samples (`sample`) instead"


@dataclass(frozen=True)
class Link:
    """Deterministic steps first..stop-1, then noise.

    Attributes
    ----------
    first, stop : int
    deviation : float
        Standard deviation of the noise added to the sample; 0 for the chain's last map.
    channel : int
        -1, or the channel of step `stop`, which sees its noise in two ways and follows the map in place of
        additive noise.
    remembers : bool
        True if a later step uses, beside the sample, register 1: a number known before the noise.
    """

    first: int
    stop: int
    deviation: float = 0.0
    channel: int = -1
    remembers: bool = False

    @property
    def end(self) -> int:
        """Index of the step that follows."""
        return self.stop + (self.channel >= 0)


def links(name: str, packed: Packed) -> list[Link]:
    """Split a sampler at its noises.

    Raises
    ------
    ValueError
        The law would need a density of more variables than two, or of two for a step that reuses its noise.
    """
    counts = packed.counts
    N = len(counts)
    noisy = np.flatnonzero(np.any(packed.H, axis=(1, 2)) | np.any(packed.G, axis=(1, 2)))
    if len(noisy) == 0:
        return [Link(0, N)]
    live, used = _alive(packed)
    out: list[Link] = []
    first = 0
    for n in noisy.tolist():
        before, after, channel = _noises(name, packed, n, live[n + 1], used[n])
        if before > 0:
            out.append(Link(first, n, before, remembers=_remembers(name, n, live[n])))
            first = n
        if channel >= 0:
            if live[n].sum() > 1 or live[n + 1].sum() > 1:
                raise ValueError(
                    f"tableau is {name!r}: step {n} sees its noise in two ways and keeps another register, so its "
                    f"law needs a density of three variables; {_REMEDY}"
                )
            out.append(Link(first, n, 0.0, channel))
            first = n + 1
        if after > 0:
            out.append(Link(first, n + 1, after, remembers=_remembers(name, n + 1, live[n + 1])))
            first = n + 1
    for link in out[1:]:
        if link.remembers and _carries(packed, link, live, used):
            raise ValueError(
                f"tableau is {name!r}: the register it uses beside the sample before step {link.stop} depends on the "
                f"one before, so its law needs a density of two variables that keep each other; {_REMEDY}"
            )
    return [*out, Link(first, N)]


def _alive(packed: Packed) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Registers a later step uses, (N + 1, R), and evaluations that matter, (N, S)."""
    N, S, R = packed.U.shape
    live, used = np.zeros((N + 1, R), dtype=bool), np.zeros((N, S), dtype=bool)
    if R == 1:
        live[:], used[:] = True, np.arange(S) < packed.counts[:, :1]
        return live, used
    live[N, 0] = True
    U, A, V, B = packed.U != 0, packed.A != 0, packed.V != 0, packed.B != 0
    for n in range(N - 1, -1, -1):
        stages = live[n + 1] @ B[n]
        for i in range(S - 1, -1, -1):
            if stages[i]:
                stages |= A[n, i]
        live[n] = (live[n + 1] @ V[n]) | (stages @ U[n])
        used[n] = stages
    return live, used


def _carries(packed: Packed, link: Link, live: NDArray[np.bool_], used: NDArray[np.bool_]) -> bool:
    """Whether a register alive beside the sample after a link depends on one alive beside it before."""
    held = live[link.first].copy()
    held[0] = False
    for n in range(link.first, link.stop):
        stages: NDArray[np.bool_] = np.asarray(packed.U[n, :, held].any(axis=0))
        for i in range(len(stages)):
            stages[i] |= bool(packed.A[n, i, stages].any())
        held = np.asarray(packed.V[n][:, held].any(axis=1) | packed.B[n][:, stages & used[n]].any(axis=1))
    return bool((held & live[link.stop])[1:].any())


def _noises(
    name: str, packed: Packed, n: int, live: NDArray[np.bool_], used: NDArray[np.bool_]
) -> tuple[float, float, int]:
    """Deviation of the noise before and after step n, and the channel that is neither (or -1)."""
    # How the sample, and each channel, enters the evaluations and the registers left.
    sample = np.concatenate([packed.U[n, used, 0], packed.V[n, live, 0]])
    before, after, reused = 0.0, 0.0, -1
    for channel in range(int(packed.counts[n, 1])):
        stages, registers = packed.G[n, used, channel], packed.H[n, live, channel]
        if not (stages.any() or registers.any()):
            continue
        if not stages.any() and not registers[1:].any():
            after = float(np.hypot(after, registers[0]))
            continue
        entry = np.concatenate([stages, registers])
        widest = int(np.argmax(np.abs(sample)))
        ratio = entry[widest] / sample[widest] if sample[widest] else 0.0
        if np.all(np.abs(entry - ratio * sample) <= _SAME * np.abs(entry).max()):
            before = float(np.hypot(before, ratio))
        elif reused >= 0:
            raise ValueError(
                f"tableau is {name!r}: step {n} sees two noises in two ways each, so its law needs a density of "
                f"three variables; {_REMEDY}"
            )
        else:
            reused = channel
    return before, after, reused


def _remembers(name: str, n: int, live: NDArray[np.bool_]) -> bool:
    """Whether register 1 is alive beside the sample, before step n."""
    count = int(live.sum())
    if count > 2 or (count == 2 and not live[1]):
        raise ValueError(
            f"tableau is {name!r}: after the noise before step {n} it still uses {count - 1} registers beside the "
            f"sample, so its law needs a density of {count} variables and there are two at most; {_REMEDY}"
        )
    return count == 2
